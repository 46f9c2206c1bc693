//! What stderr shows while calls run: bars on a terminal, a line a step elsewhere.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rsgsync_core::name::NetworkName;
use rsgsync_core::plan::{Action, Plan, Step};
use rsgsync_engine::{CloudError, Done, Progress, Waiting};

use crate::console::{Console, Notice};
use crate::report::{count, escape};

/// The screen's lower edge.
pub struct Screen {
    bars: MultiProgress,
    steps: ProgressBar,
    console: Console,
    names: HashMap<u32, String>,
}

impl Screen {
    /// A screen without a bar.
    pub fn new(console: Console) -> Self {
        let target = if console.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        Self { bars, steps: ProgressBar::hidden(), console, names: HashMap::new() }
    }

    /// Shows that a network is being read, until the value is dropped.
    pub fn reading(&self, network: &NetworkName) -> Reading {
        let bar = self.bars.add(ProgressBar::new_spinner());
        bar.set_message(format!("reading {network}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Reading(bar)
    }

    /// Makes room for the steps of a plan.
    pub fn expect(&mut self, plan: &Plan) {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {wide_msg}");
        let bar = self.bars.add(ProgressBar::new(plan.steps.len() as u64));
        self.steps = style.map(|style| bar.clone().with_style(style)).unwrap_or(bar);
        let name = |step: &Step| {
            let network = plan.networks.iter().find(|n| n.network.name == step.network);
            let group = network.map_or("", |n| n.group_name(step.group));
            (step.id.0, format!("{} {group}", verb(step)))
        };
        self.names = plan.steps.iter().map(name).collect();
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.steps.finish_and_clear();
    }

    fn name(&self, step: &Step) -> &str {
        self.names.get(&step.id.0).map_or("", String::as_str)
    }

    fn say(&self, network: &NetworkName, text: &str) {
        let text = format!("{network}{text}");
        if self.console.bars {
            self.steps.set_message(escape(&text));
        } else {
            self.console.tell(&Notice::info("step", escape(&text)).with("network", network.as_str()));
        }
    }
}

/// A network is being read.
pub struct Reading(ProgressBar);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn verb(step: &Step) -> String {
    let rules = |n: usize| count(n, "rule");
    match step.action {
        Action::CreateGroup => "create group".to_owned(),
        Action::SetMarks => "mark".to_owned(),
        Action::AddRules => format!("add {} to", rules(step.adds.len())),
        Action::RemoveRules => format!("remove {} from", rules(step.removes.len())),
        Action::ReplaceRules => "replace rules of".to_owned(),
        Action::UpdateDescriptions => format!("describe {} of", rules(step.adds.len())),
        Action::DeleteGroup => "delete group".to_owned(),
    }
}

impl Progress for Screen {
    fn started(&self, step: &Step) {
        if self.console.bars {
            self.steps.set_message(escape(self.name(step)));
        }
    }

    fn finished(&self, step: &Step, result: Result<&Done, &CloudError>) {
        self.steps.inc(1);
        if !self.console.bars {
            let how = match result {
                Ok(done) if done.already => "was so already",
                Ok(_) => "done",
                Err(_) => "failed",
            };
            self.say(&step.network, &format!(" {}: {how}", self.name(step)));
        }
    }

    fn waiting(&self, network: &NetworkName, why: Waiting<'_>, pause: Duration) {
        let seconds = pause.as_secs_f32();
        let text = match why {
            Waiting::Retry(error) => format!(": {}; trying again in {seconds:.1} s", error.message),
            Waiting::Lagging => format!(": additions are not visible yet; looking again in {seconds:.1} s"),
            Waiting::Settle => format!(": additions settle for {seconds:.0} s before removals"),
        };
        self.say(network, &text);
    }

    fn reading_back(&self, network: &NetworkName, groups: usize) {
        self.say(network, &format!(": reading {} back", count(groups, "changed group")));
    }
}
