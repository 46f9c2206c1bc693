//! The From/To table of each cluster: what is open, missing, too wide, foreign.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use rsgsync_core::desired::DesiredRule;
use rsgsync_core::name::ClusterName;
use rsgsync_core::rule::{Direction, RulePeer};

use super::cell::{Cell, Standing, spell};
use super::view::{Group, Names};
use super::{Report, Text, scrolled};

/// More groups than this are listed one by one: such a table would be mostly empty.
const COLUMNS: usize = 12;
/// More tables than this are folded, all the same.
const FEW: usize = 10;

/// A cluster's groups, or those that no cluster has.
struct Block<'a, 'p> {
    names: &'a Names<'p>,
    network: &'p str,
    cluster: Option<&'p ClusterName>,
    groups: Vec<&'a Group<'p>>,
}

/// All clusters, in the inventory's order.
pub fn section(report: &Report<'_>, groups: &[Group<'_>], names: &[Names<'_>]) -> Markup {
    let blocks = blocks(report, groups, names);
    let few = blocks.iter().filter(|block| block.differs()).count() <= FEW;
    html! {
        section #matrix aria-labelledby="matrix-title" {
            h2 #matrix-title { "From / To" }
            ul.legend { @for standing in Standing::ALL { li { (chip(standing)) " " (standing.meaning()) } } }
            @if blocks.is_empty() { p { "No group could be compared." } }
            @for block in &blocks {
                details.block data-network=(block.network) data-clusters=(block.cluster.map_or("", ClusterName::as_str))
                    open[blocks.len() <= FEW || (few && block.differs())] {
                    summary {
                        h3 {
                            @match block.cluster { Some(cluster) => (cluster.as_str()), None => "not in the inventory" }
                            " " small { (block.network) }
                        }
                        @if block.differs() { " " (chip(block.worst())) }
                    }
                    (block.table(Direction::Ingress))
                    @if block.narrows_outbound() { (block.table(Direction::Egress)) }
                }
            }
        }
    }
}

fn blocks<'a, 'p>(report: &'a Report<'p>, groups: &'a [Group<'p>], names: &'a [Names<'p>]) -> Vec<Block<'a, 'p>> {
    let mut of: BTreeMap<(&str, Option<&ClusterName>), Vec<&Group<'p>>> = BTreeMap::new();
    for group in groups {
        let network = group.network.network.name.as_str();
        let clusters: BTreeSet<Option<&ClusterName>> = match group.plan.members.is_empty() {
            true => [None].into(),
            false => group.clusters().into_iter().map(Some).collect(),
        };
        clusters.into_iter().for_each(|cluster| of.entry((network, cluster)).or_default().push(group));
    }
    let mut blocks = Vec::new();
    for (network, names) in report.plan.networks.iter().zip(names) {
        let network = network.network.name.as_str();
        for cluster in report.inventory.clusters.keys().map(Some).chain([None]) {
            let groups = of.remove(&(network, cluster));
            blocks.extend(groups.map(|groups| Block { names, network, cluster, groups }));
        }
    }
    blocks
}

impl<'p> Block<'_, 'p> {
    fn title(&self) -> &'p str {
        self.cluster.map_or("groups that are not in the inventory", ClusterName::as_str)
    }

    fn worst(&self) -> Standing {
        self.groups.iter().map(|group| group.worst()).min().unwrap_or(Standing::Open)
    }

    /// Whether something is missing or too wide.
    fn differs(&self) -> bool {
        self.worst() < Standing::Foreign
    }

    /// Whether outbound rules say more than that outbound is open.
    fn narrows_outbound(&self) -> bool {
        let narrows = |r: &DesiredRule| r.rule.direction == Direction::Egress && !r.reasons.is_empty();
        self.groups.iter().any(|g| g.plan.diff.required.iter().any(narrows))
    }

    fn table(&self, direction: Direction) -> Markup {
        let cells = |group: &'_ Group<'p>| match direction {
            Direction::Ingress => group.inbound.clone(),
            Direction::Egress => group.outbound.clone(),
        };
        let columns: Vec<(&Group<'p>, BTreeMap<RulePeer, Cell>)> =
            self.groups.iter().map(|group| (*group, cells(group))).collect();
        let (caption, corner) = match direction {
            Direction::Ingress => (format!("Inbound to {}", self.title()), "From / To"),
            Direction::Egress => (format!("Outbound of {}", self.title()), "To / From"),
        };
        if columns.len() > COLUMNS { self.list(&caption, &columns) } else { self.grid(&caption, corner, &columns) }
    }

    fn grid(&self, caption: &str, corner: &str, columns: &[(&Group<'p>, BTreeMap<RulePeer, Cell>)]) -> Markup {
        let ends: BTreeSet<RulePeer> = columns.iter().flat_map(|(_, cells)| cells.keys().copied()).collect();
        let mut ends: Vec<RulePeer> = ends.into_iter().collect();
        ends.sort_by_key(|end| self.names.rank(*end));
        let table = html! {
            table.matrix {
                caption { (Text(caption)) }
                thead {
                    tr {
                        th scope="col" { (corner) }
                        @for (group, _) in columns {
                            th scope="col" data-group=(Text(group.name())) { (end(group.name(), &group.members())) }
                        }
                    }
                }
                tbody {
                    @for row in ends {
                        tr {
                            th scope="row" { (end(&self.names.name(row), &self.names.also(row))) }
                            @for (group, cells) in columns {
                                td data-group=(Text(group.name())) {
                                    @if let Some(found) = cells.get(&row) { (parts(found)) }
                                }
                            }
                        }
                    }
                }
            }
        };
        scrolled(caption, &table)
    }

    /// Group by group, since most of a table would be empty.
    fn list(&self, caption: &str, columns: &[(&Group<'p>, BTreeMap<RulePeer, Cell>)]) -> Markup {
        let ranked = |cells: &BTreeMap<RulePeer, Cell>| {
            let mut cells: Vec<(RulePeer, Markup)> = cells.iter().map(|(end, cell)| (*end, parts(cell))).collect();
            cells.sort_by_key(|(end, _)| self.names.rank(*end));
            cells
        };
        html! {
            p { (Text(caption)) ", group by group:" }
            @for (group, cells) in columns {
                details.sparse data-group=(Text(group.name())) open[group.worst() < Standing::Foreign] {
                    summary { (Text(group.name())) " " (chip(group.worst())) }
                    dl { @for (other, parts) in ranked(cells) {
                        div { dt { (end(&self.names.name(other), &self.names.also(other))) } dd { (parts) } }
                    } }
                }
            }
        }
    }
}

/// A name, and what the inventory calls it.
fn end(name: &str, also: &[String]) -> Markup {
    html! { span.end { (Text(name)) } @for word in also { " " small { (Text(word)) } } }
}

fn parts(cell: &Cell) -> Markup {
    html! {
        @for (standing, traffic) in &cell.0 {
            div.part data-standing=(standing.class()) { (chip(*standing)) " " (spell(traffic)) }
        }
    }
}

/// A word in its colour.
pub fn chip(standing: Standing) -> Markup {
    html! { span.chip.(standing.class()) { (standing.word()) } }
}
