//! The plan that people see every day.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use rsgsync_core::diff::Fate;
use rsgsync_core::document::{WitnessEntry, peer_entry};
use rsgsync_core::flow::{End, Flow, Reason, Unopened, Why, WithoutMembers};
use rsgsync_core::name::NetworkName;
use rsgsync_core::observed::ObservedRule;
use rsgsync_core::plan::{
    Action, GroupPlan, GroupStatus, NetworkPlan, Orphan, Plan, Prune, Step, StepRule, by_group, moved,
};
use rsgsync_core::rule::{Atom, Direction, Family, Rule, RulePeer};
use rsgsync_core::world::world;
use similar::{ChangeTag, TextDiff};

use super::{count, escape};

pub(super) const ADD: Style = AnsiColor::Green.on_default();
pub(super) const REMOVE: Style = AnsiColor::Red.on_default();
pub(super) const CHANGE: Style = AnsiColor::Yellow.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();

pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{}{style:#}", escape(text))
}

/// A plan in full: what changes, what is not opened, and the proof.
pub fn plan(plan: &Plan, digest: &str, witness: Option<&WitnessEntry>) -> String {
    let mut out = String::new();
    for network in &plan.networks {
        head(&mut out, network);
    }
    let by_group = by_group(&plan.steps);
    adoptions(&mut out, plan, &by_group);
    assumptions(&mut out, plan);
    for network in &plan.networks {
        for group in &network.groups {
            if let Some(steps) = by_group.get(&(&network.network.name, group.atom)) {
                changed_group(&mut out, network, group, steps);
            }
        }
    }
    quiet_groups(&mut out, plan);
    out.push_str(&orphans(plan));
    held_and_ignored(&mut out, plan);
    not_opened(&mut out, &plan.unopened);
    out.push_str(&without_members(&plan.without_members));
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
            let _ = writeln!(out, "{name} · {provider} {}", paint(REMOVE, &format!("could not be read: {error}")));
        }
    }
}

/// Groups that are taken over, and what that costs them.
fn adoptions(out: &mut String, plan: &Plan, by_group: &BTreeMap<(&NetworkName, Atom), Vec<&Step>>) {
    for network in &plan.networks {
        for group in network.groups.iter().filter(|g| g.status == GroupStatus::Adopt) {
            let of_group = by_group.get(&(&network.network.name, group.atom)).into_iter().flatten();
            let (_, goes) = changed_rules(&of_group.copied().collect::<Vec<_>>());
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
    if !assumed.is_empty() {
        let _ = writeln!(
            out,
            "{}",
            assumed
                .iter()
                .enumerate()
                .map(|(i, a)| paint(FAINT, &format!("{}{a}", if i == 0 { "assumed: " } else { "         " })))
                .collect::<Vec<_>>()
                .join("\n")
        );
    }
    if !undecided.is_empty() {
        let _ = writeln!(
            out,
            "{}",
            undecided
                .iter()
                .enumerate()
                .map(|(i, a)| paint(FAINT, &format!("{}{a}", if i == 0 { "undecided: " } else { "           " })))
                .collect::<Vec<_>>()
                .join("\n")
        );
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
            Action::DeleteGroup => along(out, network, step),
            Action::CreateGroup => {}
        }
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

pub(super) fn summary(network: &NetworkPlan, group: &GroupPlan, steps: &[&Step]) -> String {
    let (added, removed) = changed_rules(steps);
    let mut parts = Vec::new();
    match group.status {
        GroupStatus::Create => {
            let own = group.rules_after.saturating_sub(added);
            let own = if own > 0 { format!(" and {own} of the cloud's own") } else { String::new() };
            parts.push(format!("new group · {}{own}", count(added, "rule")));
        }
        GroupStatus::Delete => parts.push(format!("deleted with {}", count(group.rules_before, "rule"))),
        GroupStatus::InSync => parts.push(format!("{}  {}", id(network, group), group.ownership)),
        _ => parts.push(format!("{}  {}  +{added} −{removed}", id(network, group), group.ownership)),
    }
    if !matches!(group.status, GroupStatus::Create | GroupStatus::Delete) {
        parts.extend(fates(group));
    }
    if let Some(quota) = &group.quota {
        parts.push(format!("quota {} of {} {}", quota.used, quota.of, quota.what));
    }
    parts.join(" · ")
}

/// How many rules steps of one group add and remove.
fn changed_rules(steps: &[&Step]) -> (usize, usize) {
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

fn rule_line(network: &NetworkPlan, sign: char, rule: &Rule, why: &str) -> String {
    let style = match sign {
        '+' => ADD,
        '−' => REMOVE,
        _ => CHANGE,
    };
    let (way, side) = way(rule.direction);
    let (traffic, peer) = (rule.traffic.to_string(), peer(network, rule.peer));
    let body = format!("{way:<4}{traffic:<18}{side:<5}{:<26}", escape(&peer));
    format!("    {} {body} {}\n", paint(style, &sign.to_string()), paint(FAINT, why))
}

pub(super) fn way(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Ingress => ("in", "from"),
        Direction::Egress => ("out", "to"),
    }
}

pub(super) fn peer(network: &NetworkPlan, peer: RulePeer) -> String {
    let entry = peer_entry(peer, network);
    let account = entry.account.map(|a| format!("{a}/")).unwrap_or_default();
    let name = [entry.cidr, entry.security_group, entry.prefix_list, entry.address_group, entry.service_account];
    let name = name.into_iter().flatten().next().unwrap_or_default();
    // Where each family is a rule of its own, the two would look the same.
    let family = if matches!(peer, RulePeer::Opaque(_, _, Family::Ipv6)) { " (ipv6)" } else { "" };
    format!("{account}{name}{family}")
}

/// The first reason, and how many more there are: `etcd peer traffic  [etcd-etcd-peer +1]`.
fn why_added(rule: &StepRule) -> String {
    match &*rule.reasons {
        [] if rule.rule.direction == Direction::Ingress => "stays open: held or ignored".to_owned(),
        [] => "outbound is open".to_owned(),
        // A rollback has no rows.
        [one] if one.row.is_empty() => one.why.to_string(),
        [one] => format!("{}  [{}]", one.why, row(one)),
        [first, more @ ..] => format!("{}  [{} +{}]", first.why, row(first), more.len()),
    }
}

/// The row's id; a rule of the user's own is `rule 1`, or its ticket.
pub(super) fn row(reason: &Reason) -> String {
    let numbered = reason.row.bytes().all(|b| b.is_ascii_digit());
    if numbered { format!("rule {}", reason.row) } else { reason.row.to_string() }
}

fn why_removed(group: &GroupPlan, rule: &StepRule) -> String {
    if group.status == GroupStatus::Delete {
        return "frees the group that it refers to".to_owned();
    }
    let why = rule.reasons.first().map_or_else(|| why_unwanted(group, &rule.rule), |reason| &reason.why);
    if rule.description.is_empty() { why.to_owned() } else { format!("{why}; was “{}”", rule.description) }
}

pub(super) fn why_unwanted(group: &GroupPlan, rule: &Rule) -> &'static str {
    let overlapping = group.wanted.iter().any(|w| {
        w.rule.direction == rule.direction && w.rule.peer == rule.peer && {
            let ((a, b), (c, d)) = (w.rule.traffic.points(), rule.traffic.points());
            a <= d && c <= b
        }
    });
    if overlapping { "wider than anything requires" } else { "required by nothing" }
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

fn changed_words(old: &str, new: &str) -> String {
    TextDiff::from_words(old, new)
        .iter_all_changes()
        .map(|change| match change.tag() {
            ChangeTag::Equal => escape(change.value()),
            ChangeTag::Delete => paint(REMOVE, &format!("[−{}−]", change.value())),
            ChangeTag::Insert => paint(ADD, &format!("[+{}+]", change.value())),
        })
        .collect()
}

/// Groups without steps: a line where there is something to say, a number for the rest.
fn quiet_groups(out: &mut String, plan: &Plan) {
    let mut in_sync = 0;
    for network in &plan.networks {
        for group in &network.groups {
            let name = network.group_name(group.atom);
            let tells = group.diff.fates.iter().any(|f| !matches!(f, Fate::Keep | Fate::Outbound));
            if group.status == GroupStatus::InSync && tells {
                let _ = writeln!(out, "\n= {}  {}", paint(BOLD, name), escape(&summary(network, group, &[])));
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

/// Groups that carry our mark and that the inventory no longer names, but for those that the plan prunes.
pub fn orphans(plan: &Plan) -> String {
    let (mut lines, mut elsewhere) = (Vec::new(), BTreeMap::<String, Vec<&str>>::new());
    for network in &plan.networks {
        let planned = |orphan: &Orphan| network.groups.iter().any(|group| group.atom == orphan.atom);
        for orphan in network.orphans.iter().filter(|orphan| !planned(orphan)) {
            let name = network.group_name(orphan.atom);
            let rules = count(orphan.rules, "rule");
            let what = match orphan.prune {
                Prune::Delete => format!("apply --prune deletes it with {rules}"),
                Prune::Clear => format!("apply --prune removes {rules} of ours and our mark"),
                Prune::Keep => {
                    let marks = orphan.marks.iter().map(|m| m.mark.to_string());
                    marks.for_each(|mark| elsewhere.entry(mark).or_default().push(name));
                    continue;
                }
            };
            let marks = orphan.marks.iter().map(|m| format!("{} for {}", m.origin.as_str(), m.mark));
            let line = format!("{name}  {}, not in the inventory", marks.collect::<Vec<_>>().join(", "));
            lines.push(format!("{} {}   {}\n", paint(CHANGE, "orphan"), escape(&line), paint(FAINT, &what)));
        }
    }
    for (mark, names) in elsewhere {
        let line = format!("{mark}  {}", names.join(", "));
        let why = "no such cluster in the inventory: left alone; destroy a cluster before it leaves";
        lines.push(format!("{} {}   {}\n", paint(FAINT, "marked by"), escape(&line), paint(FAINT, why)));
    }
    let gap = if lines.is_empty() { "" } else { "\n" };
    format!("{gap}{}", lines.concat())
}

fn held_and_ignored(out: &mut String, plan: &Plan) {
    for (fate, word, why) in [
        (Fate::Held, "held", "asked for by a row that is not opened"),
        (Fate::Ignored, "ignored", "the inventory says to leave it alone"),
        (Fate::Spared, "spared", "required by nothing; --add-only leaves it"),
    ] {
        for network in &plan.networks {
            for group in &network.groups {
                let Some(observed) = network.observed_group(group.atom) else { continue };
                for (rule, _) in observed.rules.iter().zip(&group.diff.fates).filter(|(_, f)| **f == fate) {
                    let (way, side) = way(rule.rule.direction);
                    let peer = peer(network, rule.rule.peer);
                    let rule =
                        format!("{way} {} {side} {peer} on {}", rule.rule.traffic, network.group_name(group.atom));
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
        let why = paint(FAINT, "no group has this role: its rows drop out; add it to `roles` where nodes play it");
        format!("{} {cluster}  {}   {why}\n", paint(CHANGE, "no members"), roles.join(", "))
    };
    by_cluster.into_iter().map(line).collect()
}

fn not_opened(out: &mut String, rows: &[Unopened]) {
    let mut lines: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for row in rows {
        lines.entry((row.cluster.to_string(), way_out(&row.why))).or_default().push(&row.row);
    }
    if !lines.is_empty() {
        out.push('\n');
    }
    for ((cluster, what), rows) in lines {
        let _ =
            writeln!(out, "{} {cluster}  {}   {}", paint(CHANGE, "not opened"), rows.join(", "), paint(FAINT, &what));
    }
}

/// What to write so that a row is opened.
pub(super) fn way_out(why: &Why) -> String {
    match why {
        Why::PeerUndefined(peer) => format!("peer undefined: add peers.{peer}"),
        Why::OptionNotSet(options) => format!("option not set: add options.{}", options.join(", options.")),
        Why::PortWithoutValue(symbol) => format!("port without value: add values.{symbol}"),
        Why::NetworkRangeUnknown(net) => format!("range unknown: add cidrs.{net}"),
        Why::NoAddresses(cluster, group) => format!("other network: add addresses to {cluster}/{group}, or a link"),
        Why::GroupNotThere(network, group) => {
            format!("{group} isn't in {network} yet, or couldn't be read; it is opened once it is there")
        }
        Why::NameNeedsCidrs(name) => format!("a rule can't hold the name {name}: give its cidrs in peers"),
        Why::RancherUnknown => "set rancher: to the cluster whose Rancher manages this one".to_owned(),
    }
}

fn flows(out: &mut String, word: &str, flows: &[Flow]) {
    for line in reached(flows) {
        let _ = writeln!(out, "{}  {}", paint(CHANGE, word), escape(&line));
    }
}

/// A line for each end that is reached: `prod/etcd: 2379/tcp from prod/control, …`.
pub(super) fn reached(flows: &[Flow]) -> Vec<String> {
    let end = |end: &End| match end {
        End::Group(cluster, group) => format!("{cluster}/{group}"),
        End::Peer(name) | End::Name(name) => name.to_string(),
        End::Cidr(cidr) => cidr.to_string(),
        End::SelfGroup => "itself".to_owned(),
    };
    let mut reached: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for flow in flows {
        let by_source = reached.entry(end(&flow.to)).or_default();
        by_source.entry(end(&flow.from)).or_default().insert(flow.traffic.to_string());
    }
    let line = |(to, sources): (String, BTreeMap<String, BTreeSet<String>>)| {
        let sources = sources
            .into_iter()
            .map(|(from, traffic)| format!("{} from {from}", traffic.into_iter().collect::<Vec<_>>().join(" ")));
        format!("{to}: {}", sources.collect::<Vec<_>>().join(", "))
    };
    reached.into_iter().map(line).collect()
}

fn footer(out: &mut String, plan: &Plan, digest: &str, witness: Option<&WitnessEntry>) {
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
pub(super) fn planned(plan: &Plan) -> String {
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
    parts.push(format!("{removes} to remove"));
    format!("{}, in {}", parts.join(", "), count(plan.calls(), "call"))
}

pub(super) fn refused(reason: &str) -> String {
    format!("apply will refuse: {reason}; --max-removals N allows it")
}

/// Required rules that may be cut for a time, a line for each.
pub(super) fn gaps(plan: &Plan) -> Vec<String> {
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
pub(super) fn proved(plan: &Plan, witness: Option<&WitnessEntry>) -> String {
    let proof = &plan.proof;
    if let Some(witness) = witness {
        let WitnessEntry { fault, security_group, step, packet, .. } = witness;
        return format!("FAILS  {fault}: step {} on {security_group}: {packet}", step.0);
    }
    let cut = if proof.gaps.is_empty() { "none is cut at any step" } else { "none is cut at any step but the gaps" };
    format!(
        "{} of {} hold now, {cut} · nothing else opens · {} hold",
        proof.held_before,
        count(proof.required_flows, "required flow"),
        count(proof.guards, "guard"),
    )
}
