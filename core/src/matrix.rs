//! The flows of an inventory become the From/To table of the user's own clusters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::document::flow_entry;
use crate::flow::{End, Flow, Flows, Unopened};
use crate::inventory::Inventory;
use crate::name::ClusterName;
use crate::table::Table;
use crate::traffic::Traffic;

/// The table of one cluster's flows: groups of its own by their names, others as `CLUSTER/GROUP`.
pub fn table(inventory: &Inventory, flows: &Flows, cluster: &ClusterName) -> Table {
    let own: Vec<&Flow> = flows.flows.iter().filter(|flow| flow.cluster == *cluster).collect();
    let ends = |pick: fn(&Flow) -> &End| -> Vec<String> {
        let mut all: Vec<(usize, String)> = Vec::new();
        for flow in &own {
            let (from, to) = resolved(flow);
            let end = if std::ptr::eq(pick(flow), &flow.from) { from } else { to };
            let entry = (rank(inventory, cluster, end), word(cluster, end));
            if !all.contains(&entry) {
                all.push(entry);
            }
        }
        all.sort();
        all.into_iter().map(|(_, word)| word).collect()
    };
    let (lines, columns) = (ends(|flow| &flow.from), ends(|flow| &flow.to));
    let mut cells: BTreeMap<(String, String), (BTreeSet<Traffic>, BTreeSet<Traffic>)> = BTreeMap::new();
    for flow in &own {
        let (from, to) = resolved(flow);
        let (across, local) = cells.entry((word(cluster, from), word(cluster, to))).or_default();
        if flow.local {
            local.insert(flow.traffic)
        } else {
            across.insert(flow.traffic)
        };
    }
    let mut local_somewhere = false;
    let lines = lines.into_iter().map(|line| {
        let of_line = columns.iter().map(|column| {
            let Some((across, local)) = cells.get(&(line.clone(), column.clone())) else { return Vec::new() };
            let mut texts: Vec<String> = united(across).iter().map(ToString::to_string).collect();
            texts.extend(united(local).iter().map(|traffic| format!("{traffic} (1)")));
            local_somewhere |= !local.is_empty();
            texts
        });
        let of_line = of_line.collect();
        (line, of_line)
    });
    let lines: Vec<(String, Vec<Vec<String>>)> = lines.collect();
    let note = "stays on the node: needs no rule unless the node has several interfaces".to_owned();
    Table {
        title: format!("Cluster {cluster}"),
        corner: "From / To".to_owned(),
        columns,
        lines,
        notes: if local_somewhere { vec![note] } else { Vec::new() },
    }
}

/// Why each connection is needed: a line for each flow and row.
pub fn reasons(flows: &Flows, cluster: &ClusterName) -> Table {
    let own = flows.flows.iter().filter(|flow| flow.cluster == *cluster);
    let line = |flow: &Flow| {
        let (from, to) = resolved(flow);
        let row = format!("{}/{}", flow.reason.profile, flow.reason.row);
        let cells = [word(cluster, from), word(cluster, to), flow.reason.why.to_string(), row];
        (flow.traffic.to_string(), cells.into_iter().map(|text| vec![text]).collect())
    };
    Table {
        title: format!("Why, cluster {cluster}"),
        corner: "traffic".to_owned(),
        columns: ["from", "to", "why", "row"].map(str::to_owned).to_vec(),
        lines: own.map(line).collect(),
        notes: Vec::new(),
    }
}

/// What the tables don't show: rows that are not opened, options that got a default, roles that no group plays.
pub fn rest(flows: &Flows) -> Vec<Table> {
    let table = |title: &str, corner: &str, columns: &[&str], lines: Vec<Vec<String>>| Table {
        title: title.to_owned(),
        corner: corner.to_owned(),
        columns: columns.iter().map(|head| (*head).to_owned()).collect(),
        lines: lines
            .into_iter()
            .filter_map(|line| {
                let mut texts = line.into_iter();
                Some((texts.next()?, texts.map(|text| vec![text]).collect()))
            })
            .collect(),
        notes: Vec::new(),
    };
    let unopened = flows.unopened.iter().map(|u| vec![u.cluster.to_string(), u.row.to_string(), u.why.to_string()]);
    let assumed = flows
        .assumed
        .iter()
        .map(|a| vec![a.cluster.to_string(), a.option.to_string(), a.value.clone(), a.source.clone()]);
    let without = flows.without_members.iter().map(|w| vec![w.cluster.to_string(), w.role.to_string()]);
    let mut tables = vec![
        table("Not opened", "cluster", &["row", "why"], unopened.collect()),
        table("Assumed", "cluster", &["option", "value", "source"], assumed.collect()),
        table("Roles without members", "cluster", &["role"], without.collect()),
    ];
    tables.retain(|table| !table.lines.is_empty());
    tables
}

/// The contract of `matrix --format json`.
pub fn document(flows: &Flows, unopened: &[Unopened]) -> Value {
    let unopened = unopened
        .iter()
        .map(|u| json!({ "network": u.network, "cluster": u.cluster, "row": u.row, "why": u.why.to_string() }));
    json!({
        "version": 1,
        "flows": flows.flows.iter().map(flow_entry).collect::<Vec<_>>(),
        "unopened": unopened.collect::<Vec<_>>(),
        "assumed": flows.assumed,
        "without_members": flows.without_members,
    })
}

/// The ends, where the group itself stands for `self`.
pub(crate) fn resolved(flow: &Flow) -> (&End, &End) {
    match (&flow.from, &flow.to) {
        (End::SelfGroup, to) => (to, to),
        (from, End::SelfGroup) => (from, from),
        ends => ends,
    }
}

pub(crate) fn word(cluster: &ClusterName, end: &End) -> String {
    match end {
        End::Group(of, group) if of == cluster => group.to_string(),
        End::Group(of, group) => format!("{of}/{group}"),
        End::Peer(name) | End::Name(name) => name.to_string(),
        End::Cidr(range) => range.to_string(),
        End::SelfGroup => "self".to_owned(),
    }
}

/// Other clusters' groups, then the cluster's own in the inventory's order, then everybody else.
fn rank(inventory: &Inventory, cluster: &ClusterName, end: &End) -> usize {
    let groups = inventory.clusters.get(cluster).map(|cluster| &cluster.groups);
    match end {
        End::Group(of, _) if of != cluster => 0,
        End::Group(_, group) => 1 + groups.and_then(|groups| groups.get_index_of(group)).unwrap_or_default(),
        End::Peer(_) => usize::MAX - 2,
        End::Cidr(_) => usize::MAX - 1,
        End::Name(_) | End::SelfGroup => usize::MAX,
    }
}

/// Neighbouring ports joined.
pub(crate) fn united(traffic: &BTreeSet<Traffic>) -> Vec<Traffic> {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for (lo, hi) in traffic.iter().map(|traffic| traffic.points()) {
        match spans.last_mut() {
            Some((_, last)) if lo <= last.saturating_add(1) => *last = hi.max(*last),
            _ => spans.push((lo, hi)),
        }
    }
    spans.into_iter().flat_map(|(lo, hi)| Traffic::pieces(lo, hi)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{TODAY, cluster_name, downstream};
    use crate::flow::flows;

    #[test]
    fn a_cluster_s_table_joins_ports_and_names_other_clusters() {
        let mut inventory = downstream("downstream-node-pools");
        inventory.cluster("prod").set("multihomed", "true");
        let table = table(&inventory, &flows(&inventory, TODAY), &cluster_name("prod"));
        let heads: Vec<&str> = table.lines.iter().map(|(head, _)| head.as_str()).collect();
        assert_eq!(heads, ["mgmt/server", "etcd", "control", "workers"]);
        assert_eq!(table.cell("control", "etcd"), ["2379-2380/tcp", "10250/tcp", "8472/udp"]);
        assert_eq!(table.cell("mgmt/server", "etcd"), ["22/tcp", "2376/tcp"]);
        assert_eq!(table.cell("etcd", "etcd").last().map(String::as_str), Some("9099/tcp (1)"));
        assert_eq!(table.notes.len(), 1);
    }

    #[test]
    fn every_flow_is_in_the_document_and_in_the_reasons() {
        let inventory = downstream("downstream-node-pools");
        let flows = flows(&inventory, TODAY);
        let document = document(&flows, &flows.unopened);
        let listed = document["flows"].as_array().map(Vec::len);
        assert_eq!(listed, Some(flows.flows.len()));
        let names = ["mgmt", "prod"].map(cluster_name);
        let told: usize = names.iter().map(|name| reasons(&flows, name).lines.len()).sum();
        assert_eq!(told, flows.flows.len());
        assert!(document["unopened"].as_array().is_some_and(|list| !list.is_empty()));
    }
}
