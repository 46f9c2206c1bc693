//! Group by group: what changes in it, and what of others stands in it.

use std::fmt::Write as _;

use rsgsync_core::diff::Fate;
use rsgsync_core::observed::ObservedRule;
use rsgsync_core::plan::{Action, GroupPlan, GroupStatus, NetworkPlan, Plan, Step, StepRule, moved};

use super::rule::{changed_words, peer, rule_line, way, why_added, why_foreign, why_lost, why_removed};
use super::{ADD, BOLD, CHANGE, FAINT, REMOVE, paint};
use crate::report::{count, escape};

/// The most rules of others that stay and are named of one group.
const NAMED: usize = 10;

/// A group with steps.
pub fn changed_group(out: &mut String, network: &NetworkPlan, group: &GroupPlan, steps: &[&Step]) {
    let (sign, style) = match group.status {
        GroupStatus::Create => ("+", ADD),
        GroupStatus::Delete => ("−", REMOVE),
        _ => ("~", CHANGE),
    };
    let _ = write!(out, "\n{} {}", paint(style, sign), paint(BOLD, network.group_name(group.atom)));
    let _ = writeln!(out, "  {}", escape(&summary(network, group, steps)));
    let moved = moved(steps);
    for step in steps {
        let line = |sign, rule: &StepRule, why: String| rule_line(network, sign, &rule.rule, &why);
        match step.action {
            Action::AddRules | Action::ReplaceRules | Action::RemoveRules => {
                step.adds
                    .iter()
                    .filter(|r| !moved.contains(&r.rule))
                    .for_each(|r| out.push_str(&line('+', r, why_added(r))));
                step.removes
                    .iter()
                    .filter(|r| !moved.contains(&r.rule))
                    .for_each(|r| out.push_str(&line('−', r, why_removed(group, r))));
            }
            Action::SetMarks => {
                for mark in &step.group_unmarks {
                    let _ = writeln!(out, "    {} mark {mark}", paint(REMOVE, "−"));
                }
                step.adds
                    .iter()
                    .for_each(|r| out.push_str(&line('=', r, "another owner's; gets our mark beside theirs".into())));
                step.removes
                    .iter()
                    .for_each(|r| out.push_str(&line('=', r, "another owner's too; loses our mark, stays".into())));
            }
            Action::UpdateDescriptions => described(out, network, group, step),
            Action::DeleteGroup => {
                let goes = |rule: &&ObservedRule| step.removes.iter().any(|gone| gone.rule == rule.rule);
                for rule in with(network, group, Fate::Foreign).filter(goes) {
                    out.push_str(&rule_line(network, '−', &rule.rule, &why_lost(rule)));
                }
                along(out, network, step);
            }
            Action::CreateGroup => {}
        }
    }
    if stays(group) {
        foreign(out, network, group);
    }
}

/// Whether a group was there before the plan and is there after it.
fn stays(group: &GroupPlan) -> bool {
    !matches!(group.status, GroupStatus::Create | GroupStatus::Delete)
}

/// The rules of this fate.
fn with<'a>(network: &'a NetworkPlan, group: &'a GroupPlan, fate: Fate) -> impl Iterator<Item = &'a ObservedRule> {
    let observed = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
    observed.iter().zip(&group.diff.fates).filter(move |(_, own)| **own == fate).map(|(rule, _)| rule)
}

/// Rules of others that stay: first those that do the job of a required one.
fn foreign(out: &mut String, network: &NetworkPlan, group: &GroupPlan) {
    let needed = with(network, group, Fate::Satisfies).map(|rule| (rule, true));
    let mut all = needed.chain(with(network, group, Fate::Foreign).map(|rule| (rule, false)));
    for (rule, needed) in all.by_ref().take(NAMED) {
        out.push_str(&rule_line(network, '·', &rule.rule, &why_foreign(group, rule, needed)));
    }
    let more = all.count();
    if more > 0 {
        let text = format!("… and {more} more of others; --format json has all");
        let _ = writeln!(out, "    {}", paint(FAINT, &text));
    }
}

/// Rules of other groups that the cloud deletes with a group.
fn along(out: &mut String, network: &NetworkPlan, step: &Step) {
    for (group, rules) in &step.cascade {
        for rule in rules {
            let why = format!("on {}, not ours: the cloud deletes it with the group", network.group_name(*group));
            out.push_str(&rule_line(network, '−', &rule.rule, &why));
        }
    }
}

/// What a group was and will be, in one line.
pub fn summary(network: &NetworkPlan, group: &GroupPlan, steps: &[&Step]) -> String {
    let (added, removed) = changed_rules(steps);
    let mut parts = Vec::new();
    match group.status {
        GroupStatus::Create => {
            let own = group.rules_after.saturating_sub(added);
            let own = if own > 0 { format!(" and {own} of the cloud's own") } else { String::new() };
            parts.push(format!("new group · {}{own}", count(added, "rule")));
        }
        GroupStatus::Delete => {
            // Where there is no group to delete, only our rules go.
            let is_deleted = steps.iter().any(|step| step.action == Action::DeleteGroup);
            let of_others = match with(network, group, Fate::Foreign).count() {
                n if is_deleted && n > 0 => format!(", {n} of them not ours"),
                _ => String::new(),
            };
            parts.push(format!("deleted with {}{of_others}", count(group.rules_before, "rule")));
        }
        GroupStatus::InSync => parts.push(format!("{}  {}", id(network, group), group.ownership)),
        _ => parts.push(format!("{}  {}  +{added} −{removed}", id(network, group), group.ownership)),
    }
    if stays(group) {
        parts.extend(fates(group));
    }
    if let Some(quota) = &group.quota {
        parts.push(format!("quota {} of {} {}", quota.used, quota.of, quota.what));
    }
    parts.join(" · ")
}

/// How many rules steps of one group add and remove.
pub fn changed_rules(steps: &[&Step]) -> (usize, usize) {
    let moved = moved(steps);
    let of = |rules: &[StepRule]| rules.iter().filter(|r| !moved.contains(&r.rule)).count();
    let changing = |s: &&&Step| matches!(s.action, Action::AddRules | Action::ReplaceRules | Action::RemoveRules);
    let changing = || steps.iter().filter(changing);
    (changing().map(|s| of(&s.adds)).sum(), changing().map(|s| of(&s.removes)).sum())
}

fn id(network: &NetworkPlan, group: &GroupPlan) -> String {
    network.observed_group(group.atom).map(|g| g.id.to_string()).unwrap_or_default()
}

/// What becomes of the rules that stay: `14 kept`, `2 foreign, left alone` …
fn fates(group: &GroupPlan) -> Vec<String> {
    let with = |wanted: &[Fate]| group.diff.fates.iter().filter(|f| wanted.contains(f)).count();
    let counts = [
        (with(&[Fate::Keep, Fate::Redundant, Fate::Outbound, Fate::Join]), "kept"),
        (with(&[Fate::Foreign]), "foreign, left alone"),
        (with(&[Fate::Satisfies]), "foreign, needed"),
        (with(&[Fate::Redundant]), "redundant (--tidy)"),
        (with(&[Fate::Held]), "held"),
        (with(&[Fate::Ignored]), "ignored"),
        (with(&[Fate::Spared]), "unwanted, left by --add-only"),
        (with(&[Fate::Cascade]), "foreign, deleted with the group that they refer to"),
    ];
    counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect()
}

/// Old and new descriptions, word by word.
fn described(out: &mut String, network: &NetworkPlan, group: &GroupPlan, step: &Step) {
    let observed = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
    for rule in &step.adds {
        let same = |o: &&ObservedRule| o.rule == rule.rule && (rule.id.is_none() || o.id == rule.id);
        let old = observed.iter().find(same).map_or("", |o| o.description.as_str());
        let new = format!("“{}”", escape(&rule.description));
        let words: String = if old.is_empty() { paint(ADD, &new) } else { changed_words(old, &rule.description) };
        let (way, side) = way(rule.rule.direction);
        let traffic = rule.rule.traffic.to_string();
        let peer = escape(&peer(network, rule.rule.peer));
        let _ =
            writeln!(out, "    {} {way:<4}{traffic:<18}{side:<5}{peer:<26} description {words}", paint(CHANGE, "~"));
    }
}

/// Groups without steps: a line where there is something to say, a number for the rest.
pub fn quiet_groups(out: &mut String, plan: &Plan) {
    let mut in_sync = 0;
    for network in &plan.networks {
        for group in &network.groups {
            let name = network.group_name(group.atom);
            let tells = group.diff.fates.iter().any(|f| !matches!(f, Fate::Keep | Fate::Outbound));
            if group.status == GroupStatus::InSync && tells {
                let _ = writeln!(out, "\n= {}  {}", paint(BOLD, name), escape(&summary(network, group, &[])));
                foreign(out, network, group);
            } else {
                in_sync += usize::from(group.status == GroupStatus::InSync);
            }
            if group.outbound_closed {
                let text = format!("{name} does not let everything out; the group is not ours to open");
                let _ = writeln!(out, "{} {}", paint(CHANGE, "note"), escape(&text));
            }
            if group.stale_descriptions > 0 && group.status == GroupStatus::InSync {
                let stale = count(group.stale_descriptions, "description");
                let _ =
                    writeln!(out, "{} {}: {stale} would read otherwise (--tidy)", paint(FAINT, "note"), escape(name));
            }
        }
    }
    if in_sync > 0 {
        let _ = writeln!(out, "\n{} in sync", count(in_sync, "group"));
    }
}
