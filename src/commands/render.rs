//! `rsgsync render --host FIREWALL`: a node's own firewall.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rsgsync_core::host::host_rules;
use rsgsync_core::inventory::{Cluster, NodeGroup, suggestion};
use rsgsync_core::profile::Catalog;
use rsgsync_core::rule::{Cidr, Direction, RulePeer};
use rsgsync_core::traffic::Traffic;

use super::{Context, Exit, print};
use crate::args::{HostFirewall, RenderArgs};
use crate::failure::Failure;
use crate::load;
use crate::pipeline::{Wish, wish};

/// The profile that says how SuSEfirewall2's file is written.
const SUSE: &str = "suse-host-firewall";

/// Prints what the nodes of a group must let in.
pub fn run(context: &Context<'_>, args: &RenderArgs) -> Result<Exit, Failure> {
    let wish = wish(load::inventory(&context.global.inventory, context.today)?.inventory, context.today);
    let inventory = &wish.inventory;
    let all =
        inventory.clusters.values().flat_map(|cluster| cluster.groups.values().map(move |group| (cluster, group)));
    let named: Vec<_> =
        all.map(|(cluster, group)| (format!("{}/{}", cluster.name, group.name), cluster, group)).collect();
    let Some((_, cluster, group)) = named.iter().find(|(name, ..)| *name == args.group) else {
        let help = suggestion(&args.group, named.iter().map(|(name, ..)| name.as_str()));
        let help = help.unwrap_or_else(|| "write CLUSTER/GROUP".to_owned());
        return Err(Failure::new(format!("--group: there is no group `{}`", args.group), help));
    };
    wish.refuse_guarded()?;
    let rules = host_rules(inventory, &wish.flows, (cluster, &group.name), &withdrawn(&wish, cluster, group));
    let file = match args.host {
        HostFirewall::Suse => {
            let catalog = Catalog::shipped();
            let tables = catalog.tables(SUSE);
            tables.iter().find_map(|table| table.render.as_ref()).map(|render| rules.suse(render)).unwrap_or_default()
        }
        HostFirewall::Firewalld => rules.firewalld(),
        HostFirewall::Nftables => rules.nftables(),
    };
    print(&(not_opened(&wish, cluster, group) + &file))?;
    Ok(Exit::Done)
}

/// What only an expired waiver let into a group.
fn withdrawn(wish: &Wish, cluster: &Cluster, group: &NodeGroup) -> BTreeSet<(Cidr, Traffic)> {
    let of_group = wish
        .verdict
        .expired
        .iter()
        .filter(|breach| breach.network == cluster.network && breach.security_group == group.security_group);
    let parts = of_group.filter_map(|breach| match breach.rule.peer {
        RulePeer::Addresses(from) => Some((from, breach.rule.traffic)),
        RulePeer::Opaque(..) => None,
    });
    parts.collect()
}

/// Comments that name the rows which would let something in, and why they don't.
fn not_opened(wish: &Wish, cluster: &Cluster, group: &NodeGroup) -> String {
    let mut out = String::new();
    for unopened in wish.flows.unopened.iter().chain(&wish.desired.unopened) {
        let asks = unopened.asks.iter().filter(|ask| {
            ask.cluster == cluster.name && ask.group == group.name && ask.direction == Direction::Ingress
        });
        let traffic: Vec<String> = asks.map(|ask| ask.traffic.to_string()).collect();
        if !traffic.is_empty() {
            let _ = writeln!(out, "# not opened: {}, {}: {}", unopened.row, traffic.join(", "), unopened.why);
        }
    }
    out
}
