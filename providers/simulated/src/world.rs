//! The groups of the simulated cloud, and what its API does to them: all or nothing, with EC2's error codes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;
use rsgsync_core::rule::{Cidr, Direction, Family};
use rsgsync_core::traffic::Traffic;

/// The characters of a name or description, beside ASCII letters and digits.
///
/// Source: EC2 API reference, CreateSecurityGroup and IpRange.
pub(crate) const ALPHABET: &str = " ._-:/()#,@[]+=&;{}!$*";
/// The longest name or description, in characters; same source.
pub(crate) const LONGEST: usize = 255;
/// Tags a resource; source: EC2 user guide, tag restrictions.
const MOST_TAGS: usize = 50;

/// Keys and values of tags.
pub type Tags = BTreeMap<String, String>;

/// The other end of a rule; a group by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Addresses.
    Cidr(Cidr),
    /// A group of this cloud.
    Group(String),
    /// Another account's group, which need not be here.
    OtherAccount {
        /// Whose.
        account: String,
        /// Its id.
        group: String,
    },
    /// A prefix list, by its id.
    PrefixList(String),
    /// An address group, as OpenStack has it.
    AddressGroup(String),
    /// A service account, as GCP has it.
    ServiceAccount(String),
}

/// What makes two rules the same one: everything but description and tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission {
    /// Which way.
    pub direction: Direction,
    /// Protocol and ports.
    pub traffic: Traffic,
    /// The other end.
    pub peer: Peer,
}

/// A rule of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    /// `sgr-` and hexadecimal digits.
    pub id: String,
    /// What it lets through.
    pub permission: Permission,
    /// Empty where there is none.
    pub description: String,
    /// Its own tags.
    pub tags: Tags,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `sg-` and hexadecimal digits.
    pub id: String,
    /// Unique in its world.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its own tags, not those of its rules.
    pub tags: Tags,
    /// How many network interfaces carry it.
    pub interfaces: u64,
    /// In the order in which they were added.
    pub rules: Vec<GroupRule>,
}

/// What the cloud allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Of one direction and family of a group.
    pub rules_per_group: u32,
    /// Of all groups together.
    pub groups: u32,
    /// Of all groups together, both directions: OpenStack has such a quota, EC2 none.
    pub rules: Option<u32>,
}

impl Default for Quota {
    /// EC2's own defaults. Source: Amazon VPC quotas.
    fn default() -> Self {
        Self { rules_per_group: 60, groups: 2500, rules: None }
    }
}

/// A call that the cloud refuses; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// EC2's code.
    pub code: &'static str,
    /// What is wrong, in words.
    pub message: String,
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// Everything there is. Names are unique, and every referenced group is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    groups: IndexMap<String, Group>,
    ids: HashMap<String, String>,
    /// What it allows.
    pub quota: Quota,
    /// The number of the last id that was given out; ids are never given out twice.
    pub last_id: u64,
}

impl World {
    /// Every group, in the order in which they came.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// A group by its id, or by its name; a name never begins with `sg-`.
    pub fn find(&self, id_or_name: &str) -> Option<&Group> {
        let id = if id_or_name.starts_with("sg-") { id_or_name } else { self.ids.get(id_or_name)? };
        self.groups.get(id)
    }

    /// Puts a group in that was there before; the caller has checked that neither id nor name is taken.
    pub fn insert(&mut self, group: Group) {
        self.ids.insert(group.name.clone(), group.id.clone());
        self.groups.insert(group.id.clone(), group);
    }

    /// A new id: `PREFIX-` and 17 hexadecimal digits.
    pub fn fresh_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}-{:017x}", self.last_id)
    }

    /// The rules of all groups.
    pub fn rules(&self) -> usize {
        self.groups().map(|group| group.rules.len()).sum()
    }

    fn check_room(&self, more: usize) -> Result<(), Refusal> {
        match self.quota.rules {
            Some(most) if self.rules() + more > most as usize => refuse(
                "RulesLimitExceeded",
                format!("The maximum number of rules ({most}) has been reached: there are {}", self.rules()),
            ),
            _ => Ok(()),
        }
    }

    fn existing(&self, id: &str) -> Result<&Group, Refusal> {
        match self.groups.get(id) {
            Some(group) => Ok(group),
            None => refuse("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")),
        }
    }

    /// `CreateSecurityGroup`: a new group, with one rule that lets everything out to IPv4. Gives its id.
    pub fn create_group(&mut self, name: &str, description: &str, tags: Tags) -> Result<String, Refusal> {
        check_group_name(name)?;
        if description.is_empty() {
            return refuse("MissingParameter", "The request must contain the parameter GroupDescription");
        }
        check_text("group description", description)?;
        check_tags(&tags)?;
        if self.ids.contains_key(name) {
            return refuse("InvalidGroup.Duplicate", format!("The security group '{name}' already exists"));
        }
        if self.groups.len() >= self.quota.groups as usize {
            return refuse(
                "SecurityGroupLimitExceeded",
                format!("The maximum number of security groups ({}) has been reached", self.quota.groups),
            );
        }
        self.check_room(1)?;
        let id = self.fresh_id("sg");
        let rule = GroupRule {
            id: self.fresh_id("sgr"),
            permission: default_egress(),
            description: String::new(),
            tags: Tags::new(),
        };
        self.insert(Group {
            id: id.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            tags,
            interfaces: 0,
            rules: vec![rule],
        });
        Ok(id)
    }

    /// `AuthorizeSecurityGroupIngress` and `…Egress`: adds all rules or none. `tags` go on every one of them.
    pub fn authorize(
        &mut self,
        id: &str,
        direction: Direction,
        rules: Vec<(Permission, String)>,
        tags: &Tags,
    ) -> Result<(), Refusal> {
        check_tags(tags)?;
        for (permission, description) in &rules {
            check_text("rule description", description)?;
            if permission.direction != direction {
                return refuse("InvalidParameterValue", "The rule is of the other direction");
            }
        }
        check_no_repeats(rules.iter().map(|(permission, _)| permission))?;
        let group = self.existing(id)?;
        for (permission, _) in &rules {
            if let Peer::Group(peer) = &permission.peer {
                self.existing(peer)?;
            }
        }
        let present: HashSet<&Permission> = group.rules.iter().map(|rule| &rule.permission).collect();
        for (permission, _) in &rules {
            if present.contains(permission) {
                return refuse(
                    "InvalidPermission.Duplicate",
                    format!("the specified rule \"{}, ALLOW\" already exists", describe(permission)),
                );
            }
        }
        let all = group.rules.iter().map(|rule| &rule.permission).chain(rules.iter().map(|(p, _)| p));
        let most = fullest(all, direction);
        if most > self.quota.rules_per_group {
            return refuse(
                "RulesPerSecurityGroupLimitExceeded",
                format!(
                    "The maximum number of rules per security group has been reached: {most} of {}",
                    self.quota.rules_per_group
                ),
            );
        }
        self.check_room(rules.len())?;
        for (permission, description) in rules {
            let rule = GroupRule { id: self.fresh_id("sgr"), permission, description, tags: tags.clone() };
            if let Some(group) = self.groups.get_mut(id) {
                group.rules.push(rule);
            }
        }
        Ok(())
    }

    /// `RevokeSecurityGroupIngress` and `…Egress`: removes all these rules or none.
    pub fn revoke(&mut self, id: &str, permissions: &[Permission]) -> Result<(), Refusal> {
        check_no_repeats(permissions)?;
        let group = self.existing(id)?;
        let present: HashSet<&Permission> = group.rules.iter().map(|rule| &rule.permission).collect();
        all_present(&present, permissions)?;
        let gone: HashSet<&Permission> = permissions.iter().collect();
        if let Some(group) = self.groups.get_mut(id) {
            group.rules.retain(|rule| !gone.contains(&rule.permission));
        }
        Ok(())
    }

    /// The same by the rules' ids; they must be of that group and direction.
    pub fn revoke_by_id(&mut self, id: &str, direction: Direction, rules: &BTreeSet<String>) -> Result<(), Refusal> {
        let group = self.existing(id)?;
        let of_group = |rule: &String| group.rules.iter().any(|r| r.id == *rule && r.permission.direction == direction);
        if let Some(missing) = rules.iter().find(|rule| !of_group(rule)) {
            return no_rule_id(missing);
        }
        if let Some(group) = self.groups.get_mut(id) {
            group.rules.retain(|rule| !rules.contains(&rule.id));
        }
        Ok(())
    }

    /// `UpdateSecurityGroupRuleDescriptionsIngress` and `…Egress`: all or none.
    pub fn update_descriptions(&mut self, id: &str, rules: &[(Permission, String)]) -> Result<(), Refusal> {
        for (_, description) in rules {
            check_text("rule description", description)?;
        }
        let group = self.existing(id)?;
        let present: HashSet<&Permission> = group.rules.iter().map(|rule| &rule.permission).collect();
        all_present(&present, rules.iter().map(|(permission, _)| permission))?;
        let texts: HashMap<&Permission, &String> = rules.iter().map(|(p, text)| (p, text)).collect();
        if let Some(group) = self.groups.get_mut(id) {
            for rule in &mut group.rules {
                if let Some(text) = texts.get(&rule.permission) {
                    rule.description = (*text).clone();
                }
            }
        }
        Ok(())
    }

    /// The same by the rules' ids; they must be of that group and direction.
    pub fn describe_by_id(
        &mut self,
        id: &str,
        direction: Direction,
        texts: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        for description in texts.values() {
            check_text("rule description", description)?;
        }
        let group = self.existing(id)?;
        let of_group = |rule: &String| group.rules.iter().any(|r| r.id == *rule && r.permission.direction == direction);
        if let Some(missing) = texts.keys().find(|rule| !of_group(rule)) {
            return no_rule_id(missing);
        }
        if let Some(group) = self.groups.get_mut(id) {
            for rule in &mut group.rules {
                if let Some(text) = texts.get(&rule.id) {
                    rule.description.clone_from(text);
                }
            }
        }
        Ok(())
    }

    /// `CreateNetworkInterface`: one more interface carries these groups.
    pub fn attach(&mut self, ids: &BTreeSet<String>) -> Result<(), Refusal> {
        ids.iter().try_for_each(|id| self.existing(id).map(|_| ()))?;
        for id in ids {
            if let Some(group) = self.groups.get_mut(id) {
                group.interfaces += 1;
            }
        }
        Ok(())
    }

    /// `CreateTags` on a group: a tag of the same key is replaced.
    pub fn tag_group(&mut self, id: &str, tags: &Tags) -> Result<(), Refusal> {
        let mut all = self.existing(id)?.tags.clone();
        all.extend(tags.clone());
        check_tags(&all)?;
        if let Some(group) = self.groups.get_mut(id) {
            group.tags = all;
        }
        Ok(())
    }

    /// `DeleteTags` on a group; tags that it doesn't have are no error.
    pub fn untag_group(&mut self, id: &str, tags: &Tags) -> Result<(), Refusal> {
        self.existing(id)?;
        if let Some(group) = self.groups.get_mut(id) {
            group.tags.retain(|key, _| !tags.contains_key(key));
        }
        Ok(())
    }

    /// `CreateTags` (`put`) or `DeleteTags` on rules of one group, by their ids: all or none.
    pub fn retag_rules(&mut self, id: &str, rules: &BTreeSet<String>, tags: &Tags, put: bool) -> Result<(), Refusal> {
        let group = self.existing(id)?;
        for rule in rules {
            let Some(found) = group.rules.iter().find(|r| r.id == *rule) else {
                return no_rule_id(rule);
            };
            if put {
                let mut all = found.tags.clone();
                all.extend(tags.clone());
                check_tags(&all)?;
            }
        }
        if let Some(group) = self.groups.get_mut(id) {
            for rule in group.rules.iter_mut().filter(|r| rules.contains(&r.id)) {
                if put {
                    rule.tags.extend(tags.clone());
                } else {
                    rule.tags.retain(|key, _| !tags.contains_key(key));
                }
            }
        }
        Ok(())
    }

    /// `DeleteSecurityGroup`: refused while an interface carries it, or a rule of another group refers to it.
    pub fn delete_group(&mut self, id: &str) -> Result<(), Refusal> {
        let group = self.existing(id)?;
        if group.name == "default" {
            return refuse(
                "CannotDelete",
                format!("the specified group: \"{id}\" name: \"default\" cannot be deleted"),
            );
        }
        if group.interfaces > 0 {
            return refuse(
                "DependencyViolation",
                format!("resource {id} has a dependent object: {} network interfaces carry it", group.interfaces),
            );
        }
        let name = group.name.clone();
        let refers =
            |g: &&Group| g.id != id && g.rules.iter().any(|r| matches!(&r.permission.peer, Peer::Group(p) if p == id));
        let by: Vec<String> = self.groups().filter(refers).map(|g| format!("{} ({})", g.id, g.name)).collect();
        if !by.is_empty() {
            return refuse(
                "DependencyViolation",
                format!("resource {id} has a dependent object: rules of {} refer to it", by.join(", ")),
            );
        }
        self.groups.shift_remove(id);
        self.ids.remove(&name);
        Ok(())
    }
}

fn no_rule_id(rule: &str) -> Result<(), Refusal> {
    refuse("InvalidSecurityGroupRuleId.NotFound", format!("The security group rule ID '{rule}' does not exist"))
}

/// The rule that EC2 puts into every new group.
pub fn default_egress() -> Permission {
    Permission { direction: Direction::Egress, traffic: Traffic::ALL, peer: Peer::Cidr(Cidr::ANY_V4) }
}

/// A group's name: a legal text, not `default`, nothing that looks like an id.
pub(crate) fn check_group_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return refuse("MissingParameter", "The request must contain the parameter GroupName");
    }
    if name.to_ascii_lowercase().starts_with("sg-") {
        return refuse(
            "InvalidParameterValue",
            format!("Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*"),
        );
    }
    if name == "default" {
        return refuse("InvalidGroup.Reserved", "The security group 'default' is reserved");
    }
    check_text("group name", name)
}

/// A name or description: EC2's alphabet, 255 characters at most.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || ALPHABET.contains(c);
    if let Some(bad) = text.chars().find(|c| !legal(*c)) {
        return refuse(
            "InvalidParameterValue",
            format!("Invalid {what}: character {bad:?} is not one of a-z, A-Z, 0-9 and `{ALPHABET}`"),
        );
    }
    let length = text.chars().count();
    if length > LONGEST {
        return refuse("InvalidParameterValue", format!("Invalid {what}: {length} characters, at most {LONGEST}"));
    }
    Ok(())
}

fn check_tags(tags: &Tags) -> Result<(), Refusal> {
    if tags.len() > MOST_TAGS {
        return refuse("TagLimitExceeded", format!("The maximum number of tags ({MOST_TAGS}) has been reached"));
    }
    Ok(())
}

fn check_no_repeats<'a>(permissions: impl IntoIterator<Item = &'a Permission>) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    for permission in permissions {
        if !seen.insert(permission) {
            return refuse("InvalidParameterValue", "The same permission must not appear multiple times");
        }
    }
    Ok(())
}

fn all_present<'a>(
    present: &HashSet<&Permission>,
    wanted: impl IntoIterator<Item = &'a Permission>,
) -> Result<(), Refusal> {
    for permission in wanted {
        if !present.contains(permission) {
            return refuse(
                "InvalidPermission.NotFound",
                format!("The specified rule \"{}\" does not exist in this security group", describe(permission)),
            );
        }
    }
    Ok(())
}

/// How many entries the fuller family has in one direction; a reference counts in both.
///
/// Source: Amazon VPC quotas, "Inbound or outbound rules per security group".
fn fullest<'a>(permissions: impl Iterator<Item = &'a Permission>, direction: Direction) -> u32 {
    let (mut v4, mut v6) = (0, 0);
    for permission in permissions.filter(|p| p.direction == direction) {
        let family = match &permission.peer {
            Peer::Cidr(cidr) => cidr.family(),
            Peer::Group(_)
            | Peer::OtherAccount { .. }
            | Peer::PrefixList(_)
            | Peer::AddressGroup(_)
            | Peer::ServiceAccount(_) => Family::Both,
        };
        v4 += u32::from(family != Family::Ipv6);
        v6 += u32::from(family != Family::Ipv4);
    }
    v4.max(v6)
}

/// A rule in the words of EC2's messages, near enough.
pub(crate) fn describe(permission: &Permission) -> String {
    let peer = match &permission.peer {
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::Group(id) => id.clone(),
        Peer::OtherAccount { account, group } => format!("{account}/{group}"),
        Peer::PrefixList(name) | Peer::AddressGroup(name) | Peer::ServiceAccount(name) => name.clone(),
    };
    format!("peer: {peer}, {}", permission.traffic)
}

#[cfg(test)]
mod tests;
