//! A picture of groups and inbound flows, one a network: who is outside to the left, groups to the right.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use rsgsync_core::rule::RulePeer;

use super::cell::{Cell, Standing};
use super::view::{Group, Names};
use super::{Report, Text, scrolled};
use crate::report::count;

/// More groups, or ends outside, than this are not drawn one by one.
const MOST: usize = 40;

const NODE: i32 = 38;
const STEP: i32 = 50;
const TOP: i32 = 34;
const LEFT: (i32, i32) = (8, 258);
const RIGHT: (i32, i32) = (500, 740);
/// More lines than this that are not open carry no word: their colour and dash are explained below.
const WORDS: usize = 16;
/// How far the widest loop between groups reaches.
const LOOP: i32 = 170;
const WIDTH: i32 = 920;
/// Room for the legend.
const BELOW: i32 = 44;

/// An end of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    /// A group, by its place in the picture.
    Group(usize),
    /// An end outside, by its place.
    Outside(usize),
}

/// What is drawn: at most [`MOST`] groups and ends outside, and all flows between them, merged.
struct Picture<'a, 'p> {
    groups: Vec<&'a Group<'p>>,
    left_out: usize,
    /// Name, what the inventory calls it.
    outside: Vec<(String, String)>,
    edges: BTreeMap<(Node, usize), Cell>,
}

/// One picture for each network that has groups.
pub fn section(report: &Report<'_>, groups: &[Group<'_>], names: &[Names<'_>]) -> Markup {
    html! {
        section #picture aria-labelledby="picture-title" {
            h2 #picture-title { "Groups and flows" }
            p { "Inbound flows between each two ends, merged; the matrix has them in words. Arrows point at who is reached. "
                "Whole lines are open; what is not is dashed and named." }
            @for (network, names) in report.plan.networks.iter().zip(names) {
                @let name = network.network.name.as_str();
                @let here: Vec<&Group<'_>> = groups.iter().filter(|g| g.network.network.name == network.network.name).collect();
                @if !here.is_empty() {
                    div.block data-network=(name) {
                        h3 { (name) }
                        (Picture::of(&here, names).drawn(name))
                    }
                }
            }
        }
    }
}

impl<'a, 'p> Picture<'a, 'p> {
    /// Of more groups than are drawn, those with something to look at come first, then the plan's order.
    fn of(groups: &[&'a Group<'p>], names: &Names<'p>) -> Self {
        let mut places: Vec<usize> = (0..groups.len()).collect();
        places.sort_by_key(|place| groups[*place].worst());
        places.truncate(MOST);
        // Groups of one cluster stand together.
        places.sort_by_key(|place| (&groups[*place].plan.members, *place));
        let left_out = groups.len() - places.len();
        let drawn: Vec<&Group<'p>> = places.iter().map(|place| groups[*place]).collect();
        let inside: BTreeMap<_, usize> = drawn.iter().enumerate().map(|(i, g)| (g.plan.atom, i)).collect();
        let is_inside = |end: &RulePeer| end.group().and_then(|atom| inside.get(&atom).copied());

        let ends: BTreeSet<RulePeer> = drawn.iter().flat_map(|g| g.inbound.keys().copied()).collect();
        let mut ends: Vec<RulePeer> = ends.into_iter().filter(|end| is_inside(end).is_none()).collect();
        let worst = |end: &RulePeer| drawn.iter().filter_map(|g| g.inbound.get(end)).map(Cell::worst).min();
        ends.sort_by_key(|end| (worst(end), names.rank(*end)));
        let more = ends.split_off(ends.len().min(MOST));
        ends.sort_by_key(|end| names.rank(*end));
        let mut outside: Vec<(String, String)> =
            ends.iter().map(|end| (names.name(*end), names.also(*end).join(", "))).collect();
        if !more.is_empty() {
            outside.push((format!("{} more", more.len()), "groups and ranges not drawn one by one".to_owned()));
        }
        let by_end: BTreeMap<RulePeer, usize> = ends
            .iter()
            .enumerate()
            .map(|(i, end)| (*end, i))
            .chain(more.iter().map(|end| (*end, ends.len())))
            .collect();

        let mut edges: BTreeMap<(Node, usize), Cell> = BTreeMap::new();
        for (to, group) in drawn.iter().enumerate() {
            for (end, cell) in &group.inbound {
                let from = is_inside(end).map(Node::Group).or_else(|| by_end.get(end).copied().map(Node::Outside));
                from.into_iter().for_each(|from| edges.entry((from, to)).or_default().add(cell));
            }
        }
        Self { groups: drawn, left_out, outside, edges }
    }

    fn drawn(&self, network: &str) -> Markup {
        let height = self.height();
        let title = format!("Groups and inbound flows of network {network}");
        let not_open = || self.edges.iter().filter(|(_, cell)| cell.worst() != Standing::Open);
        let named = not_open().count() <= WORDS;
        let svg = html! {
            svg role="img" aria-labelledby={ "pt-" (network) " pd-" (network) }
                viewBox=(format!("0 0 {WIDTH} {}", height + BELOW)) width=(WIDTH) height=(height + BELOW)
                xmlns="http://www.w3.org/2000/svg" {
                title id={ "pt-" (network) } { (title) }
                desc id={ "pd-" (network) } { (self.told()) }
                text.lane x=(LEFT.0) y="18" { "who connects" }
                text.lane x=(RIGHT.0) y="18" { "groups" }
                @for ((from, to), cell) in &self.edges { (self.edge(*from, *to, cell)) }
                @for (i, (name, also)) in self.outside.iter().enumerate() {
                    (node(LEFT, self.middle(Node::Outside(i)), name, also, "outside"))
                }
                @for (i, group) in self.groups.iter().enumerate() {
                    (node(RIGHT, self.middle(Node::Group(i)), group.name(), &group.members().join(", "), group.worst().class()))
                }
                // Names of what is wrong stand above all lines.
                @for ((from, to), cell) in not_open().filter(|_| named) {
                    @let ((x, y), class) = (self.label(*from, *to), cell.worst().class());
                    @let (source, target) = self.ends(*from, *to);
                    text.word.edge.(class) x=(x) y=(y) data-standing=(class) data-from=(Text(source)) data-to=(Text(target)) {
                        (cell.worst().word())
                    }
                }
                (self.legend(height + BELOW / 2))
            }
        };
        html! {
            (scrolled(&title, &svg))
            @if self.left_out > 0 {
                p.limited {
                    "Drawn are " (count(self.groups.len(), "group")) " of " (self.groups.len() + self.left_out)
                    ": first those with something missing, too wide or foreign, then in the order of their names. "
                    "The matrix and the rules have all."
                }
            }
        }
    }

    fn height(&self) -> i32 {
        TOP + slots(self.groups.len().max(self.outside.len())) * STEP
    }

    /// The y of a node; the shorter column is spread over the height of the longer.
    fn middle(&self, node: Node) -> i32 {
        let (place, of) = match node {
            Node::Group(place) => (place, self.groups.len()),
            Node::Outside(place) => (place, self.outside.len()),
        };
        TOP + (2 * slots(place) + 1) * (self.height() - TOP) / (2 * slots(of)).max(1)
    }

    /// The words of the lines that there are.
    fn legend(&self, y: i32) -> Markup {
        let there: BTreeSet<Standing> = self.edges.values().map(Cell::worst).collect();
        let places = (0i32..).map(|i| LEFT.0 + i * 130);
        html! {
            @for (standing, x) in there.into_iter().zip(places) {
                g.(standing.class()) { path.line d=(format!("M{x} {y}h40")) {} }
                text x=(x + 48) y=(y + 4) { (standing.word()) }
            }
        }
    }

    /// How many pairs stand how, for those who can't see the lines.
    fn told(&self) -> String {
        let of = |standing| self.edges.values().filter(|cell| cell.worst() == standing).count();
        let parts = Standing::ALL.into_iter().map(|standing| (of(standing), standing)).filter(|(n, _)| *n > 0);
        let parts: Vec<String> = parts.map(|(n, standing)| format!("{n} {}", standing.word())).collect();
        format!("{} between two ends: {}.", count(self.edges.len(), "line"), parts.join(", "))
    }

    /// The names of the groups at both ends; empty outside.
    fn ends(&self, from: Node, to: usize) -> (&str, &str) {
        let name = |place: usize| self.groups.get(place).map_or("", |group| group.name());
        let from = if let Node::Group(place) = from { name(place) } else { "" };
        (from, name(to))
    }

    fn edge(&self, from: Node, to: usize, cell: &Cell) -> Markup {
        let class = cell.worst().class();
        let ((x1, y1), (c1, c2), (x2, y2)) = self.points(from, to);
        let head = if matches!(from, Node::Group(_)) { 7 } else { -7 };
        let (source, target) = self.ends(from, to);
        html! {
            g.edge.(class) data-standing=(class) data-from=(Text(source)) data-to=(Text(target)) {
                path.line d=(format!("M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}")) {}
                path.head d=(format!("M{x2} {y2}l{head} -4v8z")) {}
            }
        }
    }

    /// A cubic curve: its start, the x of its two handles, its end.
    fn points(&self, from: Node, to: usize) -> ((i32, i32), (i32, i32), (i32, i32)) {
        let (y1, y2) = (self.middle(from), self.middle(Node::Group(to)));
        match from {
            Node::Outside(_) => {
                let between = (LEFT.1 + RIGHT.0) / 2;
                ((LEFT.1, y1), (between, between), (RIGHT.0, y2))
            }
            Node::Group(place) => {
                let x = RIGHT.1 + (44 + 24 * slots(place.abs_diff(to))).min(LOOP * 4 / 3);
                ((RIGHT.1, y1 - 7), (x, x), (RIGHT.1, y2 + 7))
            }
        }
    }

    /// The middle of the line.
    fn label(&self, from: Node, to: usize) -> (i32, i32) {
        let ((x1, y1), (c1, c2), (x2, y2)) = self.points(from, to);
        ((x1 + 3 * c1 + 3 * c2 + x2) / 8, (y1 + y2) / 2 + 4)
    }
}

/// As a number of rows.
fn slots(n: usize) -> i32 {
    i32::try_from(n.min(2 * MOST)).unwrap_or_default()
}

fn node((left, right): (i32, i32), middle: i32, name: &str, also: &str, class: &'static str) -> Markup {
    html! {
        g.node.(class) {
            rect x=(left) y=(middle - NODE / 2) width=(right - left) height=(NODE) rx="6" {}
            @if also.is_empty() {
                text x=(left + 12) y=(middle + 4) { (Text(cut(name, 34))) }
            } @else {
                text x=(left + 12) y=(middle - 3) { (Text(cut(name, 34))) }
                text.also x=(left + 12) y=(middle + 12) { (Text(cut(also, 40))) }
            }
        }
    }
}

/// As much of a text as the node has room for.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spread_over_the_height_and_stay_within_it() {
        let outside = |n| (0..n).map(|i| (i.to_string(), String::new())).collect();
        let of = |n| Picture { groups: Vec::new(), left_out: 0, outside: outside(n), edges: BTreeMap::new() };
        let picture = of(3);
        let middles: Vec<i32> = (0..3).map(|i| picture.middle(Node::Outside(i))).collect();
        assert_eq!(middles, [TOP + STEP / 2, TOP + STEP * 3 / 2, TOP + STEP * 5 / 2]);
        let most = of(MOST + 1);
        assert!(most.middle(Node::Outside(MOST)) + NODE / 2 < most.height());
    }

    #[test]
    fn texts_are_cut_where_a_node_ends() {
        assert_eq!((cut("etcd", 4), cut("etcds", 4)), ("etcd".to_owned(), "etc…".to_owned()));
    }
}
