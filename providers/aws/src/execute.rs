//! One step of a plan becomes one EC2 call.

use std::collections::HashMap;

use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use rsgsync_core::inventory::SecurityGroup;
use rsgsync_core::name::{Mark, Origin};
use rsgsync_core::plan::{Action, Step, StepRule};
use rsgsync_core::rule::{Atom, Atoms, Direction};
use rsgsync_engine::{CloudError, Done};

use crate::connect::{Aws, Clients};
use crate::error::{Asked, code, final_error};
use crate::pack::marks;
use crate::translate::{self, GroupRef};
use crate::vpc::{filter, literal};

/// CreateTags and DeleteTags take at most so many resources.
const TAGGED_AT_ONCE: usize = 1000;

/// A step's group and everything that its calls have in common.
pub(crate) struct Target<'a> {
    pub clients: &'a Clients,
    pub id: String,
    pub direction: Direction,
    /// Every group that the step's rules refer to.
    pub groups: HashMap<Atom, GroupRef>,
    pub atoms: &'a Atoms,
    /// `adding 3 ingress rules to `prod-etcd` (sg-0f3a) in eu-west-1`.
    pub doing: String,
}

impl Aws {
    pub(crate) async fn execute_step(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        let clients = self.clients().await?;
        if step.action == Action::CreateGroup {
            return self.create_group(step, atoms.text(step.group), clients).await;
        }
        let id = self.group_id(atoms.text(step.group)).await?;
        let rules = || step.adds.iter().chain(&step.removes);
        let groups = self.groups_of(rules(), atoms).await?;
        let direction =
            step.direction.or_else(|| rules().next().map(|r| r.rule.direction)).unwrap_or(Direction::Ingress);
        let doing = self.doing(step, &id, direction, clients);
        let target = Target { clients, id, direction, groups, atoms, doing };
        match step.action {
            Action::CreateGroup | Action::ReplaceRules => Err(final_error(
                target.doing,
                "AWS has no such call".to_owned(),
                "this is a fault of rsgsync: report it",
            )),
            Action::SetMarks => self.set_marks(step, &target).await,
            Action::AddRules => self.add_rules(&step.adds, &target).await,
            Action::RemoveRules => self.remove_rules(&step.removes, &target).await,
            Action::UpdateDescriptions => self.update_descriptions(&step.adds, &target).await,
            Action::DeleteGroup => self.delete_group(&target).await,
        }
    }

    fn doing(&self, step: &Step, id: &str, direction: Direction, clients: &Clients) -> String {
        let group = self.session.label(id);
        let rules = |count: usize| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {} rule{plural}", direction.as_str())
        };
        let what = match step.action {
            Action::CreateGroup => format!("creating security group {group}"),
            Action::SetMarks => format!("marking security group {group}"),
            Action::AddRules => format!("adding {} to {group}", rules(step.adds.len())),
            Action::RemoveRules => format!("removing {} from {group}", rules(step.removes.len())),
            Action::ReplaceRules => format!("replacing {} of {group}", rules(step.removes.len())),
            Action::UpdateDescriptions => format!("describing {} of {group}", rules(step.adds.len())),
            Action::DeleteGroup => format!("deleting security group {group}"),
        };
        format!("{what} in {}", clients.region)
    }

    /// The id of the group that a step or a rule calls `text`: an id, or the name of a group that this run has seen.
    async fn group_id(&self, text: &str) -> Result<String, CloudError> {
        if let Ok(SecurityGroup::Id(id)) = SecurityGroup::parse(text) {
            return Ok(id.to_string());
        }
        if let Some(id) = self.session.id_of(text) {
            return Ok(id);
        }
        let vpc = self.vpc().await?;
        let filters = vec![filter("vpc-id", [vpc.id.clone()]), filter("group-name", [literal(text)])];
        self.list_groups(filters, &format!("looking for security group `{text}` of {}", vpc.id)).await?;
        self.session.id_of(text).ok_or_else(|| {
            final_error(
                format!("looking for security group `{text}` of {}", vpc.id),
                "there is none of that name".to_owned(),
                "plan again",
            )
        })
    }

    async fn groups_of(
        &self,
        rules: impl Iterator<Item = &StepRule>,
        atoms: &Atoms,
    ) -> Result<HashMap<Atom, GroupRef>, CloudError> {
        let mut groups = HashMap::new();
        for atom in rules.filter_map(|rule| rule.rule.peer.group()) {
            if groups.contains_key(&atom) {
                continue;
            }
            let known = self.session.id_of(atoms.text(atom));
            let text = known.as_deref().unwrap_or(atoms.text(atom));
            let group = match text.split_once('/') {
                // Group names may have a slash; only digits before it make an account.
                Some((account, id)) if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
                    if !matches!(SecurityGroup::parse(id), Ok(SecurityGroup::Id(_))) {
                        return Err(final_error(
                            format!("referring to security group `{id}` of account {account}"),
                            "AWS knows another account's groups by id alone".to_owned(),
                            "write the group's id (`sg-…`) in `peers`",
                        ));
                    }
                    GroupRef { id: id.to_owned(), account: Some(account.to_owned()) }
                }
                _ => GroupRef { id: self.group_id(text).await?, account: None },
            };
            groups.insert(atom, group);
        }
        Ok(groups)
    }

    async fn create_group(&self, step: &Step, name: &str, clients: &Clients) -> Result<Done, CloudError> {
        let vpc = self.vpc().await?;
        let doing = format!("creating security group `{name}` of {} in {}", vpc.id, clients.region);
        let tags: Vec<Tag> = step.group_marks.iter().map(|(mark, origin)| translate::tag(mark, *origin)).collect();
        let answer = clients
            .ec2
            .create_security_group()
            .group_name(name)
            .description(step.description.as_deref().unwrap_or(name))
            .vpc_id(&vpc.id)
            .set_tag_specifications(specification(ResourceType::SecurityGroup, tags))
            .send()
            .await;
        match answer {
            Ok(created) => {
                let request_id = created.request_id().map(str::to_owned);
                let Some(id) = created.group_id else {
                    return Err(final_error(doing, "AWS's answer has no group id".to_owned(), crate::error::NOT_EC2));
                };
                self.session.made(name, &id);
                Ok(Done { group_id: Some(id), request_id, already: false })
            }
            Err(e) if code(&e) == Some("InvalidGroup.Duplicate") => self.made_before(step, name, doing).await,
            Err(e) => Err(self.failed(doing, Asked::ec2("CreateSecurityGroup"), &e)),
        }
    }

    /// A group of that name exists: ours when an earlier call, whose answer was lost, made it for the same cluster.
    async fn made_before(&self, step: &Step, name: &str, doing: String) -> Result<Done, CloudError> {
        let vpc = self.vpc().await?;
        let filters = vec![filter("vpc-id", [vpc.id.clone()]), filter("group-name", [literal(name)])];
        let found = self.list_groups(filters, &doing).await?;
        let found = found.iter().find(|group| group.group_name() == Some(name));
        let Some((group, id)) = found.and_then(|group| Some((group, group.group_id()?))) else {
            return Err(CloudError {
                kind: rsgsync_engine::ErrorKind::Transient,
                doing,
                message: "AWS says that the name is taken, but does not list the group yet".to_owned(),
                request_id: None,
                help: None,
            });
        };
        let marks = translate::group_marks(group.tags());
        let ours = |(mark, _): &(Mark, Origin)| marks.iter().any(|m| m.mark == *mark && m.origin == Origin::Made);
        if !step.group_marks.iter().any(ours) {
            return Err(final_error(
                doing,
                format!("{id} took that name since the plan was made, and is not ours"),
                "plan again: the new plan says what it would do with that group",
            ));
        }
        self.session.made(name, id);
        Ok(Done { group_id: Some(id.to_owned()), request_id: None, already: true })
    }

    async fn delete_group(&self, target: &Target<'_>) -> Result<Done, CloudError> {
        match target.clients.ec2.delete_security_group().group_id(&target.id).send().await {
            Ok(deleted) => {
                self.session.deleted(&target.id);
                Ok(Done { group_id: None, request_id: deleted.request_id().map(str::to_owned), already: false })
            }
            Err(e) if code(&e) == Some("InvalidGroup.NotFound") => {
                self.session.deleted(&target.id);
                Ok(Done { already: true, ..Done::default() })
            }
            Err(e) => Err(self.failed(target.doing.clone(), Asked::ec2("DeleteSecurityGroup").about(&target.id), &e)),
        }
    }

    async fn set_marks(&self, step: &Step, target: &Target<'_>) -> Result<Done, CloudError> {
        let mut done = Done::default();
        if !step.group_marks.is_empty() {
            let tags = step.group_marks.iter().map(|(mark, origin)| translate::tag(mark, *origin)).collect();
            done = self.tag(std::slice::from_ref(&target.id), tags, target).await?;
        }
        if !step.group_unmarks.is_empty() {
            done = self.untag(std::slice::from_ref(&target.id), &step.group_unmarks, target).await?;
        }
        for (marks, rules) in by_marks(&step.adds) {
            let ids = self.ids_of(&rules, target).await?;
            if ids.len() < rules.len() {
                return Err(final_error(
                    target.doing.clone(),
                    "a rule that was to get our mark is gone".to_owned(),
                    "plan again: the new plan adds the rule where it is needed",
                ));
            }
            let tags = marks.iter().map(|mark| translate::tag(mark, Origin::Joined)).collect();
            done = self.tag(&ids, tags, target).await?;
        }
        for (marks, rules) in by_marks(&step.removes) {
            let ids = self.ids_of(&rules, target).await?;
            let ours = |mark: &&Mark| self.session.owner().is_none_or(|owner| mark.owner == owner);
            let marks: Vec<Mark> = marks.iter().filter(ours).cloned().collect();
            done = self.untag(&ids, &marks, target).await?;
        }
        Ok(done)
    }

    pub(crate) async fn tag(&self, ids: &[String], tags: Vec<Tag>, target: &Target<'_>) -> Result<Done, CloudError> {
        let mut done = Done { already: ids.is_empty(), ..Done::default() };
        if tags.is_empty() {
            return Ok(done);
        }
        for some in ids.chunks(TAGGED_AT_ONCE) {
            let call = target.clients.ec2.create_tags().set_resources(Some(some.to_vec())).set_tags(Some(tags.clone()));
            let answer = call.send().await;
            let answer = answer.map_err(|e| self.failed(target.doing.clone(), Asked::ec2("CreateTags"), &e))?;
            done.request_id = answer.request_id().map(str::to_owned);
        }
        Ok(done)
    }

    /// Takes marks off rules; EC2 does not mind tags that are not there.
    pub(crate) async fn untag(&self, ids: &[String], marks: &[Mark], target: &Target<'_>) -> Result<Done, CloudError> {
        let tags: Vec<Tag> = marks.iter().map(translate::tag_key).collect();
        let mut done = Done { already: ids.is_empty(), ..Done::default() };
        if tags.is_empty() {
            // DeleteTags without tags would take every tag off.
            return Ok(Done { already: true, ..Done::default() });
        }
        for some in ids.chunks(TAGGED_AT_ONCE) {
            let call = target.clients.ec2.delete_tags().set_resources(Some(some.to_vec())).set_tags(Some(tags.clone()));
            let answer = call.send().await;
            let answer = answer.map_err(|e| self.failed(target.doing.clone(), Asked::ec2("DeleteTags"), &e))?;
            done.request_id = answer.request_id().map(str::to_owned);
        }
        Ok(done)
    }
}

/// Rules that get the same marks share a call's tags.
pub(crate) fn by_marks(rules: &[StepRule]) -> Vec<(Vec<Mark>, Vec<&StepRule>)> {
    let mut parts: std::collections::BTreeMap<Vec<Mark>, Vec<&StepRule>> = std::collections::BTreeMap::new();
    for rule in rules {
        parts.entry(marks(rule)).or_default().push(rule);
    }
    parts.into_iter().collect()
}

/// Tags to be put on what the call makes; none where there are none.
pub(crate) fn specification(resource: ResourceType, tags: Vec<Tag>) -> Option<Vec<TagSpecification>> {
    (!tags.is_empty()).then(|| vec![TagSpecification::builder().resource_type(resource).set_tags(Some(tags)).build()])
}
