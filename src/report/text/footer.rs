//! What it comes to: what opens and closes, how much that is, what is proved.

use std::fmt::Write as _;

use rsgsync_core::diff::Fate;
use rsgsync_core::document::WitnessEntry;
use rsgsync_core::name::NetworkName;
use rsgsync_core::plan::{Action, GroupStatus, Plan, Required};
use rsgsync_core::rule::{Atom, Rule};
use rsgsync_core::world::world;

use super::rule::{peer, way};
use super::{BOLD, CHANGE, REMOVE, paint};
use crate::report::{count, escape};

/// The last lines of a report.
pub fn footer(out: &mut String, plan: &Plan, digest: &str, witness: Option<&WitnessEntry>) {
    out.push('\n');
    if plan.networks.iter().all(|n| n.observed.is_err()) {
        let _ = writeln!(out, "{}   {}", paint(BOLD, "Plan"), planned(plan));
        return;
    }
    if plan.steps.is_empty() {
        if plan.networks.iter().all(|n| n.observed.is_ok()) {
            let _ = writeln!(out, "{}   {}", paint(BOLD, "Plan"), planned(plan));
        }
    } else {
        let world = world(plan);
        let side = |word: &str, entries: &[String]| match entries {
            [] => format!("{word} nothing"),
            some => format!("{word} {}", some.join("; ")),
        };
        let _ = writeln!(
            out,
            "{}  {} · {}",
            paint(BOLD, "World"),
            side("opens", &world.opens),
            side("closes", &world.closes)
        );
        let _ = writeln!(out, "{}   {}", paint(BOLD, "Plan"), planned(plan));
    }
    if let Some(reason) = &plan.blast {
        let _ = writeln!(out, "{}  {}", paint(REMOVE, "Blast"), refused(reason));
    }
    for gap in gaps(plan) {
        let _ = writeln!(out, "{}    {}", paint(CHANGE, "Gap"), escape(&gap));
    }
    let words = proved(plan, witness);
    let words = if witness.is_some() { paint(REMOVE, &words) } else { words };
    let _ = writeln!(out, "{}  {words}", paint(BOLD, "Proof"));
    if !plan.steps.is_empty() {
        let _ = writeln!(out, "{} {}", paint(BOLD, "Digest"), digest.get(..16).unwrap_or(digest));
    }
}

/// `1 group to create, 6 rules to add, 1 to remove, in 4 calls`; or why there is nothing to do.
pub fn planned(plan: &Plan) -> String {
    // A saved plan without steps reads nothing.
    if plan.networks.is_empty() {
        return "nothing to do".to_owned();
    }
    if plan.networks.iter().all(|n| n.observed.is_err()) {
        return "nothing could be read: nothing is planned, nothing is proved".to_owned();
    }
    if plan.steps.is_empty() {
        let spared = plan.networks.iter().flat_map(|n| &n.groups).any(|g| g.diff.fates.contains(&Fate::Spared));
        let skipped = plan.networks.iter().flat_map(|n| &n.groups).any(|g| g.status == GroupStatus::Skipped);
        let what = match (spared, skipped) {
            (true, _) => "nothing to add",
            (_, true) => "nothing to do in these clusters",
            _ => "nothing to do: what the cloud has is what the inventory needs",
        };
        return what.to_owned();
    }
    let of = |action: Action| plan.steps.iter().filter(|s| s.action == action).count();
    let (adds, removes) = plan.counts();
    let mut parts = Vec::new();
    for (n, what) in [(of(Action::CreateGroup), "to create"), (of(Action::DeleteGroup), "to delete")] {
        if n > 0 {
            parts.push(format!("{} {what}", count(n, "group")));
        }
    }
    parts.push(format!("{} to add", count(adds, "rule")));
    let of_others = match plan.takes_of_others() {
        0 => String::new(),
        n => format!(" ({n} not ours)"),
    };
    parts.push(format!("{removes} to remove{of_others}"));
    format!("{}, in {}", parts.join(", "), count(plan.calls(), "call"))
}

/// Why apply refuses, and what allows it.
pub fn refused(reason: &str) -> String {
    format!("apply will refuse: {reason}; --max-removals N allows it")
}

/// Required rules that may be cut for a time, a line for each.
pub fn gaps(plan: &Plan) -> Vec<String> {
    let line = |(network, group, rule): &(NetworkName, Atom, Rule)| {
        let network = plan.networks.iter().find(|n| n.network.name == *network)?;
        let (way, side) = way(rule.direction);
        let flow =
            format!("{way} {} {side} {} on {}", rule.traffic, peer(network, rule.peer), network.group_name(*group));
        let steps = plan.steps.iter().filter(|s| s.network == network.network.name && s.group == *group);
        let steps = steps.map(|s| s.id.0.to_string()).collect::<Vec<_>>().join(", ");
        Some(format!("{flow} may be cut while steps {steps} run"))
    };
    plan.proof.gaps.iter().filter_map(line).collect()
}

/// What the proof found, in one line.
pub fn proved(plan: &Plan, witness: Option<&WitnessEntry>) -> String {
    let proof = &plan.proof;
    if let Some(witness) = witness {
        let WitnessEntry { fault, security_group, step, packet, .. } = witness;
        return format!("FAILS  {fault}: step {} on {security_group}: {packet}", step.0);
    }
    let (held, guards) = (proof.held_before, count(proof.guards, "guard"));
    let cut = if proof.gaps.is_empty() { "at any step" } else { "at any step but the gaps" };
    match plan.required {
        Required::Inventory => format!(
            "{held} of {} hold now, none is cut {cut} · nothing else opens · {guards} hold",
            count(proof.required_flows, "required flow"),
        ),
        // What others have closed since is no part of the promise.
        Required::Before => format!(
            "{held} of {} from before the run hold now, and what of them holds is not cut {cut} · nothing opens but what was \
             open then · {guards} hold",
            count(proof.required_flows, "rule"),
        ),
    }
}
