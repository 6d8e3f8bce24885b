//! Renders a ruleset as one nftables transaction on the table `inet rcc`, and where there are bridges
//! on `bridge rcc`, which sees what packets' tables do not.
//!
//! Floors: Linux 5.12 and nft 1.0.2; intervals in concatenated sets alone need 5.6 and 0.9.4. Of
//! all strings in a configuration only names of profiles and
//! interfaces, both checked, are rendered; of what the kernel holds, domain names and leases,
//! which were parsed.

mod bridged;
mod bridges;
mod held;
pub mod log;
mod rules;
mod sets;
mod words;

use crate::policy::Surroundings;
use crate::policy::ruleset::{ProfileRules, Ruleset, Version};
use nftables::schema::{NfCmd, NfListObject, NfObject};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::io::Write;

pub use bridged::bridge;
pub use held::{
    ADDRESSES_MAX, Contents, Held, HeldKey, LEASED_NAMES, LEASES_MAX, NameKind, Shape, digest, each_port, is_of_leases,
    tag_of,
};
pub use rules::{Class, PROBE_PORT, canary_chain, is_canary_chain, passed, profile_chain};
pub use sets::{Family, tag};
use words::Command;
pub use words::TABLE;

/// One transaction, for the standard input of `nft -j -f -`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    nftables: Vec<Command>,
}

/// Replaces the whole table in one transaction: a packet meets the old rules or the new ones.
/// `version` is that of the ruleset ([`version()`]). No name and no lease opens anything.
pub fn replace(ruleset: &Ruleset, version: &Version, surroundings: &Surroundings) -> Document {
    document(ruleset, Some(version), surroundings, &[])
}

/// [`replace`], keeping what the kernel holds for a while.
pub fn replace_keeping(ruleset: &Ruleset, version: &Version, surroundings: &Surroundings, held: &[Held]) -> Document {
    document(ruleset, Some(version), surroundings, held)
}

/// [`replace`], where the sandboxes are behind bridges ([`bridge`]). `priority` is that of the hooks `forward` and
/// `input`; `version` is [`version_on_bridges`]. The resolvers that `surroundings` names are open to every profile
/// that may reach public space.
pub fn replace_on_bridges(
    ruleset: &Ruleset,
    version: &Version,
    surroundings: &Surroundings,
    priority: i32,
) -> Document {
    on_bridges(document(ruleset, Some(version), surroundings, &[]), ruleset, surroundings, priority)
}

/// Replaces the content of the sets that follow the host, and nothing else, in one transaction.
/// Fails in the kernel if the table is absent.
pub fn update(version: &Version, surroundings: &Surroundings) -> Document {
    let followed = sets::followed(Some(version), surroundings);
    let mut objects: Vec<NfObject<'static>> = followed.iter().map(words::flush_set).collect();
    objects.extend(followed.into_iter().filter_map(words::add_elements));
    Document { nftables: objects.into_iter().map(Command::from).collect() }
}

/// Removes the table; no error if it is absent.
pub fn remove() -> Document {
    // Deleting what is absent is an error, adding what is present is not.
    let commands = [NfCmd::Add(words::table()), NfCmd::Delete(words::table())];
    Document { nftables: commands.map(|command| NfObject::CmdObject(command).into()).to_vec() }
}

/// Removes the table of frames of bridges; no error if it is absent.
pub fn remove_frames() -> Document {
    Document { nftables: words::no_frames().map(Command::from).to_vec() }
}

/// The version of a ruleset: SHA-256 over everything that is rendered from it, with the sets that
/// change by themselves empty, the canary ports zero and no version in names, and over the names
/// that it has rules for.
pub fn version(ruleset: &Ruleset) -> Version {
    hashed(&document(ruleset, None, &Surroundings::default(), &[]), ruleset)
}

/// The same of the rules on bridges.
pub fn version_on_bridges(ruleset: &Ruleset, priority: i32) -> Version {
    let surroundings = Surroundings::default();
    hashed(&on_bridges(document(ruleset, None, &surroundings, &[]), ruleset, &surroundings, priority), ruleset)
}

fn hashed(document: &Document, ruleset: &Ruleset) -> Version {
    let mut hash = HashWriter(Sha256::new());
    write_json(document, &mut hash);
    for profile in &ruleset.profiles {
        write_json(&profile, &mut hash);
    }
    Version::new(hash.0.finalize().into())
}

/// The text for the standard input of `nft -j -f -`.
pub fn json(document: &Document) -> Vec<u8> {
    let mut text = Vec::new();
    write_json(document, &mut text);
    text
}

/// The names of the sets whose content is no part of the version.
pub fn dynamic_sets(ruleset: &Ruleset, version: &Version) -> Vec<String> {
    let followed = sets::followed(None, &Surroundings::default());
    let sets = followed.into_iter().chain(held::sets(ruleset, Some(version), &[])).map(|set| set.name);
    sets.chain(counted_sets(ruleset)).collect()
}

/// Those of them that only the kernel changes: it counts in them.
pub fn counted_sets(ruleset: &Ruleset) -> Vec<String> {
    let meters = |profile: &ProfileRules| {
        log::meters(profile).into_iter().chain([rules::queries_meter(&profile.name)]).collect::<Vec<_>>()
    };
    ruleset.profiles.iter().flat_map(meters).chain(bridges::meters(ruleset)).collect()
}

/// How many rules a document gives to each chain of the table `inet rcc`.
pub fn rules_by_chain(document: &Document) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for command in &document.nftables {
        if let Command::Other(object) = command
            && let NfObject::CmdObject(NfCmd::Add(NfListObject::Rule(rule))) = &**object
            && words::is_of_packets(rule)
        {
            *counts.entry(rule.chain.to_string()).or_insert(0) += 1;
        }
    }
    counts
}

fn on_bridges(mut document: Document, ruleset: &Ruleset, surroundings: &Surroundings, priority: i32) -> Document {
    document.nftables.extend(bridged::objects(ruleset, surroundings, priority).into_iter().map(Command::from));
    document
}

fn document(ruleset: &Ruleset, version: Option<&Version>, surroundings: &Surroundings, held: &[Held]) -> Document {
    let table = [NfCmd::Add(words::table()), NfCmd::Delete(words::table()), NfCmd::Add(words::table())];
    let mut commands: Vec<Command> = table.map(|command| NfObject::CmdObject(command).into()).to_vec();
    let followed = sets::followed(version, surroundings);
    let fixed = sets::fixed(ruleset).into_iter().chain(bridges::sets(ruleset));
    let sets = fixed.chain(followed).chain(held::sets(ruleset, version, held));
    commands.extend(sets.map(words::add_set));
    commands.extend(rules::chains(ruleset, version).into_iter().map(Command::from));
    commands.extend(rules::rules(ruleset, version).into_iter().map(Command::from));
    commands.extend(bridges::frames(ruleset, version).into_iter().map(Command::from));
    Document { nftables: commands }
}

struct HashWriter(Sha256);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_json(value: &impl Serialize, out: &mut impl Write) {
    let mut buffered = io::BufWriter::with_capacity(1 << 16, out);
    serde_json::to_writer(&mut buffered, value).expect("rules have string keys and the writer never fails");
    buffered.flush().expect("the writer never fails");
}

#[cfg(test)]
mod tests;
