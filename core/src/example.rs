//! Inventories for tests, built without a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::civil::{Date, date};

use crate::inventory::{
    Addresses, Cluster, EgressMode, EndWord, ExtraRule, Inventory, Link, Narrowing, Network, NodeGroup, Ownership,
    Peer, SecurityGroup, Waived, Waiver,
};
use crate::name::{ClusterName, NetworkName, NodeGroupName, Owner};
use crate::profile::{Catalog, OptionValue, Profile, Version};
use crate::rule::Cidr;
use crate::traffic::{PortRange, Traffic};

/// The day on which the tests happen.
pub(crate) const TODAY: Date = date(2026, 11, 26);
/// The day before.
pub(crate) const YESTERDAY: Date = date(2026, 11, 25);

/// An inventory with one network, `eu`, and no cluster.
pub(crate) fn inventory() -> Inventory {
    let mut inventory = Inventory {
        owner: Owner::new("platform").expect("a name"),
        trusted: Vec::new(),
        guards: Vec::new(),
        networks: IndexMap::new(),
        clusters: IndexMap::new(),
    };
    inventory.add_network("eu");
    inventory
}

/// A downstream cluster `prod` of `profile` with a group for each role, managed by cluster `mgmt` (a K3s Rancher server).
pub(crate) fn downstream(profile: &str) -> Inventory {
    let mut inventory = inventory();
    inventory.add_cluster("mgmt", "rancher-server-k3s").add_group("server", &["rancher-server", "k3s-server"]);
    let prod = inventory.add_cluster("prod", profile);
    prod.rancher = Some(cluster_name("mgmt"));
    prod.add_group("etcd", &["etcd"]);
    prod.add_group("control", &["controlplane"]);
    prod.add_group("workers", &["worker"]);
    inventory
}

/// A cluster `prod` with the EC2 node driver's group `rancher-nodes`.
pub(crate) fn ec2() -> Inventory {
    let mut inventory = inventory();
    let prod = inventory.add_cluster("prod", "rancher-nodes-ec2-sg");
    prod.add_group("all", &["etcd", "controlplane", "worker"]).security_group = group("rancher-nodes");
    inventory
}

/// The profile as Rancher v2.4 has it, else the newest.
pub(crate) fn shipped(profile: &str) -> Arc<Profile> {
    let catalog = Catalog::shipped();
    let old = catalog.find(profile, Version::parse("2.4"));
    old.or_else(|_| catalog.find(profile, None)).expect("it ships")
}

pub(crate) fn cluster_name(text: &str) -> ClusterName {
    ClusterName::new(text).expect("a name")
}

pub(crate) fn group_name(text: &str) -> NodeGroupName {
    NodeGroupName::new(text).expect("a name")
}

pub(crate) fn network_name(text: &str) -> NetworkName {
    NetworkName::new(text).expect("a name")
}

pub(crate) fn group(text: &str) -> SecurityGroup {
    SecurityGroup::parse(text).expect("a name or id")
}

pub(crate) fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| Cidr::parse(text).expect("a range")).collect()
}

pub(crate) fn traffic(text: &str) -> Traffic {
    Traffic::parse(text).expect("traffic")
}

/// A range, a group of the cluster after `group:`, `*`, or a peer.
pub(crate) fn end(text: &str) -> EndWord {
    match (text, text.strip_prefix("group:"), Cidr::parse(text)) {
        ("*", ..) => EndWord::Every,
        (_, Some(group), _) => EndWord::Group(group_name(group)),
        (_, _, Some(cidr)) => EndWord::Cidr(cidr),
        _ => EndWord::Peer(text.into()),
    }
}

impl Inventory {
    pub(crate) fn add_network(&mut self, name: &str) -> &mut Network {
        let network = Network {
            name: network_name(name),
            provider: "simulated",
            at: serde_json::Map::new(),
            quotas: BTreeMap::new(),
            nat: Vec::new(),
            links: BTreeMap::new(),
        };
        self.networks.entry(network_name(name)).or_insert(network)
    }

    pub(crate) fn link(&mut self, from: &str, to: &str, link: Link) {
        let network = self.networks.get_mut(from).expect("the network is there");
        network.links.insert(network_name(to), link);
    }

    pub(crate) fn add_cluster(&mut self, name: &str, profile: &str) -> &mut Cluster {
        let cluster = Cluster {
            name: cluster_name(name),
            network: network_name("eu"),
            external: false,
            profile: shipped(profile),
            rancher_version: None,
            rancher: None,
            options: BTreeMap::new(),
            values: BTreeMap::new(),
            cidrs: BTreeMap::new(),
            egress: EgressMode::Open,
            groups: IndexMap::new(),
            rules: Vec::new(),
            waive: Vec::new(),
            narrow: Vec::new(),
            ignore: Vec::new(),
            peers: BTreeMap::new(),
        };
        self.clusters.entry(cluster_name(name)).or_insert(cluster)
    }

    pub(crate) fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.clusters.get_mut(name).expect("the cluster is there")
    }
}

impl Cluster {
    pub(crate) fn add_group(&mut self, name: &str, roles: &[&str]) -> &mut NodeGroup {
        let node_group = NodeGroup {
            name: group_name(name),
            roles: roles.iter().map(|role| Arc::from(*role)).collect(),
            security_group: group(&format!("{}-{name}", self.name)),
            ownership: None::<Ownership>,
            create: false,
            addresses: Addresses::default(),
            multihomed: None,
        };
        self.groups.entry(group_name(name)).or_insert(node_group)
    }

    pub(crate) fn group(&mut self, name: &str) -> &mut NodeGroup {
        self.groups.get_mut(name).expect("the group is there")
    }

    /// `true`, `false`, a word, or words with `,` between them.
    pub(crate) fn set(&mut self, option: &str, value: &str) -> &mut Self {
        let values = value.split(',').map(|word| match word {
            "true" => OptionValue::Bool(true),
            "false" => OptionValue::Bool(false),
            word => OptionValue::Word(word.into()),
        });
        self.options.insert(option.into(), values.collect());
        self
    }

    pub(crate) fn peer(&mut self, name: &str, ranges: &[&str]) -> &mut Self {
        self.peers.insert(name.into(), Peer::Cidrs(cidrs(ranges)));
        self
    }

    pub(crate) fn value(&mut self, symbol: &str, port: u16) -> &mut Self {
        self.values.insert(symbol.to_owned(), PortRange::single(port));
        self
    }

    pub(crate) fn rule(&mut self, from: &str, to: &str, allow: &str) -> &mut ExtraRule {
        self.rules.push(ExtraRule {
            from: vec![end(from)],
            to: vec![end(to)],
            allow: vec![traffic(allow)],
            why: "because".to_owned(),
            ticket: None,
            until: None,
        });
        self.rules.last_mut().expect("one was pushed")
    }

    pub(crate) fn waive_row(&mut self, row: &str) -> &mut Waiver {
        self.add_waiver(Waived::Row(row.to_owned()))
    }

    pub(crate) fn waive_guard(&mut self, guard: &str) -> &mut Waiver {
        self.add_waiver(Waived::Guard(guard.to_owned()))
    }

    fn add_waiver(&mut self, what: Waived) -> &mut Waiver {
        self.waive.push(Waiver { what, groups: Vec::new(), why: "because".to_owned(), until: None });
        self.waive.last_mut().expect("one was pushed")
    }

    pub(crate) fn narrow(&mut self, row: &str, from: &str) -> &mut Narrowing {
        let narrowing =
            Narrowing { row: row.to_owned(), from: vec![end(from)], why: "because".to_owned(), until: None };
        self.narrow.push(narrowing);
        self.narrow.last_mut().expect("one was pushed")
    }
}
