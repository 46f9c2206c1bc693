//! A group's changes become the fewest Neutron calls, and what Neutron's rules can say.

use std::num::NonZeroUsize;

use rsgsync_core::diff::open_outbound;
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, QuotaCount, Site, one_call_a_direction};
use rsgsync_core::plan::{Action, StepRule};
use rsgsync_core::rule::{Family, Rule};

use crate::connect::OpenStack;
use crate::translate;

/// The most rules of one POST: 100 take Neutron a second or two, 1,000 most of a minute.
const RULES_AT_ONCE: usize = 100;

/// The most groups of one POST.
const GROUPS_AT_ONCE: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// What Neutron's rules can say.
pub(crate) fn dialect() -> Dialect {
    Dialect {
        references_match_both: false,
        default_rules: open_outbound(Family::Both),
        description_alphabet: None,
        description_length: 255,
        marks_in_description: true,
        quota: QuotaCount::All,
        delete_cascades: true,
        updates_descriptions: false,
        groups_are_implicit: false,
    }
}

impl Pack for OpenStack {
    fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    fn pack(&self, changes: &GroupChanges, _at: &Site<'_>) -> Vec<Call> {
        // Marks of a rule stand in its description, which can't be changed: no rule is joined or left.
        let changes = GroupChanges { joins: Vec::new(), leaves: Vec::new(), ..changes.clone() };
        one_call_a_direction(&changes, &self.dialect).into_iter().flat_map(split).collect()
    }

    fn at_once(&self, action: Action) -> NonZeroUsize {
        if action == Action::CreateGroup { GROUPS_AT_ONCE } else { NonZeroUsize::MIN }
    }

    fn unsayable(&self, rule: &Rule, _group: &str, _peer: &str) -> Option<String> {
        translate::unsayable(rule).map(|why| why.to_string())
    }

    fn refuses_name(&self, name: &str) -> Option<String> {
        (name == "default").then(|| "OpenStack keeps that name for each project's own group".to_owned())
    }
}

/// Rules are made many at once, and deleted one by one.
fn split(call: Call) -> Vec<Call> {
    let parts = |rules: &[StepRule], size: usize| rules.chunks(size).map(<[StepRule]>::to_vec).collect::<Vec<_>>();
    match call.action {
        Action::AddRules => {
            let parts = parts(&call.adds, RULES_AT_ONCE);
            parts.into_iter().map(|adds| Call { adds, ..call.clone() }).collect()
        }
        Action::RemoveRules => {
            let parts = parts(&call.removes, 1);
            parts.into_iter().map(|removes| Call { removes, ..call.clone() }).collect()
        }
        _ => vec![call],
    }
}
