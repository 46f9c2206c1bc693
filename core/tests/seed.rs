//! Everything that Rancher's Port Requirements v2.0-v2.4 say about ports is in the profiles, or is a behaviour with a test.

#![allow(clippy::panic, reason = "helpers of tests say what is missing")]

mod inventory;

use std::collections::{BTreeMap, BTreeSet};

use inventory::{Text, opened, rows_switched_by, show_rows};
use rsgsync_core::profile::{Catalog, Port, Profile, ProfileKind, ProfileRow, Version, show};
use serde::Deserialize;

const SEED: &str = include_str!("data/seed.yaml");

/// An entry of the page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    kind: String,
    protocol: Option<String>,
    ports: Option<String>,
    #[serde(default)]
    from: Words,
    #[serde(default)]
    to: Words,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    from_notes: Vec<String>,
    #[serde(default)]
    rows: Vec<String>,
    #[serde(default)]
    profiles: Vec<String>,
    behaviour: Option<String>,
}

#[derive(Debug, Default)]
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> serde::de::Visitor<'de> for OneOrMore {
            type Value = Words;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list")
            }

            fn visit_str<E>(self, text: &str) -> Result<Words, E> {
                Ok(Words(vec![text.to_owned()]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

fn entries() -> Vec<Entry> {
    serde_saphyr::from_str(SEED).expect("the test's data is right")
}

fn entry(id: &str) -> Entry {
    entries().into_iter().find(|entry| entry.id == id).expect("the entry is there")
}

/// The table that `NAME@VERSION` is.
fn profile(label: &str) -> Profile {
    let name = label.split('@').next().unwrap_or(label);
    let tables = Catalog::shipped().tables(name);
    tables.into_iter().find(|table| table.label() == label).unwrap_or_else(|| panic!("there is no profile {label}"))
}

/// The row that `NAME@VERSION/ROW` is.
fn row(word: &str) -> ProfileRow {
    let (label, id) = word.split_once('/').expect("PROFILE/ROW");
    let found = profile(label).rows.into_iter().find(|row| &*row.id == id);
    found.unwrap_or_else(|| panic!("there is no row {word}"))
}

/// Ports as the page writes them; a name is a port that the page leaves open.
fn same_ports(row: &ProfileRow, text: &str) -> bool {
    let text = text.replace(':', "-");
    let own: Vec<String> = row.ports.iter().map(ToString::to_string).collect();
    match text.as_str() {
        "All" => own.is_empty(),
        // The cell names a host; its port stands in the tables of outbound rules.
        "git.rancher.io" => own == ["443"],
        text if text.starts_with(|c: char| c.is_ascii_digit()) => own == [text],
        _ => matches!(row.ports.as_slice(), [Port::Symbol(_)]),
    }
}

fn same_protocol(row: &ProfileRow, text: &str) -> bool {
    let words: Vec<String> = text.split('/').map(|word| word.trim().to_lowercase()).collect();
    row.protocol == words.join("+")
}

#[test]
fn every_row_cell_note_and_sentence_is_there_once() {
    let entries = entries();
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!((entries.len(), ids.len()), (197, 197));
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    entries.iter().for_each(|entry| *kinds.entry(&entry.kind).or_default() += 1);
    let counted = [("cell", 77), ("list-item", 15), ("note", 25), ("prose", 19), ("row", 61)];
    assert_eq!(kinds, BTreeMap::from(counted));
}

#[test]
fn every_one_is_a_profile_row_with_its_protocol_and_ports_or_a_behaviour_with_a_test() {
    let behaviours: BTreeSet<&str> = BEHAVIOURS.iter().copied().collect();
    for entry in entries() {
        assert!(!entry.rows.is_empty() || entry.behaviour.is_some(), "{} is nowhere", entry.id);
        if let Some(behaviour) = &entry.behaviour {
            assert!(behaviours.contains(behaviour.as_str()), "{}: no test {behaviour}", entry.id);
        }
        for word in &entry.rows {
            let row = row(word);
            assert!(row.seed.contains(&entry.id), "{word} doesn't say that it stands for {}", entry.id);
            if let Some(protocol) = &entry.protocol {
                assert!(same_protocol(&row, protocol), "{}: {} for {protocol}", entry.id, row.protocol);
            }
            if let Some(ports) = &entry.ports {
                assert!(same_ports(&row, ports), "{}: {:?} for {ports}", entry.id, row.ports);
            }
        }
        for label in &entry.profiles {
            assert!(profile(label).seed.contains(&entry.id), "{label} doesn't say that it stands for {}", entry.id);
        }
    }
}

#[test]
fn every_behaviour_with_a_test_is_one_of_the_page() {
    let named: BTreeSet<String> = entries().into_iter().filter_map(|entry| entry.behaviour).collect();
    assert_eq!(named, BEHAVIOURS.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn no_row_stands_for_what_the_page_doesn_t_have() {
    let known: BTreeSet<String> = entries().into_iter().map(|entry| entry.id).collect();
    let catalog = Catalog::shipped();
    for table in catalog.all_names().into_iter().flat_map(|name| catalog.tables(name)) {
        for seed in table.rows.iter().flat_map(|row| &row.seed).chain(&table.seed) {
            assert!(known.contains(seed), "{} names {seed}", table.label());
        }
    }
}

/// A heading of the page in our words.
fn head(text: &str) -> &str {
    match text {
        "Rancher Nodes" => "rancher-server",
        "etcd Plane Nodes" => "etcd",
        "Control Plane Nodes" => "controlplane",
        "Worker Plane Nodes" => "worker",
        "External Rancher Load Balancer" => "rancher-external-lb",
        "Kubernetes API Clients" => "kube-api-clients",
        "Workload Clients or Load Balancer" => "workload-clients",
        "Internet" => "git.rancher.io",
        other => panic!("{other}"),
    }
}

/// The lines of each cell, by the heads of its line and column.
type Cells = BTreeMap<(String, String), Vec<String>>;

/// The cells of a Markdown table; marks in line heads apart.
fn markdown_cells(text: &str) -> (Cells, BTreeMap<String, String>) {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let split = |line: &str| line.split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let heads = split(lines.next().expect("a head"));
    let (mut cells, mut marks) = (BTreeMap::new(), BTreeMap::new());
    for line in lines.skip(1) {
        let line = split(line);
        let (name, mark) = line[0].split_once(' ').unwrap_or((&line[0], ""));
        marks.insert(name.to_owned(), mark.to_owned());
        for (head, cell) in heads.iter().zip(&line).skip(1).filter(|(_, cell)| !cell.is_empty()) {
            let texts = cell.split("<br>").map(str::to_owned).collect();
            cells.insert((name.to_owned(), head.clone()), texts);
        }
    }
    (cells, marks)
}

/// Checks a matrix of the page cell by cell, note by note.
fn check_matrix(table: &str, label: &str) {
    let text = show::table(&profile(label)).to_markdown();
    let (mut shown, line_marks) = markdown_cells(&text);
    let entries: Vec<Entry> = entries().into_iter().filter(|entry| entry.id.starts_with(table)).collect();
    let notes: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == "note").collect();
    for (index, note) in notes.iter().enumerate() {
        assert_eq!(note.id, format!("{table}.n{}", index + 1));
        assert!(text.contains(&format!("\n{}. ", index + 1)), "note {} is not below the table", index + 1);
    }
    for cell in entries.iter().filter(|entry| entry.kind == "cell") {
        let traffic = match (cell.protocol.as_deref(), cell.ports.as_deref()) {
            (Some(protocol), Some(ports)) => format!("{ports}/{}", protocol.replace(" / ", "+").to_lowercase()),
            // The page names no port here; 443 is that of its outbound tables.
            _ => "443/tcp".to_owned(),
        };
        // Notes that hang on this cell: those it is marked with, and those whose mark the page has lost (note 2).
        let own = notes.iter().filter(|note| cell.notes.contains(&note.id) || note.rows == cell.rows);
        let own: BTreeSet<usize> = own
            .filter(|note| !entries.iter().any(|e| e.from_notes.contains(&note.id)))
            .filter_map(|note| note.id.rsplit('n').next()?.parse().ok())
            .collect();
        for (from, to) in cell.from.0.iter().flat_map(|from| cell.to.0.iter().map(move |to| (from, to))) {
            let key = (head(from).to_owned(), head(to).to_owned());
            let lines = shown.get_mut(&key).unwrap_or_else(|| panic!("{}: no cell {key:?} in\n{text}", cell.id));
            let at = lines.iter().position(|line| line.split(' ').next() == Some(&traffic));
            let line = lines.remove(at.unwrap_or_else(|| panic!("{}: {traffic} is not in {key:?}", cell.id)));
            let marks =
                line.split(' ').skip(1).filter_map(|mark| mark.strip_prefix('(')?.strip_suffix(')')?.parse().ok());
            let of_page: BTreeSet<usize> = marks.filter(|mark: &usize| *mark <= notes.len()).collect();
            assert_eq!(of_page, own, "notes of {} at {key:?}: {line}", cell.id);
        }
        for from in &cell.from.0 {
            let wanted: String = cell.from_notes.iter().filter_map(|id| id.rsplit('n').next()).collect();
            let shown = line_marks.get(head(from)).map(|mark| mark.trim_matches(['(', ')'])).unwrap_or_default();
            if !wanted.is_empty() {
                assert_eq!(shown, wanted, "note of line {from}");
            }
        }
    }
    let left: Vec<_> = shown.iter().filter(|(_, lines)| !lines.is_empty()).collect();
    assert!(left.is_empty(), "cells that the page doesn't have: {left:?}");
}

#[test]
fn the_table_of_node_pools_is_the_page_s_cell_by_cell_and_note_by_note() {
    check_matrix("t08", "downstream-node-pools@2.4");
}

#[test]
fn the_table_of_custom_nodes_is_the_page_s_cell_by_cell_and_note_by_note() {
    check_matrix("t09", "downstream-custom-nodes@2.4");
}

/// Declares tests and the list of their names.
macro_rules! behaviours {
    ($(fn $name:ident() $body:block)+) => {
        const BEHAVIOURS: &[&str] = &[$(stringify!($name)),+];
        $(#[test] fn $name() $body)+
    };
}

/// Rows of a note of each of these tables, without the profile's name.
fn rows_of(id: &str) -> BTreeSet<String> {
    entry(id).rows.iter().filter_map(|word| word.split_once('/')).map(|(_, row)| row.to_owned()).collect()
}

fn set(rows: &[&str]) -> BTreeSet<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

const MATRICES: [(&str, &str); 2] = [("t08", "downstream-node-pools"), ("t09", "downstream-custom-nodes")];
const CLUSTERS: [(&str, &str, &str); 2] =
    [("t10", "downstream-hosted", "hosted-cluster"), ("t11", "downstream-imported", "imported-cluster")];

behaviours! {
    fn vxlan_is_never_open_to_the_world() {
        let text = Text::k3s().with_rule("0.0.0.0/0", "8472/udp");
        assert_eq!(inventory::refused(&text), ["vxlan-public"]);
        assert!(row("rancher-server-k3s@2.4/flannel-vxlan").forbid_public);
    }

    fn rancher_on_rke_is_three_nodes_with_every_role() {
        let text = Text::of("rancher-server-rke").group("all", "rancher-server, etcd, controlplane, worker");
        let rows = show_rows(&text);
        // All traffic between Rancher nodes is traffic of the group with itself.
        let between = rows.iter().filter(|line| line.starts_with("between-"));
        assert!(between.clone().count() >= 6);
        assert!(between.into_iter().all(|line| line.contains(" it/all > it/all ")), "{rows:?}");
    }

    fn ports_depend_on_how_a_cluster_was_launched() {
        let rows = |name: &str| show_rows(&Text::downstream(name));
        let all: BTreeSet<_> = ["downstream-node-pools", "downstream-custom-nodes"].map(rows).into_iter().collect();
        let clusters: BTreeSet<_> = CLUSTERS.map(|(_, name, _)| rows(name)).into_iter().collect();
        assert_eq!((all.len(), clusters.len()), (2, 2));
    }

    fn the_common_ports_are_to_look_up_and_open_nothing() {
        let common = profile("common-ports@2.4");
        assert_eq!((common.kind, common.rows.len()), (ProfileKind::Glossary, 16));
        assert!(common.rows.iter().all(|row| row.from.is_empty() && row.to.is_empty()));
        assert!(Catalog::shipped().find("common-ports", Version::parse("2.4")).is_err());
    }

    fn what_rancher_opens_by_itself_is_a_profile_of_its_own() {
        let notes = profile("downstream-node-pools@2.4").notes.concat();
        assert!(notes.contains("EC2 and DigitalOcean") && notes.contains("rancher-nodes-ec2-sg"), "{notes}");
        assert_eq!(profile("rancher-nodes-ec2-sg@2.4").kind, ProfileKind::ProviderGroup);
    }

    fn rancher_nodes_are_all_groups_of_that_role() {
        for (table, name) in MATRICES {
            let text = Text::downstream(name).with_rancher_group("second");
            let from: BTreeSet<String> = inventory::sources_and_destinations(&text).into_iter()
                .filter(|end| end.starts_with("mgmt/")).collect();
            assert_eq!(from, set(&["mgmt/second", "mgmt/server"]), "{table}");
        }
        for (table, name, _) in CLUSTERS {
            let from = inventory::sources_and_destinations(&Text::downstream(name).with_rancher_group("second"));
            assert!(from.contains("mgmt/second") && from.contains("mgmt/server"), "{table}");
        }
    }

    fn the_chart_library_is_at_git_rancher_io() {
        for name in ["downstream-node-pools", "downstream-custom-nodes", "downstream-hosted", "downstream-imported"] {
            let rows = show_rows(&Text::downstream(name));
            assert!(rows.contains("rancher-catalog mgmt/server > git.rancher.io 443/tcp"), "{name}: {rows:?}");
        }
    }

    fn agents_reach_rancher_directly_only_without_a_load_balancer() {
        for (note, name) in [("t08.n3", "downstream-node-pools"), ("t09.n3", "downstream-custom-nodes"),
                             ("t10.n4", "downstream-hosted"), ("t11.n4", "downstream-imported")] {
            let (closed, _) = rows_switched_by(&Text::downstream(name), "rancher_external_lb", "false", "true");
            assert_eq!(closed, rows_of(note), "{note}");
        }
    }

    fn probes_stay_on_the_node() {
        for (note, name) in [("t08.n4", "downstream-node-pools"), ("t09.n4", "downstream-custom-nodes")] {
            let text = Text::downstream(name).with("monitoring", "true");
            let (_, more) = rows_switched_by(&text, "multihomed", "false", "true");
            assert_eq!(more, rows_of(note), "{note}");
            let rows = show_rows(&text.with("multihomed", "true"));
            let probes: Vec<&String> = rows.iter().filter(|line| line.contains("-probe ")).collect();
            assert!(!probes.is_empty() && probes.iter().all(|line| line.contains(" self > ")), "{probes:?}");
        }
        // In the table of custom nodes only with optional features such as monitoring.
        let text = Text::downstream("downstream-custom-nodes").with("multihomed", "true");
        assert_eq!(rows_switched_by(&text, "monitoring", "false", "true").1, rows_of("t09.n4"));
        let text = Text::downstream("downstream-node-pools").with("multihomed", "true");
        assert_eq!(rows_switched_by(&text, "monitoring", "false", "true").1, set(&[]));
    }

    fn the_api_is_open_to_clients_only_with_authorized_endpoints() {
        for (note, name) in [("t08.n5", "downstream-node-pools"), ("t09.n5", "downstream-custom-nodes")] {
            let option = "authorized_cluster_endpoint";
            let (closed, more) = rows_switched_by(&Text::downstream(name), option, "false", "true");
            assert_eq!((closed, more), (set(&[]), rows_of(note)), "{note}");
        }
    }

    fn windows_overlay_opens_its_vxlan_port() {
        let text = Text::downstream("downstream-custom-nodes").with("windows_network", "overlay");
        let (closed, more) = rows_switched_by(&text, "windows", "false", "true");
        assert_eq!((closed, more), (set(&[]), rows_of("t09.n6")));
        let text = text.with("windows", "true");
        let (closed, more) = rows_switched_by(&text, "windows_network", "overlay", "host-gateway");
        assert_eq!((closed, more), (rows_of("t09.n6"), set(&[])));
    }

    fn only_hosted_clusters_have_an_endpoint_port() {
        let has = |name: &str| opened(&Text::downstream(name)).contains("rancher-kube-api");
        assert!(has("downstream-hosted") && !has("downstream-imported"));
    }

    fn agents_connect_from_worker_nodes() {
        for (table, name, _) in CLUSTERS {
            for (lb, row) in [("false", "cluster-rancher-https"), ("true", "cluster-rancher-lb-https")] {
                let text = Text::downstream(name).with("rancher_external_lb", lb).group("spare", "etcd");
                let rows = show_rows(&text);
                let of_row: Vec<&String> = rows.iter().filter(|line| line.starts_with(&format!("{row} "))).collect();
                assert!(!of_row.is_empty() && of_row.iter().all(|line| line.contains(" it/workers > ")), "{table} {rows:?}");
                assert!(entry(&format!("{table}.n5")).rows.iter().any(|word| word.ends_with(row)));
            }
        }
    }

    fn direct_api_access_is_asked_for() {
        for (table, name, _) in CLUSTERS {
            let (closed, more) = rows_switched_by(&Text::downstream(name), "direct_kube_api", "false", "true");
            assert_eq!((closed, more), (set(&[]), rows_of(&format!("{table}.n6"))));
        }
    }

    fn workloads_are_opened_when_they_are_exposed() {
        for (table, name, _) in CLUSTERS {
            let (closed, more) = rows_switched_by(&Text::downstream(name), "workload_exposed", "false", "true");
            assert_eq!((closed, more), (set(&[]), rows_of(&format!("{table}.n7"))));
        }
    }

    fn probes_on_the_node_itself_need_no_rule() {
        let text = Text::of("local-node-traffic").group("all", "worker").with("host_firewall_strict", "true");
        assert!(opened(&text).contains("self-canal-probe"));
        assert_eq!(inventory::rules(&text), [""; 0]);
    }

    fn a_strict_host_firewall_asks_for_the_probes() {
        let text = Text::of("local-node-traffic").group("all", "worker");
        let (_, more) = rows_switched_by(&text, "host_firewall_strict", "false", "true");
        assert_eq!(more, set(&["self-canal-probe", "self-ingress-probe"]));
    }

    fn a_multihomed_node_needs_rules_for_its_probes() {
        let text = Text::of("local-node-traffic").group("all", "worker").with("multihomed", "true");
        assert_eq!(inventory::rules(&text), ["10254/tcp from it-all", "9099/tcp from it-all"]);
    }

    fn a_multihomed_group_is_reached_by_its_addresses_too() {
        let text = Text::of("local-node-traffic").with("multihomed", "true");
        let text = text.group_at("all", "worker", "{ private: [10.1.0.0/24], public: [192.0.2.7/32] }");
        let rules = inventory::rules(&text);
        assert!(rules.contains(&"9099/tcp from 10.1.0.0/24".to_owned()), "{rules:?}");
        assert!(rules.contains(&"9099/tcp from 192.0.2.7/32".to_owned()), "{rules:?}");
    }

    fn the_ec2_group_is_named_rancher_nodes() {
        let about = profile("rancher-nodes-ec2-sg@2.4").about;
        assert!(about.contains(&("group_name", "rancher-nodes".to_owned())), "{about:?}");
        assert!(about.contains(&("provider", "aws".to_owned())), "{about:?}");
    }

    fn the_suse_text_is_about_a_host_of_a_custom_cluster() {
        let suse = profile("suse-host-firewall@2.4");
        assert_eq!(suse.kind, ProfileKind::HostFirewall);
        assert_eq!(suse.render.map(|render| render.target).as_deref(), Some("SuSEfirewall2"));
        assert!(Catalog::shipped().find("suse-host-firewall", None).is_err());
    }

    fn the_suse_text_opens_two_ports_for_monitoring() {
        let rows = profile("suse-host-firewall@2.4").rows;
        let of_monitoring = rows.iter().filter(|row| row.condition.to_string() == "monitoring = true");
        let ports: Vec<String> = of_monitoring.flat_map(show::traffic).collect();
        assert_eq!(ports, ["9796/tcp", "10250/tcp"]);
        let render = profile("suse-host-firewall@2.4").render.expect("it says how");
        assert_eq!(render.file, "/etc/sysconfig/SuSEfirewall2");
    }

    fn the_suse_text_turns_routing_on() {
        let render = profile("suse-host-firewall@2.4").render.expect("it says how");
        assert_eq!(render.extra.get("FW_ROUTE").map(String::as_str), Some("yes"));
        let text = |variable: &str, protocol: &str| {
            let rows = profile("suse-host-firewall@2.4").rows;
            let ports = rows.iter().filter(|row| row.protocol == protocol).flat_map(|row| &row.ports);
            let ports: Vec<String> =
                ports.map(|port| port.to_string().replace('-', &render.range_separator)).collect();
            format!("{variable}={}", ports.join(&render.list_separator))
        };
        // The lines of the page.
        assert_eq!(
            text(&render.tcp_variable, "tcp"),
            "FW_SERVICES_EXT_TCP=22 80 443 2376 2379 2380 6443 9099 9796 10250 10254 30000:32767"
        );
        assert_eq!(text(&render.udp_variable, "udp"), "FW_SERVICES_EXT_UDP=8472 30000:32767");
    }

    fn the_suse_text_says_how_to_apply_it() {
        let render = profile("suse-host-firewall@2.4").render.expect("it says how");
        assert_eq!(render.apply, "SuSEfirewall2");
    }
}
