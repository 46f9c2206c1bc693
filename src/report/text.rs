//! The plan that people see every day.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use rsgsync_core::diff::Fate;
use rsgsync_core::document::{WitnessEntry, peer_entry};
use rsgsync_core::flow::{End, Flow, Unopened, Why, WithoutMembers};
use rsgsync_core::observed::ObservedRule;
use rsgsync_core::plan::{Action, GroupPlan, GroupStatus, NetworkPlan, Plan, Step, StepRule};
use rsgsync_core::rule::{Direction, Rule};
use rsgsync_core::world::world;
use similar::{ChangeTag, TextDiff};

use super::{count, escape};

const ADD: Style = AnsiColor::Green.on_default();
const REMOVE: Style = AnsiColor::Red.on_default();
const CHANGE: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

fn paint(style: Style, text: &str) -> String {
    format!("{style}{}{style:#}", escape(text))
}

/// A plan in full: what changes, what is not opened, and the proof.
pub fn plan(plan: &Plan, digest: &str, witness: Option<&WitnessEntry>) -> String {
    let mut out = String::new();
    for network in &plan.networks {
        head(&mut out, network);
    }
    assumptions(&mut out, plan);
    for network in &plan.networks {
        for group in &network.groups {
            let steps: Vec<&Step> =
                plan.steps.iter().filter(|s| s.network == network.network.name && s.group == group.atom).collect();
            if !steps.is_empty() {
                changed_group(&mut out, network, group, &steps);
            }
        }
    }
    quiet_groups(&mut out, plan);
    held_and_ignored(&mut out, plan);
    not_opened(&mut out, &plan.unopened);
    flows(&mut out, "needed elsewhere", &plan.elsewhere);
    flows(&mut out, "lost", &plan.lost);
    for note in &plan.notes {
        let _ = writeln!(out, "{} {}", paint(CHANGE, "note"), escape(note));
    }
    footer(&mut out, plan, digest, witness);
    out
}

fn head(out: &mut String, network: &NetworkPlan) {
    let name = paint(BOLD, network.network.name.as_str());
    let provider = network.network.provider;
    match &network.observed {
        Ok(observed) => {
            let account = observed.account.as_deref().map(|a| format!(" {a}")).unwrap_or_default();
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
            let _ = writeln!(out, "{name} · {provider} {}", paint(REMOVE, &format!("could not be read: {error}")));
        }
    }
}

fn assumptions(out: &mut String, plan: &Plan) {
    let assumed: Vec<String> =
        plan.assumed.iter().map(|a| format!("{} {}={} ({})", a.cluster, a.option, a.value, a.source)).collect();
    let mut undecided: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in &plan.unopened {
        if let Why::OptionNotSet(options) = &row.why {
            *undecided.entry((row.cluster.to_string(), options.join(", "))).or_default() += 1;
        }
    }
    let undecided: Vec<String> =
        undecided.into_iter().map(|((cluster, options), rows)| format!("{cluster} {options} ({})", count(rows, "row"))).collect();
    if !assumed.is_empty() {
        let _ = writeln!(out, "{}", paint(FAINT, &format!("assumed: {}", assumed.join(", "))));
    }
    if !undecided.is_empty() {
        let _ = writeln!(out, "{}", paint(FAINT, &format!("undecided: {}", undecided.join(", "))));
    }
}

fn changed_group(out: &mut String, network: &NetworkPlan, group: &GroupPlan, steps: &[&Step]) {
    let (sign, style) = match group.status {
        GroupStatus::Create => ("+", ADD),
        GroupStatus::Delete => ("−", REMOVE),
        _ => ("~", CHANGE),
    };
    let _ = write!(out, "\n{} {}", paint(style, sign), paint(BOLD, network.group_name(group.atom)));
    let _ = writeln!(out, "  {}", escape(&summary(network, group, steps)));
    if group.status == GroupStatus::Adopt {
        let goes: usize = steps.iter().filter(|s| s.action == Action::RemoveRules).map(|s| s.removes.len()).sum();
        let _ = writeln!(out, "    {} this group: rsgsync will own all its rules; {} will go", paint(CHANGE, "ADOPTS"), count(goes, "rule"));
    }
    for step in steps {
        let line = |sign, rule: &StepRule, why: String| rule_line(network, sign, &rule.rule, &why);
        match step.action {
            Action::AddRules | Action::ReplaceRules | Action::RemoveRules => {
                step.adds.iter().for_each(|r| out.push_str(&line('+', r, why_added(r))));
                step.removes.iter().for_each(|r| out.push_str(&line('−', r, why_removed(group, r))));
            }
            Action::SetMarks => {
                step.adds.iter().for_each(|r| out.push_str(&line('=', r, "another owner's; gets our mark beside theirs".into())));
                step.removes.iter().for_each(|r| out.push_str(&line('=', r, "another owner's too; loses our mark, stays".into())));
            }
            Action::UpdateDescriptions => described(out, network, group, step),
            Action::CreateGroup | Action::DeleteGroup => {}
        }
    }
}

fn summary(network: &NetworkPlan, group: &GroupPlan, steps: &[&Step]) -> String {
    let fate = |wanted: Fate| group.diff.fates.iter().filter(|f| **f == wanted).count();
    let added: usize = steps.iter().filter(|s| s.action == Action::AddRules).map(|s| s.adds.len()).sum();
    let removed: usize = steps.iter().filter(|s| s.action == Action::RemoveRules).map(|s| s.removes.len()).sum();
    let mut parts = Vec::new();
    match group.status {
        GroupStatus::Create => parts.push(format!("new group · {}", count(group.rules_after, "rule"))),
        GroupStatus::Delete => parts.push(format!("deleted with {}", count(group.rules_before, "rule"))),
        _ => {
            let id = network.observed_group(group.atom).map(|g| g.id.to_string()).unwrap_or_default();
            parts.push(format!("{id}  {}  +{added} −{removed}", group.ownership));
        }
    }
    let foreign = fate(Fate::Foreign) + fate(Fate::Satisfies);
    let kept = if group.status == GroupStatus::Create { 0 } else { group.rules_after - added - foreign };
    for (n, what) in [(kept, "kept"), (foreign, "foreign, left alone"), (fate(Fate::Redundant), "redundant (--tidy)")] {
        if n > 0 && group.status != GroupStatus::Delete {
            parts.push(format!("{n} {what}"));
        }
    }
    if let Some(quota) = &group.quota {
        parts.push(format!("quota {} of {} {}", quota.used, quota.of, quota.what));
    }
    parts.join(" · ")
}

fn rule_line(network: &NetworkPlan, sign: char, rule: &Rule, why: &str) -> String {
    let style = match sign {
        '+' => ADD,
        '−' => REMOVE,
        _ => CHANGE,
    };
    let (way, side) = way(rule.direction);
    let (traffic, peer) = (rule.traffic.to_string(), peer(network, rule));
    let body = format!("{way:<4}{traffic:<18}{side:<5}{:<26}", escape(&peer));
    format!("    {} {body} {}\n", paint(style, &sign.to_string()), paint(FAINT, why))
}

fn way(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Ingress => ("in", "from"),
        Direction::Egress => ("out", "to"),
    }
}

fn peer(network: &NetworkPlan, rule: &Rule) -> String {
    let entry = peer_entry(rule.peer, network);
    let account = entry.account.map(|a| format!("{a}/")).unwrap_or_default();
    let name = [entry.cidr, entry.security_group, entry.prefix_list, entry.address_group, entry.service_account];
    format!("{account}{}", name.into_iter().flatten().next().unwrap_or_default())
}

fn why_added(rule: &StepRule) -> String {
    let whys: BTreeSet<&str> = rule.reasons.iter().map(|r| &*r.why).collect();
    let rows: BTreeSet<String> = rule.reasons.iter().map(|r| format!("{}/{}", r.profile, r.row)).collect();
    let rows: Vec<String> = rows.into_iter().collect();
    let whys = whys.into_iter().collect::<Vec<_>>().join("; ");
    match rows.as_slice() {
        [] if whys.is_empty() => "outbound is open".to_owned(),
        [] => whys,
        [one] => format!("{whys}  [{one}]"),
        [first, rest @ ..] => format!("{whys}  [{first} and {} more]", rest.len()),
    }
}

fn why_removed(group: &GroupPlan, rule: &StepRule) -> String {
    let overlapping = group.wanted.iter().any(|w| {
        w.rule.direction == rule.rule.direction && w.rule.peer == rule.rule.peer && {
            let ((a, b), (c, d)) = (w.rule.traffic.points(), rule.rule.traffic.points());
            a <= d && c <= b
        }
    });
    let why = if overlapping { "wider than anything requires" } else { "required by nothing" };
    if rule.description.is_empty() { why.to_owned() } else { format!("{why}; was “{}”", rule.description) }
}

/// Old and new descriptions, word by word.
fn described(out: &mut String, network: &NetworkPlan, group: &GroupPlan, step: &Step) {
    let observed = network.observed_group(group.atom).map(|g| g.rules.as_slice()).unwrap_or_default();
    for rule in &step.adds {
        let same = |o: &&ObservedRule| o.rule == rule.rule && (rule.id.is_none() || o.id == rule.id);
        let old = observed.iter().find(same).map_or("", |o| o.description.as_str());
        let words: String = TextDiff::from_words(old, rule.description.as_str())
            .iter_all_changes()
            .map(|change| match change.tag() {
                ChangeTag::Equal => escape(change.value()),
                ChangeTag::Delete => paint(REMOVE, &format!("[−{}−]", change.value())),
                ChangeTag::Insert => paint(ADD, &format!("[+{}+]", change.value())),
            })
            .collect();
        let (way, side) = way(rule.rule.direction);
        let traffic = rule.rule.traffic.to_string();
        let peer = escape(&peer(network, &rule.rule));
        let _ = writeln!(out, "    {} {way:<4}{traffic:<18}{side:<5}{peer:<26} description {words}", paint(CHANGE, "~"));
    }
}

fn quiet_groups(out: &mut String, plan: &Plan) {
    let mut in_sync = 0;
    for network in &plan.networks {
        for group in &network.groups {
            in_sync += usize::from(group.status == GroupStatus::InSync);
            let name = network.group_name(group.atom);
            if group.outbound_closed {
                let _ = writeln!(out, "{} {} lets not everything out; the group is not ours to open", paint(CHANGE, "note"), escape(name));
            }
            if group.stale_descriptions > 0 && group.status == GroupStatus::InSync {
                let stale = count(group.stale_descriptions, "description");
                let _ = writeln!(out, "{} {}: {stale} would read otherwise (--tidy)", paint(FAINT, "note"), escape(name));
            }
        }
    }
    if in_sync > 0 {
        let _ = writeln!(out, "\n{} in sync", count(in_sync, "group"));
    }
}

fn held_and_ignored(out: &mut String, plan: &Plan) {
    for (fate, word, why) in [
        (Fate::Held, "held", "asked for by a row that is not opened"),
        (Fate::Ignored, "ignored", "the inventory or --add-only leaves it alone"),
    ] {
        for network in &plan.networks {
            for group in &network.groups {
                let Some(observed) = network.observed_group(group.atom) else { continue };
                for (rule, _) in observed.rules.iter().zip(&group.diff.fates).filter(|(_, f)| **f == fate) {
                    let (way, side) = way(rule.rule.direction);
                    let peer = peer(network, &rule.rule);
                    let rule = format!("{way} {} {side} {peer} on {}", rule.rule.traffic, network.group_name(group.atom));
                    let _ = writeln!(out, "{} {}   {}", paint(CHANGE, word), escape(&rule), paint(FAINT, why));
                }
            }
        }
    }
}

/// Rows that are not opened, a line for each cluster and cause.
pub fn unopened(rows: &[Unopened]) -> String {
    let mut out = String::new();
    not_opened(&mut out, rows);
    out
}

/// Roles of the profiles that no group plays, for `validate` and `matrix`.
pub fn without_members(roles: &[WithoutMembers]) -> String {
    let mut by_cluster: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for role in roles {
        by_cluster.entry(role.cluster.to_string()).or_default().push(&role.role);
    }
    let line = |(cluster, roles): (String, Vec<&str>)| {
        format!("{} {cluster}  {}\n", paint(FAINT, "no group plays"), roles.join(", "))
    };
    by_cluster.into_iter().map(line).collect()
}

fn not_opened(out: &mut String, rows: &[Unopened]) {
    let mut lines: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for row in rows {
        let what = match &row.why {
            Why::PeerUndefined(peer) => format!("peer undefined: add peers.{peer}, or waive the row"),
            Why::OptionNotSet(options) => format!("option not set: {}", options.join(", ")),
            Why::PortWithoutValue(symbol) => format!("port without value: add values.{symbol}"),
            Why::NetworkRangeUnknown(net) => format!("range unknown: add cidrs.{net}"),
            Why::NoAddresses(cluster, group) => format!("other network: add addresses to {cluster}/{group}, or a link"),
            Why::NameNeedsCidrs(name) => format!("a rule can't hold the name {name}: give its cidrs in peers"),
            Why::RancherUnknown => "set rancher: to the cluster whose Rancher manages this one".to_owned(),
        };
        lines.entry((row.cluster.to_string(), what)).or_default().push(&row.row);
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    for ((cluster, what), rows) in lines {
        let _ = writeln!(out, "{} {cluster}  {}   {}", paint(CHANGE, "not opened"), rows.join(", "), paint(FAINT, &what));
    }
}

fn flows(out: &mut String, word: &str, flows: &[Flow]) {
    let end = |end: &End| match end {
        End::Group(cluster, group) => format!("{cluster}/{group}"),
        End::Peer(name) | End::Name(name) => name.to_string(),
        End::Cidr(cidr) => cidr.to_string(),
        End::SelfGroup => "itself".to_owned(),
    };
    for flow in flows {
        let line = format!("{} from {} to {}", flow.traffic, end(&flow.from), end(&flow.to));
        let _ = writeln!(out, "{} {}   {}", paint(CHANGE, word), escape(&line), paint(FAINT, &flow.reason.why));
    }
}

fn footer(out: &mut String, plan: &Plan, digest: &str, witness: Option<&WitnessEntry>) {
    let of = |action: Action| plan.steps.iter().filter(|s| s.action == action).count();
    let (adds, removes) = plan.counts();
    out.push('\n');
    if plan.steps.is_empty() {
        if plan.networks.iter().all(|n| n.observed.is_ok()) {
            let _ = writeln!(out, "{}   nothing to do: what the cloud has is what the inventory needs", paint(BOLD, "Plan"));
        }
    } else {
        let world = world(plan);
        let side = |word: &str, entries: &[String]| match entries {
            [] => format!("{word} nothing"),
            some => format!("{word} {}", some.join(", ")),
        };
        let _ = writeln!(out, "{}  {} · {}", paint(BOLD, "World"), side("opens", &world.opens), side("closes", &world.closes));
        let mut parts = Vec::new();
        for (n, what) in [(of(Action::CreateGroup), "to create"), (of(Action::DeleteGroup), "to delete")] {
            if n > 0 {
                parts.push(format!("{} {what}", count(n, "group")));
            }
        }
        parts.push(format!("{} to add", count(adds, "rule")));
        parts.push(format!("{removes} to remove"));
        let calls = count(plan.steps.len(), "call");
        let _ = writeln!(out, "{}   {}, in {calls}", paint(BOLD, "Plan"), parts.join(", "));
    }
    if let Some(reason) = &plan.blast {
        let _ = writeln!(out, "{}  apply will refuse: {reason}; --max-removals N allows it", paint(REMOVE, "Blast"));
    }
    let proof = &plan.proof;
    match witness {
        None => {
            let _ = writeln!(
                out,
                "{}  {} of {} hold now, none is cut at any step · nothing else opens · {} hold",
                paint(BOLD, "Proof"),
                proof.held_before,
                count(proof.required_flows, "required flow"),
                count(proof.guards, "guard"),
            );
        }
        Some(witness) => {
            let at = format!("{}: step {} on {}: {}", witness.fault, witness.step.0, witness.security_group, witness.packet);
            let _ = writeln!(out, "{}  {}", paint(BOLD, "Proof"), paint(REMOVE, &format!("FAILS  {at}")));
        }
    }
    if !plan.steps.is_empty() {
        let _ = writeln!(out, "{} {}", paint(BOLD, "Digest"), digest.get(..16).unwrap_or(digest));
    }
}
