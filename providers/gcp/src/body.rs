//! The firewall rules that are sent: values that can't be without a target, a source or a protocol.
//!
//! Compute Engine takes a rule without sources for one from everywhere, and one without targets for one to every instance.

use std::collections::BTreeSet;

use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;
use serde::Serialize;

use crate::pack::is_account;
use crate::translate::{self, Unsayable, entries};
use crate::wire::{Entry, Firewall, Way};

/// The priority of a deny of ours: right above the implied rules.
pub(crate) const DENY_PRIORITY: u32 = 65534;

/// The priority of a new rule.
pub(crate) const ALLOW_PRIORITY: u32 = 1000;

/// Why rules make no firewall rule that could be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsendable {
    #[error("a firewall rule without {0} would be for everything")]
    Without(&'static str),
    #[error("its rules are not every source with every protocol and port: nothing else fits into one firewall rule")]
    NoProduct,
    #[error("a firewall rule has addresses of one family")]
    Families,
    #[error("a firewall rule can't have both network tags and service accounts")]
    Mixed,
    #[error("its rules are of both directions")]
    Directions,
    #[error(transparent)]
    Unsayable(#[from] Unsayable),
}

/// The instances that a rule is for: those with one tag, or those that run as one service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tag(String),
    Account(String),
}

impl Target {
    /// The group of that name: a tag never has an `@`.
    pub fn new(group: &str) -> Result<Self, Unsendable> {
        match group {
            "" => Err(Unsendable::Without("targets")),
            account if is_account(account) => Ok(Self::Account(account.to_owned())),
            tag => Ok(Self::Tag(tag.to_owned())),
        }
    }

    fn tags(&self) -> Vec<String> {
        if let Self::Tag(tag) = self { vec![tag.clone()] } else { Vec::new() }
    }

    fn accounts(&self) -> Vec<String> {
        if let Self::Account(account) = self { vec![account.clone()] } else { Vec::new() }
    }
}

/// What a rule lets through: every peer with all of the traffic; at least one of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    target: Target,
    direction: Direction,
    /// Of one family.
    ranges: BTreeSet<Cidr>,
    /// Tags where the target is one, else service accounts.
    names: BTreeSet<String>,
    traffic: BTreeSet<Traffic>,
}

impl Content {
    /// The one firewall rule that says exactly `rules` for the group. Errors where there is none.
    pub fn of(group: &str, rules: &BTreeSet<Rule>, atoms: &Atoms) -> Result<Self, Unsendable> {
        let target = Target::new(group)?;
        let direction = rules.first().ok_or(Unsendable::Without("sources"))?.direction;
        if rules.iter().any(|rule| rule.direction != direction) {
            return Err(Unsendable::Directions);
        }
        if let Some(why) = rules.iter().find_map(translate::unsayable) {
            return Err(why.into());
        }
        let traffic: BTreeSet<Traffic> = rules.iter().map(|rule| rule.traffic).collect();
        let peers: BTreeSet<RulePeer> = rules.iter().map(|rule| rule.peer).collect();
        // Distinct rules, all of the product: as many as it has is all of it.
        if peers.len().checked_mul(traffic.len()) != Some(rules.len()) {
            return Err(Unsendable::NoProduct);
        }
        let (mut ranges, mut names) = (BTreeSet::new(), BTreeSet::new());
        for peer in peers {
            match peer {
                RulePeer::Addresses(cidr) => ranges.insert(cidr),
                RulePeer::Opaque(_, name, _) => names.insert(atoms.text(name).to_owned()),
            };
        }
        let families: BTreeSet<Family> = ranges.iter().map(|cidr| cidr.family()).collect();
        if families.len() > 1 {
            return Err(Unsendable::Families);
        }
        if names.contains("") {
            return Err(Unsendable::Without("the name of a source"));
        }
        if names.iter().any(|name| is_account(name) != matches!(target, Target::Account(_))) {
            return Err(Unsendable::Mixed);
        }
        Ok(Self { target, direction, ranges, names, traffic })
    }

    /// The body of `firewalls.insert`.
    pub fn insert(&self, name: &str, network: &str, description: &str) -> Insert {
        Insert {
            name: name.to_owned(),
            network: network.to_owned(),
            description: description.to_owned(),
            priority: ALLOW_PRIORITY,
            direction: way(self.direction),
            target_tags: self.target.tags(),
            target_service_accounts: self.target.accounts(),
            ends: self.ends(),
            allowed: entries(&self.traffic),
            denied: Vec::new(),
        }
    }

    /// The body of `firewalls.patch`: every list that the patch decides is in it, so that an emptied one is emptied. What
    /// can't be changed (name, network, direction, action) isn't, nor is the priority.
    pub fn patch(&self, name: &str, description: &str) -> Patch {
        Patch {
            name: name.to_owned(),
            description: description.to_owned(),
            disabled: false,
            target_tags: self.target.tags(),
            target_service_accounts: self.target.accounts(),
            ends: self.ends(),
            allowed: entries(&self.traffic),
        }
    }

    fn ends(&self) -> Ends {
        let ranges: Vec<String> = self.ranges.iter().map(ToString::to_string).collect();
        let names = |accounts: bool| {
            let mine = matches!(self.target, Target::Account(_)) == accounts;
            self.names.iter().filter(|_| mine).cloned().collect()
        };
        match self.direction {
            Direction::Ingress => {
                Ends::In { source_ranges: ranges, source_tags: names(false), source_service_accounts: names(true) }
            }
            Direction::Egress => Ends::Out { destination_ranges: ranges },
        }
    }
}

/// The body of `firewalls.insert` that takes the implied rule of outbound traffic away from a group, for one family.
pub(crate) fn deny(target: &Target, any: Cidr, name: &str, network: &str, description: &str) -> Insert {
    Insert {
        name: name.to_owned(),
        network: network.to_owned(),
        description: description.to_owned(),
        priority: DENY_PRIORITY,
        direction: Way::Egress,
        target_tags: target.tags(),
        target_service_accounts: target.accounts(),
        ends: Ends::Out { destination_ranges: vec![any.to_string()] },
        allowed: Vec::new(),
        denied: vec![Entry { protocol: "all".to_owned(), ports: Vec::new() }],
    }
}

fn way(direction: Direction) -> Way {
    match direction {
        Direction::Ingress => Way::Ingress,
        Direction::Egress => Way::Egress,
    }
}

/// A new firewall rule; made from a [`Content`], or as a [`deny`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Insert {
    name: String,
    network: String,
    description: String,
    priority: u32,
    direction: Way,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_service_accounts: Vec<String>,
    #[serde(flatten)]
    ends: Ends,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied: Vec<Entry>,
}

/// What an existing firewall rule becomes; made from a [`Content`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Patch {
    name: String,
    description: String,
    disabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_service_accounts: Vec<String>,
    #[serde(flatten)]
    ends: Ends,
    allowed: Vec<Entry>,
}

/// A change that leaves what a firewall rule says alone: nothing that it must not lose is in it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Relabel<'a> {
    name: &'a str,
    description: &'a str,
    disabled: bool,
}

impl<'a> Relabel<'a> {
    /// Another description.
    pub fn describe(firewall: &'a Firewall, description: &'a str) -> Self {
        Self { name: &firewall.name, description, disabled: firewall.disabled }
    }

    /// In force again.
    pub fn enable(firewall: &'a Firewall, description: &'a str) -> Self {
        Self { disabled: false, ..Self::describe(firewall, description) }
    }
}

/// The other ends; not all of a direction's lists are empty. Empty ones are sent too: what is left out of a patch stays.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Ends {
    In { source_ranges: Vec<String>, source_tags: Vec<String>, source_service_accounts: Vec<String> },
    Out { destination_ranges: Vec<String> },
}

impl Firewall {
    /// Whether it is what that body makes: for the same instances, from and to the same, at the same place.
    pub fn is_as_inserted(&self, body: &Insert) -> bool {
        let made = body.stored();
        made.network.rsplit('/').next() == self.network.rsplit('/').next()
            && made.priority == self.priority
            && made.direction == self.direction
            && made.description == self.description
            && made.says_as(self)
    }

    /// Whether it has another's description, and says the same.
    pub fn is_as(&self, other: &Firewall) -> bool {
        other.description == self.description && other.says_as(self)
    }

    /// Whether it is the resource that was read before, unchanged.
    pub fn is_still(&self, before: &Firewall) -> bool {
        // A resource of ours has no id here where the answer to its insertion had none.
        (before.id.is_empty() || self.id == before.id)
            && (self.priority, &self.description) == (before.priority, &before.description)
            && self.says_as(before)
    }

    /// Whether both let the same through, or deny it, for the same instances; order and spelling don't count.
    pub fn says_as(&self, other: &Firewall) -> bool {
        fn meaning(it: &Firewall) -> Option<impl PartialEq + use<>> {
            // Names as texts: two tables give the same name different atoms.
            let names = [&it.source_tags, &it.source_service_accounts, &it.target_tags, &it.target_service_accounts];
            let names = names.map(|names| names.iter().cloned().collect::<BTreeSet<String>>());
            let peers = translate::peers_of(it, &mut Atoms::new()).ok()?;
            let range = |peer| if let RulePeer::Addresses(cidr) = peer { Some(cidr) } else { None };
            let ranges: BTreeSet<Cidr> = peers.into_iter().filter_map(range).collect();
            let traffic = translate::traffic_of(it).ok()?;
            Some((it.disabled, it.denied.is_empty(), names, ranges, traffic))
        }
        meaning(self).is_some_and(|mine| meaning(other).is_some_and(|theirs| mine == theirs))
    }
}

impl Patch {
    /// What it makes of a rule.
    pub fn stored(&self) -> Firewall {
        let Self { name, description, disabled, target_tags, target_service_accounts, ends, allowed } = self.clone();
        Firewall { name, description, disabled, target_tags, target_service_accounts, allowed, ..ends.stored() }
    }
}

impl Relabel<'_> {
    /// What it makes of that rule.
    pub fn stored(&self, of: &Firewall) -> Firewall {
        Firewall { description: self.description.to_owned(), disabled: self.disabled, ..of.clone() }
    }
}

impl Insert {
    /// The resource that the service makes of it.
    pub fn stored(&self) -> Firewall {
        let Self {
            name,
            network,
            description,
            priority,
            direction,
            target_tags,
            target_service_accounts,
            ends,
            allowed,
            denied,
        } = self.clone();
        Firewall {
            name,
            network,
            description,
            direction,
            priority: crate::wire::Priority(priority),
            target_tags,
            target_service_accounts,
            allowed,
            denied,
            ..ends.stored()
        }
    }
}

impl Ends {
    fn stored(self) -> Firewall {
        match self {
            Self::In { source_ranges, source_tags, source_service_accounts } => {
                Firewall { source_ranges, source_tags, source_service_accounts, ..Firewall::default() }
            }
            Self::Out { destination_ranges } => {
                Firewall { direction: Way::Egress, destination_ranges, ..Firewall::default() }
            }
        }
    }
}
