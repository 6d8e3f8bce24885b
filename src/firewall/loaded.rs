//! What nft says is loaded, reduced to what we ask of it.

use super::nft::{self, Class};
use super::state::{Counter, ProfileCounters};
use crate::policy::ruleset::{IdentityRange, Ruleset, Version};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The objects of our table as `nft -j list` prints them.
#[derive(Clone, Debug)]
pub struct Loaded(Vec<Value>);

impl Loaded {
    /// Of these objects.
    pub fn new(objects: Vec<Value>) -> Self {
        Self(objects)
    }

    fn rules(&self) -> impl Iterator<Item = (&str, &[Value])> {
        self.0.iter().filter_map(|object| {
            let rule = object.get("rule")?;
            Some((rule.get("chain")?.as_str()?, rule.get("expr")?.as_array()?.as_slice()))
        })
    }

    /// Whether every profile's canary has the ports of this version.
    pub fn is_version(&self, version: &Version, ruleset: &Ruleset) -> bool {
        ruleset.profiles.iter().all(|profile| {
            let chain = nft::canary_chain(&profile.name);
            let expected: BTreeSet<u64> = version.canary(&profile.name).ports.map(u64::from).into();
            self.rules().any(|(name, statements)| name == chain && set_numbers(statements) == expected)
        })
    }

    /// The tag of the loaded version, if there are rules for names, whose sets carry it.
    pub fn tag(&self) -> Option<&str> {
        let names = self.0.iter().filter_map(|object| object.pointer("/set/name")?.as_str());
        names.filter_map(nft::tag_of).next()
    }

    /// Whether any profile's canary is there; without one the rules were flushed.
    pub fn has_a_version(&self) -> bool {
        self.rules().any(|(chain, statements)| nft::is_canary_chain(chain) && set_numbers(statements).len() == 4)
    }

    /// Which chain each identity's packets go to.
    pub fn identities(&self) -> Vec<(IdentityRange, String)> {
        let maps = self.rules().flat_map(|(_, statements)| statements).filter_map(|statement| {
            let map = statement.get("vmap")?;
            (map.pointer("/key/meta/key")?.as_str()? == "skuid").then(|| map.pointer("/data/set")?.as_array())?
        });
        let entries = maps.flatten().filter_map(|entry| {
            let chain = entry.pointer("/1/goto/target")?.as_str()?;
            Some((identity_range(entry.get(0)?)?, chain.to_owned()))
        });
        entries.collect()
    }

    /// How many rules each chain has.
    pub fn rules_by_chain(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (chain, _) in self.rules() {
            *counts.entry(chain.to_owned()).or_insert(0) += 1;
        }
        counts
    }

    /// What each profile's sandboxes were denied and allowed.
    pub fn counters(&self, ruleset: &Ruleset) -> Vec<ProfileCounters> {
        let counters: BTreeMap<&str, Counter> = self.0.iter().filter_map(named_counter).collect();
        let of = |name: String| counters.get(name.as_str()).copied().unwrap_or_default();
        let profiles = ruleset.profiles.iter().map(|profile| ProfileCounters {
            profile: profile.name.clone(),
            denied: Class::of(profile).iter().map(|class| (*class, of(class.counter(&profile.name)))).collect(),
            allowed: nft::passed(profile).map(|stem| (stem, of(format!("{stem}-{}", profile.name)))).into(),
        });
        profiles.collect()
    }

    /// The content without what changes by itself: handles, counters, the elements of the
    /// dynamic sets, and the order that hash tables give to members of sets.
    pub fn normalised(self, dynamic: &[String]) -> Vec<Value> {
        let objects = self.0.into_iter().filter(|object| object.get("metainfo").is_none());
        let objects = objects.map(|mut object| {
            let name = object.pointer("/set/name").and_then(Value::as_str);
            if name.is_some_and(|name| dynamic.iter().any(|dynamic| dynamic == name)) {
                object["set"].as_object_mut().map(|set| set.remove("elem"));
            }
            if let Some(counter) = object.get_mut("counter").and_then(Value::as_object_mut) {
                counter.remove("packets");
                counter.remove("bytes");
            }
            settle(&mut object);
            object
        });
        let mut objects: Vec<Value> = objects.collect();
        // Sets and counters have names, rules have an order within their chain.
        objects.sort_by_cached_key(|object| match object.pointer("/rule/chain") {
            Some(chain) => format!("rule {chain}"),
            None => object.to_string(),
        });
        objects
    }
}

fn settle(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("handle");
            for (name, member) in members.iter_mut() {
                settle(member);
                if let ("elem" | "set", Value::Array(list)) = (name.as_str(), member) {
                    list.sort_by_cached_key(Value::to_string);
                }
            }
        }
        Value::Array(members) => members.iter_mut().for_each(settle),
        _ => {}
    }
}

/// The numbers of the first anonymous set in a rule.
fn set_numbers(statements: &[Value]) -> BTreeSet<u64> {
    let set = statements.iter().find_map(|statement| statement.pointer("/match/right/set")?.as_array());
    set.into_iter().flatten().filter_map(Value::as_u64).collect()
}

fn identity_range(key: &Value) -> Option<IdentityRange> {
    let uid = |value: &Value| value.as_u64().and_then(|uid| u32::try_from(uid).ok());
    match key.get("range") {
        Some(range) => Some(IdentityRange { first: uid(range.get(0)?)?, last: uid(range.get(1)?)? }),
        None => uid(key).map(|uid| IdentityRange { first: uid, last: uid }),
    }
}

fn named_counter(object: &Value) -> Option<(&str, Counter)> {
    let counter = object.get("counter")?;
    let number = |field: &str| counter.get(field).and_then(Value::as_u64);
    Some((counter.get("name")?.as_str()?, Counter { packets: number("packets")?, bytes: number("bytes")? }))
}
