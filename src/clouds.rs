//! The clouds that this build knows, wired: a line each.

use rsgsync_core::inventory::{Network, ProviderSpec};
use rsgsync_engine::{Cloud, CloudError, ErrorKind};

/// The providers' words and keys, for the inventory.
pub const SPECS: &[ProviderSpec] = &[
    rsgsync_simulated::SPEC,
    #[cfg(feature = "aws")]
    rsgsync_aws::SPEC,
    #[cfg(not(feature = "aws"))]
    absent("aws", "build it with AWS: `cargo build`, without --no-default-features"),
    absent("openstack", "OpenStack is not there yet: use `simulated` or `aws`"),
    absent("gcp", "Google Cloud is not there yet: use `simulated` or `aws`"),
];

const fn absent(word: &'static str, help: &'static str) -> ProviderSpec {
    ProviderSpec { word, keys: &[], required: &[], absent: Some(help) }
}

/// Opens a network's cloud; makes no call.
pub fn open(network: &Network) -> Result<Box<dyn Cloud>, CloudError> {
    match network.provider {
        "simulated" => simulated(network),
        #[cfg(feature = "aws")]
        "aws" => Ok(Box::new(rsgsync_aws::Aws::connect(network)?)),
        other => Err(unusable(network, format!("this build has no provider `{other}`"), "build with its feature")),
    }
}

fn simulated(network: &Network) -> Result<Box<dyn Cloud>, CloudError> {
    let state = network.at.get("state").and_then(|s| s.as_str()).map(std::path::Path::new);
    let cloud = rsgsync_simulated::Simulated::open(state, network.name.clone(), network.quotas.clone());
    match cloud {
        Ok(cloud) => Ok(Box::new(cloud)),
        Err(error) => Err(unusable(
            network,
            error.to_string(),
            "check the path and its permissions; where the file is absent the cloud is empty, but its folder must exist",
        )),
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
