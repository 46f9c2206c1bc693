//! Carries the steps of a plan out: as their order allows, several at once, journaled, with read-backs before removals.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rsgsync_core::desired::Elsewhere;
use rsgsync_core::name::{NetworkName, Owner};
use rsgsync_core::plan::{Action, Step, StepId};
use rsgsync_core::rule::{Atom, Atoms, Direction};
use tokio::time::Instant;

use crate::StopSignal;
use crate::cloud::{Cloud, CloudError, Done, ErrorKind};
use crate::confirm::{Made, ReadBack, read_back};
use crate::journal::{Event, Journal};
use crate::outcome::{Because, Outcome, Stopped};
use crate::pace::{Begun, Pace};
use crate::progress::{Progress, Waiting};
use crate::retry::{Patience, sleep};

/// The steps of one network, and the cloud that they go to.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Which network.
    pub network: &'a NetworkName,
    /// Whose inventory it is.
    pub owner: &'a Owner,
    /// Its cloud.
    pub cloud: &'a dyn Cloud,
    /// The account or project that it is in, where the cloud told.
    pub account: Option<&'a str>,
    /// The names that the steps point into.
    pub atoms: &'a Atoms,
    /// Which of them stand for groups of other networks whose ids are not known yet.
    pub elsewhere: &'a BTreeMap<Atom, Elsewhere>,
    /// The steps, in the plan's order; ids are unique over all runs that are carried out together.
    pub steps: &'a [Step],
    /// How long additions must have stood before removals that depend on them.
    pub settle: Duration,
}

/// How to carry out.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Calls at once, a network; at least 1.
    pub concurrency: usize,
    /// How often failed calls are tried again.
    pub patience: Patience,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 8, patience: Patience::default() }
    }
}

/// Carries the steps of all `runs` out, and says what now holds and what is left.
///
/// A step is begun when all that it depends on is done. One that fails for good stops the later steps of its group and
/// what depends on them, nothing else. A removal that depends on additions, however indirectly, is begun only after those
/// have been read back and the network's `settle` has passed: a network that can do nothing else is read once for all removals that
/// wait. Once `stop` is sent, calls in flight are finished and nothing is begun. Nothing is called whose intent is not in
/// the journal.
pub async fn carry_out(
    runs: &[Run<'_>],
    options: Options,
    journal: &mut Journal,
    progress: &dyn Progress,
    stop: &StopSignal,
) -> Outcome {
    let paces: Vec<Paces> =
        runs.iter().map(|run| run.steps.iter().map(|step| (kind(step), Pace::default())).collect()).collect();
    let mut board = Board::new(runs);
    let mut outcome = Outcome::default();
    let mut flying: FuturesUnordered<BoxFuture<'_, Landed>> = FuturesUnordered::new();
    loop {
        if outcome.stopped.is_none() && stop.is_cancelled() {
            outcome.stopped = Some(Stopped::Signal);
        }
        let starting =
            if outcome.stopped.is_none() { board.take_ready(&paces, options.concurrency) } else { Vec::new() };
        for node in starting.iter().flat_map(|call| &call.nodes) {
            journal.note(Event::Intent { step: board.nodes[*node].step.id });
        }
        if let Err(error) = journal.sync() {
            board.put_back(&starting);
            outcome.stopped = Some(Stopped::Journal(error));
        } else {
            for Starting { lane, kind, nodes, begun } in starting {
                let steps: Vec<_> = nodes.into_iter().map(|node| (node, board.nodes[node].step)).collect();
                steps.iter().for_each(|(_, step)| progress.started(step));
                let pace = (&paces[lane][&kind], begun);
                flying.push(Box::pin(execute(lane, runs[lane], steps, pace, options, progress, stop)));
            }
        }
        if outcome.stopped.is_none() {
            for lane in 0..runs.len() {
                let unseen = board.to_read_back(lane);
                if !unseen.is_empty() {
                    board.lanes[lane].reading = true;
                    flying.push(Box::pin(confirm(lane, runs, unseen, board.made.clone(), options, progress, stop)));
                }
            }
        }
        let turn = if outcome.stopped.is_none() { board.next_turn(&paces, options.concurrency) } else { None };
        let landed = match turn {
            None if flying.is_empty() => None,
            None => flying.next().await,
            Some(turn) => tokio::select! {
                Some(landed) = flying.next() => Some(landed),
                _ = stop.run_until_cancelled(tokio::time::sleep_until(turn)) => continue,
            },
        };
        match landed {
            None if outcome.stopped.is_some() || !board.has_ready() => break,
            None => {}
            Some(Landed::Call { lane, results }) => {
                board.lanes[lane].flying -= 1;
                for (node, result) in results {
                    let step = board.nodes[node].step;
                    progress.finished(step, result.as_ref());
                    journal.note(Event::outcome(step.id, result.as_ref()));
                    board.landed(node, result, &mut outcome);
                }
            }
            Some(Landed::ReadBack { lane, seen, problems }) => {
                if !seen.is_empty() {
                    journal.note(Event::ReadBack { steps: seen.clone() });
                }
                board.read_back(lane, &seen, problems, &mut outcome);
            }
        }
    }
    board.leftovers(&mut outcome);
    if matches!(outcome.stopped, Some(Stopped::Signal)) && outcome.failed.is_empty() && outcome.skipped.is_empty() {
        outcome.stopped = None; // it came when everything was done
    }
    let counts = (outcome.done.len(), outcome.failed.len(), outcome.skipped.len());
    journal.note(Event::End { done: counts.0, failed: counts.1, skipped: counts.2 });
    if let Err(error) = journal.sync() {
        outcome.stopped.get_or_insert(Stopped::Journal(error));
    }
    outcome
}

/// Something that was in flight and has come down.
enum Landed {
    Call { lane: usize, results: Vec<(usize, Result<Done, CloudError>)> },
    ReadBack { lane: usize, seen: Vec<StepId>, problems: Vec<(NetworkName, CloudError)> },
}

/// Carries steps out with one call, and tries those again that may work later.
async fn execute(
    lane: usize,
    run: Run<'_>,
    mut left: Vec<(usize, &Step)>,
    (pace, mut begun): (&Pace, Begun),
    options: Options,
    progress: &dyn Progress,
    stop: &StopSignal,
) -> Landed {
    let mut pauses = options.patience.pauses();
    let mut results = Vec::with_capacity(left.len());
    loop {
        let steps: Vec<&Step> = left.iter().map(|(_, step)| *step).collect();
        let answers = run.cloud.execute_together(&steps, run.atoms).await;
        let (mut again, mut failed, mut any_done) = (Vec::new(), Vec::new(), false);
        for ((node, step), answer) in left.into_iter().zip(answers) {
            match answer {
                Err(error) if error.kind != ErrorKind::Final => {
                    again.push((node, step));
                    failed.push(error);
                }
                answer => {
                    any_done |= answer.is_ok();
                    results.push((node, answer));
                }
            }
        }
        if any_done {
            pace.answered();
        }
        let Some(error) = failed.first() else { return Landed::Call { lane, results } };
        if let ErrorKind::Throttled(asked) = error.kind {
            pace.throttled(begun, asked);
        }
        let next = match pauses.after(error) {
            None => None,
            Some(pause) => {
                tracing::debug!(network = %run.network, steps = again.len(), %error, ?pause, "trying again");
                progress.waiting(run.network, Waiting::Retry(error), pause);
                if sleep(pause, stop).await { turn(pace, stop).await } else { None }
            }
        };
        let Some(next) = next else {
            results.extend(again.into_iter().zip(failed).map(|((node, _), error)| (node, Err(error))));
            return Landed::Call { lane, results };
        };
        (left, begun) = (again, next);
    }
}

/// Waits for a call's turn; `None` when the run was stopped meanwhile.
async fn turn(pace: &Pace, stop: &StopSignal) -> Option<Begun> {
    loop {
        match pace.begin() {
            Ok(begun) => return Some(begun),
            Err(at) if sleep(at.duration_since(Instant::now()), stop).await => {}
            Err(_) => return None,
        }
    }
}

/// Reads back the additions that removals of `lane` wait for, each network's at once, and lets them settle.
async fn confirm<'a>(
    lane: usize,
    runs: &'a [Run<'a>],
    unseen: Vec<(usize, Vec<&'a Step>)>,
    made: Vec<Made>,
    options: Options,
    progress: &'a dyn Progress,
    stop: &'a StopSignal,
) -> Landed {
    let (mut all_seen, mut problems) = (Vec::new(), Vec::new());
    let mut settle = Duration::ZERO;
    for (of, additions) in unseen {
        let run = runs[of];
        let ReadBack { seen, problem } = read_back(run, additions, made[of].clone(), options, progress, stop).await;
        if !seen.is_empty() {
            settle = settle.max(run.settle);
        }
        all_seen.extend(seen);
        problems.extend(problem.map(|error| (run.network.clone(), error)));
    }
    if !settle.is_zero() {
        progress.waiting(runs[lane].network, Waiting::Settle, settle);
        sleep(settle, stop).await;
    }
    Landed::ReadBack { lane, seen: all_seen, problems }
}

/// Where every step stands.
struct Board<'a> {
    runs: &'a [Run<'a>],
    nodes: Vec<Node<'a>>,
    by_id: HashMap<StepId, usize>,
    lanes: Vec<Lane>,
    made: Vec<Made>,
    /// Done, in that order: what a step depends on stands before it.
    done: Vec<usize>,
    of_group: HashMap<(usize, Atom), Vec<usize>>,
}

struct Node<'a> {
    step: &'a Step,
    lane: usize,
    dependents: Vec<usize>,
    /// Steps that it depends on and that are not done.
    open: usize,
    state: State,
    /// It is an addition, and was read back.
    seen: bool,
    /// Done, and every addition up to it was read back.
    settled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Ready,
    Parked,
    Flying,
    Done,
    Failed,
    Skipped(Because),
}

/// A call that is about to be made, and the steps that it carries out.
struct Starting {
    lane: usize,
    kind: Kind,
    nodes: Vec<usize>,
    begun: Begun,
}

#[derive(Default)]
struct Lane {
    /// In the plan's order, for each kind of call.
    ready: BTreeMap<Kind, VecDeque<usize>>,
    /// Removals that wait for additions to be read back.
    parked: Vec<usize>,
    flying: usize,
    reading: bool,
}

/// What clouds count by itself.
type Kind = (Action, Option<Direction>);
type Paces = BTreeMap<Kind, Pace>;

fn kind(step: &Step) -> Kind {
    (step.action, step.direction)
}

impl Lane {
    fn has_ready(&self) -> bool {
        self.ready.values().any(|queue| !queue.is_empty())
    }
}

fn adds(step: &Step) -> bool {
    matches!(step.action, Action::AddRules | Action::ReplaceRules) && !step.adds.is_empty()
}

fn removes(step: &Step) -> bool {
    match step.action {
        Action::RemoveRules | Action::ReplaceRules | Action::DeleteGroup => true,
        Action::CreateGroup | Action::SetMarks | Action::AddRules | Action::UpdateDescriptions => false,
    }
}

impl<'a> Board<'a> {
    fn new(runs: &'a [Run<'a>]) -> Self {
        let mut nodes: Vec<Node<'a>> = Vec::new();
        for (lane, run) in runs.iter().enumerate() {
            nodes.extend(run.steps.iter().map(|step| Node {
                step,
                lane,
                dependents: Vec::new(),
                open: 0,
                state: State::Waiting,
                seen: false,
                settled: false,
            }));
        }
        let by_id: HashMap<StepId, usize> = nodes.iter().enumerate().map(|(at, node)| (node.step.id, at)).collect();
        let mut of_group: HashMap<(usize, Atom), Vec<usize>> = HashMap::new();
        for at in 0..nodes.len() {
            let step = nodes[at].step;
            of_group.entry((nodes[at].lane, step.group)).or_default().push(at);
            // A step that isn't part of the run is never done: what needs it stays where it is.
            nodes[at].open = step.depends_on.len();
            for needed in step.depends_on.iter().filter_map(|id| by_id.get(id)) {
                nodes[*needed].dependents.push(at);
            }
        }
        let lanes = runs.iter().map(|_| Lane::default()).collect();
        let made = runs.iter().map(|_| Made::new()).collect();
        let mut board = Self { runs, nodes, by_id, lanes, made, done: Vec::new(), of_group };
        for at in 0..board.nodes.len() {
            board.open(at);
        }
        board
    }

    fn needed(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.nodes[at].step.depends_on.iter().filter_map(|id| self.by_id.get(id)).copied()
    }

    /// Makes a step ready, or parks it, when nothing that it depends on is left.
    fn open(&mut self, at: usize) {
        let node = &self.nodes[at];
        if node.open > 0 || !matches!(node.state, State::Waiting | State::Parked) {
            return;
        }
        let wait = removes(node.step) && !self.needed(at).all(|needed| self.nodes[needed].settled);
        let lane = &mut self.lanes[self.nodes[at].lane];
        if wait {
            lane.parked.push(at);
            self.nodes[at].state = State::Parked;
        } else {
            lane.ready.entry(kind(node.step)).or_default().push_back(at);
            self.nodes[at].state = State::Ready;
        }
    }

    fn has_ready(&self) -> bool {
        self.lanes.iter().any(Lane::has_ready)
    }

    /// Takes ready steps off, in the plan's order: as many calls as there may be at once in each network and as the pace of each
    /// kind allows, and into each call as many steps as the cloud takes.
    fn take_ready(&mut self, paces: &[Paces], concurrency: usize) -> Vec<Starting> {
        let mut taken = Vec::new();
        for (at, paces) in paces.iter().enumerate() {
            let lane = &mut self.lanes[at];
            while lane.flying < concurrency.max(1) {
                let may_begin = lane.ready.iter_mut().filter(|(kind, _)| paces[kind].turn().is_none());
                let first =
                    may_begin.filter(|(_, queue)| !queue.is_empty()).min_by_key(|(_, queue)| queue.front().copied());
                let Some((&kind, queue)) = first else { break };
                let Ok(begun) = paces[&kind].begin() else { break };
                let most = self.runs[at].cloud.at_once(kind.0).get();
                let nodes: Vec<usize> = queue.drain(..most.min(queue.len())).collect();
                nodes.iter().for_each(|node| self.nodes[*node].state = State::Flying);
                lane.flying += 1;
                taken.push(Starting { lane: at, kind, nodes, begun });
            }
        }
        taken
    }

    /// When a ready step that now has to wait for its kind's pace may begin; `None`: none has to.
    fn next_turn(&self, paces: &[Paces], concurrency: usize) -> Option<Instant> {
        let waiting = self.lanes.iter().zip(paces).filter(|(lane, _)| lane.flying < concurrency.max(1));
        let kinds = waiting.flat_map(|(lane, paces)| {
            lane.ready.iter().filter(|(_, queue)| !queue.is_empty()).filter_map(|(kind, _)| paces[kind].turn())
        });
        kinds.min()
    }

    fn put_back(&mut self, taken: &[Starting]) {
        for Starting { lane, nodes, .. } in taken {
            nodes.iter().for_each(|node| self.nodes[*node].state = State::Ready);
            self.lanes[*lane].flying -= 1;
        }
    }

    /// The additions, by network, that the parked removals of a network wait for; none while the network has other work.
    fn to_read_back(&self, lane: usize) -> Vec<(usize, Vec<&'a Step>)> {
        let Lane { parked, flying, reading, .. } = &self.lanes[lane];
        if parked.is_empty() || *flying > 0 || *reading || self.lanes[lane].has_ready() {
            return Vec::new();
        }
        let mut unseen: Vec<Vec<&'a Step>> = vec![Vec::new(); self.lanes.len()];
        let mut visited: HashSet<usize> = HashSet::new();
        let mut to_visit = parked.clone();
        while let Some(at) = to_visit.pop() {
            for needed in self.needed(at) {
                let node = &self.nodes[needed];
                if !node.settled && visited.insert(needed) {
                    to_visit.push(needed);
                    if adds(node.step) && !node.seen {
                        unseen[node.lane].push(node.step);
                    }
                }
            }
        }
        unseen.into_iter().enumerate().filter(|(_, steps)| !steps.is_empty()).collect()
    }

    fn landed(&mut self, at: usize, result: Result<Done, CloudError>, outcome: &mut Outcome) {
        let Node { step, lane, .. } = self.nodes[at];
        match result {
            Ok(done) => {
                outcome.done.push(step.id);
                if let Some(id) = done.group_id {
                    outcome.made.insert(step.id, id.clone());
                    self.tell_others(lane, step.group, &id);
                    self.made[lane].insert(step.group, id);
                }
                self.nodes[at].state = State::Done;
                self.done.push(at);
                self.settle(at);
                for dependent in self.nodes[at].dependents.clone() {
                    self.nodes[dependent].open = self.nodes[dependent].open.saturating_sub(1);
                    self.open(dependent);
                }
            }
            Err(error) => {
                outcome.failed.push((step.id, error));
                self.nodes[at].state = State::Failed;
                self.skip_dependents(at);
                // A description says nothing about packets: the group goes on without it.
                if step.action != Action::UpdateDescriptions {
                    for other in self.of_group.get(&(lane, step.group)).cloned().unwrap_or_default() {
                        self.skip(other, Because::GroupFailed(step.id));
                    }
                }
            }
        }
    }

    /// Tells the other networks the id of a group that they may refer to by name.
    fn tell_others(&mut self, lane: usize, group: Atom, id: &str) {
        let home = self.runs[lane];
        let name = home.atoms.text(group);
        for (run, made) in self.runs.iter().zip(&mut self.made) {
            let means_it = |e: &Elsewhere| e.network == *home.network && e.group.as_str() == name;
            for (atom, _) in run.elsewhere.iter().filter(|(_, e)| means_it(e)) {
                let id = match home.account {
                    Some(account) if run.account.is_some_and(|own| own != account) => format!("{account}/{id}"),
                    _ => id.to_owned(),
                };
                run.cloud.made_elsewhere(run.atoms.text(*atom), &id);
                made.insert(*atom, id);
            }
        }
    }

    fn settle(&mut self, at: usize) {
        let node = &self.nodes[at];
        let settled = (node.seen || !adds(node.step)) && self.needed(at).all(|needed| self.nodes[needed].settled);
        self.nodes[at].settled = settled;
    }

    fn read_back(
        &mut self,
        lane: usize,
        seen: &[StepId],
        problems: Vec<(NetworkName, CloudError)>,
        outcome: &mut Outcome,
    ) {
        for at in seen.iter().filter_map(|id| self.by_id.get(id)) {
            self.nodes[*at].seen = true;
        }
        for at in self.done.clone() {
            self.settle(at);
        }
        self.lanes[lane].reading = false;
        for at in std::mem::take(&mut self.lanes[lane].parked) {
            self.open(at);
        }
        if !problems.is_empty() {
            for at in self.lanes[lane].parked.clone() {
                self.skip(at, Because::Unconfirmed);
            }
            outcome.unconfirmed.extend(problems);
        }
    }

    /// Takes a step that was not begun out of the run, and all that depends on it.
    fn skip(&mut self, at: usize, because: Because) {
        if !matches!(self.nodes[at].state, State::Waiting | State::Ready | State::Parked) {
            return;
        }
        self.nodes[at].state = State::Skipped(because);
        let lane = &mut self.lanes[self.nodes[at].lane];
        lane.ready.values_mut().for_each(|queue| queue.retain(|other| *other != at));
        lane.parked.retain(|other| *other != at);
        self.skip_dependents(at);
    }

    fn skip_dependents(&mut self, at: usize) {
        let mut to_visit = vec![at];
        while let Some(at) = to_visit.pop() {
            let because = Because::Needs(self.nodes[at].step.id);
            for dependent in self.nodes[at].dependents.clone() {
                // What depends on a step that isn't done is neither ready nor parked, so no queue holds it.
                if self.nodes[dependent].state == State::Waiting {
                    self.nodes[dependent].state = State::Skipped(because);
                    to_visit.push(dependent);
                }
            }
        }
    }

    /// Accounts for every step that was not begun.
    fn leftovers(&self, outcome: &mut Outcome) {
        for node in &self.nodes {
            let because = match node.state {
                State::Done | State::Failed => continue,
                State::Skipped(because) => because,
                State::Waiting | State::Ready | State::Parked | State::Flying if outcome.stopped.is_some() => {
                    Because::Stopped
                }
                State::Waiting | State::Ready | State::Parked | State::Flying => {
                    let not_done = |id: &&StepId| {
                        self.by_id.get(*id).is_none_or(|needed| self.nodes[*needed].state != State::Done)
                    };
                    node.step.depends_on.iter().find(not_done).map_or(Because::Stopped, |id| Because::Needs(*id))
                }
            };
            outcome.skipped.push((node.step.id, because));
        }
    }
}

#[cfg(test)]
mod tests;
