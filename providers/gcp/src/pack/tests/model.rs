//! Firewall rules as a brute-force model has them: a list of sources and a list of entries, every one with every other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use rsgsync_core::describe::group_marks_in;
use rsgsync_core::diff::open_outbound;
use rsgsync_core::name::{GroupId, GroupMark, GroupName, Mark, Origin};
use rsgsync_core::observed::{Holds, Limit, LimitSource, Limits, Observed, ObservedGroup, ObservedRule, Resource};
use rsgsync_core::pack::{Call, GroupChanges, Site};
use rsgsync_core::plan::{Action, StepRule};
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

pub const OURS: &str = "platform/prod";
pub const OTHERS: &str = "web/shop";

/// More than a firewall rule has room for.
pub const MANY: usize = 45;

/// One of many tags, or of many service accounts.
pub fn member(at: usize, account: bool) -> String {
    if account { format!("n{at}@y.iam.gserviceaccount.com") } else { format!("n{at}") }
}

/// The names that tests know; `web` is the group of most.
pub static ATOMS: LazyLock<Atoms> = LazyLock::new(|| {
    let mut atoms = Atoms::new();
    for at in 0..MANY {
        [false, true].iter().for_each(|account| {
            atoms.intern(&member(at, *account));
        });
    }
    for name in ["web", "db", "etcd", "lb", "x@y.iam.gserviceaccount.com"] {
        atoms.intern(name);
    }
    atoms
});

/// `10.0.0.0/8`, a tag, or a service account.
pub fn peer(text: &str) -> RulePeer {
    let kind = if crate::pack::is_account(text) { PeerKind::ServiceAccount } else { PeerKind::Group };
    match Cidr::parse(text) {
        Some(cidr) => RulePeer::Addresses(cidr),
        None => RulePeer::Opaque(kind, ATOMS.get(text).unwrap(), Family::Both),
    }
}

/// `22/tcp from 10.0.0.0/8`, `all to 0.0.0.0/0`.
pub fn rule(text: &str) -> Rule {
    let (direction, (traffic, other)) = match text.split_once(" from ") {
        Some(parts) => (Direction::Ingress, parts),
        None => (Direction::Egress, text.split_once(" to ").unwrap()),
    };
    Rule { direction, peer: peer(other), traffic: Traffic::parse(traffic).unwrap() }
}

/// One firewall rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub direction: Direction,
    pub sources: Vec<RulePeer>,
    pub entries: Vec<Traffic>,
    /// It denies all that goes out, by one family.
    pub denies: bool,
    pub description: String,
    pub disabled: bool,
}

impl Held {
    pub fn rules(&self) -> BTreeSet<Rule> {
        let mut rules = BTreeSet::new();
        for peer in self.sources.iter().filter(|_| !self.disabled && !self.denies) {
            for traffic in &self.entries {
                rules.insert(Rule { direction: self.direction, peer: *peer, traffic: *traffic });
            }
        }
        rules
    }

    pub fn marks(&self) -> Vec<GroupMark> {
        group_marks_in(&self.description)
    }

    /// Whether these are all of its marks.
    pub fn is_of(&self, marks: &[&str]) -> bool {
        self.marks().iter().map(|m| m.mark.to_string()).eq(marks.iter().map(|m| (*m).to_owned()))
    }

    /// What the service takes, and what it must never be asked for.
    fn check(&self, addresses: usize) {
        assert!(!self.sources.is_empty() && !self.entries.is_empty(), "for everything: {self:?}");
        let ranges: Vec<Family> = self.sources.iter().filter_map(|p| family(*p)).collect();
        assert!(ranges.windows(2).all(|two| two[0] == two[1]), "both families: {self:?}");
        assert!(ranges.len() <= addresses, "{} ranges", ranges.len());
        let kind = |kind| self.sources.iter().filter(|p| matches!(p, RulePeer::Opaque(k, ..) if *k == kind)).count();
        let (tags, accounts) = (kind(PeerKind::Group), kind(PeerKind::ServiceAccount));
        assert!(tags <= 30 && accounts <= 10 && (tags == 0 || accounts == 0), "{tags} tags, {accounts} accounts");
    }
}

fn family(peer: RulePeer) -> Option<Family> {
    if let RulePeer::Addresses(cidr) = peer { Some(cidr.family()) } else { None }
}

/// All firewall rules of one group, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World(pub BTreeMap<String, Held>);

impl World {
    pub fn rules(&self) -> BTreeSet<Rule> {
        self.0.values().flat_map(Held::rules).collect()
    }

    /// What every group lets out, unless a firewall rule denies it.
    pub fn implied(&self) -> impl Iterator<Item = Rule> {
        let denying: Vec<RulePeer> =
            self.0.values().filter(|h| h.denies && !h.disabled).flat_map(|h| h.sources.clone()).collect();
        open_outbound(Family::Both).into_iter().filter(move |rule| !denying.contains(&rule.peer))
    }

    /// The rules of each resource.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &Held, Rule)> {
        self.0.iter().flat_map(|(name, held)| held.rules().into_iter().map(move |rule| (name.as_str(), held, rule)))
    }

    pub fn group(&self, name: &str) -> ObservedGroup {
        let resources = self.0.iter().map(|(name, held)| Resource {
            name: name.as_str().into(),
            direction: held.direction,
            holds: if held.denies { Holds::Denial(held.sources[0].family()) } else { Holds::Rules },
            disabled: held.disabled,
            priority: if held.denies { 65534 } else { 1000 },
            marks: held.marks(),
            description: held.description.clone(),
        });
        let rules = self.cells().map(|(name, held, rule)| ObservedRule {
            description: held.description.clone(),
            marks: held.marks().into_iter().map(|m| m.mark).collect(),
            resource: Some(name.into()),
            ..ObservedRule::plain(rule)
        });
        // Of several ways to come to a group the one that permits most counts.
        let mut marks: BTreeMap<Mark, Origin> = BTreeMap::new();
        for GroupMark { mark, origin } in self.0.values().flat_map(Held::marks) {
            let strongest = marks.entry(mark).or_insert(origin);
            *strongest = origin.min(*strongest);
        }
        ObservedGroup {
            atom: ATOMS.get(name).unwrap(),
            id: GroupId::new(name).unwrap(),
            name: GroupName::new(name).unwrap(),
            description: String::new(),
            marks: marks.into_iter().map(|(mark, origin)| GroupMark { mark, origin }).collect(),
            revision: None,
            rules: rules.chain(self.implied().map(ObservedRule::plain)).collect(),
            resources: resources.collect(),
        }
    }

    /// Carries a call out. Panics when the service would refuse it, or when it would open something to everyone.
    pub fn apply(&mut self, call: &Call, addresses: usize) {
        let name = call.resource.clone().unwrap();
        let (adds, removes) = (set(&call.adds), set(&call.removes));
        let Some(held) = self.0.get_mut(&name) else {
            assert!(name.len() <= 63 && name.starts_with("rsgsync-"), "{name}");
            let description = call.description.clone().unwrap();
            let held = match call.action {
                Action::AddRules => of_rules(&adds, description),
                Action::RemoveRules => {
                    assert!(removes.iter().all(|rule| open_outbound(Family::Both).contains(rule)), "{removes:?}");
                    Held { denies: true, ..of_rules(&removes, description) }
                }
                other => panic!("{other:?} of `{name}`, which isn't there"),
            };
            held.check(addresses);
            self.0.insert(name, held);
            return;
        };
        if call.action == Action::SetMarks {
            held.description = call.description.clone().unwrap();
            return;
        }
        if held.denies {
            let enabled = call.action == Action::RemoveRules && !removes.is_empty();
            assert!(if enabled { held.disabled } else { call.action == Action::AddRules || held.disabled }, "{name}");
            held.disabled = false;
            if !enabled {
                self.0.remove(&name);
            }
            return;
        }
        let before = held.rules();
        assert!(before.is_superset(&removes), "{name}: not all of {removes:?} is there");
        assert!(before.is_disjoint(&adds), "{name}: some of {adds:?} is there");
        let after: BTreeSet<Rule> = before.difference(&removes).chain(&adds).copied().collect();
        let action = match (adds.is_empty(), removes.is_empty()) {
            (false, false) => Action::ReplaceRules,
            (false, true) => Action::AddRules,
            _ => Action::RemoveRules,
        };
        assert_eq!(call.action, action, "{name}");
        if after.is_empty() {
            self.0.remove(&name);
            return;
        }
        let description = call.description.clone().unwrap_or_else(|| held.description.clone());
        let full = held.sources.iter().filter(|p| family(**p).is_some()).count();
        *held = of_rules(&after, description);
        held.check(addresses.max(full));
    }
}

/// A network that has these groups.
pub fn observed(groups: Vec<ObservedGroup>, addresses: u32) -> Observed {
    let limit = Limit { at_most: addresses, source: LimitSource::Configured };
    Observed {
        taken: groups.iter().flat_map(|g| &g.resources).map(|r| Arc::clone(&r.name)).collect(),
        groups,
        limits: Limits { addresses_per_resource: Some(limit), ..Limits::default() },
        ..Observed::default()
    }
}

/// The one firewall rule that has these.
fn of_rules(rules: &BTreeSet<Rule>, description: String) -> Held {
    let direction = rules.first().expect("a call adds something").direction;
    let sources: BTreeSet<RulePeer> = rules.iter().map(|rule| rule.peer).collect();
    let entries: BTreeSet<Traffic> = rules.iter().map(|rule| rule.traffic).collect();
    let (sources, entries) = (sources.into_iter().collect(), entries.into_iter().collect());
    let held = Held { direction, sources, entries, denies: false, description, disabled: false };
    assert_eq!(held.rules(), *rules, "no product");
    held
}

fn set(rules: &[StepRule]) -> BTreeSet<Rule> {
    let set: BTreeSet<Rule> = rules.iter().map(|rule| rule.rule).collect();
    assert_eq!(set.len(), rules.len(), "twice in one call");
    set
}

/// What is to change so that the group has `desired`, and nothing else that may go.
pub fn changes(world: &World, desired: &BTreeSet<Rule>, may_go: impl Fn(&Held) -> bool) -> GroupChanges {
    let mark = Mark::parse(OURS).unwrap();
    let removes = world.cells().filter(|(_, held, rule)| may_go(held) && !desired.contains(rule));
    let removes = removes.map(|(name, held, rule)| StepRule {
        description: held.description.clone(),
        resource: Some(name.into()),
        ..StepRule::plain(rule)
    });
    let there: BTreeSet<Rule> = world.cells().filter(|(_, held, _)| may_go(held)).map(|(_, _, rule)| rule).collect();
    let adds = desired.difference(&there).map(|rule| StepRule {
        description: format!("{} rsgsync:{OURS}", rule.traffic),
        marks: vec![mark.clone()],
        ..StepRule::plain(*rule)
    });
    GroupChanges {
        group: ATOMS.get("web"),
        adds: adds.collect(),
        removes: removes.collect(),
        marks: vec![(mark, Origin::Made)],
        ..GroupChanges::default()
    }
}

pub fn packed(world: &World, changes: &GroupChanges, addresses: u32) -> Vec<Call> {
    let observed = observed(vec![world.group("web")], addresses);
    let site = Site { group: observed.groups.first(), network: &observed, atoms: &ATOMS };
    super::super::pack(changes, &site, &super::super::dialect())
}
