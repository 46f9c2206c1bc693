//! How many network interfaces carry a group: one list of the project's instances.

use std::collections::BTreeMap;

use http::Method;
use rsgsync_core::name::GroupId;
use rsgsync_engine::{Attachments, CloudError};

use crate::api::Call;
use crate::connect::Gcp;
use crate::wire::{Instance, ZoneInstances};

/// What of an answer is needed: instances are large.
const FIELDS: &str =
    "items/*/instances(selfLink,networkInterfaces/network,serviceAccounts/email,tags/items),nextPageToken";

impl Gcp {
    /// The interfaces in this network of instances that have the tag, or run as the account, that each group is.
    ///
    /// Instances of other projects, as a shared VPC has them, are not listed. An error where a zone can't be reached:
    /// nothing asks for a partial success.
    pub(crate) async fn count_interfaces(&self, groups: &[GroupId]) -> Result<Attachments, CloudError> {
        let doing = format!("counting network interfaces of project `{}`", self.place.project);
        let call = Call::new("instances.aggregatedList", Method::GET, &["aggregated", "instances"]);
        let call = call.query("fields", FIELDS);
        let pages: Vec<BTreeMap<String, ZoneInstances>> = self.pages(&doing, &call).await?;
        let zones = pages.into_iter().flat_map(BTreeMap::into_values);
        let mut counts: Attachments = groups.iter().map(|group| (group.clone(), 0)).collect();
        for instance in zones.flat_map(|zone| zone.instances) {
            let here = instance.interfaces_in(&self.place.network);
            for (_, count) in counts.iter_mut().filter(|(group, _)| instance.carries(group.as_str())) {
                *count += here;
            }
        }
        Ok(counts)
    }
}

impl Instance {
    /// A shared VPC's network of the same name is another: it is of another project than the instance.
    fn interfaces_in(&self, network: &str) -> u64 {
        let here = |link: &str| {
            link.rsplit_once('/').is_some_and(|(_, name)| name == network) && project(link) == project(&self.self_link)
        };
        self.network_interfaces.iter().map(|interface| u64::from(here(&interface.network))).sum()
    }

    fn carries(&self, group: &str) -> bool {
        let accounts = self.service_accounts.iter().map(|account| &account.email);
        self.tags.items.iter().chain(accounts).any(|name| name == group)
    }
}

/// The project that a link names.
fn project(link: &str) -> Option<&str> {
    link.split_once("/projects/")?.1.split('/').next()
}
