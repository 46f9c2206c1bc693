//! Tags: `CreateTags`, `DeleteTags`, what a call puts on the things that it makes, and how filters see them.

use std::collections::BTreeSet;

use rsgsync_simulated::world::{Tags, World};

use crate::account::Account;
use crate::error::Refusal;
use crate::parameters::Parameters;
use crate::rules::no_rule;
use crate::xml::Xml;

/// Resources a call. Source: EC2 API reference, CreateTags.
const MOST_RESOURCES: usize = 1000;
/// Characters. Source: EC2 user guide, "Tag restrictions".
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// The tags that a call wants on what it makes, which is a `resource`.
pub(crate) fn specified(parameters: &mut Parameters, resource: &str) -> Result<Tags, Refusal> {
    let mut all = Tags::new();
    for mut specification in parameters.list("TagSpecification") {
        let kind = specification.need("ResourceType")?;
        if kind != resource {
            let message = format!("'{kind}' is not a valid taggable resource type for this operation.");
            return Err(Refusal::wrong(message));
        }
        for (key, value) in read(&mut specification)? {
            if all.insert(key.clone(), value.unwrap_or_default()).is_some() {
                return Err(Refusal::wrong(format!("Duplicate tag key '{key}' specified.")));
            }
        }
        specification.finish()?;
    }
    Ok(all)
}

fn read(parameters: &mut Parameters) -> Result<Vec<(String, Option<String>)>, Refusal> {
    let mut tags = Vec::new();
    for mut tag in parameters.list("Tag") {
        let (key, value) = (tag.need("Key")?, tag.take("Value"));
        tag.finish()?;
        if key.starts_with("aws:") {
            return Err(Refusal::wrong("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        if key.chars().count() > LONGEST_KEY || value.as_ref().is_some_and(|v| v.chars().count() > LONGEST_VALUE) {
            return Err(Refusal::wrong(format!("Tag key '{key}' or its value is too long")));
        }
        tags.push((key, value));
    }
    Ok(tags)
}

pub(crate) fn write(xml: &mut Xml, tags: &Tags) {
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
}

/// What the filters `tag:KEY` and `tag-key` see.
pub(crate) fn values(name: &str, tags: &Tags) -> Vec<String> {
    match name.strip_prefix("tag:") {
        Some(key) => tags.get(key).cloned().into_iter().collect(),
        None if name == "tag-key" => tags.keys().cloned().collect(),
        None => Vec::new(),
    }
}

/// `CreateTags` (`put`) or `DeleteTags`: on all resources or none.
pub(crate) fn change(account: &mut Account, parameters: &mut Parameters, put: bool) -> Result<Xml, Refusal> {
    let resources: BTreeSet<String> = parameters.texts("ResourceId").into_iter().collect();
    let tags = read(parameters)?;
    parameters.finish()?;
    if resources.is_empty() {
        return Err(Refusal::missing("ResourceIdSet"));
    }
    if put && tags.is_empty() {
        return Err(Refusal::missing("Tag"));
    }
    if resources.len() > MOST_RESOURCES {
        return Err(Refusal::wrong(format!("At most {MOST_RESOURCES} resources can be tagged at once")));
    }
    // First on trial, so that one that is refused leaves the others as they were.
    let mut places = Vec::new();
    for resource in &resources {
        let vpc = account.vpcs.iter().position(|vpc| vpc.id == *resource || has(vpc.world(), resource));
        places.push((vpc.ok_or_else(|| missing(resource))?, resource));
    }
    let mut trial: Vec<World> = account.vpcs.iter().map(|vpc| vpc.world().clone()).collect();
    for (vpc, resource) in &places {
        if account.vpcs[*vpc].id != **resource {
            one(&mut trial[*vpc], resource, &tags, put)?;
        }
    }
    for (vpc, resource) in &places {
        if account.vpcs[*vpc].id == **resource {
            apply(&mut account.vpcs[*vpc].tags, &tags, put);
        }
    }
    for (vpc, changed) in trial.into_iter().enumerate() {
        if *account.vpcs[vpc].world() != changed {
            account.change(vpc, |world| {
                *world = changed;
                Ok::<_, Refusal>(())
            })?;
        }
    }
    let mut xml = Xml::default();
    xml.text("return", true);
    Ok(xml)
}

fn missing(resource: &str) -> Refusal {
    match resource.split_once('-') {
        Some(("sg", _)) => Refusal::no_group(resource),
        Some(("sgr", _)) => no_rule(resource),
        _ => Refusal::new("InvalidID", format!("The ID '{resource}' is not valid")),
    }
}

fn has(world: &World, resource: &str) -> bool {
    world.groups().any(|group| group.id == resource || group.rules.iter().any(|rule| rule.id == resource))
}

/// One group's tags, or one rule's.
fn one(world: &mut World, resource: &str, tags: &[(String, Option<String>)], put: bool) -> Result<(), Refusal> {
    let group = world.groups().find(|group| group.id == resource || group.rules.iter().any(|rule| rule.id == resource));
    let Some(group) = group else { return Err(missing(resource)) };
    let (id, rule) = (group.id.clone(), group.rules.iter().find(|rule| rule.id == resource));
    let now = rule.map_or(&group.tags, |rule| &rule.tags);
    let changes: Tags = if put {
        tags.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default())).collect()
    } else {
        now.iter().filter(|(key, value)| goes(key, value, tags)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let is_rule = rule.is_some();
    match (is_rule, put) {
        (true, _) => world.retag_rules(&id, &BTreeSet::from([resource.to_owned()]), &changes, put)?,
        (false, true) => world.tag_group(&id, &changes)?,
        (false, false) => world.untag_group(&id, &changes)?,
    }
    Ok(())
}

fn apply(now: &mut Tags, tags: &[(String, Option<String>)], put: bool) {
    if put {
        now.extend(tags.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default())));
    } else {
        now.retain(|key, value| !goes(key, value, tags));
    }
}

/// "If you specify a tag key without a tag value, we delete any tag with this key regardless of its value"; without tags, all.
fn goes(key: &str, value: &str, tags: &[(String, Option<String>)]) -> bool {
    tags.is_empty() || tags.iter().any(|(k, v)| k == key && v.as_ref().is_none_or(|v| v == value))
}
