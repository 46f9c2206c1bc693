//! Plans and clouds for the scenario tests, in few words.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where its scene does")]

use std::time::Duration;

use rsgsync_core::inventory::{Ownership, SecurityGroup};
use rsgsync_core::name::{Mark, NetworkName, Origin, Owner};
use rsgsync_core::observed::{Observed, Scope, ScopeGroup};
use rsgsync_core::plan::{Action, Step, StepId, StepRule};
use rsgsync_core::rule::{Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;
use rsgsync_engine::{Cloud, Journal, Options, Outcome, Patience, Run, StopSignal, carry_out};
use rsgsync_simulated::{CallRecord, Simulated};
use serde_json::{Value, json};

pub fn network() -> NetworkName {
    NetworkName::new("sim").unwrap()
}

pub fn owner() -> Owner {
    Owner::new("platform").unwrap()
}

pub fn mark(text: &str) -> Mark {
    Mark::parse(text).unwrap()
}

/// A cloud in memory.
pub fn cloud(state: &Value) -> Simulated {
    Simulated::in_memory(state.to_string().as_bytes(), network()).unwrap()
}

/// A state with these groups.
pub fn state(groups: Value) -> Value {
    json!({ "version": 1, "groups": groups })
}

/// A group of the state file without rules.
pub fn group(id: &str, name: &str) -> Value {
    json!({ "id": id, "name": name, "description": "a group", "rules": [] })
}

/// An ingress TCP rule of the state file.
pub fn tcp(id: &str, port: u16, cidr: &str) -> Value {
    json!({ "id": id, "direction": "ingress", "protocol": "tcp", "from_port": port, "to_port": port,
            "peer": { "cidr": cidr } })
}

/// A plan in the making.
#[derive(Default)]
pub struct Plan {
    pub atoms: Atoms,
    pub steps: Vec<Step>,
}

impl Plan {
    /// `in 22/tcp 10.0.0.0/8`, `out all 0.0.0.0/0`, `in 2379/tcp prod-etcd`.
    pub fn rule(&mut self, text: &str) -> StepRule {
        let words: Vec<&str> = text.split(' ').collect();
        let [direction, traffic, peer] = words[..] else { panic!("{text}") };
        let direction = if direction == "in" { Direction::Ingress } else { Direction::Egress };
        let peer = match Cidr::parse(peer) {
            Some(cidr) => RulePeer::Addresses(cidr),
            None => RulePeer::Opaque(PeerKind::Group, self.atoms.intern(peer), Family::Both),
        };
        StepRule::plain(Rule { direction, peer, traffic: Traffic::parse(traffic).unwrap() })
    }

    pub fn rules(&mut self, texts: &[&str]) -> Vec<StepRule> {
        texts.iter().map(|text| self.rule(text)).collect()
    }

    /// The next step, for more to be set.
    pub fn step(&mut self, action: Action, group: &str, depends_on: &[u32]) -> &mut Step {
        let step = Step {
            id: StepId(self.steps.len() as u32 + 1),
            network: network(),
            group: self.atoms.intern(group),
            direction: None,
            action,
            depends_on: depends_on.iter().copied().map(StepId).collect(),
            resource: None,
            adds: Vec::new(),
            removes: Vec::new(),
            group_marks: Vec::new(),
            group_unmarks: Vec::new(),
            description: None,
            cascade: std::collections::BTreeMap::new(),
        };
        self.steps.push(step);
        self.steps.last_mut().unwrap()
    }

    pub fn create(&mut self, group: &str) {
        let step = self.step(Action::CreateGroup, group, &[]);
        step.description = Some("made by a test".to_owned());
        step.group_marks = vec![(mark("platform/prod"), Origin::Made)];
    }

    pub fn add(&mut self, group: &str, depends_on: &[u32], rules: &[&str]) -> &mut Step {
        let rules = self.rules(rules);
        let step = self.step(Action::AddRules, group, depends_on);
        step.direction = rules.first().map(|rule| rule.rule.direction);
        step.adds = rules;
        step
    }

    pub fn remove(&mut self, group: &str, depends_on: &[u32], rules: &[&str]) -> &mut Step {
        let rules = self.rules(rules);
        let step = self.step(Action::RemoveRules, group, depends_on);
        step.direction = rules.first().map(|rule| rule.rule.direction);
        step.removes = rules;
        step
    }

    pub async fn carry_out(&self, cloud: &dyn Cloud) -> Outcome {
        self.carry_out_with(cloud, &mut Journal::in_memory(Value::Null), &StopSignal::new()).await
    }

    pub async fn carry_out_with(&self, cloud: &dyn Cloud, journal: &mut Journal, stop: &StopSignal) -> Outcome {
        let (network, owner) = (network(), owner());
        let run = Run {
            network: &network,
            owner: &owner,
            cloud,
            account: None,
            elsewhere: &Default::default(),
            atoms: &self.atoms,
            steps: &self.steps,
            settle: Duration::ZERO,
        };
        carry_out(&[run], options(), journal, &(), stop).await
    }

    /// Executes one step by its number, without the engine.
    pub async fn execute(&self, cloud: &dyn Cloud, step: u32) -> rsgsync_engine::Done {
        cloud.execute(&self.steps[step as usize - 1], &self.atoms).await.unwrap()
    }
}

pub fn options() -> Options {
    Options { concurrency: 8, patience: Patience { times: 6, ..Patience::default() } }
}

pub async fn observe(cloud: &Simulated, groups: &[(&str, Option<Ownership>)]) -> (Observed, Atoms) {
    let groups = groups
        .iter()
        .map(|(name, ownership)| ScopeGroup { group: SecurityGroup::parse(name).unwrap(), ownership: *ownership });
    let scope = Scope {
        owner: owner(),
        clusters: ["prod"].iter().filter_map(|c| rsgsync_core::name::ClusterName::new(c).ok()).collect(),
        groups: groups.collect(),
        marked: false,
        whole: false,
    };
    let mut atoms = Atoms::new();
    let observed = cloud.observe(&scope, &mut atoms).await.unwrap();
    (observed, atoms)
}

/// A group's rules as the state file has them, `2379/tcp 10.0.0.0/8`, sorted; egress ones begin with `out`.
pub fn rules_of(cloud: &Simulated, group: &str) -> Vec<String> {
    let state = cloud.state();
    let groups = state["groups"].as_array().unwrap();
    let Some(group) = groups.iter().find(|g| g["name"] == group) else { return Vec::new() };
    let line = |rule: &Value| {
        let way = if rule["direction"] == "egress" { "out " } else { "" };
        let peer = rule["peer"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
        let (from, to) = (&rule["from_port"], &rule["to_port"]);
        let ports = if from == to { from.to_string() } else { format!("{from}-{to}") };
        format!("{way}{ports}/{} {peer}", rule["protocol"].as_str().unwrap())
    };
    let mut rules: Vec<String> = group["rules"].as_array().unwrap().iter().map(line).collect();
    rules.sort();
    rules
}

/// The kinds of the calls, in order.
pub fn kinds(log: &[CallRecord]) -> Vec<&'static str> {
    log.iter().map(|call| call.kind.as_str()).collect()
}

pub fn ids(steps: &[u32]) -> Vec<StepId> {
    steps.iter().copied().map(StepId).collect()
}
