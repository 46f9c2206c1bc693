//! A saved plan is read back, and proved again without asking the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::{
    Document, GroupEntry, ObservedEntry, PeerEntry, RuleEntry, StepEntry, VERSION, WitnessEntry, seal::checksum_of,
};
use crate::desired::DesiredRule;
use crate::guard::{Guard, GuardSet, GuardsInForce};
use crate::inventory::Ownership;
use crate::name::{ClusterName, GroupId, GroupMark, GroupName, Mark, NetworkName, Origin, Owner, RuleId};
use crate::observed::{ObservedGroup, ObservedRule, Ours};
use crate::plan::{Action, Step, StepId, StepRule};
use crate::proof::{Case, GroupCase, Proof, Witness, prove};
use crate::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use crate::traffic::{PortRange, Protocol, Traffic};

/// Why a file is no saved plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or not of this shape.
    #[error("not a saved plan: {0}")]
    Shape(String),
    /// Another version of the format.
    #[error("a saved plan of version {0}; this program reads version {VERSION}")]
    Version(u64),
    /// The checksum differs.
    #[error("the plan is damaged: its checksum is {found}, its contents have {expected}")]
    Damaged {
        /// What the file says.
        found: String,
        /// What its contents have.
        expected: String,
    },
    /// A value that no plan has.
    #[error("{place}: `{value}` is not {wanted}")]
    Value {
        /// Where: `steps[3].rules[0].protocol`.
        place: String,
        /// The value.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

/// A saved plan, with its rules in core's own form.
#[derive(Debug)]
pub struct Saved {
    /// The document.
    pub document: Document,
    owner: Owner,
    steps: Vec<Step>,
    observed: Vec<(NetworkName, ObservedGroup)>,
    groups: Vec<GroupCase>,
    trusted: Vec<Cidr>,
    gaps: Vec<(NetworkName, Atom, Rule)>,
    cascades: BTreeSet<(NetworkName, Atom)>,
    names: Names,
}

impl Saved {
    /// Reads a saved plan; errors when it is damaged or of another version.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        Self::from_value(serde_json::from_slice(bytes).map_err(|e| ReadError::Shape(e.to_string()))?)
    }

    /// Reads a saved plan that stands within something else, as in a journal.
    pub fn from_value(value: Value) -> Result<Self, ReadError> {
        match value.get("version") {
            Some(version) if version.as_u64() == Some(u64::from(VERSION)) => {}
            Some(Value::Number(other)) => return Err(ReadError::Version(other.as_u64().unwrap_or(0))),
            _ => return Err(ReadError::Shape("it has no `version`".to_owned())),
        }
        // Of the file as it is: keys that a later program adds are sound, too.
        let expected = checksum_of(&value);
        let document: Document = serde_json::from_value(value).map_err(|e| ReadError::Shape(e.to_string()))?;
        if document.checksum != expected {
            return Err(ReadError::Damaged { found: document.checksum, expected });
        }
        let owner = Owner::new(&document.owner).map_err(|_| wrong("owner", &document.owner, "an owner"))?;
        let mut names = Names::default();
        let steps = document.steps.iter().enumerate().map(|(i, s)| step(s, &format!("steps[{i}]"), &mut names));
        let steps: Vec<Step> = steps.collect::<Result<_, _>>()?;
        let trusted = document.trusted.iter().map(|t| cidr(t, "trusted")).collect::<Result<_, _>>()?;
        let observed = observed(&document, &mut names)?;
        let groups = groups(&document, &owner, &observed, &mut names)?;
        let mut gaps = Vec::new();
        for (i, entry) in document.proof.gap_rules.iter().enumerate() {
            for r in &entry.rules {
                let rule = rule(r, &format!("proof.gap_rules[{i}]"), &entry.network, &mut names)?;
                gaps.push((entry.network.clone(), names.atom(&entry.network, &entry.security_group), rule));
            }
        }
        let mut cascades = BTreeSet::new();
        for text in &document.proof.cascades {
            let place = |_| wrong("proof.cascades", text, "a network and a group");
            let (network, group) = text.split_once('/').ok_or(()).map_err(place)?;
            let network = NetworkName::new(network).map_err(|_| ()).map_err(place)?;
            let atom = names.atom(&network, group);
            cascades.insert((network, atom));
        }
        Ok(Self { document, owner, steps, observed, groups, trusted, gaps, cascades, names })
    }

    /// A step, by its number.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        // The planner numbers steps from 1 in their order; a file may do otherwise.
        let at = usize::try_from(id.0).unwrap_or(usize::MAX).saturating_sub(1);
        self.steps.get(at).filter(|step| step.id == id).or_else(|| self.steps.iter().find(|step| step.id == id))
    }

    /// Proves the plan again, from nothing but what the file holds: the groups that its steps touch.
    pub fn prove(&self) -> Proof {
        let Self { document: _, owner: _, steps, observed: _, groups, trusted, gaps, cascades, names: _ } = self;
        prove(&Case { groups: groups.clone(), steps, trusted, gaps: gaps.clone(), cascades: cascades.clone() })
    }

    /// Groups whose deletion may take others' rules along, by the user's word.
    pub fn cascades(&self) -> impl Iterator<Item = &(NetworkName, Atom)> {
        self.cascades.iter()
    }

    /// Whose plan it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The clusters of its inventory: with the owner, whose marks are ours.
    pub fn clusters(&self) -> BTreeSet<ClusterName> {
        clusters(&self.document)
    }

    /// The steps, in the plan's order; their atoms are those of [`Saved::text`].
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The groups that its steps touch, as they were read.
    pub fn observed(&self) -> impl Iterator<Item = (&NetworkName, &ObservedGroup)> {
        self.observed.iter().map(|(network, group)| (network, group))
    }

    /// The text of an atom of its rules and steps.
    pub fn text(&self, network: &NetworkName, atom: Atom) -> &str {
        self.names.text(network, atom)
    }

    /// Ranges that are not public, beside the private ones.
    pub fn trusted(&self) -> &[Cidr] {
        &self.trusted
    }

    /// What must be let through in a group, and why.
    pub fn required(&self, network: &NetworkName, name: &str) -> Vec<DesiredRule> {
        let same = |g: &&GroupCase| g.network == *network && self.text(network, g.group) == name;
        let rules = self.groups.iter().filter(same).flat_map(|g| &g.required);
        let entries = self.document.required.iter().filter(|e| e.network == *network && e.security_group == name);
        let reasons = entries.flat_map(|e| &e.rules).map(|r| r.reasons.clone());
        rules.zip(reasons).map(|(rule, reasons)| DesiredRule { rule: *rule, reasons }).collect()
    }

    /// Required rules that may be cut for a time, by the user's word.
    pub fn gaps(&self) -> impl Iterator<Item = &(NetworkName, Atom, Rule)> {
        self.gaps.iter()
    }

    /// What must not be open to public addresses in the groups that its steps touch, but for the guards of these names.
    pub fn guards(&self, aside: &BTreeSet<String>) -> GuardsInForce {
        let sets = self.groups.iter().map(|group| {
            let mut set = group.guards.clone();
            set.guards.retain(|guard| !aside.contains(&*guard.name));
            ((group.network.clone(), self.text(&group.network, group.group).to_owned()), set)
        });
        GuardsInForce::of_sets(sets.collect())
    }

    /// A witness of [`Saved::prove`] in words.
    pub fn in_words(&self, witness: &Witness) -> WitnessEntry {
        let atoms = self.names.0.get(&witness.network);
        WitnessEntry::of(witness, |atom| atoms.map_or(String::new(), |atoms| atoms.text(atom).to_owned()))
    }
}

#[derive(Debug, Default)]
struct Names(BTreeMap<NetworkName, Atoms>);

impl Names {
    fn atom(&mut self, network: &NetworkName, text: &str) -> Atom {
        self.0.entry(network.clone()).or_default().intern(text)
    }

    fn text(&self, network: &NetworkName, atom: Atom) -> &str {
        self.0.get(network).map_or("", |atoms| atoms.text(atom))
    }
}

fn observed(document: &Document, names: &mut Names) -> Result<Vec<(NetworkName, ObservedGroup)>, ReadError> {
    let mut groups = Vec::new();
    for (i, entry) in document.observed.iter().enumerate() {
        let place = format!("observed[{i}]");
        let mut rules = Vec::with_capacity(entry.rules.len());
        for (k, r) in entry.rules.iter().enumerate() {
            let place = format!("{place}.rules[{k}]");
            let (rule, id) = (rule(r, &place, &entry.network, names)?, rule_id(r));
            let (description, marks) = (r.description.clone(), marks(&r.marks, &place)?);
            let resource = r.resource.as_deref().map(Arc::from);
            rules.push(ObservedRule { rule, id, description, marks, weight: 1, resource });
        }
        let marks = entry.marks.iter().map(|text| group_mark(text, &place)).collect::<Result<Vec<_>, _>>()?;
        let group = ObservedGroup {
            atom: names.atom(&entry.network, &entry.security_group),
            id: GroupId::new(&entry.id).map_err(|_| wrong(&place, &entry.id, "a group's id"))?,
            name: GroupName::new(&entry.security_group)
                .map_err(|_| wrong(&place, &entry.security_group, "a group's name"))?,
            description: entry.description.clone(),
            marks: marks.into_iter().map(|(mark, origin)| GroupMark { mark, origin }).collect(),
            revision: entry.revision.clone(),
            rules,
            resources: Vec::new(),
        };
        groups.push((entry.network.clone(), group));
    }
    Ok(groups)
}

/// The clusters whose marks are the plan's own.
fn clusters(document: &Document) -> BTreeSet<ClusterName> {
    let named = || document.groups.iter().map(|g| g.cluster.clone()).collect();
    document.clusters.clone().unwrap_or_else(named)
}

fn groups(
    document: &Document,
    owner: &Owner,
    observed: &[(NetworkName, ObservedGroup)],
    names: &mut Names,
) -> Result<Vec<GroupCase>, ReadError> {
    let clusters = clusters(document);
    let ours = Ours { owner, clusters: &clusters };
    let mut all: BTreeMap<(NetworkName, String), GroupCase> = BTreeMap::new();
    for ((network, group), entry) in observed.iter().zip(&document.observed) {
        let ownership = group.ownership(declared(document, entry)?, ours);
        let mut case = GroupCase::new(network.clone(), group.atom, Some(group), ownership, ours);
        if document.clusters.is_none() {
            // Whose marks are ours isn't said: what the plan takes away is taken for ours.
            (case.ownership, case.made) = (Ownership::Exclusive, true);
        }
        all.insert((network.clone(), entry.security_group.clone()), case);
    }
    let touched = document.steps.iter().map(|s| (&s.network, &s.security_group));
    let required = document.required.iter().map(|r| (&r.network, &r.security_group));
    for (network, group) in touched.chain(required) {
        let new = || {
            let atom = names.atom(network, group);
            GroupCase::new(network.clone(), atom, None, Ownership::Exclusive, ours)
        };
        all.entry((network.clone(), group.clone())).or_insert_with(new);
    }
    for ((network, group), case) in &mut all {
        case.guards = guards(document, network, group)?;
    }
    for (i, entry) in document.required.iter().enumerate() {
        for (k, r) in entry.rules.iter().enumerate() {
            let rule = rule(r, &format!("required[{i}].rules[{k}]"), &entry.network, names)?;
            let group = all.get_mut(&(entry.network.clone(), entry.security_group.clone()));
            group.into_iter().for_each(|g| g.required.push(rule));
        }
    }
    Ok(all.into_values().collect())
}

/// The inventory's word on a group's ownership, where it has node groups in it.
fn declared(document: &Document, observed: &ObservedEntry) -> Result<Option<Ownership>, ReadError> {
    let same = |g: &&GroupEntry| g.network == observed.network && g.security_group == observed.security_group;
    let Some(entry) = document.groups.iter().find(same) else { return Ok(None) };
    let both = [Ownership::Exclusive, Ownership::Shared];
    let word = both.into_iter().find(|o| o.as_str() == entry.ownership);
    word.map(Some).ok_or_else(|| wrong("groups", &entry.ownership, "an ownership"))
}

fn guards(document: &Document, network: &NetworkName, group: &str) -> Result<GuardSet, ReadError> {
    let mut set = GuardSet::default();
    let here = format!("{network}/{group}");
    for guard in document.guards.iter().filter(|g| !g.waived.contains(&here)) {
        let traffic = guard.traffic.iter().map(|t| traffic(t, "guards")).collect::<Result<_, _>>()?;
        let (name, why, source) = (guard.name.as_str().into(), guard.why.clone(), String::new());
        set.guards.push(Guard { name, traffic, why, source });
    }
    for exempt in document.exempt.iter().filter(|e| e.network == *network && e.security_group == group) {
        set.exempt.push((traffic(&exempt.traffic, "exempt")?, cidr(&exempt.cidr, "exempt")?));
    }
    Ok(set)
}

fn step(entry: &StepEntry, place: &str, names: &mut Names) -> Result<Step, ReadError> {
    let group = names.atom(&entry.network, &entry.security_group);
    let mut rules = |rules: &[RuleEntry], key: &str| -> Result<Vec<StepRule>, ReadError> {
        let read = |(i, r): (usize, &RuleEntry)| {
            let place = format!("{place}.{key}[{i}]");
            let (rule, id, marks) = (rule(r, &place, &entry.network, names)?, rule_id(r), marks(&r.marks, &place)?);
            let (description, reasons) = (r.description.clone(), r.reasons.clone());
            let resource = r.resource.as_deref().map(Arc::from);
            Ok(StepRule { rule, id, description, marks, reasons, resource })
        };
        rules.iter().enumerate().map(read).collect()
    };
    let (listed, replaced) = (rules(&entry.rules, "rules")?, rules(&entry.removes, "removes")?);
    let (adds, removes) = match entry.action {
        Action::RemoveRules | Action::DeleteGroup => (Vec::new(), listed),
        _ => (listed, replaced),
    };
    let mut along: Vec<(&str, Vec<StepRule>)> = Vec::new();
    for (i, of_group) in entry.cascade.iter().enumerate() {
        along.push((&of_group.security_group, rules(&of_group.rules, &format!("cascade[{i}].rules"))?));
    }
    let mut cascade: BTreeMap<Atom, Vec<StepRule>> = BTreeMap::new();
    for (group, rules) in along {
        cascade.entry(names.atom(&entry.network, group)).or_default().extend(rules);
    }
    let direction = entry.direction.as_deref().map(|d| direction(d, place)).transpose()?;
    Ok(Step {
        id: entry.id,
        network: entry.network.clone(),
        group,
        direction,
        action: entry.action,
        depends_on: entry.depends_on.clone(),
        resource: entry.resource.clone(),
        adds,
        removes,
        group_marks: entry.marks.iter().map(|text| group_mark(text, place)).collect::<Result<_, _>>()?,
        group_unmarks: marks(&entry.unmarks, place)?,
        description: entry.description.clone(),
        cascade,
    })
}

fn rule_id(entry: &RuleEntry) -> Option<RuleId> {
    entry.id.as_deref().and_then(|id| RuleId::new(id).ok())
}

fn marks(texts: &[String], place: &str) -> Result<Vec<Mark>, ReadError> {
    texts.iter().map(|text| Mark::parse(text).ok_or_else(|| wrong(place, text, "a mark"))).collect()
}

/// Reads `OWNER/CLUSTER=made`.
fn group_mark(text: &str, place: &str) -> Result<(Mark, Origin), ReadError> {
    let parsed = text.split_once('=').and_then(|(mark, origin)| Some((Mark::parse(mark)?, Origin::parse(origin)?)));
    parsed.ok_or_else(|| wrong(place, text, "a group's mark"))
}

fn wrong(place: &str, value: impl ToString, wanted: &'static str) -> ReadError {
    ReadError::Value { place: place.to_owned(), value: value.to_string(), wanted }
}

fn direction(word: &str, place: &str) -> Result<Direction, ReadError> {
    let both = [Direction::Ingress, Direction::Egress];
    both.into_iter().find(|d| d.as_str() == word).ok_or_else(|| wrong(place, word, "a direction"))
}

fn cidr(text: &str, place: &str) -> Result<Cidr, ReadError> {
    Cidr::parse(text).ok_or_else(|| wrong(place, text, "an address range"))
}

fn traffic(text: &str, place: &str) -> Result<Traffic, ReadError> {
    Traffic::parse(text).map_err(|_| wrong(place, text, "traffic"))
}

fn rule(entry: &RuleEntry, place: &str, network: &NetworkName, names: &mut Names) -> Result<Rule, ReadError> {
    let RuleEntry {
        id: _,
        direction: way,
        protocol,
        family,
        from_port,
        to_port,
        peer,
        description: _,
        reasons: _,
        resource: _,
        marks: _,
        needed: _,
    } = entry;
    let families = [Family::Ipv4, Family::Ipv6, Family::Both];
    let family = families.into_iter().find(|f| f.as_str() == family).ok_or_else(|| wrong(place, family, "a family"))?;
    Ok(Rule {
        direction: direction(way, place)?,
        traffic: ports(protocol, *from_port, *to_port, place)?,
        peer: peer_of(peer, family, place, network, names)?,
    })
}

fn ports(protocol: &str, from: Option<u16>, to: Option<u16>, place: &str) -> Result<Traffic, ReadError> {
    let known = Protocol::parse(protocol).ok_or_else(|| wrong(place, protocol, "a protocol"))?;
    if known.is_icmp() {
        let byte =
            |n: Option<u16>| n.map(u8::try_from).transpose().map_err(|_| wrong(place, protocol, "ICMP type and code"));
        return Ok(Traffic::icmp(known == Protocol::Number(crate::traffic::ICMPV6), byte(from)?, byte(to)?));
    }
    match (from, to) {
        (None, None) => Ok(Traffic::whole(known)),
        (Some(from), Some(to)) => {
            let range =
                PortRange::new(from, to).ok_or_else(|| wrong(place, format!("{from}-{to}"), "a range of ports"))?;
            Ok(Traffic::on_ports(known, range))
        }
        _ => Err(wrong(place, protocol, "a whole range of ports")),
    }
}

fn peer_of(
    entry: &PeerEntry,
    family: Family,
    place: &str,
    network: &NetworkName,
    names: &mut Names,
) -> Result<RulePeer, ReadError> {
    let PeerEntry { cidr: range, security_group, account, prefix_list, address_group, service_account } = entry;
    if let Some(range) = range {
        return Ok(RulePeer::Addresses(cidr(range, place)?));
    }
    let group = security_group.as_ref().map(|group| match account {
        Some(account) => format!("{account}/{group}"),
        None => group.clone(),
    });
    let named = [
        (PeerKind::Group, group),
        (PeerKind::PrefixList, prefix_list.clone()),
        (PeerKind::AddressGroup, address_group.clone()),
        (PeerKind::ServiceAccount, service_account.clone()),
    ];
    let mut peers = named.into_iter().filter_map(|(kind, text)| Some((kind, text?)));
    let (kind, text) = peers.next().ok_or_else(|| wrong(place, "peer", "an end of a rule"))?;
    Ok(RulePeer::Opaque(kind, names.atom(network, &text), family))
}

#[cfg(test)]
mod tests;
