//! Guards: traffic that must not be open to public addresses, and which desired rules would open it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use jiff::civil::Date;

use crate::desired::{Desired, DesiredGroup, DesiredRule};
use crate::flow::{Reason, RowTraffic, may_be_open};
use crate::inventory::problem::{Code, Problem};
use crate::inventory::report::Report;
use crate::inventory::tree::{self, Node};
use crate::inventory::{Inventory, SecurityGroup, Waived, Waiver};
use crate::name::NetworkName;
use crate::profile::Selector;
use crate::rule::{Cidr, Direction, Rule, RulePeer};
use crate::traffic::Traffic;

const TEXT: &str = include_str!("../profiles/guards.yaml");
static SHIPPED: LazyLock<Vec<Guard>> = LazyLock::new(|| parse(TEXT).expect("a test reads the shipped guards"));

/// Ranges that nobody outside can reach: RFC 1918, RFC 6598, loopback, link-local, ULA.
const PRIVATE: [&str; 9] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fe80::/10",
    "fc00::/7",
];

pub(crate) static PRIVATE_RANGES: LazyLock<Vec<Cidr>> =
    LazyLock::new(|| PRIVATE.iter().filter_map(|text| Cidr::parse(text)).collect());

/// Traffic that must not be open to public addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The name by which it is waived: `etcd-public`.
    pub name: Arc<str>,
    /// What must not be open.
    pub traffic: Vec<Traffic>,
    /// Why not, for people.
    pub why: String,
    /// Who says so.
    pub source: String,
}

/// What the guards forbid in one security group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuardSet {
    /// Guards that nobody waived there; an expired waiver doesn't count.
    pub guards: Vec<Guard>,
    /// What a profile's own row opens to a public range by name: exempt, whatever the guards say.
    pub exempt: Vec<(Traffic, Cidr)>,
}

/// A desired rule that opens guarded traffic to public addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Where.
    pub network: NetworkName,
    /// In which group.
    pub security_group: SecurityGroup,
    /// Which guard.
    pub guard: Arc<str>,
    /// The rule.
    pub rule: Rule,
    /// The part of its traffic that is guarded.
    pub traffic: Traffic,
    /// Why the rule is desired.
    pub reasons: Vec<Reason>,
}

/// What allows a breach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A waiver in force, with its own words.
    Waiver(String),
    /// A row of a profile names the public range: it can be narrowed.
    Row(Reason),
}

/// What the guards say about desired rules; each list in the order of networks, groups and rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Must not be planned.
    pub refused: Vec<Breach>,
    /// May be planned, and is said.
    pub allowed: Vec<(Breach, Allowed)>,
    /// Only an expired waiver allowed it: [`withdraw`] takes it out, so that it is planned for removal.
    pub expired: Vec<Breach>,
}

/// Reads a file of guards.
pub(crate) fn parse(text: &str) -> Result<Vec<Guard>, Vec<Problem>> {
    let report = Report::default();
    let root = tree::read(&report, "guards", text.as_bytes());
    let entries = root.as_ref().map(|root| root.entries(&report)).unwrap_or_default();
    let guards = entries.iter().filter_map(|node| read(&report, node)).collect();
    let problems = report.into_problems();
    if problems.is_empty() { Ok(guards) } else { Err(problems) }
}

/// Reads one guard of a file; all mistakes at once.
pub(crate) fn read(report: &Report, node: &Node) -> Option<Guard> {
    let mut fields = node.fields(report)?;
    let mut text = |key, help| {
        let node = fields.require(key, help)?;
        let text = node.text(report)?.trim();
        if text.is_empty() {
            report.add(node.place.error(Code::BadValue, format!("{} says nothing", node.place.path.subject())));
        }
        (!text.is_empty()).then(|| text.to_owned())
    };
    let name = text("name", "name it, so that it can be waived: `name: etcd-public`");
    let why = text("why", "say what happens when it is open to the world");
    let source = text("source", "say who says so");
    let traffic = fields.require("traffic", "say what must not be open: `traffic: [2379-2380/tcp]`");
    let mut forbidden = Vec::new();
    for item in traffic.map(|node| node.items(report)).unwrap_or_default() {
        match item.word(report).map(Traffic::parse_list) {
            Some(Ok(list)) => forbidden.extend(list),
            Some(Err(error)) => {
                let help = "write `22/tcp`, `30000-32767/tcp+udp`, `icmp/8/0`, `esp` or `all`; ports are 0-65535";
                report.add(item.place.error(Code::BadValue, error.to_string()).help(help));
            }
            None => {}
        }
    }
    fields.finish();
    Some(Guard { name: name?.into(), traffic: traffic.map(|_| forbidden)?, why: why?, source: source? })
}

/// The guards that ship with the program.
pub fn guards() -> &'static [Guard] {
    &SHIPPED
}

/// Whether any address of the range is public: outside the private ranges and `trusted`.
pub fn is_public(range: Cidr, trusted: &[Cidr]) -> bool {
    let private = PRIVATE_RANGES.iter().copied();
    let same_family = private.chain(trusted.iter().copied()).filter(|known| known.family() == range.family());
    let mut known: Vec<(u128, u128)> = same_family.map(Cidr::bounds).collect();
    known.sort_unstable();
    let (mut first_unknown, last) = range.bounds();
    for (from, to) in known {
        if from > first_unknown || to < first_unknown {
            continue;
        }
        if to >= last {
            return false;
        }
        first_unknown = to + 1;
    }
    true
}

/// The guards of a group, waived or not: those that ship, the user's own, and its clusters' rows that forbid public
/// ranges, for what the others don't name already.
pub fn guards_of(group: &DesiredGroup, inventory: &Inventory) -> Vec<Guard> {
    let mut all: Vec<Guard> = guards().iter().chain(&inventory.guards).cloned().collect();
    let named: Vec<Traffic> = all.iter().flat_map(|guard| &guard.traffic).copied().collect();
    let members: BTreeSet<_> = group.members.iter().map(|(cluster, _)| cluster).collect();
    for cluster in members.into_iter().filter_map(|name| inventory.clusters.get(name)) {
        for row in cluster.profile.rows.iter().filter(|row| row.forbid_public) {
            if !may_be_open(cluster, &row.condition) {
                continue;
            }
            let rest = RowTraffic::of(row, cluster).known.into_iter().flat_map(|traffic| without(traffic, &named));
            let traffic: Vec<Traffic> = rest.collect();
            if !traffic.is_empty() {
                let (name, why, source) = (row.id.clone(), row.purpose.to_string(), row.label.to_string());
                all.push(Guard { name, traffic, why, source });
            }
        }
    }
    all
}

/// What the guards forbid in a group.
pub fn guard_set(group: &DesiredGroup, inventory: &Inventory, today: Date) -> GuardSet {
    let guards = guards_of(group, inventory).into_iter().filter(|guard| {
        let waivers = waivers(group, inventory, &guard.name);
        !waivers.into_iter().any(|waiver| in_force(waiver, today))
    });
    let exempt = group.rules.iter().filter_map(|rule| {
        let cidr = public_source(&rule.rule, inventory)?;
        naming_row(rule, cidr, inventory).map(|_| (rule.rule.traffic, cidr))
    });
    GuardSet { guards: guards.collect(), exempt: exempt.collect() }
}

impl GuardSet {
    /// Whether the guard is in force in this group.
    pub fn has(&self, guard: &Guard) -> bool {
        self.guards.iter().any(|known| same(known, guard))
    }

    /// The guard that speaks of a rule's traffic, whoever its peer.
    pub fn speaks_of(&self, rule: &Rule) -> Option<&Guard> {
        let inbound = rule.direction == Direction::Ingress;
        guarded(&self.guards, rule.traffic).next().map(|(guard, _)| guard).filter(|_| inbound)
    }

    /// The guard that forbids a rule which stands in this group, if any does; `trusted` ranges are not public.
    pub fn forbids(&self, rule: &Rule, trusted: &[Cidr]) -> Option<&Guard> {
        let RulePeer::Addresses(cidr) = rule.peer else { return None };
        if rule.direction != Direction::Ingress || !is_public(cidr, trusted) {
            return None;
        }
        let exempt = |traffic: Traffic| {
            let covers =
                |(open, range): &(Traffic, Cidr)| intersection(*open, traffic) == Some(traffic) && range.contains(cidr);
            self.exempt.iter().any(covers)
        };
        guarded(&self.guards, rule.traffic).find(|(_, traffic)| !exempt(*traffic)).map(|(guard, _)| guard)
    }
}

/// What the guards forbid, group by group.
#[derive(Debug, Clone, Default)]
pub struct GuardsInForce {
    sets: BTreeMap<(NetworkName, String), GuardSet>,
    /// Guards of the user's own and of rows, beside those that ship; no two of one name and traffic.
    more: Vec<Guard>,
}

impl GuardsInForce {
    /// What they forbid in every desired group.
    pub fn of(desired: &Desired, inventory: &Inventory, today: Date) -> Self {
        let mut found = Self { more: inventory.guards.clone(), ..Self::default() };
        let groups = desired.networks.iter().flat_map(|(name, network)| network.groups.iter().map(move |g| (name, g)));
        for (network, group) in groups {
            for guard in guards_of(group, inventory) {
                if found.all().all(|known| !same(known, &guard)) {
                    found.more.push(guard);
                }
            }
            let key = (network.clone(), group.security_group.to_string());
            found.sets.insert(key, guard_set(group, inventory, today));
        }
        found
    }

    /// What was in force when a plan was saved.
    pub(crate) fn of_sets(sets: BTreeMap<(NetworkName, String), GuardSet>) -> Self {
        let mut found = Self::default();
        for guard in sets.values().flat_map(|set| &set.guards) {
            if found.all().all(|known| !same(known, guard)) {
                found.more.push(guard.clone());
            }
        }
        Self { sets, ..found }
    }

    /// Every guard: those that ship, the user's own, and those of rows; of a name there may be several with other traffic.
    pub fn all(&self) -> impl Iterator<Item = &Guard> {
        guards().iter().chain(&self.more)
    }

    /// What they forbid in one group.
    pub fn get(&self, network: &NetworkName, security_group: &str) -> Option<&GuardSet> {
        self.sets.get(&(network.clone(), security_group.to_owned()))
    }
}

fn same(a: &Guard, b: &Guard) -> bool {
    a.name == b.name && a.traffic == b.traffic
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { network, security_group, guard, rule, traffic, reasons } = self;
        let from = match rule.peer {
            RulePeer::Addresses(cidr) => cidr.to_string(),
            RulePeer::Opaque(..) => "a group".to_owned(),
        };
        let row = reasons.first().map(|r| format!(" ({}, row {})", r.cluster, r.row)).unwrap_or_default();
        write!(f, "guard `{guard}` forbids {traffic} from {from} on `{security_group}` of network `{network}`{row}")
    }
}

/// Holds every desired ingress rule against the guards.
pub fn judge(desired: &Desired, inventory: &Inventory, today: Date) -> Verdict {
    let mut verdict = Verdict::default();
    for (network, group) in desired.networks.iter().flat_map(|(name, n)| n.groups.iter().map(move |g| (name, g))) {
        let exempt = guard_set(group, inventory, today).exempt;
        let guards = guards_of(group, inventory);
        for rule in &group.rules {
            let Some(cidr) = public_source(&rule.rule, inventory) else { continue };
            for (guard, traffic) in guarded(&guards, rule.rule.traffic) {
                let breach = Breach {
                    network: network.clone(),
                    security_group: group.security_group.clone(),
                    guard: guard.name.clone(),
                    rule: rule.rule,
                    traffic,
                    reasons: rule.reasons.to_vec(),
                };
                let covers = |(open, range): &&(Traffic, Cidr)| {
                    intersection(*open, traffic) == Some(traffic) && range.contains(cidr)
                };
                let waivers = waivers(group, inventory, &guard.name);
                if let Some((open, range)) = exempt.iter().find(covers) {
                    let rows = group.rules.iter().filter(|r| r.rule.traffic == *open);
                    let row = rows.into_iter().find_map(|r| naming_row(r, *range, inventory));
                    verdict.allowed.extend(row.map(|row| (breach, Allowed::Row(row))));
                } else if let Some(waiver) = waivers.iter().find(|waiver| in_force(waiver, today)) {
                    verdict.allowed.push((breach, Allowed::Waiver(waiver.why.clone())));
                } else if waivers.is_empty() {
                    verdict.refused.push(breach);
                } else {
                    verdict.expired.push(breach);
                }
            }
        }
    }
    verdict
}

/// Takes out of the desired rules what only expired waivers allowed; the rest of such a rule's traffic stays.
pub fn withdraw(desired: &mut Desired, expired: &[Breach]) {
    let mut cuts: BTreeMap<(&NetworkName, &SecurityGroup), BTreeMap<Rule, Vec<Traffic>>> = BTreeMap::new();
    for breach in expired {
        let rules = cuts.entry((&breach.network, &breach.security_group)).or_default();
        rules.entry(breach.rule).or_default().push(breach.traffic);
    }
    for (name, network) in &mut desired.networks {
        for group in &mut network.groups {
            let Some(cut) = cuts.get(&(name, &group.security_group)) else { continue };
            let mut rules: BTreeMap<Rule, BTreeSet<Reason>> = BTreeMap::new();
            for DesiredRule { rule, reasons } in std::mem::take(&mut group.rules) {
                let rest = cut.get(&rule).map_or(vec![rule.traffic], |cut| without(rule.traffic, cut));
                for traffic in rest {
                    rules.entry(Rule { traffic, ..rule }).or_default().extend(reasons.iter().cloned());
                }
            }
            let rules = rules.into_iter();
            group.rules =
                rules.map(|(rule, reasons)| DesiredRule { rule, reasons: reasons.into_iter().collect() }).collect();
        }
    }
}

fn guarded(guards: &[Guard], traffic: Traffic) -> impl Iterator<Item = (&Guard, Traffic)> {
    let each = guards.iter().flat_map(|guard| guard.traffic.iter().map(move |forbidden| (guard, *forbidden)));
    each.filter_map(move |(guard, forbidden)| Some((guard, intersection(forbidden, traffic)?)))
}

/// The common traffic; guards speak of ports, so that it is one piece.
fn intersection(a: Traffic, b: Traffic) -> Option<Traffic> {
    let (lo, hi) = (a.points().0.max(b.points().0), a.points().1.min(b.points().1));
    if lo > hi { None } else { Traffic::pieces(lo, hi).first().copied() }
}

fn without(traffic: Traffic, cuts: &[Traffic]) -> Vec<Traffic> {
    let (mut lo, last) = traffic.points();
    let of_it = cuts.iter().map(|cut| cut.points()).filter(|(from, to)| *to >= lo && *from <= last);
    let mut cuts: Vec<(u32, u32)> = of_it.collect();
    cuts.sort_unstable();
    let mut rest = Vec::new();
    for (from, to) in cuts {
        if from > lo {
            rest.extend(Traffic::pieces(lo, from - 1));
        }
        lo = lo.max(to + 1);
    }
    if lo <= last {
        rest.extend(Traffic::pieces(lo, last));
    }
    rest
}

/// The rule's source, where it is a range with public addresses.
fn public_source(rule: &Rule, inventory: &Inventory) -> Option<Cidr> {
    match rule.peer {
        RulePeer::Addresses(cidr) if rule.direction == Direction::Ingress => {
            is_public(cidr, &inventory.trusted).then_some(cidr)
        }
        RulePeer::Addresses(_) | RulePeer::Opaque(..) => None,
    }
}

/// The reason of a rule whose shipped row itself names a range around `cidr`.
fn naming_row(rule: &DesiredRule, cidr: Cidr, inventory: &Inventory) -> Option<Reason> {
    let names = |reason: &&Reason| {
        let profile = inventory.clusters.get(&reason.cluster).map(|cluster| &cluster.profile);
        let row = profile.and_then(|profile| profile.row_of(reason)).filter(|row| row.shipped);
        let from = row.into_iter().flat_map(|row| &row.from);
        from.into_iter().any(|end| matches!(end, Selector::Cidr(range) if range.contains(cidr)))
    };
    rule.reasons.iter().find(names).cloned()
}

/// Waivers of a guard that are meant for a node group of this security group.
fn waivers<'a>(group: &DesiredGroup, inventory: &'a Inventory, guard: &str) -> Vec<&'a Waiver> {
    let mut found = Vec::new();
    for (cluster, member) in &group.members {
        let all = inventory.clusters.get(cluster).into_iter().flat_map(|cluster| &cluster.waive);
        found.extend(all.filter(|waiver| {
            matches!(&waiver.what, Waived::Guard(name) if name == guard)
                && (waiver.groups.is_empty() || waiver.groups.contains(member))
        }));
    }
    found
}

fn in_force(waiver: &Waiver, today: Date) -> bool {
    waiver.until.is_none_or(|until| until >= today)
}

#[cfg(test)]
mod tests;
