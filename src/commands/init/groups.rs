//! `rsgsync init groups`: from the security groups of an account.

use std::collections::BTreeMap;

use rsgsync_core::observed::Scope;
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Patience, StopSignal};

use super::{Read, adopted, folder, network};
use crate::args::InitGroupsArgs;
use crate::clouds;
use crate::commands::{Context, Exit};
use crate::failure::Failure;

/// Reads all groups of a network, and writes an inventory of those that look like a cluster's.
pub async fn run(context: &Context<'_>, args: &InitGroupsArgs) -> Result<Exit, Failure> {
    let asked = args.common.check()?;
    let (written, place) = network(&args.network, context, folder(&args.common.out))?;
    let cloud = clouds::open(&place).map_err(|error| Failure::Cloud(vec![error]))?;
    let (screen, mut atoms, stop) = (context.screen(), Atoms::new(), StopSignal::new());
    let reading = screen.reading(&place.name);
    let scope = Scope::whole(asked.owner.clone());
    let patience = Patience::default();
    let observed =
        rsgsync_engine::observe(&place.name, cloud.as_ref(), &scope, &mut atoms, patience, &screen, &stop).await;
    drop(reading);
    let observed = observed.map_err(|error| Failure::Cloud(vec![error]))?;
    let pack = cloud.as_ref();
    let doubts = BTreeMap::new();
    let read = Read { network: written, observed: &observed, atoms: &atoms, pack, only: &args.groups, doubts };
    adopted(context, &args.common, asked, read)
}
