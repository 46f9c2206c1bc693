//! Guards: traffic that must not be open to public addresses, and which desired rules would open it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use jiff::civil::Date;
use serde::Deserialize;

use crate::desired::{Desired, DesiredGroup, DesiredRule};
use crate::flow::Reason;
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGuard {
    name: Arc<str>,
    traffic: Vec<String>,
    why: String,
    source: String,
}

fn parse(text: &str) -> Result<Vec<Guard>, String> {
    let file: Vec<FileGuard> = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    let guards = file.into_iter().map(|FileGuard { name, traffic, why, source }| {
        let lists = traffic.iter().map(|word| Traffic::parse_list(word)).collect::<Result<Vec<_>, _>>();
        let lists = lists.map_err(|e| format!("guard `{name}`: {e}"))?;
        Ok(Guard { name, traffic: lists.concat(), why, source })
    });
    guards.collect()
}

/// The guards that ship with the program.
pub fn guards() -> &'static [Guard] {
    &SHIPPED
}

/// Whether any address of the range is public: outside the private ranges and `trusted`.
pub fn is_public(range: Cidr, trusted: &[Cidr]) -> bool {
    let private = PRIVATE.iter().filter_map(|text| Cidr::parse(text));
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

/// What the shipped guards forbid in a group.
pub fn guard_set(group: &DesiredGroup, inventory: &Inventory, today: Date) -> GuardSet {
    let guards = guards().iter().filter(|guard| {
        let waivers = waivers(group, inventory, &guard.name);
        !waivers.into_iter().any(|waiver| in_force(waiver, today))
    });
    let exempt = group.rules.iter().filter_map(|rule| {
        let cidr = public_source(&rule.rule, inventory)?;
        naming_row(rule, cidr, inventory).map(|_| (rule.rule.traffic, cidr))
    });
    GuardSet { guards: guards.cloned().collect(), exempt: exempt.collect() }
}

/// What the guards forbid, group by group.
#[derive(Debug, Clone, Default)]
pub struct GuardsInForce(BTreeMap<(NetworkName, String), GuardSet>);

impl GuardsInForce {
    /// What the shipped guards forbid in every desired group.
    pub fn of(desired: &Desired, inventory: &Inventory, today: Date) -> Self {
        let groups = desired.networks.iter().flat_map(|(name, network)| network.groups.iter().map(move |g| (name, g)));
        let sets = groups.map(|(network, group)| {
            ((network.clone(), group.security_group.to_string()), guard_set(group, inventory, today))
        });
        Self(sets.collect())
    }

    /// What they forbid in one group.
    pub fn get(&self, network: &NetworkName, security_group: &str) -> Option<&GuardSet> {
        self.0.get(&(network.clone(), security_group.to_owned()))
    }

    /// Groups, `NETWORK/SECURITY_GROUP`, in which the guard is waived.
    pub fn waived(&self, guard: &Guard) -> Vec<String> {
        let waived = self.0.iter().filter(|(_, set)| set.guards.iter().all(|g| g.name != guard.name));
        waived.map(|((network, group), _)| format!("{network}/{group}")).collect()
    }
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

/// Holds every desired ingress rule against the shipped guards.
pub fn judge(desired: &Desired, inventory: &Inventory, today: Date) -> Verdict {
    let guards = guards();
    let mut verdict = Verdict::default();
    for (network, group) in desired.networks.iter().flat_map(|(name, n)| n.groups.iter().map(move |g| (name, g))) {
        let exempt = guard_set(group, inventory, today).exempt;
        for rule in &group.rules {
            let Some(cidr) = public_source(&rule.rule, inventory) else { continue };
            for (guard, traffic) in guarded(guards, rule.rule.traffic) {
                let breach = Breach {
                    network: network.clone(),
                    security_group: group.security_group.clone(),
                    guard: guard.name.clone(),
                    rule: rule.rule,
                    traffic,
                    reasons: rule.reasons.clone(),
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
    let mut cuts: Vec<(u32, u32)> = cuts.iter().map(|cut| cut.points()).collect();
    cuts.sort_unstable();
    let (mut lo, last) = traffic.points();
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

/// The reason of a rule whose profile row itself names a range around `cidr`.
fn naming_row(rule: &DesiredRule, cidr: Cidr, inventory: &Inventory) -> Option<Reason> {
    let names = |reason: &&Reason| {
        let profile = inventory.clusters.get(&reason.cluster).map(|cluster| &cluster.profile);
        let profile = profile.filter(|profile| profile.label() == *reason.profile);
        let row = profile.and_then(|profile| profile.rows.iter().find(|row| row.id == reason.row));
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
