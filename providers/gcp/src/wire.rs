//! What Compute Engine's API answers, as JSON; only the fields that decide something.

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    /// Left out where there is nothing.
    #[serde(default)]
    pub items: T,
    #[serde(default)]
    pub next_page_token: Option<String>,
}

/// A firewall rule as the service stores it; empty lists are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Firewall {
    /// Another one after it was deleted and made again.
    pub id: String,
    pub name: String,
    /// A link that ends in `/global/networks/NAME`.
    pub network: String,
    pub description: String,
    pub direction: Way,
    /// 0–65535, the lowest wins.
    pub priority: Priority,
    pub disabled: bool,
    pub source_ranges: Vec<String>,
    pub destination_ranges: Vec<String>,
    pub source_tags: Vec<String>,
    pub source_service_accounts: Vec<String>,
    pub target_tags: Vec<String>,
    pub target_service_accounts: Vec<String>,
    pub allowed: Vec<Entry>,
    pub denied: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Way {
    #[default]
    Ingress,
    Egress,
    /// A word that this program doesn't know.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// 1000 where the service doesn't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Priority(pub u32);

impl Default for Priority {
    fn default() -> Self {
        Self(1000)
    }
}

/// A protocol and some of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Entry {
    /// A name or a number.
    #[serde(rename = "IPProtocol")]
    pub protocol: String,
    /// `22` or `1000-2000`; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
}

/// What a mutation, and waiting for it, answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    pub name: String,
    /// The id of the firewall rule.
    #[serde(default)]
    pub target_id: String,
    /// `PENDING`, `RUNNING` or `DONE`.
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub error: Option<OperationErrors>,
    #[serde(default)]
    pub http_error_status_code: Option<u16>,
    #[serde(default)]
    pub http_error_message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OperationErrors {
    #[serde(default)]
    pub errors: Vec<OperationError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OperationError {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub message: String,
}

/// `projects.get`.
#[derive(Debug, Deserialize)]
pub(crate) struct Project {
    #[serde(default)]
    pub quotas: Vec<Quota>,
}

/// A quota of a project; the API has whole numbers as floating point ones.
#[derive(Debug, Deserialize)]
pub(crate) struct Quota {
    #[serde(default)]
    pub metric: String,
    #[serde(default)]
    pub limit: f64,
    #[serde(default)]
    pub usage: f64,
}

/// `networks.get`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Network {
    #[serde(default)]
    pub network_firewall_policy_enforcement_order: Option<String>,
}

/// `networks.getEffectiveFirewalls`: what else decides about the network's packets.
#[derive(Debug, Deserialize)]
pub(crate) struct Effective {
    /// In the order in which they are looked at.
    #[serde(default, rename = "firewallPolicys")]
    pub policies: Vec<Policy>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct Policy {
    pub name: String,
    pub short_name: String,
    pub display_name: String,
    /// `HIERARCHY`, `NETWORK`, `SYSTEM`.
    #[serde(rename = "type")]
    pub kind: String,
    pub rules: Vec<PolicyRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyRule {
    pub action: String,
    pub direction: Way,
    pub disabled: bool,
    pub priority: u32,
    #[serde(rename = "match")]
    pub matches: Matcher,
    pub target_secure_tags: Vec<serde_json::Value>,
    pub target_service_accounts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Matcher {
    pub src_ip_ranges: Vec<String>,
    pub dest_ip_ranges: Vec<String>,
    #[serde(rename = "layer4Configs")]
    pub layer4: Vec<Layer4>,
    /// What narrows a rule in ways that only the cloud can judge.
    #[serde(flatten)]
    pub others: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Layer4 {
    pub ip_protocol: String,
    pub ports: Vec<String>,
}

/// The instances of one zone, in `instances.aggregatedList`; a warning instead where there are none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ZoneInstances {
    pub instances: Vec<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Instance {
    /// A link that has the project's id as links to networks have it.
    pub self_link: String,
    pub network_interfaces: Vec<NetworkInterface>,
    pub service_accounts: Vec<ServiceAccount>,
    pub tags: Tags,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkInterface {
    /// A link that ends in `/projects/PROJECT/global/networks/NAME`.
    pub network: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceAccount {
    pub email: String,
}

/// Network tags.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tags {
    pub items: Vec<String>,
}

/// An error of the API.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub error: RefusalText,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RefusalText {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub errors: Vec<RefusalDetail>,
    #[serde(default)]
    pub details: Vec<RefusalDetail>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RefusalDetail {
    #[serde(default)]
    pub reason: String,
}
