//! The credentials of the tools in force. Each is fetched when it is first needed, and kept.

use crate::plugin::credential::{RedactError, Redactor, Secret, Taken, obtain};
use crate::plugin::manifest::{Manifest, Source};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A credential, or why there is none.
type Held = Result<Arc<Secret>, String>;

/// Credentials by where they come from.
pub(super) struct Vault {
    taken: Arc<Taken>,
    held: RefCell<Vec<(Source, Held)>>,
    /// For what is held: to make it takes longer than many a call does.
    redactor: RefCell<Option<Redactor>>,
}

impl Vault {
    pub(super) fn new(taken: Taken) -> Self {
        Self { taken: Arc::new(taken), held: RefCell::default(), redactor: RefCell::default() }
    }

    fn known(&self, source: &Source) -> Option<Held> {
        self.held.borrow().iter().find(|(known, _)| known == source).map(|(_, held)| held.clone())
    }

    /// A manifest's credentials by their names.
    ///
    /// # Errors
    /// Which is missing, and why. What a program could not print is asked of it again the next time.
    pub(super) async fn of(&self, manifest: &Manifest) -> Result<BTreeMap<String, Arc<Secret>>, String> {
        let mut all = BTreeMap::new();
        for credential in &manifest.credentials {
            let held = match self.known(&credential.source) {
                Some(Ok(secret)) => Ok(secret),
                _ => self.fetch(&credential.source).await,
            };
            let missing = |why| format!("the credential '{}' of {} is missing: {why}", credential.name, manifest.tool);
            all.insert(credential.name.clone(), held.map_err(missing)?);
        }
        Ok(all)
    }

    async fn fetch(&self, source: &Source) -> Held {
        let (asked, taken) = (source.clone(), self.taken.clone());
        let fetched = tokio::task::spawn_blocking(move || obtain(&asked, &taken).map_err(|error| error.to_string()));
        let fetched = fetched.await.unwrap_or_else(|error| Err(error.to_string())).map(Arc::new);
        // Another call may have fetched it meanwhile, and its tool have it: that one is taken out of what comes back.
        if let Some(Ok(known)) = self.known(source) {
            return Ok(known);
        }
        let mut held = self.held.borrow_mut();
        held.retain(|(known, _)| known != source);
        held.push((source.clone(), fetched.clone()));
        self.redactor.replace(None);
        fetched
    }

    /// Why a manifest cannot be used, if a credential was asked for and is not there.
    pub(super) fn missing(&self, manifest: &Manifest) -> Option<String> {
        manifest.credentials.iter().find_map(|credential| match self.known(&credential.source) {
            Some(Err(why)) => Some(format!("the credential '{}' is missing: {why}", credential.name)),
            _ => None,
        })
    }

    /// Takes every credential that is held out of a stream: a tool may have found another one's.
    ///
    /// # Errors
    /// If one of them cannot be taken out.
    pub(super) fn redactor(&self) -> Result<Redactor, RedactError> {
        let mut known = self.redactor.borrow_mut();
        if let Some(redactor) = &*known {
            return Ok(redactor.another());
        }
        let held = self.held.borrow();
        let all: Vec<&Secret> = held.iter().filter_map(|(_, held)| held.as_deref().ok()).collect();
        let made = Redactor::new(&all)?;
        Ok(known.insert(made).another())
    }
}
