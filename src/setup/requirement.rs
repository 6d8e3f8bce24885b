//! What rcc needs of a host, as plain data.

use super::packages::Need;
use serde::Serialize;

/// One thing that rcc needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// What it is.
    pub name: &'static str,
    /// What rcc needs it for.
    pub why: &'static str,
    /// What was found.
    pub state: String,
    /// Whether that will do.
    pub verdict: Verdict,
    /// One command, or one action, that mends it.
    pub remedy: Option<String>,
    /// What the distribution's packages can add.
    #[serde(skip)]
    pub need: Option<Need>,
    /// Who can mend it without a person's help.
    #[serde(skip)]
    pub mender: Mender,
}

/// Whether what was found will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes.
    Ok,
    /// It is not there, or refuses.
    Missing,
    /// It is there in a version that does not do.
    TooOld,
    /// Something less than promised works without it.
    Degraded,
}

/// Who can mend a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mender {
    /// A person.
    Person,
    /// `setup`, by installing packages.
    Packages,
    /// `setup`, by opening `/dev/net/tun`.
    Tun,
    /// `setup`, by `init`.
    Init,
    /// `setup`, as the user.
    Agent,
}

impl Requirement {
    /// It is there, and will do.
    pub fn ok(name: &'static str, why: &'static str, state: impl Into<String>) -> Self {
        let (verdict, mender) = (Verdict::Ok, Mender::Person);
        Self { name, why, state: state.into(), verdict, remedy: None, need: None, mender }
    }

    /// It will not do, and this mends it.
    pub fn unless(mut self, verdict: Verdict, remedy: impl Into<String>) -> Self {
        (self.verdict, self.remedy) = (verdict, Some(remedy.into()));
        self
    }

    /// Who can mend it.
    pub fn by(mut self, mender: Mender) -> Self {
        self.mender = mender;
        self
    }

    /// Whether runs work without mending it.
    pub fn is_ready(&self) -> bool {
        matches!(self.verdict, Verdict::Ok | Verdict::Degraded)
    }
}
