//! Groups are made many at once; when Neutron refuses them because of one, halves are sent until it stands alone.

use std::collections::{BTreeMap, VecDeque};

use http::Method;
use rsgsync_core::name::{Mark, Origin};
use rsgsync_core::plan::{Step, StepId};
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{CloudError, Done, ErrorKind};
use serde_json::json;

use crate::api::Call;
use crate::connect::OpenStack;
use crate::error::{NOT_NEUTRON, Refused, final_error};
use crate::marks::group_marks;
use crate::observe::ambiguous;
use crate::wire::{Group, GroupPage};

type Answer = Result<Done, CloudError>;

impl OpenStack {
    /// Makes groups; an answer for each step, in their order.
    pub(crate) async fn create_groups(&self, steps: &[&Step], atoms: &Atoms) -> Vec<Answer> {
        let mut answers = self.made_before(steps, atoms).await;
        let missing: Vec<&Step> = steps.iter().copied().filter(|step| !answers.contains_key(&step.id)).collect();
        let mut parts = VecDeque::from([missing.as_slice()]);
        while let Some(part) = parts.pop_front() {
            let refused = match self.create_at_once(part, atoms).await {
                Ok(made) => {
                    answers.extend(made);
                    continue;
                }
                Err(refused) => refused,
            };
            let of_a_group = refused.error.kind == ErrorKind::Final && !matches!(refused.status, 0 | 401 | 403);
            if of_a_group && part.len() > 1 {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push_front(second);
                parts.push_front(first);
                continue;
            }
            // What isn't about this group is in the way of all that are left.
            let stops = !of_a_group || refused.code == "OverQuota";
            let left = if stops { std::mem::take(&mut parts) } else { VecDeque::new() };
            let error = self.with_arithmetic(refused, 1).await;
            for step in part.iter().chain(left.into_iter().flatten()) {
                let doing = creating(&[step], atoms);
                answers.insert(step.id, Err(CloudError { doing, ..error.clone() }));
            }
        }
        steps.iter().filter_map(|step| answers.remove(&step.id)).collect()
    }

    /// One call: all of these groups, or none.
    async fn create_at_once(&self, steps: &[&Step], atoms: &Atoms) -> Result<Vec<(StepId, Answer)>, Refused> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let doing = creating(steps, atoms);
        let new = steps.iter().map(|step| {
            json!({ "name": atoms.text(step.group), "description": step.description.as_deref().unwrap_or_default() })
        });
        let body = json!({ "security_groups": new.collect::<Vec<_>>() });
        let answer = self.send(&doing, &Call::new(Method::POST, "/security-groups", &[]).json(&body)).await?;
        let made: GroupPage = answer.read(&doing).map_err(Refused::unanswered)?;
        let ids: BTreeMap<&str, &str> =
            made.security_groups.iter().map(|group| (group.name.as_str(), group.id.as_str())).collect();
        let answers = steps.iter().map(|step| {
            let name = atoms.text(step.group);
            let Some(id) = ids.get(name) else {
                let message = "the answer doesn't have the group".to_owned();
                return (step.id, Err(final_error(creating(&[step], atoms), message, NOT_NEUTRON)));
            };
            self.session.saw(name, id);
            let (group_id, request_id) = (Some((*id).to_owned()), answer.request_id.clone());
            (step.id, Ok(Done { group_id, request_id, already: false }))
        });
        Ok(answers.collect())
    }

    /// Groups that earlier calls made, whose answers were lost: they carry their step's mark. Names are not unique, so a
    /// repetition would make a second group.
    async fn made_before(&self, steps: &[&Step], atoms: &Atoms) -> BTreeMap<StepId, Answer> {
        let asked: Vec<&Step> =
            steps.iter().copied().filter(|step| self.session.asks_again(atoms.text(step.group))).collect();
        if asked.is_empty() {
            return BTreeMap::new();
        }
        let doing = creating(&asked, atoms);
        let listed = match self.list_names(&doing).await {
            Ok(listed) => listed,
            Err(error) => return asked.iter().map(|step| (step.id, Err(error.clone()))).collect(),
        };
        let found = asked.iter().filter_map(|step| {
            let name = atoms.text(step.group);
            let made = listed.iter().filter(|group| group.name == name && is_of(step, group));
            let answer = match made.map(|group| group.id.as_str()).collect::<Vec<_>>().as_slice() {
                [] => return None,
                [id] => {
                    self.session.saw(name, id);
                    Ok(Done { group_id: Some((*id).to_owned()), request_id: None, already: true })
                }
                ids => Err(ambiguous(name, ids)),
            };
            Some((step.id, answer))
        });
        found.collect()
    }

    /// The project's groups without their rules.
    async fn list_names(&self, doing: &str) -> Result<Vec<Group>, CloudError> {
        let neutron = self.neutron().await?;
        let call = Call::new(Method::GET, "/security-groups", &[]).query("project_id", &neutron.project);
        let fields = ["id", "name", "description", "tags"];
        let call = fields.into_iter().fold(call, |call, field| call.query("fields", field));
        self.pages::<GroupPage>(doing, &call).await
    }
}

/// Whether a group carries a mark that the step gives to the group that it makes.
fn is_of(step: &Step, group: &Group) -> bool {
    let marks = group_marks(group);
    let carried = |mark: &Mark| marks.iter().any(|found| found.mark == *mark && found.origin == Origin::Made);
    step.group_marks.iter().any(|(mark, _)| carried(mark))
}

/// `` creating security group `prod-etcd` ``, `creating 3 security groups`
fn creating(steps: &[&Step], atoms: &Atoms) -> String {
    match steps {
        [step] => format!("creating security group `{}`", atoms.text(step.group)),
        steps => format!("creating {} security groups", steps.len()),
    }
}
