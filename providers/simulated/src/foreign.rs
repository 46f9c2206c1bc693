//! What a stranger does to one group between two of our calls.

use serde::{Deserialize, Serialize};

use crate::state::{FileRule, read_permission};
use crate::world::{Tags, World, check_text};

/// What the stranger does, in this order; what the cloud refuses is not done, and nobody hears of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Foreign {
    /// The group's name, or its id.
    pub group: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoke: Vec<FileRule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorize: Vec<FileRule>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
}

impl Foreign {
    /// What is wrong with it whatever the groups are, if anything: the place within it, and the words.
    pub fn problem(&self) -> Option<(String, String)> {
        let Self { group, create, revoke, authorize, delete } = self;
        if group.is_empty() {
            return Some(("group".to_owned(), "it is empty".to_owned()));
        }
        if !create && !delete && revoke.is_empty() && authorize.is_empty() {
            return Some(("group".to_owned(), "nothing is done to it".to_owned()));
        }
        let of = |key: &'static str, rules: &[FileRule]| {
            rules.iter().enumerate().find_map(|(index, rule)| {
                // Groups that rules name are looked for when it is done.
                let problem = read_permission(rule.clone(), &|name| Some(name.to_owned())).err();
                let problem = problem.or_else(|| {
                    let wrong = check_text("rule description", &rule.description).err()?;
                    Some(("description", wrong.message))
                });
                problem.map(|(place, message)| (format!("{key}[{index}].{place}"), message))
            })
        };
        of("revoke", revoke).or_else(|| of("authorize", authorize))
    }

    /// Does it; says whether anything has changed.
    pub fn write(&self, world: &mut World) -> bool {
        let Self { group, create, revoke, authorize, delete } = self;
        let mut refusals = Vec::new();
        let mut changed = false;
        let mut note = |result: Result<(), String>| match result {
            Ok(()) => changed = true,
            Err(why) => refusals.push(why),
        };
        if *create {
            note(world.create_group(group, "made by a stranger", Tags::new()).map(|_| ()).map_err(|r| r.message));
        }
        for (rules, put) in [(revoke, false), (authorize, true)] {
            for rule in rules {
                note(one_rule(world, group, rule, put));
            }
        }
        if *delete {
            let id = world.find(group).map_or_else(|| group.clone(), |found| found.id.clone());
            note(world.delete_group(&id).map_err(|refusal| refusal.message));
        }
        tracing::debug!(group, changed, ?refusals, "a stranger writes");
        changed
    }
}

fn one_rule(world: &mut World, group: &str, rule: &FileRule, put: bool) -> Result<(), String> {
    let id = world.find(group).map(|found| found.id.clone()).ok_or_else(|| format!("there is no group `{group}`"))?;
    let resolve = |name: &str| world.find(name).map(|found| found.id.clone());
    let permission = read_permission(rule.clone(), &resolve).map_err(|(_, message)| message)?;
    let done = if put {
        let direction = permission.direction;
        world.authorize(&id, direction, vec![(permission, rule.description.clone())], &rule.tags)
    } else {
        world.revoke(&id, &[permission])
    };
    done.map_err(|refusal| refusal.message)
}
