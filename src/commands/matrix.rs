//! `rsgsync matrix`: who must reach whom on what ports.

use rsgsync_core::matrix;
use rsgsync_core::name::ClusterName;
use rsgsync_core::table::{Table, html_page};

use super::{Context, Exit, print};
use crate::args::{Format, MatrixArgs};
use crate::failure::Failure;
use crate::report::wrap::{columns, wrapped};
use crate::report::{escape_lines, text};

/// Prints the From/To table of the inventory's clusters; asks no cloud.
pub fn run(context: &Context<'_>, args: &MatrixArgs) -> Result<Exit, Failure> {
    let wish = context.wish()?;
    let wanted = wish.clusters(&args.clusters)?;
    let is_wanted = |name: &ClusterName| wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
    let mut flows = wish.flows.clone();
    flows.unopened.extend(wish.desired.unopened.iter().cloned());
    flows.flows.retain(|flow| is_wanted(&flow.cluster));
    flows.unopened.retain(|unopened| is_wanted(&unopened.cluster));
    flows.assumed.retain(|assumed| is_wanted(&assumed.cluster));
    flows.without_members.retain(|without| is_wanted(&without.cluster));
    let names: Vec<&ClusterName> = wish.inventory.clusters.keys().filter(|name| is_wanted(name)).collect();
    let tables = names.iter().map(|name| matrix::table(&wish.inventory, &flows, name));
    let tables: Vec<Table> = tables.collect();
    let rest = matrix::rest(&flows);
    let report = match context.global.format {
        Format::Json => format!("{:#}\n", matrix::document(&flows, &flows.unopened)),
        Format::Text | Format::Chat => {
            let out: String = tables.iter().map(|table| escape_lines(&table.to_text()) + "\n").collect();
            let rest = text::unopened(&flows.unopened) + &text::without_members(&flows.without_members);
            out + &wrapped(&rest, columns())
        }
        Format::Markdown => {
            let with_reasons = tables
                .iter()
                .zip(&names)
                .flat_map(|(table, name)| [table.to_markdown(), matrix::reasons(&flows, name).to_markdown()]);
            let parts: Vec<String> = with_reasons.chain(rest.iter().map(Table::to_markdown)).collect();
            parts.join("\n")
        }
        Format::Html => {
            let with_reasons = tables
                .iter()
                .zip(&names)
                .flat_map(|(table, name)| [table.to_html(), matrix::reasons(&flows, name).to_html()]);
            let parts: String = with_reasons.chain(rest.iter().map(Table::to_html)).collect();
            html_page("Required ports", &parts)
        }
    };
    print(&report)?;
    Ok(Exit::Done)
}
