//! Rules are added many at once and removed by their ids; when Neutron refuses a batch because one of its rules is there
//! already, the group is read again and the rest is sent.

use std::collections::BTreeSet;

use http::Method;
use rsgsync_core::plan::StepRule;
use rsgsync_engine::{CloudError, Done, ErrorKind};

use crate::api::Call;
use crate::connect::OpenStack;
use crate::error::final_error;
use crate::execute::{Target, done};
use crate::observe::unreadable;
use crate::translate::{rule_of, says};
use crate::wire::{NewRule, NewRules};

/// How often a refused batch is read again: others may be at work on the same rules, but not for ever.
const ROUNDS: usize = 3;

impl OpenStack {
    pub(crate) async fn add_rules(&self, rules: &[StepRule], target: &Target<'_>) -> Result<Done, CloudError> {
        let mut left: Vec<&StepRule> = rules.iter().collect();
        let mut round = 1;
        loop {
            let body = NewRules { security_group_rules: self.new_rules(&left, target)? };
            let call = Call::new(Method::POST, "/security-group-rules", &[]).json(&body);
            let refused = match self.send(&target.doing, &call).await {
                Ok(answer) => return Ok(Done { already: round > 1, ..done(&answer) }),
                Err(refused) if refused.code == "SecurityGroupRuleExists" => refused.error,
                Err(refused) => return Err(self.with_arithmetic(refused, left.len()).await),
            };
            let asked = left.len();
            left = self.missing(left, target).await?;
            if left.is_empty() {
                return Ok(Done { already: true, ..Done::default() });
            }
            if left.len() == asked || round == ROUNDS {
                // It refuses for a rule that it doesn't list: somebody is at work on the group, which time mends.
                let message = format!("{}; Neutron's list of the group's rules does not have it", refused.message);
                return Err(CloudError { kind: ErrorKind::Transient, message, ..refused });
            }
            round += 1;
        }
    }

    fn new_rules(&self, rules: &[&StepRule], target: &Target<'_>) -> Result<Vec<NewRule>, CloudError> {
        let new = rules.iter().map(|rule| {
            let says = says(&rule.rule, target.atoms, |group| self.group_id(group, target.atoms)).map_err(|error| {
                final_error(
                    target.doing.clone(),
                    error.to_string(),
                    "change the rule in the inventory; nothing was sent",
                )
            })?;
            Ok(NewRule { security_group_id: target.id.clone(), description: rule.description.clone(), says })
        });
        new.collect()
    }

    /// The rules that the group doesn't have.
    async fn missing<'a>(
        &self,
        rules: Vec<&'a StepRule>,
        target: &Target<'_>,
    ) -> Result<Vec<&'a StepRule>, CloudError> {
        let group = self.read_group(target).await?;
        let mut atoms = target.atoms.clone();
        let mut present = BTreeSet::new();
        for rule in &group.security_group_rules {
            present.insert(rule_of(&rule.says, &mut atoms).map_err(|error| unreadable(&group, &rule.id, &error))?);
        }
        // By way of Neutron's own words, since steps may name groups otherwise than the list does.
        let mut is_there = |rule: &StepRule| {
            let says = says(&rule.rule, target.atoms, |group| self.group_id(group, target.atoms)).ok();
            let listed = says.and_then(|says| rule_of(&says, &mut atoms).ok());
            listed.is_some_and(|listed| present.contains(&listed))
        };
        Ok(rules.into_iter().filter(|rule| !is_there(rule)).collect())
    }

    /// Deletes each rule; one that is gone already is success.
    pub(crate) async fn remove_rules(&self, rules: &[StepRule], target: &Target<'_>) -> Result<Done, CloudError> {
        let mut last = Done { already: true, ..Done::default() };
        for rule in rules {
            let Some(id) = &rule.id else {
                let message = "the plan does not say which rule".to_owned();
                return Err(final_error(target.doing.clone(), message, "this is a fault of rsgsync: report it"));
            };
            let ids = [id.as_str()];
            match self.send(&target.doing, &Call::new(Method::DELETE, "/security-group-rules/{}", &ids)).await {
                Ok(answer) => last = done(&answer),
                Err(refused) if refused.status == 404 => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(last)
    }
}
