//! `rsgsync render --host FIREWALL`: a node's own firewall.

use rsgsync_core::flow::flows;
use rsgsync_core::host::host_rules;
use rsgsync_core::inventory::suggestion;
use rsgsync_core::profile::Catalog;

use super::{Context, Exit, print};
use crate::args::{HostFirewall, RenderArgs};
use crate::failure::Failure;
use crate::load;

/// The profile that says how SuSEfirewall2's file is written.
const SUSE: &str = "suse-host-firewall";

/// Prints what the nodes of a group must let in.
pub fn run(context: &Context<'_>, args: &RenderArgs) -> Result<Exit, Failure> {
    let inventory = load::inventory(&context.global.inventory, context.today)?.inventory;
    let all = inventory.clusters.values().flat_map(|cluster| cluster.groups.keys().map(move |group| (cluster, group)));
    let named: Vec<_> = all.map(|(cluster, group)| (format!("{}/{group}", cluster.name), cluster, group)).collect();
    let Some((_, cluster, group)) = named.iter().find(|(name, ..)| *name == args.group) else {
        let help = suggestion(&args.group, named.iter().map(|(name, ..)| name.as_str()));
        let help = help.unwrap_or_else(|| "write CLUSTER/GROUP".to_owned());
        return Err(Failure::new(format!("--group: there is no group `{}`", args.group), help));
    };
    let rules = host_rules(&inventory, &flows(&inventory, context.today), cluster, group);
    print(&match args.host {
        HostFirewall::Suse => {
            let catalog = Catalog::shipped();
            let tables = catalog.tables(SUSE);
            tables.iter().find_map(|table| table.render.as_ref()).map(|render| rules.suse(render)).unwrap_or_default()
        }
        HostFirewall::Firewalld => rules.firewalld(),
        HostFirewall::Nftables => rules.nftables(),
    })?;
    Ok(Exit::Done)
}
