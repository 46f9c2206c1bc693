//! What is allowed in an inventory and doubtful all the same.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::desired::Desired;
use crate::flow::{End, Flows, OWN, Unopened, flows};
use crate::guard::{Allowed, Guard, Verdict, parse};
use crate::inventory::{Cluster, EndWord, Inventory, Waived};
use crate::name::ClusterName;
use crate::rule::{Cidr, RulePeer};
use crate::traffic::Traffic;

/// Days before an `until` from which on it is told.
const SOON: i32 = 30;
/// Ports of one protocol that may be open to every address before that is told.
const WIDE: u32 = 100;

static WATCHED: LazyLock<Vec<Guard>> =
    LazyLock::new(|| parse(include_str!("../profiles/lints.yaml")).unwrap_or_default());

/// Something doubtful.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Lint {
    /// What sort it is: `no-clusters`, `unused-peer`, `no-effect`, `expires-soon`, `wide`, or the name of traffic that is watched.
    pub code: Arc<str>,
    /// Whose; `None`: the whole inventory's.
    pub cluster: Option<ClusterName>,
    /// What is doubtful.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// What is doubtful about an inventory, sorted by cluster. `flows`, `desired` and `verdict` are what was worked out from it.
pub fn lint(inventory: &Inventory, flows: &Flows, desired: &Desired, verdict: &Verdict, today: Date) -> Vec<Lint> {
    let mut lints = BTreeSet::new();
    lints.extend(no_clusters(inventory));
    lints.extend(unused_peers(inventory, flows));
    lints.extend(without_effect(inventory, verdict, today));
    lints.extend(inventory.clusters.values().flat_map(|cluster| expiring(cluster, today)));
    lints.extend(open_to_all(desired));
    let mut lints: Vec<Lint> = lints.into_iter().collect();
    lints.sort_by(|a, b| (&a.cluster, &a.code, &a.message).cmp(&(&b.cluster, &b.code, &b.message)));
    lints
}

/// Networks in which nothing is wanted: right when a fleet was taken down, a slip when a file was forgotten.
fn no_clusters(inventory: &Inventory) -> Option<Lint> {
    inventory.clusters.is_empty().then(|| Lint {
        code: "no-clusters".into(),
        cluster: None,
        message: "no clusters: nothing is asked for in any network".to_owned(),
        help: "name them under `clusters:`, or all files of the inventory with --inventory".to_owned(),
    })
}

/// Peers that no connection comes from or goes to, and that no exception names.
fn unused_peers(inventory: &Inventory, flows: &Flows) -> Vec<Lint> {
    let ends = flows.flows.iter().flat_map(|flow| [&flow.from, &flow.to].map(|end| (&flow.cluster, end)));
    let of_flows = ends.filter_map(|(cluster, end)| match end {
        End::Peer(name) => Some((cluster, name)),
        End::Group(..) | End::Cidr(_) | End::Name(_) | End::SelfGroup => None,
    });
    let of_words = inventory.clusters.values().flat_map(|cluster| {
        let words = cluster.rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to));
        let words = words.chain(cluster.narrow.iter().flat_map(|narrowing| &narrowing.from));
        words.filter_map(move |word| match word {
            EndWord::Peer(name) => Some((&cluster.name, name)),
            EndWord::Group(_) | EndWord::Cidr(_) | EndWord::Every => None,
        })
    });
    let used: BTreeSet<_> = of_flows.chain(of_words).collect();
    let mut unused = Vec::new();
    for cluster in inventory.clusters.values() {
        for (name, peer) in &cluster.peers {
            // The file's own peers are in every cluster that has no other of the name.
            let have = inventory.clusters.values().filter(|c| c.peers.get(name) == Some(peer));
            let have: Vec<&ClusterName> = have.map(|c| &c.name).collect();
            let whole_file = have.len() > 1 || inventory.clusters.len() == 1;
            if !have.iter().any(|cluster| used.contains(&(*cluster, name))) {
                unused.push(Lint {
                    code: "unused-peer".into(),
                    cluster: (!whole_file).then(|| cluster.name.clone()),
                    message: format!("peer `{name}`: no connection comes from it or goes to it"),
                    help: "take it out, or set the option of the row that it is meant for".to_owned(),
                });
            }
        }
    }
    unused
}

/// Waivers and narrowings that change nothing.
fn without_effect(inventory: &Inventory, verdict: &Verdict, today: Date) -> Vec<Lint> {
    let mut bare = inventory.clone();
    for cluster in bare.clusters.values_mut() {
        cluster.waive.retain(|waiver| matches!(waiver.what, Waived::Guard(_)));
    }
    let all = flows(&bare, today);
    let of_flows = all.flows.iter().map(|flow| (&flow.cluster, &*flow.reason.row));
    let of_unopened = all.unopened.iter().map(|Unopened { cluster, row, .. }| (cluster, last(row)));
    let rows: BTreeSet<(&ClusterName, &str)> = of_flows.chain(of_unopened).collect();
    let set_aside: BTreeSet<(&ClusterName, &str)> = verdict
        .allowed
        .iter()
        .filter(|(_, allowed)| matches!(allowed, Allowed::Waiver(_)))
        .map(|(breach, _)| breach)
        .chain(&verdict.expired)
        .flat_map(|breach| breach.reasons.iter().map(|reason| (&reason.cluster, &*breach.guard)))
        .collect();
    let mut idle = Vec::new();
    for cluster in inventory.clusters.values() {
        let mut tell = |what: String, help: &str| {
            let (code, cluster) = ("no-effect".into(), Some(cluster.name.clone()));
            idle.push(Lint { code, cluster, message: what, help: help.to_owned() });
        };
        for waiver in &cluster.waive {
            match &waiver.what {
                Waived::Row(row) if !rows.contains(&(&cluster.name, last(row))) => {
                    tell(
                        format!("the waiver of row `{row}` changes nothing: the row asks for nothing here"),
                        "take it out",
                    );
                }
                Waived::Guard(guard) if !set_aside.contains(&(&cluster.name, guard)) => {
                    let message = format!("the waiver of guard `{guard}` changes nothing: no rule breaks it");
                    tell(message, "take it out: it would hide the next rule that does");
                }
                Waived::Row(_) | Waived::Guard(_) => {}
            }
        }
        for narrowing in cluster.narrow.iter().filter(|n| !rows.contains(&(&cluster.name, last(&n.row)))) {
            tell(
                format!("narrowing row `{}` changes nothing: the row asks for nothing here", narrowing.row),
                "take it out",
            );
        }
    }
    idle
}

/// `ID` of `PROFILE/ID`.
fn last(row: &str) -> &str {
    row.rsplit('/').next().unwrap_or(row)
}

/// Exceptions whose last day is near.
fn expiring(cluster: &Cluster, today: Date) -> Vec<Lint> {
    let rules =
        cluster.rules.iter().map(|rule| (format!("the rule \"{}\"", rule.why), rule.until, "closes what it opens"));
    let waivers = cluster.waive.iter().map(|waiver| match &waiver.what {
        Waived::Row(row) => {
            (format!("the waiver of row `{row}`"), waiver.until, "stays in force, and fails validate --strict")
        }
        Waived::Guard(guard) => (format!("the waiver of guard `{guard}`"), waiver.until, "closes what it allows"),
    });
    let stays = "stays in force, and fails validate --strict";
    let narrow = cluster.narrow.iter().map(|n| (format!("narrowing row `{}`", n.row), n.until, stays));
    let ignore = cluster.ignore.iter().map(|i| (format!("ignoring {} on `{}`", i.traffic, i.group), i.until, stays));
    let last_days = rules.chain(waivers).chain(narrow).chain(ignore);
    let soon = today.checked_add(SOON.days()).unwrap_or(today);
    let near = last_days.filter_map(|(what, until, then)| Some((what, until?, then)));
    near.filter(|(_, until, _)| *until >= today && *until <= soon)
        .map(|(what, until, then)| Lint {
            code: "expires-soon".into(),
            cluster: Some(cluster.name.clone()),
            message: format!("{what} ends after {until}"),
            help: format!("from then on it {then}: put the date off, or make it unnecessary"),
        })
        .collect()
}

/// Rules that let every address in, on traffic that is watched or on very many ports.
fn open_to_all(desired: &Desired) -> Vec<Lint> {
    let mut found = Vec::new();
    for group in desired.networks.values().flat_map(|network| &network.groups) {
        for rule in &group.rules {
            let RulePeer::Addresses(from) = rule.rule.peer else { continue };
            if !matches!(from, Cidr::ANY_V4 | Cidr::ANY_V6) || rule.rule.direction != crate::rule::Direction::Ingress {
                continue;
            }
            let Some(reason) = rule.reasons.first() else { continue };
            let (cluster, row, of_row) = (Some(reason.cluster.clone()), &reason.row, &*reason.profile != OWN);
            let traffic = rule.rule.traffic;
            let open = format!("{traffic} is open to {from} on `{}`", group.security_group);
            let help = if of_row {
                format!("`narrow` row {row} to those who need it, or waive it")
            } else {
                format!("let only those in who need it: write them under `from` of rule {row}")
            };
            for watched in WATCHED.iter().filter(|watched| watched.traffic.iter().any(|one| meet(*one, traffic))) {
                let message = format!("{open}: {}", watched.why);
                found.push(Lint { code: watched.name.clone(), cluster: cluster.clone(), message, help: help.clone() });
            }
            let ports = traffic.ports().map_or(0, |ports| u32::from(ports.to() - ports.from()) + 1);
            if ports > WIDE {
                let message = format!("{open}: {ports} ports");
                found.push(Lint { code: "wide".into(), cluster, message, help });
            }
        }
    }
    found
}

fn meet(a: Traffic, b: Traffic) -> bool {
    let ((a_first, a_last), (b_first, b_last)) = (a.points(), b.points());
    a_first <= b_last && b_first <= a_last
}

#[cfg(test)]
mod tests;
