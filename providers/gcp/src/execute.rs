//! One step of a plan becomes one firewall rule that is inserted, patched or deleted; safe to repeat.

use std::collections::BTreeSet;

use http::Method;
use rsgsync_core::plan::{Action, Step, StepId};
use rsgsync_core::rule::{Atoms, Rule};
use rsgsync_engine::{CloudError, Done};
use serde::Serialize;

use crate::api::Call;
use crate::body::{Content, Insert, Relabel, Target, Unsendable, deny};
use crate::connect::Gcp;
use crate::error::{OUR_FAULT, PLAN_AGAIN, Refused, final_error};
use crate::implied::family_of_implied;
use crate::translate::rules_of;
use crate::wire::{Firewall, Operation};

/// What a step does to its resource.
struct Doing<'a> {
    step: StepId,
    /// The resource's name.
    name: &'a str,
    /// `` adding 3 ingress rules to `prod-etcd` (firewall rule `…`) ``.
    doing: String,
}

impl Gcp {
    pub(crate) async fn execute_step(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        let group = atoms.text(step.group);
        let it = Doing { step: step.id, name: step.resource.as_deref().unwrap_or_default(), doing: doing(step, group) };
        let fault = |what: &str| final_error(it.doing.clone(), what.to_owned(), OUR_FAULT);
        if it.name.is_empty() {
            return Err(fault("the plan does not say which firewall rule"));
        }
        let base = self.session.resource(it.name);
        let description = step.description.as_deref();
        let unsendable = |error: Unsendable| final_error(it.doing.clone(), error.to_string(), OUR_FAULT);
        match (step.action, base) {
            (Action::AddRules, None) => {
                let content = Content::of(group, &rules(&step.adds), atoms).map_err(unsendable)?;
                self.insert(&it, &content.insert(it.name, &self.network_link(), description.unwrap_or_default())).await
            }
            (Action::RemoveRules, None) => match family_of_implied(&step.removes) {
                Some(any) => {
                    let target = Target::new(group).map_err(unsendable)?;
                    let network = self.network_link();
                    self.insert(&it, &deny(&target, any, it.name, &network, description.unwrap_or_default())).await
                }
                // Somebody has deleted it.
                None => Ok(Done { already: true, ..Done::default() }),
            },
            (Action::SetMarks, Some(base)) => {
                let body = Relabel::describe(&base, description.unwrap_or(&base.description));
                self.patch(&it, &base, &body, &body.stored(&base)).await
            }
            (Action::AddRules | Action::RemoveRules | Action::ReplaceRules, Some(base)) if !base.denied.is_empty() => {
                match (family_of_implied(&step.adds), family_of_implied(&step.removes)) {
                    (Some(_), None) => self.delete(&it).await,
                    (None, Some(_)) => {
                        let body = Relabel::enable(&base, description.unwrap_or(&base.description));
                        self.patch(&it, &base, &body, &body.stored(&base)).await
                    }
                    (None, None) if base.disabled && step.adds.is_empty() => self.delete(&it).await,
                    _ => Err(fault("the plan would change a firewall rule that denies")),
                }
            }
            (Action::AddRules | Action::RemoveRules | Action::ReplaceRules, Some(base)) => {
                let left = result(&base, step, atoms).map_err(|what| fault(&what))?;
                if left.is_empty() {
                    return self.delete(&it).await;
                }
                let content = Content::of(group, &left, atoms).map_err(unsendable)?;
                let body = content.patch(it.name, description.unwrap_or(&base.description));
                self.patch(&it, &base, &body, &body.stored()).await
            }
            (Action::ReplaceRules | Action::SetMarks, None) => {
                Err(final_error(it.doing, "there is no such firewall rule", PLAN_AGAIN))
            }
            (Action::CreateGroup | Action::UpdateDescriptions | Action::DeleteGroup, _) => {
                Err(fault("Google Cloud has no such call"))
            }
        }
    }

    /// Inserts a firewall rule; one of that name that is the same already is success.
    async fn insert(&self, it: &Doing<'_>, body: &Insert) -> Result<Done, CloudError> {
        let call = Call::new("firewalls.insert", Method::POST, &["global", "firewalls"]).json(body);
        match self.mutate(it.step, &it.doing, call).await {
            Ok(operation) => {
                self.session.left(Firewall { id: operation.target_id.clone(), ..body.stored() });
                Ok(done(operation))
            }
            Err(refused) if refused.status == 409 => {
                let found = self.read(it).await?;
                let found = found.filter(|found| found.is_as_inserted(body)).ok_or(refused.error)?;
                self.session.left(found);
                Ok(Done { already: true, ..Done::default() })
            }
            Err(refused) => Err(refused.error),
        }
    }

    /// Changes a firewall rule by `body`, which makes `result` of it, unless it isn't what the plan was made for.
    async fn patch(
        &self,
        it: &Doing<'_>,
        base: &Firewall,
        body: &impl Serialize,
        result: &Firewall,
    ) -> Result<Done, CloudError> {
        let other = |what: &str| final_error(it.doing.clone(), what.to_owned(), PLAN_AGAIN);
        let now = self.read(it).await?.ok_or_else(|| other("the firewall rule is gone"))?;
        if now.is_as(result) {
            self.session.left(now);
            return Ok(Done { already: true, ..Done::default() });
        }
        if !now.is_still(base) {
            return Err(other("the firewall rule is not the one that the plan knows; nothing was changed"));
        }
        let path = ["global", "firewalls", it.name];
        let call = Call::new("firewalls.patch", Method::PATCH, &path).json(body);
        let operation = self.mutate(it.step, &it.doing, call).await.map_err(Refused::into_error)?;
        let after = self.read(it).await?.ok_or_else(|| other("the firewall rule is gone since it was changed"))?;
        if !after.is_as(result) {
            return Err(other("somebody else has written to the firewall rule at the same moment"));
        }
        self.session.left(after);
        Ok(done(operation))
    }

    async fn delete(&self, it: &Doing<'_>) -> Result<Done, CloudError> {
        let path = ["global", "firewalls", it.name];
        let deleted = self.mutate(it.step, &it.doing, Call::new("firewalls.delete", Method::DELETE, &path)).await;
        let done = match deleted {
            Ok(operation) => done(operation),
            Err(refused) if refused.status == 404 => Done { already: true, ..Done::default() },
            Err(refused) => return Err(refused.error),
        };
        self.session.gone(it.name);
        Ok(done)
    }

    async fn read(&self, it: &Doing<'_>) -> Result<Option<Firewall>, CloudError> {
        let path = ["global", "firewalls", it.name];
        match self.send(&it.doing, &Call::new("firewalls.get", Method::GET, &path)).await {
            Ok(answer) => answer.read(&it.doing).map(Some),
            Err(refused) if refused.status == 404 => Ok(None),
            Err(refused) => Err(refused.error),
        }
    }

    fn network_link(&self) -> String {
        format!("projects/{}/global/networks/{}", self.place.project, self.place.network)
    }
}

fn done(operation: Operation) -> Done {
    Done { group_id: None, request_id: Some(operation.name), already: false }
}

fn rules(rules: &[rsgsync_core::plan::StepRule]) -> BTreeSet<Rule> {
    rules.iter().map(|rule| rule.rule).collect()
}

/// What the resource is to let through: what it lets through now, without what the step removes, with what it adds.
fn result(base: &Firewall, step: &Step, atoms: &Atoms) -> Result<BTreeSet<Rule>, String> {
    let mut left = BTreeSet::new();
    if !base.disabled {
        left = rules_of(base, &mut atoms.clone()).map_err(|error| format!("the firewall rule has {error}"))?;
    }
    for rule in rules(&step.removes) {
        if !left.remove(&rule) {
            return Err(format!("the firewall rule does not have what the plan removes: {}", rule.traffic));
        }
    }
    left.extend(rules(&step.adds));
    Ok(left)
}

fn doing(step: &Step, group: &str) -> String {
    let rules = |count: usize| {
        let way = step.direction.map_or(String::new(), |direction| format!("{} ", direction.as_str()));
        format!("{count} {way}rule{}", if count == 1 { "" } else { "s" })
    };
    let what = match step.action {
        Action::AddRules => format!("adding {} to", rules(step.adds.len())),
        Action::RemoveRules => format!("removing {} from", rules(step.removes.len())),
        Action::ReplaceRules => format!("replacing {} of", rules(step.removes.len())),
        Action::CreateGroup => "creating".to_owned(),
        Action::SetMarks => "marking".to_owned(),
        Action::UpdateDescriptions => "describing rules of".to_owned(),
        Action::DeleteGroup => "deleting".to_owned(),
    };
    let resource = step.resource.as_deref().unwrap_or_default();
    format!("{what} `{group}` (firewall rule `{resource}`)")
}
