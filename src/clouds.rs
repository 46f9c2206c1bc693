//! The clouds that this build knows, wired: a line each.

use std::collections::BTreeMap;

use rsgsync_core::document::NetworkEntry;
use rsgsync_core::inventory::{Network, ProviderSpec};
use rsgsync_engine::{Cloud, CloudError, ErrorKind};
use rsgsync_simulated::StateError;

/// The providers' words and keys, for the inventory.
pub const SPECS: &[ProviderSpec] = &[
    rsgsync_simulated::SPEC,
    #[cfg(feature = "aws")]
    rsgsync_aws::SPEC,
    #[cfg(not(feature = "aws"))]
    absent("aws", "build it with AWS: `cargo build`, without --no-default-features"),
    #[cfg(feature = "openstack")]
    rsgsync_openstack::SPEC,
    #[cfg(not(feature = "openstack"))]
    absent("openstack", "build it with OpenStack: `cargo build`, without --no-default-features"),
    #[cfg(feature = "gcp")]
    rsgsync_gcp::SPEC,
    #[cfg(not(feature = "gcp"))]
    absent("gcp", "build it with Google Cloud: `cargo build`, without --no-default-features"),
];

#[cfg(not(all(feature = "aws", feature = "openstack", feature = "gcp")))]
const fn absent(word: &'static str, help: &'static str) -> ProviderSpec {
    let (groups_are_names, beside_rules) = (false, &[]);
    ProviderSpec { word, keys: &[], required: &[], most: &[], absent: Some(help), groups_are_names, beside_rules }
}

/// What decides in a network beside the rules of its groups, for people.
pub fn beside_rules(network: &Network) -> &'static [&'static str] {
    SPECS.iter().find(|spec| spec.word == network.provider).map_or(&[], |spec| spec.beside_rules)
}

/// Opens a network's cloud; makes no call.
pub fn open(network: &Network) -> Result<Box<dyn Cloud>, CloudError> {
    match network.provider {
        "simulated" => simulated(network),
        #[cfg(feature = "aws")]
        "aws" => Ok(Box::new(rsgsync_aws::Aws::connect(network)?)),
        #[cfg(feature = "gcp")]
        "gcp" => Ok(Box::new(rsgsync_gcp::Gcp::connect(network)?)),
        #[cfg(feature = "openstack")]
        "openstack" => Ok(Box::new(rsgsync_openstack::OpenStack::connect(network)?)),
        other => Err(unusable(network, format!("this build has no provider `{other}`"), "build with its feature")),
    }
}

/// The network of a saved plan, as the inventory had it; its `nat` and `links` are not saved, since only flows need them.
pub fn network(entry: &NetworkEntry) -> Result<Network, CloudError> {
    let configured = entry.quotas.iter().filter(|(_, quota)| quota.source == "configured");
    let spec = SPECS.iter().find(|spec| spec.word == entry.provider);
    let network = Network {
        name: entry.name.clone(),
        provider: spec.map_or("", |spec| spec.word),
        at: entry.at.clone(),
        quotas: configured.map(|(name, quota)| (name.clone(), quota.at_most)).collect(),
        nat: Vec::new(),
        links: BTreeMap::new(),
    };
    match spec.map(|spec| spec.absent) {
        Some(None) => Ok(network),
        Some(Some(help)) => Err(unusable(&network, format!("this build has no provider `{}`", entry.provider), help)),
        None => Err(unusable(
            &network,
            format!("this build has no provider `{}`", entry.provider),
            "use the rsgsync that wrote it",
        )),
    }
}

fn simulated(network: &Network) -> Result<Box<dyn Cloud>, CloudError> {
    let state = network.at.get("state").and_then(|s| s.as_str()).map(std::path::Path::new);
    let cloud = rsgsync_simulated::Simulated::open(state, network.name.clone(), network.quotas.clone());
    match cloud {
        Ok(cloud) => Ok(Box::new(cloud)),
        Err(error) => {
            let help = match error {
                StateError::Invalid { .. } => {
                    "correct it (docs/simulated.md has the keys), or remove it: no file is an empty cloud"
                }
                StateError::Read { .. } | StateError::Write { .. } => {
                    "check the path and its permissions; where the file is absent the cloud is empty, but its folder must exist"
                }
            };
            Err(unusable(network, error.to_string(), help))
        }
    }
}

fn unusable(network: &Network, message: String, help: &str) -> CloudError {
    CloudError {
        kind: ErrorKind::Final,
        doing: format!("opening network `{}`", network.name),
        message,
        request_id: None,
        help: Some(help.to_owned()),
    }
}
