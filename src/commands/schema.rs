//! `rsgsync schema`: what an editor needs to know of an inventory.

use rsgsync_core::inventory::schema;
use rsgsync_core::profile;

use super::{Exit, print};
use crate::args::SchemaArgs;
use crate::clouds::SPECS;
use crate::failure::Failure;

/// Prints the JSON schema.
pub fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let schema = if args.profiles { profile::schema() } else { schema(SPECS) };
    print(&format!("{schema:#}\n"))?;
    Ok(Exit::Done)
}
