//! A plan becomes the JSON that programs read, and that a saved plan is.

mod read;
mod seal;
mod write;

pub use read::{ReadError, Saved};
pub use seal::checksum;
pub use write::{document, drift, flow_entry, peer_entry, rule_entry};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::flow::{Assumed, Reason, WithoutMembers};
use crate::inventory::Ownership;
use crate::name::{ClusterName, NetworkName, NodeGroupName};
use crate::plan::{Action, GroupStatus, Prune, StepId};

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

/// `plan --format json`, and a saved plan. Lists are never null; additions are fine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// 1.
    pub version: u32,
    /// SHA-256 of accounts, group ids, steps and the rules of ours that they touch: what a reviewer approves.
    pub digest: String,
    /// SHA-256 of the document without this field: shows damage, not forgery.
    pub checksum: String,
    /// `rsgsync 0.1.0`.
    pub created_by: String,
    /// Whose.
    pub owner: String,
    /// The clusters of the inventory: with the owner, whose marks are ours. A file of before this field has none, and
    /// says nothing of its rules' marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<BTreeSet<ClusterName>>,
    /// Networks, in the inventory's order.
    pub networks: Vec<NetworkEntry>,
    /// One entry a node group, and one a cluster that an orphan is marked for and that the plan prunes.
    pub groups: Vec<GroupEntry>,
    /// Groups that carry our mark and that the inventory no longer names.
    #[serde(default)]
    pub orphans: Vec<OrphanEntry>,
    /// Steps, in an order that keeps every dependency.
    pub steps: Vec<StepEntry>,
    /// Groups that steps touch, and those with rules that refer to a group which is deleted, as they were read.
    pub observed: Vec<ObservedEntry>,
    /// What must be let through in those groups.
    pub required: Vec<RulesEntry>,
    /// What must not be open to public addresses.
    pub guards: Vec<GuardEntry>,
    /// What shipped rows name themselves, so that no guard forbids it.
    pub exempt: Vec<ExemptEntry>,
    /// Ranges that the guards don't call public, beside the private ones.
    pub trusted: Vec<String>,
    /// Rows that are not opened.
    pub unopened: Vec<UnopenedEntry>,
    /// Roles of the profiles that no group plays: their rows drop out.
    pub without_members: Vec<WithoutMembers>,
    /// Options that got a default.
    pub assumed: Vec<Assumed>,
    /// Rules that are not ours; `needed` and `reasons` tell those that do the job of a required one. `destroy` also lists those
    /// that go with a group that it deletes.
    pub foreign: Vec<RulesEntry>,
    /// Rules that rows ask for which are not opened, and that stay.
    pub held: Vec<RulesEntry>,
    /// Flows into clusters that are not ours to write.
    pub needed_elsewhere: Vec<FlowEntry>,
    /// Flows that are lost with what is destroyed.
    pub lost: Vec<FlowEntry>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Why apply refuses without `--max-removals`.
    pub refused: Option<String>,
    /// About every state in between.
    pub proof: ProofEntry,
    /// For `drift`: what differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Vec<DriftEntry>>,
    /// For `drift --attachments`: how many network interfaces carry each group, where the cloud was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Vec<AttachmentEntry>>,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkEntry {
    /// The inventory's name.
    pub name: NetworkName,
    /// `aws`, `simulated` …
    pub provider: String,
    /// The account or project that was read.
    pub account: Option<String>,
    /// Where it is: region and VPC, the state file.
    pub place: Option<String>,
    /// What tells this place from every other; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The inventory's own keys.
    pub at: serde_json::Map<String, Value>,
    /// `ok` or `error`.
    pub status: String,
    /// Why it could not be read.
    pub error: Option<String>,
    /// Quotas and where each number is from.
    pub quotas: BTreeMap<String, QuotaEntry>,
}

/// A quota.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuotaEntry {
    /// The number.
    pub at_most: u32,
    /// `read`, `configured` or `assumed`.
    pub source: String,
    /// How much of it is used before the plan, everybody's; null for a quota that each group has, and where unknown.
    #[serde(default)]
    pub used: Option<u32>,
}

/// One node group's security group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// Where.
    pub network: NetworkName,
    /// Whose.
    pub cluster: ClusterName,
    /// The node group; null for an orphan.
    pub group: Option<NodeGroupName>,
    /// The security group's name, or its id where the inventory gives that.
    pub security_group: String,
    /// Its id; null while it doesn't exist.
    pub id: Option<String>,
    /// `exclusive` or `shared`.
    pub ownership: String,
    /// How it stands.
    pub status: GroupStatus,
    /// Rules now.
    pub rules_before: usize,
    /// Rules when the plan is done.
    pub rules_after: usize,
    /// The quota that is fuller.
    pub quota: Option<u32>,
    /// What that quota counts: `ingress ipv4`.
    pub quota_of: Option<String>,
}

/// A group that carries our mark and that the inventory no longer names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrphanEntry {
    /// Where.
    pub network: NetworkName,
    /// Its name.
    pub security_group: String,
    /// Its id.
    pub id: String,
    /// The owner's marks on it, `OWNER/CLUSTER=ORIGIN`.
    pub marks: Vec<String>,
    /// What `--prune` does with it.
    pub prune: Prune,
    /// How many of its rules go with that.
    pub rules: usize,
}

/// One API call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// Its number, from 1.
    pub id: StepId,
    /// Where.
    pub network: NetworkName,
    /// The group.
    pub security_group: String,
    /// `ingress`, `egress` or null.
    pub direction: Option<String>,
    /// What it does.
    pub action: Action,
    /// Steps that must be done before.
    pub depends_on: Vec<StepId>,
    /// The cloud's own object, where that is not the group.
    pub resource: Option<String>,
    /// The rules that it adds, removes (`remove_rules`, `delete_group`) or describes.
    pub rules: Vec<RuleEntry>,
    /// The rules that `replace_rules` removes, or that `set_marks` takes marks off.
    pub removes: Vec<RuleEntry>,
    /// The marks that the group gets, with how we came to it.
    pub marks: Vec<String>,
    /// The marks that the group loses.
    pub unmarks: Vec<String>,
    /// The description that the group gets; absent where the step writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Of `delete_group`: rules of other groups that the cloud deletes with the group. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cascade: Vec<RulesEntry>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleEntry {
    /// The cloud's id, where it is known.
    pub id: Option<String>,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `all`, or the number.
    pub protocol: String,
    /// `ipv4`, `ipv6` or `both`.
    pub family: String,
    /// The first port, or the ICMP type; null: any.
    pub from_port: Option<u16>,
    /// The last port, or the ICMP code; null: any.
    pub to_port: Option<u16>,
    /// The other end.
    pub peer: PeerEntry,
    /// The description.
    pub description: String,
    /// Why.
    pub reasons: Arc<[Reason]>,
    /// The resource that holds it, as observed. Absent: none, or it is yet to be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Of a step: the marks of ours that it gets or loses. Observed, in a shared group: all that it carries. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// Of a foreign rule: it does the job of a required one, whose `reasons` it has. Absent: it doesn't.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needed: bool,
}

/// The other end of a rule: exactly one of these, with `account` beside another account's group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// An address range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// A group: its name where that is unique in the network, else its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_group: Option<String>,
    /// The account of that group, when it is another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A prefix list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_list: Option<String>,
    /// An address group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_group: Option<String>,
    /// A service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// A group as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedEntry {
    /// Where.
    pub network: NetworkName,
    /// Its name, or its id where the name is not unique.
    pub security_group: String,
    /// Its id.
    pub id: String,
    /// The cloud's revision, where it has one.
    pub revision: Option<String>,
    /// Its description; absent where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `OWNER/CLUSTER=ORIGIN`.
    pub marks: Vec<String>,
    /// Its rules.
    pub rules: Vec<RuleEntry>,
}

/// Rules of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RulesEntry {
    /// Where.
    pub network: NetworkName,
    /// The group.
    pub security_group: String,
    /// The rules.
    pub rules: Vec<RuleEntry>,
}

/// A guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardEntry {
    /// Its name.
    pub name: String,
    /// `2379-2380/tcp` …
    pub traffic: Vec<String>,
    /// Why it must not be public.
    pub why: String,
    /// `NETWORK/SECURITY_GROUP` where it is set aside.
    pub waived: Vec<String>,
}

/// What a shipped row names itself, so that no guard forbids it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptEntry {
    /// Where.
    pub network: NetworkName,
    /// In which group.
    pub security_group: String,
    /// `2376/tcp`.
    pub traffic: String,
    /// `0.0.0.0/0`.
    pub cidr: String,
}

/// A row that is not opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnopenedEntry {
    /// Where.
    pub network: NetworkName,
    /// Whose.
    pub cluster: ClusterName,
    /// The row.
    pub row: Arc<str>,
    /// `peer undefined: rancher-clients`, `option not set: cni_backend` …
    pub why: String,
}

/// One required connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEntry {
    /// Whose row.
    pub cluster: ClusterName,
    /// `{cluster, group}`, `{peer}`, `{cidr}`, `{name}` or `self`.
    pub from: Value,
    /// The same.
    pub to: Value,
    /// As in a rule.
    pub protocol: String,
    /// As in a rule.
    pub from_port: Option<u16>,
    /// As in a rule.
    pub to_port: Option<u16>,
    /// With its version.
    pub profile: Arc<str>,
    /// The row.
    pub row: Arc<str>,
    /// The purpose.
    pub why: Arc<str>,
    /// Stays on the node.
    pub local: bool,
}

/// What was found about the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofEntry {
    /// Whether the plan is safe.
    pub holds: bool,
    /// Required rules.
    pub required_flows: usize,
    /// Of those, let through now.
    pub held_before: usize,
    /// Of those, let through at every point.
    pub kept: usize,
    /// Packet classes that open although nothing wants them.
    pub opened_outside_desired: usize,
    /// Guards that were checked.
    pub guards: usize,
    /// What is taken for granted.
    pub assumptions: Vec<String>,
    /// Required rules that may be cut for a time, by the user's word.
    pub gaps: Vec<FlowEntry>,
    /// The same as rules of their groups, for `prove`.
    pub gap_rules: Vec<RulesEntry>,
    /// `NETWORK/SECURITY_GROUP` of groups whose deletion may take others' rules along, by the user's word. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cascades: Vec<String>,
    /// A packet that shows what is wrong.
    pub witness: Option<WitnessEntry>,
}

/// A packet that shows what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessEntry {
    /// `cut`, `opened`, `guard NAME`, `referenced`, `not ours`, `removed twice` or `unknown`.
    pub fault: String,
    /// Where.
    pub network: NetworkName,
    /// In which group.
    pub security_group: String,
    /// At which step.
    pub step: StepId,
    /// `in 2379/tcp from 10.1.2.3`; `the group itself` where it has no rule.
    pub packet: String,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftEntry {
    /// Where.
    pub network: NetworkName,
    /// The group.
    pub security_group: String,
    /// `missing`, `unexpected`, `group_missing`, or, with `--prune`, `group_unexpected`.
    pub kind: String,
    /// The rule; null for a group.
    pub rule: Option<RuleEntry>,
}

/// How many network interfaces carry a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentEntry {
    /// Where.
    pub network: NetworkName,
    /// The group.
    pub security_group: String,
    /// Its id.
    pub id: String,
    /// 0: its rules protect nothing.
    pub interfaces: u64,
}

/// `exclusive` or `shared`, for reports.
impl std::fmt::Display for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
