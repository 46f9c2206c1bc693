//! `rsgsync explain`: why one connection is allowed or not, required or not.

use std::collections::BTreeMap;

use rsgsync_core::explain::{Case, Question, Reading, Sight, explain, scopes};
use rsgsync_core::name::NetworkName;
use rsgsync_core::pack::Pack;

use super::{Context, Exit, print};
use crate::args::{ExplainArgs, Format};
use crate::clouds::beside_rules;
use crate::failure::{Failure, cloud};
use crate::pipeline::{open_named, read_for};
use crate::report::explain as report;
use crate::report::wrap::{columns, wrapped};

/// Answers a question; never writes to a cloud.
pub async fn run(context: &Context<'_>, args: &ExplainArgs) -> Result<Exit, Failure> {
    let wish = context.wish()?;
    let ExplainArgs { from, to, port, observed, desired } = args;
    let question = Question::read(&wish.inventory, from, to, port)
        .map_err(|error| Failure::new(error.to_string(), error.help()))?;
    let sight = match (observed, desired) {
        (true, _) => Sight::Observed,
        (_, true) => Sight::Desired,
        _ => Sight::Both,
    };
    let case = Case {
        inventory: &wish.inventory,
        flows: &wish.flows,
        desired: &wish.desired,
        guards: &wish.guards,
        question: &question,
        sight,
    };
    let scopes = if sight == Sight::Desired { BTreeMap::new() } else { scopes(&case) };
    let opened = open_named(&wish, scopes.keys());
    let read = read_for(&scopes, &opened, &context.screen()).await;
    let readings = read.into_iter().map(|(name, (atoms, read))| {
        let read = read.map(|(observed, cloud)| (observed, cloud as &dyn Pack)).map_err(|error| {
            context.console.tell(&cloud(&error));
            error.to_string()
        });
        (name, Reading { atoms, read })
    });
    let beside = |name: &NetworkName| wish.inventory.networks.get(name).map_or(&[][..], beside_rules);
    let answer = explain(&case, readings.collect(), beside);
    print(&match context.global.format {
        Format::Json => format!("{:#}\n", report::json(&answer)),
        Format::Text | Format::Markdown | Format::Html | Format::Chat => {
            wrapped(&report::text(&answer, &case), columns())
        }
    })?;
    Ok(Exit::Done)
}
