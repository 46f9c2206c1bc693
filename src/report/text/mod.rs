//! The plan that people see every day.

mod footer;
mod group;
mod rest;
mod rule;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use rsgsync_core::document::WitnessEntry;
use rsgsync_core::flow::Why;
use rsgsync_core::name::NetworkName;
use rsgsync_core::plan::{GroupStatus, NetworkPlan, Plan, Step, by_group};
use rsgsync_core::rule::Atom;

use super::{count, escape};

pub use footer::{gaps, planned, proved, refused};
pub use group::summary;
pub use rest::{connections, orphans, reached, unopened, way_out, without_members};
pub use rule::{peer, row, way, why_unwanted};

pub(super) const ADD: Style = AnsiColor::Green.on_default();
pub(super) const REMOVE: Style = AnsiColor::Red.on_default();
pub(super) const CHANGE: Style = AnsiColor::Yellow.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();

pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{}{style:#}", escape(text))
}

/// Where it stands why a network could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errors {
    /// In the report, which goes where nobody sees stderr.
    Here,
    /// On stderr, which the reader sees as well.
    OnStderr,
}

/// A plan in full: what changes, what is not opened, and the proof.
pub fn plan(plan: &Plan, digest: &str, witness: Option<&WitnessEntry>, errors: Errors) -> String {
    let mut out = String::new();
    for network in &plan.networks {
        head(&mut out, network, errors);
    }
    let by_group = by_group(&plan.steps);
    adoptions(&mut out, plan, &by_group);
    assumptions(&mut out, plan);
    for network in &plan.networks {
        for group in &network.groups {
            if let Some(steps) = by_group.get(&(&network.network.name, group.atom)) {
                group::changed_group(&mut out, network, group, steps);
            }
        }
    }
    group::quiet_groups(&mut out, plan);
    out.push_str(&orphans(plan));
    rest::held_and_ignored(&mut out, plan);
    rest::not_opened(&mut out, &plan.unopened);
    out.push_str(&without_members(&plan.without_members));
    rest::needed_elsewhere(&mut out, &plan.elsewhere);
    rest::lost(&mut out, &plan.lost);
    for note in &plan.notes {
        let _ = writeln!(out, "{} {}", paint(CHANGE, "note"), escape(note));
    }
    footer::footer(&mut out, plan, digest, witness);
    out
}

fn head(out: &mut String, network: &NetworkPlan, errors: Errors) {
    let name = paint(BOLD, network.network.name.as_str());
    let provider = network.network.provider;
    match &network.observed {
        Ok(observed) => {
            let account = observed.account.as_deref().filter(|a| *a != network.network.name.as_str());
            let account = account.map(|a| format!(" {a}")).unwrap_or_default();
            let rules: usize = observed.groups.iter().map(|g| g.rules.len()).sum();
            let read = format!(
                "read {}, {} in {}",
                count(observed.groups.len(), "group"),
                count(rules, "rule"),
                count(usize::try_from(network.calls).unwrap_or(usize::MAX), "call"),
            );
            let place = format!("{provider}{account} {}", observed.place);
            let _ = writeln!(out, "{name} · {:<56} {read}", escape(place.trim()));
        }
        Err(error) => {
            let why = match errors {
                Errors::Here => error.as_str(),
                Errors::OnStderr => "stderr says why",
            };
            let _ = writeln!(out, "{name} · {provider} {}", paint(REMOVE, &format!("could not be read: {why}")));
        }
    }
}

/// Groups that are taken over, and what that costs them.
fn adoptions(out: &mut String, plan: &Plan, by_group: &BTreeMap<(&NetworkName, Atom), Vec<&Step>>) {
    for network in &plan.networks {
        for group in network.groups.iter().filter(|g| g.status == GroupStatus::Adopt) {
            let of_group = by_group.get(&(&network.network.name, group.atom)).into_iter().flatten();
            let (_, goes) = group::changed_rules(&of_group.copied().collect::<Vec<_>>());
            let name = escape(network.group_name(group.atom));
            let _ = writeln!(
                out,
                "{} {name}: all its rules become rsgsync's; {} will go",
                paint(CHANGE, "ADOPTS"),
                count(goes, "rule")
            );
        }
    }
}

fn assumptions(out: &mut String, plan: &Plan) {
    let mut by_source: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for a in &plan.assumed {
        by_source.entry((a.cluster.to_string(), &a.source)).or_default().push(format!("{}={}", a.option, a.value));
    }
    let assumed: Vec<String> = by_source
        .into_iter()
        .map(|((cluster, source), options)| format!("{cluster} {} ({source})", options.join(" ")))
        .collect();
    let mut undecided: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in &plan.unopened {
        if let Why::OptionNotSet(options) = &row.why {
            *undecided.entry((row.cluster.to_string(), options.join(", "))).or_default() += 1;
        }
    }
    let undecided: Vec<String> = undecided
        .into_iter()
        .map(|((cluster, options), rows)| format!("{cluster} {options} ({})", count(rows, "row")))
        .collect();
    listed(out, "assumed: ", &assumed);
    listed(out, "undecided: ", &undecided);
}

/// Texts in a line each, below one another; the first has a label before it.
fn listed(out: &mut String, label: &str, texts: &[String]) {
    let blank = " ".repeat(label.len());
    for (i, text) in texts.iter().enumerate() {
        let before = if i == 0 { label } else { &blank };
        let _ = writeln!(out, "{}", paint(FAINT, &format!("{before}{text}")));
    }
}
