//! Renders a ruleset as one nftables transaction on the table `inet rcc`.
//!
//! Floors: Linux 5.6 and nft 0.9.4, for intervals in concatenated sets. Of all strings in a
//! configuration only names of profiles and interfaces, both checked, are rendered at all.

pub mod log;
mod rules;
mod sets;
mod words;

use crate::policy::Surroundings;
use crate::policy::ruleset::{Ruleset, Version};
use nftables::schema::{NfCmd, NfListObject, NfObject, Nftables};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::io::Write;

pub use rules::{Class, PASSED, PROBE_PORT, canary_chain, is_canary_chain, profile_chain};
pub use words::TABLE;

/// Replaces the whole table in one transaction: a packet meets the old rules or the new ones.
/// `version` is that of the ruleset ([`version()`]).
pub fn replace(ruleset: &Ruleset, version: &Version, surroundings: &Surroundings) -> Nftables<'static> {
    document(ruleset, Some(version), surroundings)
}

/// Replaces the content of the dynamic sets, and nothing else, in one transaction. Fails in the
/// kernel if the table is absent.
pub fn update(version: &Version, surroundings: &Surroundings) -> Nftables<'static> {
    let dynamic = sets::dynamic(Some(version), surroundings);
    let mut objects: Vec<NfObject<'static>> = dynamic.iter().map(words::flush_set).collect();
    objects.extend(dynamic.into_iter().filter_map(words::add_elements));
    Nftables { objects: objects.into() }
}

/// Removes the table; no error if it is absent.
pub fn remove() -> Nftables<'static> {
    // Deleting what is absent is an error, adding what is present is not.
    let commands = [NfCmd::Add(words::table()), NfCmd::Delete(words::table())];
    Nftables { objects: commands.map(NfObject::CmdObject).to_vec().into() }
}

/// The version of a ruleset: SHA-256 over everything that is rendered from it, with the dynamic
/// sets empty and the canary ports zero, and over the names that it has rules for.
pub fn version(ruleset: &Ruleset) -> Version {
    let mut hash = HashWriter(Sha256::new());
    write_json(&document(ruleset, None, &Surroundings::default()), &mut hash);
    for profile in &ruleset.profiles {
        write_json(&profile, &mut hash);
    }
    Version::new(hash.0.finalize().into())
}

/// The text for the standard input of `nft -j -f -`.
pub fn json(document: &Nftables<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    write_json(document, &mut text);
    text
}

/// The names of the dynamic sets, whose content is no part of the version.
pub fn dynamic_sets(ruleset: &Ruleset) -> Vec<String> {
    let sets = sets::dynamic(None, &Surroundings::default());
    let meters = ruleset.profiles.iter().flat_map(|profile| log::meters(&profile.name));
    sets.into_iter().map(|set| set.name.into_owned()).chain(meters).collect()
}

/// How many rules a document gives to each chain.
pub fn rules_by_chain(document: &Nftables<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for object in document.objects.iter() {
        if let NfObject::CmdObject(NfCmd::Add(NfListObject::Rule(rule))) = object {
            *counts.entry(rule.chain.to_string()).or_insert(0) += 1;
        }
    }
    counts
}

fn document(ruleset: &Ruleset, version: Option<&Version>, surroundings: &Surroundings) -> Nftables<'static> {
    let mut objects: Vec<NfObject<'static>> =
        [NfCmd::Add(words::table()), NfCmd::Delete(words::table()), NfCmd::Add(words::table())]
            .map(NfObject::CmdObject)
            .to_vec();
    let (fixed, dynamic) = (sets::fixed(ruleset), sets::dynamic(version, surroundings));
    objects.extend(fixed.into_iter().chain(dynamic).map(words::add_set));
    objects.extend(rules::chains(ruleset));
    objects.extend(rules::rules(ruleset, version));
    Nftables { objects: objects.into() }
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
