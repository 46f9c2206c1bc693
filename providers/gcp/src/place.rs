//! The inventory's words on a Google Cloud network become a [`Place`].

use rsgsync_core::inventory::{Network, PlaceKind, ProviderSpec};
use rsgsync_core::observed::{Limit, LimitSource};
use rsgsync_engine::CloudError;
use serde_json::Value;

use crate::error::final_error;

/// The keys of `networks.NAME.gcp`.
pub const SPEC: ProviderSpec = ProviderSpec {
    word: "gcp",
    keys: &[("project", PlaceKind::Text), ("network", PlaceKind::Text)],
    required: &["project"],
    most: &[("addresses_per_resource", 5000)],
    absent: None,
    groups_are_names: true,
    beside_rules: &[
        "firewall policies, but for what they surely deny",
        "routes",
        "other tags and service accounts of an instance",
        "host firewalls",
    ],
};

/// The quotas that Google Cloud has: of the project's firewall rules, and of address ranges in one.
const QUOTAS: [&str; 2] = ["resources", "addresses_per_resource"];

/// Where groups live, as the inventory says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The network's name in the inventory.
    pub name: String,
    /// The project's id: with a shared VPC, the host project's.
    pub project: String,
    /// The VPC network's name in its project.
    pub network: String,
    /// What the inventory says instead of what the cloud tells, or is known to take.
    pub resources: Option<Limit>,
    pub addresses_per_resource: Option<Limit>,
}

impl Place {
    /// Reads a network of the inventory; errors when a value has a shape that [`SPEC`] rules out.
    pub fn new(network: &Network) -> Result<Self, CloudError> {
        let text = |key: &str| match network.at.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(wrong(network, key, "is not a text")),
        };
        let limit = |key: &str| {
            let at_most = *network.quotas.get(key)?;
            Some(Limit { at_most, source: LimitSource::Configured })
        };
        if let Some(key) = network.quotas.keys().find(|key| !QUOTAS.contains(&key.as_str())) {
            return Err(wrong(
                network,
                &format!("quotas.{key}"),
                &format!("means nothing here: {}", QUOTAS.join(", ")),
            ));
        }
        let place = Self {
            name: network.name.to_string(),
            project: text("project")?.ok_or_else(|| wrong(network, "project", "is missing"))?,
            network: text("network")?.unwrap_or_else(|| "default".to_owned()),
            resources: limit("resources"),
            addresses_per_resource: limit("addresses_per_resource"),
        };
        for (key, value) in [("project", &place.project), ("network", &place.network)] {
            // A name ends up in a path and in a filter.
            if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b)) {
                return Err(wrong(network, key, &format!("can't be `{value}`")));
            }
        }
        Ok(place)
    }
}

fn wrong(network: &Network, key: &str, what: &str) -> CloudError {
    final_error(
        format!("reading the place of network `{}`", network.name),
        format!("`{key}` {what}"),
        format!("write the {key}'s name: `gcp: {{ project: acme-prod, network: prod }}`"),
    )
}
