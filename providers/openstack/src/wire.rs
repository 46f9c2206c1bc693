//! What Neutron's API sends and takes, as JSON; only the fields that decide something.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A page of `GET /v2.0/security-groups`.
#[derive(Debug, Deserialize)]
pub(crate) struct GroupPage {
    pub security_groups: Vec<Group>,
    #[serde(default)]
    pub security_groups_links: Vec<PageLink>,
}

/// A page of a list.
pub(crate) trait Page: DeserializeOwned {
    type Item;

    /// What is listed, and the link to the next page.
    fn open(self) -> (Vec<Self::Item>, Option<String>);

    fn id(item: &Self::Item) -> &str;
}

impl Page for GroupPage {
    type Item = Group;

    fn open(self) -> (Vec<Group>, Option<String>) {
        (self.security_groups, next(self.security_groups_links))
    }

    fn id(item: &Group) -> &str {
        &item.id
    }
}

/// A page of `GET /v2.0/ports`.
#[derive(Debug, Deserialize)]
pub(crate) struct PortPage {
    pub ports: Vec<Port>,
    #[serde(default)]
    pub ports_links: Vec<PageLink>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Port {
    pub id: String,
    #[serde(default)]
    pub security_groups: Vec<String>,
}

impl Page for PortPage {
    type Item = Port;

    fn open(self) -> (Vec<Port>, Option<String>) {
        (self.ports, next(self.ports_links))
    }

    fn id(item: &Port) -> &str {
        &item.id
    }
}

fn next(links: Vec<PageLink>) -> Option<String> {
    links.into_iter().find(|link| link.rel == "next").map(|link| link.href)
}

#[derive(Debug, Deserialize)]
pub(crate) struct PageLink {
    pub rel: String,
    pub href: String,
}

/// `GET /v2.0/security-groups/{id}`, and the answer to a POST.
#[derive(Debug, Deserialize)]
pub(crate) struct OneGroup {
    pub security_group: Group,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Group {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub revision_number: Option<u64>,
    #[serde(default)]
    pub security_group_rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    Ingress,
    Egress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum EtherType {
    IPv4,
    IPv6,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Rule {
    pub id: String,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(flatten)]
    pub says: Says,
}

/// What a rule lets through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Says {
    pub direction: Way,
    pub ethertype: EtherType,
    /// A name or a number; `None`: every protocol.
    pub protocol: Option<String>,
    /// The first port, or the type of ICMP.
    pub port_range_min: Option<i64>,
    /// The last port, or the code of ICMP.
    pub port_range_max: Option<i64>,
    #[serde(default)]
    pub remote_ip_prefix: Option<String>,
    #[serde(default)]
    pub remote_group_id: Option<String>,
    #[serde(default)]
    pub remote_address_group_id: Option<String>,
}

/// The body of `POST /v2.0/security-group-rules`: any number of rules of one group.
#[derive(Debug, Serialize)]
pub(crate) struct NewRules {
    pub security_group_rules: Vec<NewRule>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NewRule {
    pub security_group_id: String,
    pub description: String,
    #[serde(flatten)]
    pub says: Says,
}

/// `GET /v2.0/security-group-rules` with `fields=security_group_id`.
#[derive(Debug, Deserialize)]
pub(crate) struct Referrers {
    pub security_group_rules: Vec<Referrer>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Referrer {
    pub security_group_id: String,
}

/// `GET /v2.0/quotas/{project}/details.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct QuotaDetails {
    pub quota: Quotas,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Quotas {
    pub security_group: Quota,
    pub security_group_rule: Quota,
}

/// A quota of a project.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Quota {
    /// -1: there is none.
    pub limit: i64,
    pub used: u32,
    #[serde(default)]
    pub reserved: u32,
}

/// Neutron's errors.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    #[serde(rename = "NeutronError")]
    pub error: RefusalText,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RefusalText {
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
}

/// The errors of Keystone's middleware in front of Neutron.
#[derive(Debug, Deserialize)]
pub(crate) struct Denial {
    pub error: DenialText,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DenialText {
    pub title: String,
    pub message: String,
}
