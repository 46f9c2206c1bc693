//! What narrows the page: shown only where scripts run; without them all is visible.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::cell::Standing;
use super::view::Group;
use super::{Report, Text};

/// The form; `filter.js` brings it to life.
pub fn form(report: &Report<'_>, groups: &[Group<'_>]) -> Markup {
    let networks: BTreeSet<&str> = report.plan.networks.iter().map(|n| n.network.name.as_str()).collect();
    let clusters: BTreeSet<&str> = groups.iter().flat_map(|g| g.clusters()).map(|cluster| cluster.as_str()).collect();
    let names: BTreeSet<&str> = groups.iter().map(Group::name).collect();
    html! {
        form #filter aria-label="Filter" hidden {
            (choice("network", &networks))
            (choice("cluster", &clusters))
            (choice("group", &names))
            label.search { span { "Search" } input type="search" id="filter-text" autocomplete="off" spellcheck="false"; }
            fieldset {
                legend { "Status" }
                @for standing in Standing::ALL {
                    label.check.(standing.class()) {
                        input type="checkbox" name="standing" value=(standing.class()) checked; " " (standing.word())
                    }
                }
            }
            button type="reset" { "Show all" }
            p role="status" {}
        }
    }
}

fn choice(what: &str, words: &BTreeSet<&str>) -> Markup {
    html! {
        label {
            span { (what) }
            select id={ "filter-" (what) } {
                option value="" { "all" }
                @for word in words { option value=(Text(word)) { (Text(word)) } }
            }
        }
    }
}
