//! `[profiles]` of root's file.

use super::exceptions;
use super::groups::Group;
use super::listed;
use super::reader::{Table, Value, suggestion};
use crate::policy::identity::PROFILES_MAX;
use crate::policy::{BadName, Exception, Listed, Profile, ProfileName, Reach};

/// A profile with the places where its parts are decided: lines of root's file from 1, `None` for
/// what is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// The section.
    pub section: Option<usize>,
    /// `default`.
    pub default: Option<usize>,
    /// `groups`.
    pub groups: Option<usize>,
    /// The groups that the profile takes, in their order; empty if it is public.
    pub group_names: Vec<String>,
    /// Each of [`Profile::exceptions`].
    pub exceptions: Vec<usize>,
    /// Each of [`Reach::Listed`].
    pub listed: Vec<ListedOrigin>,
}

/// Where a listed name comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOrigin {
    /// The group that holds it, if one does.
    pub group: Option<String>,
    /// Its line.
    pub line: Option<usize>,
}

/// What a profile does with what no rule of its names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Default {
    Public,
    Deny,
}

/// The profiles that always exist, in the order of their identities.
pub(super) fn built_in(groups: &[Group]) -> Vec<(Profile, Origins)> {
    [ProfileName::public(), ProfileName::allowlist()].map(|name| Section::built_in(name, groups).finish(groups)).into()
}

/// The profiles that hold: the built-in ones, as the file changes them, then the file's own.
pub(super) fn take(file: &mut Table<'_, '_>, groups: &[Group]) -> Vec<(Profile, Origins)> {
    let mut profiles = built_in(groups);
    let own = profiles.len();
    file.take("profiles", |value| {
        let mut others = 0;
        value.table()?.each(|name, value| {
            others += usize::from(!profiles[..own].iter().any(|(profile, _)| profile.name.as_str() == name));
            // Places are kept for the built-in ones, whether the file has them or not.
            if others == PROFILES_MAX - own + 1 {
                let allowed = format_args!("at most {PROFILES_MAX}, public and allowlist included");
                value.error("one profile too many", allowed);
            }
            let Some(read) = profile(name, value, groups) else { return };
            match profiles[..own].iter_mut().find(|(known, _)| known.name == read.0.name) {
                Some(known) => *known = read,
                None => profiles.push(read),
            }
        });
        Some(())
    });
    profiles
}

/// A section as it was written.
struct Section {
    name: ProfileName,
    line: Option<usize>,
    default: (Default, Option<usize>),
    groups: (Vec<String>, Option<usize>),
    names: Vec<(Listed, usize)>,
    exceptions: Vec<(Exception, usize)>,
}

impl Section {
    fn built_in(name: ProfileName, groups: &[Group]) -> Self {
        let denies = name == ProfileName::allowlist();
        let all = groups.iter().filter(|group| denies && is_built_in(group)).map(|group| group.name.clone());
        Self {
            default: (if denies { Default::Deny } else { Default::Public }, None),
            groups: (all.collect(), None),
            line: None,
            names: Vec::new(),
            exceptions: Vec::new(),
            name,
        }
    }

    fn finish(self, groups: &[Group]) -> (Profile, Origins) {
        let (exceptions, exception_lines) = self.exceptions.into_iter().unzip();
        let (group_names, groups_line) = self.groups;
        let taken = group_names.iter().filter_map(|name| groups.iter().find(|group| group.name == *name));
        let of_groups = taken.flat_map(|group| {
            let origin =
                |at: usize| ListedOrigin { group: Some(group.name.clone()), line: group.lines.get(at).copied() };
            group.names.iter().enumerate().map(move |(at, listed)| (listed.clone(), origin(at)))
        });
        let own = self.names.into_iter().map(|(listed, line)| (listed, ListedOrigin { group: None, line: Some(line) }));
        let (listed, listed_origins) = own.chain(of_groups).unzip();
        let reach = if self.default.0 == Default::Deny { Reach::Listed(listed) } else { Reach::Public };
        let origins = Origins {
            section: self.line,
            default: self.default.1,
            groups: groups_line,
            group_names,
            exceptions: exception_lines,
            listed: listed_origins,
        };
        (Profile { name: self.name, exceptions, reach }, origins)
    }
}

/// Whether the name of the group is one of rcc's, whoever decides what is in it.
fn is_built_in(group: &Group) -> bool {
    super::groups::built_in().iter().any(|own| own.name == group.name)
}

fn profile(name: &str, value: Value<'_, '_>, groups: &[Group]) -> Option<(Profile, Origins)> {
    let line = value.line();
    let name = match ProfileName::new(name) {
        Ok(name) if name.is_offline() => {
            value.error("this profile cannot be changed", BadName::Reserved);
            return None;
        }
        Ok(name) => name,
        Err(reason) => {
            value.error("not the name of a profile", reason);
            return None;
        }
    };
    let mut section = Section { line: Some(line), ..Section::built_in(name, groups) };
    let mut table = value.table()?;
    if let Some(default) = table.take("default", |value| Some((default(&value, &section.name)?, Some(value.line())))) {
        section.default = default;
    }
    let public = section.default.0 == Default::Public;
    if let Some(names) = table.take("groups", |value| of_denying(&value, public).then(|| group_names(value, groups))?) {
        section.groups = names;
    }
    section.names =
        table.take("names", |value| of_denying(&value, public).then(|| listed::list(value))?).unwrap_or_default();
    let exceptions = table.take("allow", |value| {
        value.list("a list like [{ address = \"10.1.2.3\", ports = [443] }]", |item| {
            let line = item.line();
            Some((exceptions::exception(item)?, line))
        })
    });
    section.exceptions = exceptions.unwrap_or_default();
    table.finish();
    Some(section.finish(groups))
}

/// The two built-in profiles are what their names say, in every file.
fn default(value: &Value<'_, '_>, name: &ProfileName) -> Option<Default> {
    let default = value.parse("what a profile does by default", |text| match text {
        "public" => Ok(Default::Public),
        "deny" => Ok(Default::Deny),
        _ => Err("expected \"public\" (all of the public internet) or \"deny\" (only what is listed)"),
    })?;
    if *name == ProfileName::public() && default == Default::Deny {
        let allowed = "choose another: profile = \"allowlist\" in the user's file, or a profile of your own here";
        value.error("`public` is the public internet", allowed);
        return None;
    }
    if *name == ProfileName::allowlist() && default == Default::Public {
        value.error("`allowlist` reaches only what is listed", "give a public profile with exceptions another name");
        return None;
    }
    Some(default)
}

/// A list of names means something only where everything else is denied.
fn of_denying(value: &Value<'_, '_>, public: bool) -> bool {
    if public {
        value.error(
            "this profile reaches all public names already, so a list of some changes nothing",
            "write default = \"deny\" beside it, so that nothing else is reached; or leave it out, and name private \
             places in `allow`",
        );
    }
    !public
}

fn group_names(value: Value<'_, '_>, groups: &[Group]) -> Option<(Vec<String>, Option<usize>)> {
    let line = value.line();
    let known: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    let mut names: Vec<String> = value.list("a list of groups like [\"claude\", \"npm\"]", |item| {
        item.parse("a group of names", |text| {
            let found = known.contains(&text).then(|| text.to_owned());
            found.ok_or_else(|| format!("[groups.NAME] defines one of your own; {}", suggestion(text, &known)))
        })
    })?;
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Some((names, Some(line)))
}
