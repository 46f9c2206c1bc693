//! Answers of EC2, written by hand, replayed through the real SDK.

mod connecting;
mod errors;
mod executing;
mod observing;
mod packing;
mod replay;
mod translating;

use std::collections::BTreeMap;

use rsgsync_core::inventory::{Network, Ownership, SecurityGroup};
use rsgsync_core::name::{Mark, NetworkName, Origin, Owner, RuleId};
use rsgsync_core::observed::{Scope, ScopeGroup};
use rsgsync_core::plan::{Action, Step, StepId, StepRule};
use rsgsync_core::rule::{Atom, Atoms, Cidr, Direction, Family, PeerKind, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

use crate::Aws;
use replay::Replay;

/// The account that owns all groups of these tests.
const ACCOUNT: &str = "111122223333";

/// A network whose VPC is given by id.
fn network(at: serde_json::Value) -> Network {
    Network {
        name: NetworkName::new("eu").unwrap(),
        provider: "aws",
        at: at.as_object().unwrap().clone(),
        quotas: BTreeMap::new(),
        nat: Vec::new(),
        links: BTreeMap::new(),
    }
}

/// `vpc-1` in eu-west-1, answered by `replay`.
fn aws(replay: &Replay) -> Aws {
    aws_at(replay, serde_json::json!({ "region": "eu-west-1", "vpc": "vpc-1" }))
}

fn aws_at(replay: &Replay, at: serde_json::Value) -> Aws {
    Aws::with_config(&network(at), replay.config()).unwrap()
}

/// Groups by name or id, ownership as the marks say.
fn scope<'a>(groups: impl IntoIterator<Item = &'a str>) -> Scope {
    owned_scope(groups.into_iter().map(|group| (group, None)))
}

fn owned_scope<'a>(groups: impl IntoIterator<Item = (&'a str, Option<Ownership>)>) -> Scope {
    let group = |(text, ownership)| ScopeGroup { group: SecurityGroup::parse(text).unwrap(), ownership };
    Scope {
        owner: Owner::new("platform").unwrap(),
        clusters: ["prod"].iter().filter_map(|c| rsgsync_core::name::ClusterName::new(c).ok()).collect(),
        groups: groups.into_iter().map(group).collect(),
        marked: false,
        whole: false,
    }
}

fn mark(text: &str) -> Mark {
    Mark::parse(text).unwrap()
}

/// `ingress 22/tcp from 10.0.0.0/8` with the description `ssh`.
fn rule(traffic: &str, cidr: &str) -> StepRule {
    rule_from(traffic, RulePeer::Addresses(Cidr::parse(cidr).unwrap()))
}

fn rule_from(traffic: &str, peer: RulePeer) -> StepRule {
    StepRule::plain(Rule { direction: Direction::Ingress, peer, traffic: Traffic::parse(traffic).unwrap() })
}

fn group_peer(atoms: &mut Atoms, text: &str) -> RulePeer {
    RulePeer::Opaque(PeerKind::Group, atoms.intern(text), Family::Both)
}

fn described(rule: StepRule, description: &str) -> StepRule {
    StepRule { description: description.to_owned(), ..rule }
}

fn marked(rule: StepRule, marks: &[&str]) -> StepRule {
    StepRule { marks: marks.iter().map(|text| mark(text)).collect(), ..rule }
}

fn with_id(rule: StepRule, id: &str) -> StepRule {
    StepRule { id: Some(RuleId::new(id).unwrap()), ..rule }
}

/// A step with nothing to do yet.
fn step(action: Action, group: Atom) -> Step {
    Step {
        id: StepId(1),
        network: NetworkName::new("eu").unwrap(),
        group,
        direction: match action {
            Action::AddRules | Action::RemoveRules | Action::UpdateDescriptions => Some(Direction::Ingress),
            _ => None,
        },
        action,
        depends_on: Vec::new(),
        resource: None,
        adds: Vec::new(),
        removes: Vec::new(),
        group_marks: Vec::new(),
        group_unmarks: Vec::new(),
        description: None,
        cascade: BTreeMap::new(),
    }
}

fn adding(group: Atom, rules: Vec<StepRule>) -> Step {
    Step { adds: rules, ..step(Action::AddRules, group) }
}

fn removing(group: Atom, rules: Vec<StepRule>) -> Step {
    Step { removes: rules, ..step(Action::RemoveRules, group) }
}

fn creating(name: Atom, marks: &[&str]) -> Step {
    Step {
        description: Some("etcd nodes".to_owned()),
        group_marks: marks.iter().map(|text| (mark(text), Origin::Made)).collect(),
        group_unmarks: Vec::new(),
        ..step(Action::CreateGroup, name)
    }
}
