//! Runs nft, the only thing that speaks to the kernel's packet filter.

use crate::facts;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::nft;

/// What went wrong between us and nft.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The program is absent.
    #[error("nft is not installed: install your distribution's package `nftables`")]
    Missing,
    /// It could not be started or spoken to.
    #[error("cannot run {}: {source}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It refused; the kernel's rules are as before.
    #[error("nft could not {attempt}, the loaded rules are unchanged: {message}")]
    Refused {
        /// What it was asked to do.
        attempt: &'static str,
        /// Its standard error.
        message: String,
    },
    /// Its answer is not what libnftables-json(5) promises.
    #[error("nft answered something that is not its JSON: {0}")]
    Answer(#[from] serde_json::Error),
}

/// nft of this host, acting on the network namespace of the calling thread.
pub(super) struct Nft {
    program: PathBuf,
}

impl Nft {
    pub(super) fn find() -> Result<Self, NftError> {
        facts::program("nft").map(|program| Self { program }).ok_or(NftError::Missing)
    }

    /// One transaction.
    pub(super) fn execute(&self, attempt: &'static str, document: &nft::Document) -> Result<(), NftError> {
        self.run(attempt, &["-j", "-f", "-"], nft::json(document)).map(drop)
    }

    /// The names of the tables of a family.
    pub(super) fn tables(&self, family: &str) -> Result<Vec<String>, NftError> {
        let listing = self.run("list the tables", &["-j", "list", "tables", family], Vec::new())?;
        let tables = objects(listing)?.into_iter().filter_map(|object| {
            let name = object.get("table")?.get("name")?.as_str()?;
            Some(name.to_owned())
        });
        Ok(tables.collect())
    }

    /// All objects of our table, or nothing if it is absent.
    pub(super) fn table(&self) -> Result<Option<Vec<Value>>, NftError> {
        match self.run("list our table", &["-j", "list", "table", "inet", nft::TABLE], Vec::new()) {
            // Whether it is absent is asked only now, to start nft once where it is present.
            Err(NftError::Refused { .. }) if !self.tables("inet")?.iter().any(|name| name == nft::TABLE) => Ok(None),
            listing => listing.and_then(objects).map(Some),
        }
    }

    /// [`table`](Self::table) without the elements of named sets. nft 1.0 reads them all the
    /// same when asked for one table, and leaves them alone when asked for the whole ruleset.
    pub(super) fn outline(&self) -> Result<Option<Vec<Value>>, NftError> {
        let listing = self.run("list the tables", &["-j", "-t", "list", "ruleset", "inet"], Vec::new())?;
        let ours: Vec<Value> = objects(listing)?.into_iter().filter(is_ours).collect();
        Ok((!ours.is_empty()).then_some(ours))
    }

    /// Writes and reads at the same time, so that neither side waits for the other's full pipe.
    fn run(&self, attempt: &'static str, arguments: &[&str], input: Vec<u8>) -> Result<Vec<u8>, NftError> {
        let output = self.exchange(arguments, &input);
        let output = output.map_err(|source| NftError::Run { program: self.program.clone(), source })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let message = String::from_utf8_lossy(&output.stderr);
        let message = shortened(message.trim());
        let message = if message.is_empty() { output.status.to_string() } else { message };
        Err(NftError::Refused { attempt, message })
    }

    fn exchange(&self, arguments: &[&str], input: &[u8]) -> std::io::Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().env("LC_ALL", "C").current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take();
        std::thread::scope(|scope| {
            // A failing write means that nft ended early: its status and message say why.
            scope.spawn(move || stdin.take().map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        })
    }
}

/// Whether an object is our table or in it.
fn is_ours(object: &Value) -> bool {
    let named = |pointer| object.pointer(pointer).and_then(Value::as_str) == Some(nft::TABLE);
    let members = object.as_object().into_iter().flatten();
    named("/table/name") || members.into_iter().any(|(_, object)| object.get("table").is_some_and(|t| t == nft::TABLE))
}

/// nft repeats the offending input, all of it, in its messages.
fn shortened(message: &str) -> String {
    const LONGEST: usize = 2000;
    message.chars().take(LONGEST).filter(|c| !c.is_control() || *c == '\n').collect()
}

fn objects(listing: Vec<u8>) -> Result<Vec<Value>, NftError> {
    #[derive(serde::Deserialize)]
    struct Listing {
        nftables: Vec<Value>,
    }
    // nft prints nothing at all when there is nothing to list.
    if listing.is_empty() {
        return Ok(Vec::new());
    }
    Ok(serde_json::from_slice::<Listing>(&listing)?.nftables)
}
