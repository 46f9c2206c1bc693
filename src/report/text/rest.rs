//! What a plan says beside its groups: orphans, rules that stay, rows that are not opened, flows elsewhere and lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use rsgsync_core::diff::Fate;
use rsgsync_core::flow::{End, Flow, Unopened, Why, WithoutMembers};
use rsgsync_core::packets::TrafficSet;
use rsgsync_core::plan::{Orphan, Plan, Prune};
use rsgsync_core::profile::Vocabulary;
use rsgsync_core::traffic::Traffic;

use super::rule::{peer, way};
use super::{CHANGE, FAINT, paint};
use crate::report::{count, escape};

/// The most pairs of ends of which a lost connection is named.
const NAMED: usize = 20;

/// Groups that carry our mark and that the inventory no longer names, but for those that the plan prunes.
pub fn orphans(plan: &Plan) -> String {
    let (mut lines, mut elsewhere) = (Vec::new(), BTreeMap::<String, Vec<&str>>::new());
    for network in &plan.networks {
        let planned = |orphan: &Orphan| network.groups.iter().any(|group| group.atom == orphan.atom);
        for orphan in network.orphans.iter().filter(|orphan| !planned(orphan)) {
            let name = network.group_name(orphan.atom);
            let rules = count(orphan.rules, "rule");
            let what = match orphan.prune {
                Prune::Delete => format!("apply --prune deletes it with {rules}"),
                Prune::Clear => format!("apply --prune removes {rules} of ours and our mark"),
                Prune::Keep => {
                    let marks = orphan.marks.iter().map(|m| m.mark.to_string());
                    marks.for_each(|mark| elsewhere.entry(mark).or_default().push(name));
                    continue;
                }
            };
            let marks = orphan.marks.iter().map(|m| format!("{} for {}", m.origin.as_str(), m.mark));
            let line = format!("{name}  {}, not in the inventory", marks.collect::<Vec<_>>().join(", "));
            lines.push(format!("{} {}   {}\n", paint(CHANGE, "orphan"), escape(&line), paint(FAINT, &what)));
        }
    }
    for (mark, names) in elsewhere {
        let line = format!("{mark}  {}", names.join(", "));
        let why = "no such cluster in the inventory: left alone; destroy a cluster before it leaves";
        lines.push(format!("{} {}   {}\n", paint(FAINT, "marked by"), escape(&line), paint(FAINT, why)));
    }
    let gap = if lines.is_empty() { "" } else { "\n" };
    format!("{gap}{}", lines.concat())
}

/// Rules that stay although nothing asks for them, one a line.
pub fn held_and_ignored(out: &mut String, plan: &Plan) {
    for (fate, word, why) in [
        (Fate::Held, "held", "asked for by a row that is not opened"),
        (Fate::Ignored, "ignored", "the inventory says to leave it alone"),
        (Fate::Spared, "spared", "required by nothing; --add-only leaves it"),
    ] {
        for network in &plan.networks {
            for group in &network.groups {
                let Some(observed) = network.observed_group(group.atom) else { continue };
                for (rule, _) in observed.rules.iter().zip(&group.diff.fates).filter(|(_, f)| **f == fate) {
                    let (way, side) = way(rule.rule.direction);
                    let peer = peer(network, rule.rule.peer);
                    let rule =
                        format!("{way} {} {side} {peer} on {}", rule.rule.traffic, network.group_name(group.atom));
                    let _ = writeln!(out, "{} {}   {}", paint(CHANGE, word), escape(&rule), paint(FAINT, why));
                }
            }
        }
    }
}

/// Rows that are not opened, a line for each cluster and cause.
pub fn unopened(rows: &[Unopened]) -> String {
    let mut out = String::new();
    not_opened(&mut out, rows);
    out
}

/// Roles of the profiles that no group plays, for `validate` and `matrix`.
pub fn without_members(roles: &[WithoutMembers]) -> String {
    let mut by_cluster: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for role in roles {
        by_cluster.entry(role.cluster.to_string()).or_default().push(&role.role);
    }
    let line = |(cluster, roles): (String, Vec<&str>)| {
        let why = paint(FAINT, "no group has this role: its rows drop out; add it to `roles` where nodes play it");
        format!("{} {cluster}  {}   {why}\n", paint(CHANGE, "no members"), roles.join(", "))
    };
    by_cluster.into_iter().map(line).collect()
}

/// The same in a report that goes on.
pub fn not_opened(out: &mut String, rows: &[Unopened]) {
    let mut lines: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for row in rows {
        lines.entry((row.cluster.to_string(), way_out(&row.why))).or_default().push(&row.row);
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    for ((cluster, what), rows) in lines {
        let _ =
            writeln!(out, "{} {cluster}  {}   {}", paint(CHANGE, "not opened"), rows.join(", "), paint(FAINT, &what));
    }
}

/// What to write so that a row is opened.
pub fn way_out(why: &Why) -> String {
    match why {
        Why::PeerUndefined(peer) => format!("peer undefined: add peers.{peer}"),
        Why::OptionNotSet(options) => {
            let kinds = &Vocabulary::shipped().options;
            let choices = |option: &Arc<str>| kinds.get(option).map(|kind| format!(" ({})", kind.choices()));
            let each = options.iter().map(|option| format!("{option}{}", choices(option).unwrap_or_default()));
            format!("option not set: add options.{}", each.collect::<Vec<_>>().join(", options."))
        }
        Why::PortWithoutValue(symbol) => format!("port without value: add values.{symbol}"),
        Why::NetworkRangeUnknown(net) => format!("range unknown: add cidrs.{net}"),
        Why::NoAddresses(cluster, group) => format!("other network: add addresses to {cluster}/{group}, or a link"),
        Why::GroupNotThere(network, group) => {
            format!("{group} isn't in {network} yet, or couldn't be read; it is opened once it is there")
        }
        Why::NameNeedsCidrs(name) => format!("a rule can't hold the name {name}: give its cidrs in peers"),
        Why::RancherUnknown => "set rancher: to the cluster whose Rancher manages this one".to_owned(),
    }
}

/// Flows into clusters that are not ours to write.
pub fn needed_elsewhere(out: &mut String, flows: &[Flow]) {
    for line in reached(flows) {
        let _ = writeln!(out, "{}  {}", paint(CHANGE, "needed elsewhere"), escape(&line));
    }
}

/// Who can reach whom no longer.
pub fn lost(out: &mut String, flows: &[Flow]) {
    let lines = connections(flows);
    for line in lines.iter().take(NAMED) {
        let _ = writeln!(out, "{}  {}", paint(CHANGE, "lost"), escape(line));
    }
    if let Some(more) = lines.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let text = format!("… and {more} more; --format json has all");
        let _ = writeln!(out, "{}  {}", paint(CHANGE, "lost"), paint(FAINT, &text));
    }
}

fn end(end: &End) -> String {
    match end {
        End::Group(cluster, group) => format!("{cluster}/{group}"),
        End::Peer(name) | End::Name(name) => name.to_string(),
        End::Cidr(cidr) => cidr.to_string(),
        End::SelfGroup => "itself".to_owned(),
    }
}

/// A line for each end that is reached: `prod/etcd: 2379/tcp from prod/control, …`.
pub fn reached(flows: &[Flow]) -> Vec<String> {
    let mut reached: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for flow in flows {
        let by_source = reached.entry(end(&flow.to)).or_default();
        by_source.entry(end(&flow.from)).or_default().insert(flow.traffic.to_string());
    }
    let line = |(to, sources): (String, BTreeMap<String, BTreeSet<String>>)| {
        let sources = sources
            .into_iter()
            .map(|(from, traffic)| format!("{} from {from}", traffic.into_iter().collect::<Vec<_>>().join(" ")));
        format!("{to}: {}", sources.collect::<Vec<_>>().join(", "))
    };
    reached.into_iter().map(line).collect()
}

/// A line for each two ends, the one that connects first: `prod/control → prod/etcd  2379-2380/tcp`. Those of two clusters, or
/// of a cluster and somebody else, come before those within a cluster; what stays on its node is none.
pub fn connections(flows: &[Flow]) -> Vec<String> {
    let within = |flow: &Flow| match (&flow.from, &flow.to) {
        (End::Group(from, _), End::Group(to, _)) => from == to,
        (End::SelfGroup, End::Group(..)) | (End::Group(..), End::SelfGroup) => true,
        _ => false,
    };
    let mut pairs: BTreeMap<(bool, String, String), Vec<Traffic>> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| !flow.local) {
        let (from, to) = match (&flow.from, &flow.to) {
            (End::SelfGroup, to) => (end(to), end(&End::SelfGroup)),
            (from, to) => (end(from), end(to)),
        };
        pairs.entry((within(flow), from, to)).or_default().push(flow.traffic);
    }
    let line = |((_, from, to), traffic): ((bool, String, String), Vec<Traffic>)| {
        let traffic: TrafficSet = traffic.into_iter().collect();
        let traffic: Vec<String> = traffic.traffics().iter().map(ToString::to_string).collect();
        format!("{:<40} {}", format!("{from} → {to}"), traffic.join(", "))
    };
    pairs.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use rsgsync_core::flow::Reason;
    use rsgsync_core::name::{ClusterName, NodeGroupName};

    use super::*;

    /// `cluster/group`, `self`, or a peer.
    fn end_of(text: &str) -> End {
        let group = |(cluster, group): (&str, &str)| {
            End::Group(ClusterName::new(cluster).expect("a cluster"), NodeGroupName::new(group).expect("a group"))
        };
        let other = || if text == "self" { End::SelfGroup } else { End::Peer(text.into()) };
        text.split_once('/').map_or_else(other, group)
    }

    fn flow((from, to, traffic, local): (&str, &str, &str, bool)) -> Flow {
        let cluster = ClusterName::new("prod").expect("a cluster");
        let reason = Reason { cluster: cluster.clone(), profile: "p".into(), row: "r".into(), why: "w".into() };
        let traffic = Traffic::parse(traffic).expect("traffic");
        Flow { cluster, from: end_of(from), to: end_of(to), traffic, reason, local }
    }

    #[test]
    fn of_lost_connections_those_come_first_that_another_cluster_or_party_loses() {
        let flows = [
            ("prod/control", "prod/etcd", "2380/tcp", false),
            ("self", "prod/etcd", "8472/udp", false),
            ("self", "prod/etcd", "9099/tcp", true),
            ("prod/etcd", "mgmt/server", "443/tcp", false),
            ("prod/control", "prod/etcd", "2379/tcp", false),
            ("prod/control", "prod/etcd", "8472/udp", false),
            ("office", "prod/control", "6443/tcp", false),
        ];
        let lines = connections(&flows.map(flow));
        let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = [
            "office → prod/control 6443/tcp",
            "prod/etcd → mgmt/server 443/tcp",
            "prod/control → prod/etcd 2379-2380/tcp, 8472/udp",
            "prod/etcd → itself 8472/udp",
        ];
        assert_eq!(lines.iter().map(words).collect::<Vec<_>>(), expected);
    }
}
