//! Small networks, made of arbitrary bytes: what is there, what is wanted, and what the user asks of the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use rsgsync_core::desired::{Desired, DesiredGroup, DesiredNetwork, DesiredRule};
use rsgsync_core::flow::Reason;
use rsgsync_core::inventory::{EgressMode, Inventory, Ownership, SecurityGroup, Source, parse};
use rsgsync_core::name::{ClusterName, GroupMark, Mark, NetworkName, NodeGroupName, Origin, RuleId};
use rsgsync_core::observed::{Limit, LimitSource, Limits, ObservedRule};
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, QuotaCount, Site, one_call_a_direction};
use rsgsync_core::plan::PlanOptions;
use rsgsync_core::profile::Catalog;
use rsgsync_core::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

use crate::packets::{FIRST_PORT, PORTS};

/// Groups that rules may name: three that the inventory may have, and one that it only refers to.
pub const GROUPS: usize = 4;
const NAMES: [&str; GROUPS] = ["web", "db", "etcd", "bastion"];
const IDS: [&str; GROUPS] = ["sg-0a", "sg-0b", "sg-0c", "sg-0d"];
/// The most rules of a group, there or wanted.
const RULES: usize = 5;
/// The prefix list that rules may name.
pub const LIST: &str = "pl-0a";
/// Whose inventory it is.
pub const OWNER: &str = "platform";
const CLUSTERS: [&str; 2] = ["prod", "staging"];
/// Marks that groups and rules may have; the first two are ours.
const MARKS: [&str; 4] = ["platform/prod", "platform/staging", "platform/elsewhere", "sales/shop"];
/// The last is another writer's.
const DESCRIPTIONS: [&str; 3] = ["", "by hand", "kubernetes.io/rule/nlb/health=a"];
/// Rows that rules come from; `allow_gap` names the first.
const ROWS: [&str; 2] = ["a", "b"];

static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
    let cluster =
        "{ network: eu, profile: downstream-node-pools, groups: { all: { roles: [etcd, controlplane, worker] } } }";
    let staging = cluster.replace("worker] }", "worker], security_group: other }");
    let text = format!(
        "version: 1\nowner: {OWNER}\nnetworks: {{ eu: {{ simulated: {{}} }} }}\nclusters:\n  prod: {cluster}\n  staging: {staging}\n"
    );
    let source = Source { path: "small".into(), folder: "".into(), bytes: text.into_bytes() };
    let no_file = |_: &std::path::Path| Err(String::new());
    let today = jiff::civil::date(2026, 11, 26);
    let parsed = parse(&[source], &Catalog::shipped(), &[rsgsync_simulated::SPEC], today, &no_file);
    parsed.expect("the inventory is right").inventory
});

/// An inventory with the network and both clusters.
pub fn inventory() -> &'static Inventory {
    &INVENTORY
}

/// The one network.
pub fn network() -> NetworkName {
    NetworkName::new("eu").expect("a name")
}

/// The atoms of the universe.
pub struct Names {
    pub atoms: Atoms,
    names: [Atom; GROUPS],
    ids: [Atom; GROUPS],
}

impl Default for Names {
    fn default() -> Self {
        let mut atoms = Atoms::new();
        let (names, ids) = (NAMES.map(|name| atoms.intern(name)), IDS.map(|id| atoms.intern(id)));
        atoms.intern(LIST);
        Self { atoms, names, ids }
    }
}

impl Names {
    /// The group that an atom names, by name or id.
    pub fn group(&self, atom: Atom) -> Option<usize> {
        (0..GROUPS).find(|group| [self.names[*group], self.ids[*group]].contains(&atom))
    }

    /// A group's name.
    pub fn name(&self, group: usize) -> &'static str {
        NAMES[group]
    }

    /// The atom of a group's id.
    pub fn id(&self, group: usize) -> Atom {
        self.ids[group]
    }

    /// The rule, its group named by id.
    pub fn by_id(&self, rule: Rule) -> Rule {
        match rule.peer {
            RulePeer::Opaque(PeerKind::Group, atom, family) => {
                let atom = self.group(atom).map_or(atom, |group| self.ids[group]);
                Rule { peer: RulePeer::Opaque(PeerKind::Group, atom, family), ..rule }
            }
            _ => rule,
        }
    }
}

/// A network and a wish.
#[derive(Debug, Clone, Arbitrary)]
pub struct Small {
    groups: [SmallGroup; 3],
    bastion: bool,
    like_neutron: bool,
    at_most: Option<u8>,
    options: SmallOptions,
    /// Which of the steps that may be next is next.
    pub order: Vec<u8>,
}

#[derive(Debug, Clone, Arbitrary)]
struct SmallOptions {
    only_prod: bool,
    add_only: bool,
    tidy: bool,
    take_over: bool,
    gap: bool,
}

#[derive(Debug, Clone, Arbitrary)]
struct SmallGroup {
    wish: Option<SmallWish>,
    there: Option<SmallThere>,
}

#[derive(Debug, Clone, Arbitrary)]
struct SmallWish {
    by_id: bool,
    members: u8,
    ownership: Option<bool>,
    create: bool,
    strict: bool,
    dual: bool,
    rules: [Option<(SmallRule, bool)>; RULES],
    held: Option<(bool, SmallTraffic)>,
    ignored: Option<SmallTraffic>,
}

#[derive(Debug, Clone, Arbitrary)]
struct SmallThere {
    marks: [u8; MARKS.len()],
    rules: [Option<(SmallRule, u8, u8)>; RULES],
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct SmallRule {
    egress: bool,
    traffic: SmallTraffic,
    peer: SmallPeer,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum SmallTraffic {
    Tcp(u8, u8),
    Udp(u8, u8),
    Icmp(u8),
    Esp,
    All,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum SmallPeer {
    V4(u8, u8),
    V6(u8, u8),
    Any(bool),
    Group(u8, u8),
    List(u8),
}

impl SmallTraffic {
    fn traffic(self) -> Traffic {
        let ports = |a: u8, b: u8, protocol: &str| {
            let (a, b) = (a % PORTS, b % PORTS);
            format!("{}-{}/{protocol}", FIRST_PORT + u16::from(a.min(b)), FIRST_PORT + u16::from(a.max(b)))
        };
        let text = match self {
            Self::Tcp(a, b) => ports(a, b, "tcp"),
            Self::Udp(a, b) => ports(a, b, "udp"),
            Self::Icmp(which) => ["icmp", "icmp/8", "icmp/8/0", "icmpv6", "tcp"][usize::from(which % 5)].to_owned(),
            Self::Esp => "esp".to_owned(),
            Self::All => "all".to_owned(),
        };
        Traffic::parse(&text).expect("traffic")
    }
}

impl SmallRule {
    fn rule(self, names: &Names, group: impl Fn(usize) -> Atom) -> Rule {
        let family = |which: u8| [Family::Both, Family::Ipv4, Family::Ipv6][usize::from(which % 3)];
        let cidr = |text: String| RulePeer::Addresses(Cidr::parse(&text).expect("a range"));
        let peer = match self.peer {
            SmallPeer::V4(last, length) => cidr(format!("10.0.0.{}/{}", last % 8, 29 + length % 4)),
            SmallPeer::V6(last, length) => cidr(format!("fd00::{}/{}", last % 8, 125 + length % 4)),
            SmallPeer::Any(v6) => cidr(if v6 { "::/0" } else { "0.0.0.0/0" }.to_owned()),
            SmallPeer::Group(which, of) => {
                RulePeer::Opaque(PeerKind::Group, group(usize::from(which) % GROUPS), family(of))
            }
            SmallPeer::List(of) => {
                let list = names.atoms.get(LIST).expect("it was interned");
                RulePeer::Opaque(PeerKind::PrefixList, list, family(of))
            }
        };
        let direction = if self.egress { Direction::Egress } else { Direction::Ingress };
        Rule { direction, peer, traffic: self.traffic.traffic() }
    }
}

/// A group as a cloud has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub marks: Vec<GroupMark>,
    pub rules: Vec<ObservedRule>,
}

impl Small {
    /// The groups that are there before the plan.
    pub fn there(&self, names: &Names, dialect: &Dialect) -> [Option<Group>; GROUPS] {
        let of = |group: usize| match self.groups.get(group) {
            Some(small) => small.there.as_ref().map(|there| there.group(names, dialect)),
            None => self.bastion.then(|| Group { marks: Vec::new(), rules: Vec::new() }),
        };
        let mut groups: [Option<Group>; GROUPS] = std::array::from_fn(of);
        // No cloud has a rule that refers to a group which isn't there.
        let is_there = std::array::from_fn::<bool, GROUPS, _>(|group| groups[group].is_some());
        for group in groups.iter_mut().flatten() {
            group
                .rules
                .retain(|r| r.rule.peer.group().and_then(|atom| names.group(atom)).is_none_or(|of| is_there[of]));
        }
        groups
    }

    /// What is wanted.
    pub fn desired(&self, names: &Names) -> Desired {
        let by_id = |group: usize| self.groups.get(group).and_then(|g| g.wish.as_ref()).is_some_and(|w| w.by_id);
        let named = |group: usize| if by_id(group) { names.ids[group] } else { names.names[group] };
        let wishes = self.groups.iter().enumerate().filter_map(|(i, group)| Some((i, group.wish.as_ref()?)));
        let mut groups: Vec<DesiredGroup> = wishes.map(|(i, wish)| wish.group(i, names, &named)).collect();
        groups.sort_by(|a, b| a.security_group.as_str().cmp(b.security_group.as_str()));
        let part = DesiredNetwork { atoms: names.atoms.clone(), groups, ..DesiredNetwork::default() };
        Desired { networks: [(network(), part)].into(), ..Desired::default() }
    }

    pub fn options(&self) -> PlanOptions {
        let SmallOptions { only_prod, add_only, tidy, take_over, gap } = self.options;
        PlanOptions {
            clusters: only_prod.then(|| BTreeSet::from([cluster(0)])),
            add_only,
            tidy,
            take_over,
            allow_gap: if gap { BTreeSet::from([ROWS[0].to_owned()]) } else { BTreeSet::new() },
            ..PlanOptions::default()
        }
    }

    pub fn limits(&self) -> Limits {
        let limit = |most: u8| Limit { at_most: u32::from(most % 12), source: LimitSource::Read };
        Limits { rules_per_group: self.at_most.map(limit), ..Limits::default() }
    }

    pub fn pack(&self) -> Plain {
        let any = |cidr| Rule { direction: Direction::Egress, peer: RulePeer::Addresses(cidr), traffic: Traffic::ALL };
        let mut default_rules = vec![any(Cidr::ANY_V4)];
        default_rules.extend(self.like_neutron.then(|| any(Cidr::ANY_V6)));
        Plain(Dialect {
            references_match_both: !self.like_neutron,
            default_rules,
            description_alphabet: None,
            description_length: 255,
            marks_in_description: self.like_neutron,
            quota: if self.like_neutron { QuotaCount::All } else { QuotaCount::ByDirectionAndFamily },
            delete_cascades: self.like_neutron,
            updates_descriptions: !self.like_neutron,
            groups_are_implicit: false,
        })
    }
}

/// A cloud whose calls take any number of rules.
pub struct Plain(Dialect);

impl Pack for Plain {
    fn dialect(&self) -> &Dialect {
        &self.0
    }

    fn pack(&self, changes: &GroupChanges, _: &Site<'_>) -> Vec<Call> {
        one_call_a_direction(changes, &self.0)
    }
}

fn cluster(which: usize) -> ClusterName {
    ClusterName::new(CLUSTERS[which]).expect("a name")
}

fn mark(which: usize) -> Mark {
    Mark::parse(MARKS[which]).expect("a mark")
}

impl SmallThere {
    fn group(&self, names: &Names, dialect: &Dialect) -> Group {
        let origin =
            |which: u8| [None, Some(Origin::Made), Some(Origin::Adopted), Some(Origin::Joined)][usize::from(which % 4)];
        let marks = (0..MARKS.len()).filter_map(|i| Some(GroupMark { mark: mark(i), origin: origin(self.marks[i])? }));
        let mut rules: Vec<ObservedRule> = Vec::new();
        for (small, marks, description) in self.rules.iter().flatten() {
            for rule in dialect.project(small.rule(names, |group| names.ids[group])) {
                // No cloud has a rule twice.
                if rules.iter().all(|other| other.rule != rule) {
                    let marks = (0..MARKS.len()).filter(|i| marks >> i & 1 == 1).map(mark).collect();
                    let list = matches!(rule.peer, RulePeer::Opaque(PeerKind::PrefixList, ..));
                    rules.push(ObservedRule {
                        rule,
                        id: RuleId::new(&format!("sgr-{}", rules.len())).ok(),
                        description: DESCRIPTIONS[usize::from(*description) % DESCRIPTIONS.len()].to_owned(),
                        marks,
                        weight: if list { 2 } else { 1 },
                        resource: None,
                    });
                }
            }
        }
        Group { marks: marks.collect(), rules }
    }
}

impl SmallWish {
    fn group(&self, group: usize, names: &Names, named: &impl Fn(usize) -> Atom) -> DesiredGroup {
        let text = if self.by_id { IDS[group] } else { NAMES[group] };
        let in_cluster = |which: &usize| [1, 2, 3][usize::from(self.members % 3)] >> which & 1 == 1;
        let member = |which| (cluster(which), NodeGroupName::new(NAMES[group]).expect("a name"));
        let mut rules: BTreeMap<Rule, BTreeSet<Reason>> = BTreeMap::new();
        for (small, row) in self.rules.iter().flatten() {
            let row: Arc<str> = ROWS[usize::from(*row)].into();
            let reason = Reason { cluster: cluster(0), profile: "p@1".into(), row, why: "because".into() };
            rules.entry(small.rule(names, named)).or_default().insert(reason);
        }
        let direction = |egress| if egress { Direction::Egress } else { Direction::Ingress };
        let with_reasons =
            |(rule, reasons): (Rule, BTreeSet<Reason>)| DesiredRule { rule, reasons: reasons.into_iter().collect() };
        DesiredGroup {
            security_group: SecurityGroup::parse(text).expect("a name or an id"),
            atom: named(group),
            members: (0..CLUSTERS.len()).filter(in_cluster).map(member).collect(),
            ownership: self.ownership.map(|shared| if shared { Ownership::Shared } else { Ownership::Exclusive }),
            create: self.create,
            egress: if self.strict { EgressMode::Strict } else { EgressMode::Open },
            family: if self.dual { Family::Both } else { Family::Ipv4 },
            rules: rules.into_iter().map(with_reasons).collect(),
            held: self.held.iter().map(|(egress, traffic)| (direction(*egress), traffic.traffic())).collect(),
            ignored: self.ignored.iter().map(|traffic| traffic.traffic()).collect(),
            addresses: BTreeMap::new(),
        }
    }
}
