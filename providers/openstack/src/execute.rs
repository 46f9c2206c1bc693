//! One step of a plan becomes one Neutron call, or its share of one; safe to repeat.

use std::collections::BTreeSet;

use http::Method;
use rsgsync_core::inventory::SecurityGroup;
use rsgsync_core::name::{Mark, RuleId};
use rsgsync_core::plan::{Action, Step};
use rsgsync_core::rule::{Atom, Atoms};
use rsgsync_engine::{CloudError, Done};
use serde_json::json;

use crate::api::{Answer, Call};
use crate::connect::OpenStack;
use crate::error::{Refused, final_error};
use crate::marks::{tag, tags_of, unmarked};
use crate::wire::{Group, OneGroup, Referrer, Referrers};

/// A step's group and everything that its calls have in common.
pub(crate) struct Target<'a> {
    pub id: String,
    pub atoms: &'a Atoms,
    /// `adding 3 ingress rules to `prod-etcd` (0f3a…)`.
    pub doing: String,
}

impl OpenStack {
    pub(crate) async fn execute_step(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        if step.action == Action::CreateGroup {
            return self.create_groups(&[step], atoms).await.pop().expect("each step has an answer");
        }
        let name = atoms.text(step.group);
        let Some(id) = self.group_id(step.group, atoms) else {
            return Err(final_error(
                format!("looking for security group `{name}`"),
                "there is none of that name".to_owned(),
                "plan again",
            ));
        };
        let target = Target { doing: self.doing(step, &id), id, atoms };
        match step.action {
            Action::AddRules => self.add_rules(&step.adds, &target).await,
            Action::RemoveRules => self.remove_rules(&step.removes, &target).await,
            Action::SetMarks => self.set_marks(step, &target).await,
            Action::DeleteGroup => self.delete_group(step, &target).await,
            Action::CreateGroup | Action::ReplaceRules | Action::UpdateDescriptions => Err(final_error(
                target.doing,
                "OpenStack has no such call".to_owned(),
                "this is a fault of rsgsync: report it",
            )),
        }
    }

    fn doing(&self, step: &Step, id: &str) -> String {
        let group = self.session.label(id);
        let rules = |count: usize| {
            let way = step.direction.map_or(String::new(), |direction| format!("{} ", direction.as_str()));
            format!("{count} {way}rule{}", if count == 1 { "" } else { "s" })
        };
        match step.action {
            Action::CreateGroup => format!("creating security group {group}"),
            Action::SetMarks => format!("marking security group {group}"),
            Action::AddRules => format!("adding {} to {group}", rules(step.adds.len())),
            Action::RemoveRules => format!("removing {} from {group}", rules(step.removes.len())),
            Action::ReplaceRules => format!("replacing {} of {group}", rules(step.removes.len())),
            Action::UpdateDescriptions => format!("describing {} of {group}", rules(step.adds.len())),
            Action::DeleteGroup => format!("deleting security group {group}"),
        }
    }

    /// The id of a group that a step or a rule names: an id, one behind its project's, or the name of a group that this run
    /// has seen.
    pub(crate) fn group_id(&self, group: Atom, atoms: &Atoms) -> Option<String> {
        let text = atoms.text(group);
        let known = self.session.id_of(text);
        let text = known.as_deref().unwrap_or(text);
        let id = text.rsplit_once('/').map_or(text, |(_, id)| id);
        matches!(SecurityGroup::parse(id), Ok(SecurityGroup::Id(_))).then(|| id.to_owned())
    }

    pub(crate) async fn read_group(&self, target: &Target<'_>) -> Result<Group, Refused> {
        let ids = [target.id.as_str()];
        let answer = self.send(&target.doing, &Call::new(Method::GET, "/security-groups/{}", &ids)).await?;
        Ok(answer.read::<OneGroup>(&target.doing).map_err(Refused::unanswered)?.security_group)
    }

    /// Says how full the project is, where that is why Neutron refuses.
    pub(crate) async fn with_arithmetic(&self, refused: Refused, asked: usize) -> CloudError {
        let Refused { code, mut error, .. } = refused;
        if code != "OverQuota" {
            return error;
        }
        if let Ok(Some(quotas)) = self.read_quotas().await {
            let rules = error.message.contains("security_group_rule");
            let (quota, what) =
                if rules { (quotas.security_group_rule, "rules") } else { (quotas.security_group, "groups") };
            // A new group comes with two rules.
            let asked = if rules && error.doing.starts_with("creating") { 2 } else { asked };
            error.message = format!(
                "{} {} {what} of {} are used, {asked} more were asked for",
                error.message, quota.used, quota.limit
            );
        }
        error
    }

    /// Deletes a group, unless more would go with it than the plan says: Neutron silently deletes what refers to it, too.
    async fn delete_group(&self, step: &Step, target: &Target<'_>) -> Result<Done, CloudError> {
        let gone = || Done { already: true, ..Done::default() };
        let group = match self.read_group(target).await {
            Ok(group) => group,
            Err(refused) if refused.status == 404 => return Ok(gone()),
            Err(refused) => return Err(refused.into()),
        };
        let with_it = step.removes.iter().chain(step.cascade.values().flatten());
        let planned: BTreeSet<&str> = with_it.filter_map(|rule| rule.id.as_ref()).map(RuleId::as_str).collect();
        let unplanned = group.security_group_rules.iter().filter(|rule| !planned.contains(rule.id.as_str())).count();
        if unplanned > 0 {
            let plural = if unplanned == 1 { "a rule" } else { "rules" };
            let message = format!("{plural} that the plan does not know would go with the group");
            return Err(final_error(target.doing.clone(), message, "plan again: the new plan shows what is there now"));
        }
        let call = Call::new(Method::GET, "/security-group-rules", &[]);
        let call = call.query("remote_group_id", &target.id);
        let call = call.query("fields", "id").query("fields", "security_group_id");
        let referrers: Referrers = self.send(&target.doing, &call).await?.read(&target.doing)?;
        let unplanned = |rule: &&Referrer| rule.security_group_id != target.id && !planned.contains(rule.id.as_str());
        let referrers = referrers.security_group_rules.iter().filter(unplanned);
        if let Some(other) = referrers.map(|rule| rule.security_group_id.as_str()).min() {
            return Err(final_error(
                target.doing.clone(),
                format!("a rule of {} refers to the group, and would go with it", self.session.label(other)),
                "plan again: the new plan says what is there now",
            ));
        }
        let ids = [target.id.as_str()];
        let call = Call::new(Method::DELETE, "/security-groups/{}", &ids).if_revision(group.revision_number);
        match self.send(&target.doing, &call).await {
            Ok(answer) => Ok(done(&answer)),
            Err(refused) if refused.status == 404 => Ok(gone()),
            Err(refused) => Err(refused.into()),
        }
    }

    async fn set_marks(&self, step: &Step, target: &Target<'_>) -> Result<Done, CloudError> {
        let mut last = Done { already: true, ..Done::default() };
        for (mark, origin) in &step.group_marks {
            let tag = tag(mark, *origin);
            let ids = [target.id.as_str(), tag.as_str()];
            last = done(&self.send(&target.doing, &Call::new(Method::PUT, "/security-groups/{}/tags/{}", &ids)).await?);
        }
        if !step.group_unmarks.is_empty() {
            last = self.unmark(&step.group_unmarks, target).await?;
        }
        Ok(last)
    }

    async fn unmark(&self, marks: &[Mark], target: &Target<'_>) -> Result<Done, CloudError> {
        let mut last = Done { already: true, ..Done::default() };
        let group = self.read_group(target).await?;
        // First the description, while the revision is the one that was read.
        if let Some(description) = unmarked(&group, marks) {
            let body = json!({ "security_group": { "description": description } });
            let ids = [target.id.as_str()];
            let call = Call::new(Method::PUT, "/security-groups/{}", &ids).json(&body);
            last = done(&self.send(&target.doing, &call.if_revision(group.revision_number)).await?);
        }
        for tag in tags_of(&group, marks) {
            let ids = [target.id.as_str(), tag];
            let call = Call::new(Method::DELETE, "/security-groups/{}/tags/{}", &ids);
            match self.send(&target.doing, &call).await {
                Ok(answer) => last = done(&answer),
                Err(refused) if refused.status == 404 => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(last)
    }
}

pub(crate) fn done(answer: &Answer) -> Done {
    Done { group_id: None, request_id: answer.request_id.clone(), already: false }
}
