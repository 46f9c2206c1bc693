//! A group's changes become the fewest EC2 calls, and what EC2's rules can say.

use std::collections::BTreeMap;

use rsgsync_core::name::Mark;
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, QuotaCount, Site, one_call_a_direction};
use rsgsync_core::plan::{Action, StepRule};
use rsgsync_core::rule::{Cidr, Direction, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;

use crate::connect::Aws;
use crate::translate;

/// What EC2's rules can say.
pub(crate) fn dialect() -> Dialect {
    Dialect {
        references_match_both: true,
        default_rules: vec![Rule {
            direction: Direction::Egress,
            peer: RulePeer::Addresses(Cidr::ANY_V4),
            traffic: Traffic::ALL,
        }],
        // AuthorizeSecurityGroupIngress: "a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$*".
        description_alphabet: Some(" ._-:/()#,@[]+=&;{}!$*"),
        description_length: 255,
        marks_in_description: false,
        quota: QuotaCount::ByDirectionAndFamily,
        delete_cascades: false,
        updates_descriptions: true,
        groups_are_implicit: false,
    }
}

impl Pack for Aws {
    fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    fn pack(&self, changes: &GroupChanges, _at: &Site<'_>) -> Vec<Call> {
        one_call_a_direction(changes, &self.dialect).into_iter().flat_map(split_by_marks).collect()
    }

    fn unsayable(&self, rule: &Rule, _group: &str, _peer: &str) -> Option<String> {
        translate::unsayable(rule).map(|why| why.to_string())
    }

    fn refuses_name(&self, name: &str) -> Option<String> {
        // CreateSecurityGroup, GroupName: "cannot start with sg-"; `default` is every VPC's own.
        match name {
            "default" => Some("AWS keeps that name for each VPC's own group".to_owned()),
            _ => name.to_ascii_lowercase().starts_with("sg-").then(|| "on AWS no name begins with `sg-`".to_owned()),
        }
    }
}

/// The tags of an authorize, CreateTags or DeleteTags are those of all its rules: rules that differ in marks need a call each.
fn split_by_marks(call: Call) -> Vec<Call> {
    let tagged = match call.action {
        Action::AddRules => true,
        Action::SetMarks => call.group_marks.is_empty() && call.group_unmarks.is_empty(),
        _ => false,
    };
    if !tagged {
        return vec![call];
    }
    let mut parts: BTreeMap<Vec<Mark>, (Vec<StepRule>, Vec<StepRule>)> = BTreeMap::new();
    let Call { action, direction, resource, adds, removes, group_marks, group_unmarks, description } = call;
    for rule in adds {
        parts.entry(marks(&rule)).or_default().0.push(rule);
    }
    for rule in removes {
        parts.entry(marks(&rule)).or_default().1.push(rule);
    }
    let call = |(adds, removes)| Call {
        action,
        direction,
        resource: resource.clone(),
        adds,
        removes,
        group_marks: group_marks.clone(),
        group_unmarks: group_unmarks.clone(),
        description: description.clone(),
    };
    parts.into_values().map(call).collect()
}

/// A rule's marks, in one order.
pub(crate) fn marks(rule: &StepRule) -> Vec<Mark> {
    let mut marks = rule.marks.clone();
    marks.sort();
    marks.dedup();
    marks
}
