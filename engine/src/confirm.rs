//! Reads additions back before removals that depend on them: an answer "done" is not yet a rule that can be seen.

use std::collections::{BTreeSet, HashMap};

use rsgsync_core::inventory::{Ownership, SecurityGroup};
use rsgsync_core::observed::{Observed, ObservedGroup, ObservedRule, Scope, ScopeGroup};
use rsgsync_core::plan::{Step, StepId};
use rsgsync_core::rule::{Atom, Atoms, Rule, RulePeer};

use crate::StopSignal;
use crate::cloud::{CloudError, ErrorKind};
use crate::progress::{Progress, Waiting};
use crate::retry::{observe, sleep};
use crate::run::{Options, Run};

/// Ids of the groups that this run made, by the atom of the name under which the plan knows them.
pub(crate) type Made = HashMap<Atom, String>;

/// Additions that could be seen, and what became of the others.
pub(crate) struct ReadBack {
    pub seen: Vec<StepId>,
    pub problem: Option<CloudError>,
}

/// Reads the groups of `additions` until every added rule is there, or patience ends: one read where nothing lags.
pub(crate) async fn read_back(
    run: Run<'_>,
    additions: Vec<&Step>,
    made: Made,
    options: Options,
    progress: &dyn Progress,
    stop: &StopSignal,
) -> ReadBack {
    let scope = scope_of(&run, &additions, &made);
    let mut atoms = run.atoms.clone();
    let mut pauses = options.patience.pauses();
    progress.reading_back(run.network, scope.groups.len());
    loop {
        let observed = match observe(run.network, run.cloud, &scope, &mut atoms, options.patience, progress, stop).await
        {
            Ok(observed) => observed,
            Err(error) => return ReadBack { seen: Vec::new(), problem: Some(error) },
        };
        let mut seen = Vec::new();
        let mut first_unseen = None;
        for step in &additions {
            match first_missing(step, &observed, &made, &mut atoms) {
                None => seen.push(step.id),
                Some(rule) => first_unseen = first_unseen.or(Some((*step, rule))),
            }
        }
        let Some((step, rule)) = first_unseen else { return ReadBack { seen, problem: None } };
        let pause = pauses.next();
        if let Some(pause) = pause {
            progress.waiting(run.network, Waiting::Lagging, pause);
            if sleep(pause, stop).await {
                continue;
            }
        }
        let group = atoms.text(step.group);
        let error = CloudError {
            kind: ErrorKind::Final,
            doing: format!("reading back security group `{group}` of network `{}`", run.network),
            message: format!("a rule that was added ({} {}) can't be seen", rule.direction.as_str(), rule.traffic),
            request_id: None,
            help: Some("nothing that depends on it was removed; run again to go on".to_owned()),
        };
        return ReadBack { seen, problem: Some(error) };
    }
}

/// The groups to read, by id wherever it is known: names and ids may be a call each.
///
/// As exclusive ones, because in a shared group the rules' marks would be read too, which is another call.
fn scope_of(run: &Run<'_>, additions: &[&Step], made: &Made) -> Scope {
    let texts: BTreeSet<&str> = additions.iter().map(|step| text_of(step.group, made, run.atoms)).collect();
    let group =
        |text| SecurityGroup::parse(text).ok().map(|group| ScopeGroup { group, ownership: Some(Ownership::Exclusive) });
    Scope {
        owner: run.owner.clone(),
        clusters: Default::default(),
        groups: texts.into_iter().filter_map(group).collect(),
        marked: false,
        whole: false,
    }
}

fn text_of<'a>(group: Atom, made: &'a Made, atoms: &'a Atoms) -> &'a str {
    made.get(&group).map_or_else(|| atoms.text(group), String::as_str)
}

/// A rule that the step has added and that isn't there.
fn first_missing(step: &Step, observed: &Observed, made: &Made, atoms: &mut Atoms) -> Option<Rule> {
    let text = text_of(step.group, made, atoms).to_owned();
    let found = |group: &&ObservedGroup| group.id.as_str() == text || group.name.as_str() == text;
    let group = observed.groups.iter().find(found);
    let mut wanted = step.adds.iter().map(|add| {
        // What is observed refers to groups by id, the plan by name where they were yet to be made.
        let by_id = match add.rule.peer {
            RulePeer::Opaque(kind, atom, family) => match made.get(&atom) {
                Some(id) => RulePeer::Opaque(kind, atoms.intern(id), family),
                None => add.rule.peer,
            },
            RulePeer::Addresses(_) => add.rule.peer,
        };
        (add.rule, Rule { peer: by_id, ..add.rule })
    });
    // The very rule, not one that covers it: what covers it may be what is about to be removed.
    // Nor the same one in another resource: there it may be about to go. What no resource holds, every group has.
    let here = |seen: &ObservedRule| seen.resource.is_none() || seen.resource.as_deref() == step.resource.as_deref();
    let is_there = |rule: Rule| group.is_some_and(|g| g.rules.iter().any(|seen| seen.rule == rule && here(seen)));
    wanted.find(|(_, rule)| !is_there(*rule)).map(|(rule, _)| rule)
}
