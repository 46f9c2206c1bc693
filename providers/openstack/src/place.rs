//! The inventory's words on an OpenStack network become a [`Place`].

use rsgsync_core::inventory::{Network, PlaceKind, ProviderSpec};
use rsgsync_core::observed::{Limit, LimitSource};
use rsgsync_engine::CloudError;
use serde_json::Value;

use crate::error::final_error;

/// The keys of `networks.NAME.openstack`.
pub const SPEC: ProviderSpec = ProviderSpec {
    word: "openstack",
    keys: &[("cloud", PlaceKind::Text), ("region", PlaceKind::Text), ("project", PlaceKind::Text)],
    required: &[],
    most: &[],
    absent: None,
    groups_are_names: false,
    beside_rules: &[
        "routers",
        "other security groups of a port",
        "port security and address pairs",
        "FWaaS groups",
        "host firewalls",
    ],
};

/// Where groups live, as the inventory says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The network's name in the inventory.
    pub network: String,
    /// A cloud of `clouds.yaml`; `None`: `OS_CLOUD`, else the `OS_*` variables.
    pub cloud: Option<String>,
    /// `None`: what the cloud's entry says.
    pub region: Option<String>,
    /// Name or id; `None`: what the cloud's entry says.
    pub project: Option<String>,
    /// What the inventory says instead of what the cloud tells.
    pub rules_per_group: Option<Limit>,
    pub groups: Option<Limit>,
    pub rules: Option<Limit>,
}

impl Place {
    /// Reads a network of the inventory; errors when a value has a shape that [`SPEC`] rules out.
    pub fn new(network: &Network) -> Result<Self, CloudError> {
        let text = |key: &str| match network.at.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(final_error(
                format!("reading the place of network `{}`", network.name),
                format!("`{key}` is not a text"),
                format!("write `{key}: \"…\"`"),
            )),
        };
        let limit = |key: &str| {
            let at_most = *network.quotas.get(key)?;
            Some(Limit { at_most, source: LimitSource::Configured })
        };
        Ok(Self {
            network: network.name.to_string(),
            cloud: text("cloud")?,
            region: text("region")?,
            project: text("project")?,
            rules_per_group: limit("rules_per_group"),
            groups: limit("groups"),
            rules: limit("rules"),
        })
    }
}
