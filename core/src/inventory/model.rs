//! What an inventory says, once it is known to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::civil::Date;

use crate::flow::Reason;
use crate::guard::Guard;
use crate::name::{ClusterName, GroupId, GroupName, NetworkName, NodeGroupName, Owner};
use crate::profile::{OptionValue, Profile, Version, Vocabulary};
use crate::rule::{Cidr, Family};
use crate::traffic::{PortRange, Traffic};

/// A word of the vocabulary for what a node does, such as `etcd`.
pub type Role = Arc<str>;
/// A named party outside the node groups: of the vocabulary, or of the user's own `peers`.
pub type PeerName = Arc<str>;

/// Everything that the user declared: one owner's networks and clusters.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Whose inventory it is.
    pub owner: Owner,
    /// Ranges that the guards don't call public, beside the private ones.
    pub trusted: Vec<Cidr>,
    /// The user's own guards, beside those that ship.
    pub guards: Vec<Guard>,
    /// By name, in the order of the files.
    pub networks: IndexMap<NetworkName, Network>,
    /// By name, in the order of the files.
    pub clusters: IndexMap<ClusterName, Cluster>,
}

impl Inventory {
    /// The clusters that this inventory writes, and whose marks are therefore ours: all but the `external` ones.
    pub fn written(&self) -> BTreeSet<ClusterName> {
        self.clusters.values().filter(|cluster| !cluster.external).map(|cluster| cluster.name.clone()).collect()
    }

    /// Who says that a row is needed: the row's own evidence, else the source of its cluster's profile; `None` where the
    /// reason is no profile's row.
    pub fn source(&self, reason: &Reason) -> Option<&str> {
        let profile = &self.clusters.get(&reason.cluster)?.profile;
        Some(profile.row_of(reason)?.evidence.as_ref().unwrap_or(&profile.source))
    }
}

/// Where groups live.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name in the inventory.
    pub name: NetworkName,
    /// The provider's word: `aws`, `simulated` …
    pub provider: &'static str,
    /// The provider's own keys, checked against its [`ProviderSpec`]; paths are already relative to the inventory's folder.
    pub at: serde_json::Map<String, serde_json::Value>,
    /// Quotas that the user states instead of the assumed ones: `rules_per_group`, `groups`.
    pub quotas: BTreeMap<String, u32>,
    /// What other networks see us as.
    pub nat: Vec<Cidr>,
    /// How a source of this network is written in another network's groups.
    pub links: BTreeMap<NetworkName, Link>,
}

/// How a group of one network is named in another's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// The group itself (peered VPCs).
    Reference,
    /// The group's private addresses.
    Private,
    /// The group's public addresses, else its network's `nat`.
    #[default]
    Public,
}

/// What a provider's key in `networks.NAME.PROVIDER` may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// A text.
    Text,
    /// A file, relative to the inventory's folder.
    Path,
    /// A text, or `{ tags: { KEY: VALUE } }`.
    TextOrTags,
}

/// A provider as the inventory sees it: its word and its keys. Each provider's crate has one.
#[derive(Debug, Clone, Copy)]
pub struct ProviderSpec {
    /// The word under which it stands: `aws`.
    pub word: &'static str,
    /// Its keys, beside `quotas`, which every provider has.
    pub keys: &'static [(&'static str, PlaceKind)],
    /// Keys that must be there.
    pub required: &'static [&'static str],
    /// Quotas that can't be stated higher than this.
    pub most: &'static [(&'static str, u32)],
    /// Set where this build knows the word but lacks the provider: what to do about it.
    pub absent: Option<&'static str>,
    /// Its groups are but names within a network, tags or service accounts: no other network can refer to them.
    pub groups_are_names: bool,
    /// What decides about packets beside the rules of groups and is not read: for people.
    pub beside_rules: &'static [&'static str],
}

/// Nodes that form one Kubernetes cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// The network that its groups live in.
    pub network: NetworkName,
    /// Known and referred to, never written.
    pub external: bool,
    /// The profile that its name and version picked.
    pub profile: Arc<Profile>,
    /// As written; `None`: the newest.
    pub rancher_version: Option<Version>,
    /// The cluster whose Rancher manages this one.
    pub rancher: Option<ClusterName>,
    /// Option → its values (several only where the vocabulary allows a list).
    pub options: BTreeMap<Arc<str>, Vec<OptionValue>>,
    /// Symbolic port (without `$`) → ports.
    pub values: BTreeMap<String, PortRange>,
    /// Cluster network (`pod`, `service`, `cluster`) → ranges.
    pub cidrs: BTreeMap<String, Vec<Cidr>>,
    /// Whether outbound traffic is narrowed.
    pub egress: EgressMode,
    /// By name, in the order of the file.
    pub groups: IndexMap<NodeGroupName, NodeGroup>,
    /// What it needs beyond its profile.
    pub rules: Vec<ExtraRule>,
    /// Rows not opened and guards set aside.
    pub waive: Vec<Waiver>,
    /// Rows whose from is replaced.
    pub narrow: Vec<Narrowing>,
    /// Differences left alone.
    pub ignore: Vec<Ignore>,
    /// The file's peers, overridden by the cluster's own.
    pub peers: BTreeMap<PeerName, Peer>,
}

impl Cluster {
    /// The families of a flow from one of its groups: the vocabulary's option for it, IPv4 unless set.
    pub fn family(&self) -> Family {
        let option = &Vocabulary::shipped().family_option;
        match self.options.get(option).and_then(|v| v.first()) {
            Some(OptionValue::Word(word)) if &**word == "ipv6" => Family::Ipv6,
            Some(OptionValue::Word(word)) if &**word == "dual" => Family::Both,
            _ => Family::Ipv4,
        }
    }
}

/// Whether a cluster's outbound traffic is narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EgressMode {
    /// Outbound is not narrowed.
    #[default]
    Open,
    /// Every flow also needs egress at its source.
    Strict,
}

/// Nodes that play the same roles and share one security group.
#[derive(Debug, Clone)]
pub struct NodeGroup {
    /// Its name within the cluster.
    pub name: NodeGroupName,
    /// What its nodes do; at least one.
    pub roles: Vec<Role>,
    /// The security group: named, given by id, or CLUSTER-GROUP; a service account is one by its address.
    pub security_group: SecurityGroup,
    /// As written; `None`: decided by what the cloud has.
    pub ownership: Option<Ownership>,
    /// A `shared` group may be created.
    pub create: bool,
    /// Addresses of the nodes, where a reference can't be used.
    pub addresses: Addresses,
    /// The group's own word on `multihomed`; `None`: the cluster's option.
    pub multihomed: Option<bool>,
}

/// A security group as a person names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecurityGroup {
    /// By name within the network.
    Name(GroupName),
    /// By the cloud's id: `sg-…` or a UUID.
    Id(GroupId),
}

impl SecurityGroup {
    /// Reads a name or an id; what looks like `sg-` and hexadecimal digits, or like a UUID, is an id.
    pub fn parse(text: &str) -> Result<Self, crate::name::NameError> {
        if looks_like_id(text) { GroupId::new(text).map(Self::Id) } else { GroupName::new(text).map(Self::Name) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Name(name) => name.as_str(),
            Self::Id(id) => id.as_str(),
        }
    }
}

fn looks_like_id(text: &str) -> bool {
    let hex = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_hexdigit());
    let uuid = text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && text.split('-').all(hex);
    uuid || text.strip_prefix("sg-").is_some_and(hex)
}

impl fmt::Display for SecurityGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who decides on a group's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ownership {
    /// Every rule is ours to keep or remove, except those of known other writers.
    Exclusive,
    /// Only rules with our mark are ours.
    Shared,
}

impl Ownership {
    /// `exclusive` or `shared`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// Addresses of a group's nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Inside the network; a plain list is private.
    pub private: Vec<Cidr>,
    /// As the world sees them.
    pub public: Vec<Cidr>,
}

/// A named party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Address ranges (`cidrs`, or the contents of `cidrs_file`).
    Cidrs(Vec<Cidr>),
    /// A security group that the inventory doesn't manage, perhaps another account's.
    SecurityGroup {
        /// Name or id.
        group: SecurityGroup,
        /// The account, when not ours.
        account: Option<String>,
    },
    /// A node group of this inventory; without a group all of the cluster's.
    NodeGroup {
        /// The cluster.
        cluster: ClusterName,
        /// The group; `None`: all.
        group: Option<NodeGroupName>,
    },
    /// A managed prefix list (AWS).
    PrefixList(String),
    /// An address group (OpenStack).
    AddressGroup(String),
    /// A network tag (GCP).
    Tag(String),
    /// A service account (GCP).
    ServiceAccount(String),
}

/// The end of a rule of the user's own: a peer, a node group of the cluster, or everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndWord {
    /// A node group of the same cluster.
    Group(NodeGroupName),
    /// A named peer.
    Peer(PeerName),
    /// An address range.
    Cidr(Cidr),
    /// Every group of the cluster (`"*"`).
    Every,
}

/// A rule of the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraRule {
    /// From whom; any of.
    pub from: Vec<EndWord>,
    /// To whom; any of.
    pub to: Vec<EndWord>,
    /// What.
    pub allow: Vec<Traffic>,
    /// Why.
    pub why: String,
    /// The ticket that asked for it.
    pub ticket: Option<String>,
    /// The last day on which it stands.
    pub until: Option<Date>,
}

/// What is waived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waived {
    /// A profile row, by id or `PROFILE/ID`: not opened.
    Row(String),
    /// A guard, by name: set aside.
    Guard(String),
}

/// A row not opened, or a guard set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Which.
    pub what: Waived,
    /// Only for these groups; empty: all of the cluster's.
    pub groups: Vec<NodeGroupName>,
    /// Why; always there.
    pub why: String,
    /// The last day on which it stands.
    pub until: Option<Date>,
}

/// A row's from replaced by named peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// Row id or `PROFILE/ID`.
    pub row: String,
    /// The peers that take the place of its from.
    pub from: Vec<EndWord>,
    /// Why.
    pub why: String,
    /// The last day; expired, it stays in force and is named.
    pub until: Option<Date>,
}

/// A difference left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// In which group.
    pub group: NodeGroupName,
    /// On which traffic.
    pub traffic: Traffic,
    /// Why.
    pub why: String,
    /// The last day; expired, it stays in force and is named.
    pub until: Option<Date>,
}
