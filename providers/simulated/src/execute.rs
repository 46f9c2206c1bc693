//! Carries a step out; safe to repeat, because a batch refused for one rule is looked at again and the rest is sent.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rsgsync_core::plan::{Action, Step, StepRule};
use rsgsync_core::rule::{Atom, Atoms, Direction};
use rsgsync_engine::{CloudError, Done, ErrorKind};

use crate::Simulated;
use crate::fault::Kind;
use crate::store::{About, Failure};
use crate::translate::{group_tags, marks_of_rule, other_account, rule_tags, to_permission};
use crate::world::{Group, GroupRule, Permission, Refusal, Tags};

/// How often a batch is sent before somebody else's writing between our reading and sending counts as a failure.
const TRIES: usize = 3;

impl Simulated {
    pub(crate) async fn execute_step(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        let run = StepRun { cloud: self, step, atoms };
        let name = atoms.text(step.group);
        let (doing, result) = match step.action {
            Action::CreateGroup => ("creating", run.create_group().await),
            Action::SetMarks => ("setting the marks of", run.set_marks().await),
            Action::AddRules => ("adding rules to", run.add_rules().await),
            Action::RemoveRules => ("removing rules from", run.remove_rules().await),
            Action::UpdateDescriptions => ("describing the rules of", run.update_descriptions().await),
            Action::DeleteGroup => ("deleting", run.delete_group().await),
            Action::ReplaceRules => {
                let message = "this cloud has no call that adds and removes at once".to_owned();
                ("replacing rules of", Err(Failure::Other { kind: ErrorKind::Final, message, request_id: None }))
            }
        };
        result.map_err(|failure| self.error(&format!("{doing} security group `{name}`"), failure))
    }
}

struct StepRun<'a> {
    cloud: &'a Simulated,
    step: &'a Step,
    atoms: &'a Atoms,
}

impl StepRun<'_> {
    async fn create_group(&self) -> Result<Done, Failure> {
        let name = self.atoms.text(self.step.group);
        let tags = group_tags(&self.step.group_marks);
        let description = self.step.description.as_deref().unwrap_or_default();
        let about = About { kind: Kind::CreateSecurityGroup, group: name, rules: 0 };
        let created = self.cloud.call(about, |world| world.create_group(name, description, tags.clone())).await;
        let (id, request_id, already) = match created {
            Ok((id, request_id)) => (id, request_id, false),
            Err(failure) if refused(&failure, "InvalidGroup.Duplicate") => {
                // Our very marks on it say that an earlier call of ours, whose answer was lost, has made it.
                match self.read_group(name).await? {
                    Some((group, request_id)) if !tags.is_empty() && has_all(&group.tags, &tags) => {
                        (group.id, request_id, true)
                    }
                    Some(_) => return Err(failure),
                    None => return Err(not_seen_yet(failure)),
                }
            }
            Err(failure) => return Err(failure),
        };
        self.cloud.ids().insert(name.to_owned(), id.clone());
        Ok(Done { group_id: Some(id), request_id: Some(request_id), already })
    }

    async fn add_rules(&self) -> Result<Done, Failure> {
        let id = self.group_id().await?;
        let direction = self.direction()?;
        // One call tags all its rules alike, as on EC2: rules of different marks are different calls, since a rule that
        // stood without its mark, be it for a moment, would be a stranger's after a crash.
        let mut batches: BTreeMap<Tags, Vec<(Permission, String)>> = BTreeMap::new();
        for (permission, rule) in self.permissions(&self.step.adds).await? {
            batches.entry(rule_tags(&rule.marks)).or_default().push((permission, rule.description.clone()));
        }
        let mut done = Done::default();
        for (tags, rules) in batches {
            self.add_batch(&id, direction, rules, &tags, &mut done).await?;
        }
        Ok(done)
    }

    async fn add_batch(
        &self,
        id: &str,
        direction: Direction,
        mut rules: Vec<(Permission, String)>,
        tags: &Tags,
        done: &mut Done,
    ) -> Result<(), Failure> {
        let kind = match direction {
            Direction::Ingress => Kind::AuthorizeSecurityGroupIngress,
            Direction::Egress => Kind::AuthorizeSecurityGroupEgress,
        };
        let mut tries = TRIES;
        while !rules.is_empty() {
            let about = About { kind, group: id, rules: rules.len() };
            let sent = self.cloud.call(about, |world| world.authorize(id, direction, rules.clone(), tags)).await;
            tries -= 1;
            match sent {
                Ok(((), request_id)) => {
                    done.request_id = Some(request_id);
                    return Ok(());
                }
                Err(failure) if refused(&failure, "InvalidPermission.Duplicate") && tries > 0 => {
                    done.already = true;
                    // A group that was made a moment ago may not be seen yet.
                    let Some((group, request_id)) = self.read_group(id).await? else { continue };
                    done.request_id = Some(request_id);
                    let (there, missing) = rules.into_iter().partition(|(permission, _)| has_rule(&group, permission));
                    self.join(id, there, tags).await?;
                    rules = missing;
                }
                Err(failure) if refused(&failure, "InvalidPermission.Duplicate") => return Err(not_seen_yet(failure)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Puts our marks beside those of other owners on rules that turned out to be there; a rule without any mark is a
    /// stranger's, and stays so.
    async fn join(&self, id: &str, there: Vec<(Permission, String)>, tags: &Tags) -> Result<(), Failure> {
        if there.is_empty() || tags.is_empty() {
            return Ok(());
        }
        let rules = self.read_rules(id).await?;
        let others = |rule: &&GroupRule| !marks_of_rule(&rule.tags).is_empty() && !has_all(&rule.tags, tags);
        let of_step = |rule: &&GroupRule| there.iter().any(|(permission, _)| *permission == rule.permission);
        let ids: BTreeSet<String> = rules.iter().filter(others).filter(of_step).map(|rule| rule.id.clone()).collect();
        if !ids.is_empty() {
            self.retag(id, &ids, tags, true).await?;
        }
        Ok(())
    }

    async fn remove_rules(&self) -> Result<Done, Failure> {
        let Some(id) = self.group_id_if_any().await? else { return Ok(already()) };
        let direction = self.direction()?;
        let removes = self.permissions(&self.step.removes).await?;
        if removes.iter().any(|(_, rule)| !rule.marks.is_empty()) {
            return self.remove_marked(&id, direction, &removes).await;
        }
        let mut done = Done::default();
        self.revoke(&id, direction, removes.into_iter().map(|(permission, _)| permission).collect(), &mut done).await?;
        Ok(done)
    }

    /// Removes rules of a group that is shared, after a look at whose they are now.
    ///
    /// By their ids: between looking and removing, a stranger may put a rule like ours in its place.
    async fn remove_marked(
        &self,
        id: &str,
        direction: Direction,
        removes: &[(Permission, &StepRule)],
    ) -> Result<Done, Failure> {
        let kind = revoking(direction);
        let mut done = Done::default();
        let mut tries = TRIES;
        loop {
            let now = self.read_rules(id).await?;
            let by_permission: HashMap<&Permission, &GroupRule> = now.iter().map(|r| (&r.permission, r)).collect();
            let mut ours = BTreeSet::new();
            let mut left: BTreeMap<Tags, BTreeSet<String>> = BTreeMap::new();
            for (permission, rule) in removes {
                let Some(found) = by_permission.get(permission) else {
                    done.already = true;
                    continue;
                };
                let marks = marks_of_rule(&found.tags);
                if !rule.marks.is_empty() && !marks.iter().any(|mark| rule.marks.contains(mark)) {
                    // Ours is gone: this one is a stranger's, or another owner's alone.
                    done.already = true;
                } else if rule.marks.is_empty() || marks.iter().all(|mark| rule.marks.contains(mark)) {
                    ours.insert(found.id.clone());
                } else {
                    // Another owner has joined it since the plan: it is theirs now, and only our mark goes.
                    left.entry(rule_tags(&rule.marks)).or_default().insert(found.id.clone());
                }
            }
            for (tags, ids) in left {
                done.request_id = Some(self.retag(id, &ids, &tags, false).await?);
            }
            if ours.is_empty() {
                return Ok(done);
            }
            let about = About { kind, group: id, rules: ours.len() };
            let sent = self.cloud.call(about, |world| world.revoke_by_id(id, direction, &ours)).await;
            tries -= 1;
            match sent {
                Ok(((), request_id)) => {
                    done.request_id = Some(request_id);
                    return Ok(done);
                }
                Err(failure) if refused(&failure, "InvalidSecurityGroupRuleId.NotFound") => {
                    done.already = true;
                    if tries == 0 {
                        return Err(not_seen_yet(failure));
                    }
                }
                Err(failure) if refused(&failure, "InvalidGroup.NotFound") => return Ok(already()),
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn revoke(
        &self,
        id: &str,
        direction: Direction,
        mut permissions: Vec<Permission>,
        done: &mut Done,
    ) -> Result<(), Failure> {
        let kind = revoking(direction);
        let mut tries = TRIES;
        while !permissions.is_empty() {
            let about = About { kind, group: id, rules: permissions.len() };
            let sent = self.cloud.call(about, |world| world.revoke(id, &permissions)).await;
            tries -= 1;
            match sent {
                Ok(((), request_id)) => {
                    done.request_id = Some(request_id);
                    return Ok(());
                }
                Err(failure) if is_missing(&failure) && tries > 0 => {
                    done.already = true;
                    let Some((group, request_id)) = self.read_group(id).await? else { return Ok(()) };
                    done.request_id = Some(request_id);
                    permissions.retain(|permission| has_rule(&group, permission));
                }
                Err(failure) if is_missing(&failure) => return Err(not_seen_yet(failure)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn set_marks(&self) -> Result<Done, Failure> {
        let id = self.group_id().await?;
        let mut done = Done::default();
        if !self.step.group_marks.is_empty() {
            let tags = group_tags(&self.step.group_marks);
            let about = About { kind: Kind::CreateTags, group: &id, rules: 0 };
            let (_, request_id) = self.cloud.call(about, |world| world.tag_group(&id, &tags)).await?;
            done.request_id = Some(request_id);
        }
        if !self.step.group_unmarks.is_empty() {
            let tags = rule_tags(&self.step.group_unmarks);
            let about = About { kind: Kind::DeleteTags, group: &id, rules: 0 };
            let (_, request_id) = self.cloud.call(about, |world| world.untag_group(&id, &tags)).await?;
            done.request_id = Some(request_id);
        }
        for (rules, put) in [(&self.step.adds, true), (&self.step.removes, false)] {
            self.mark_rules(&id, rules, put, &mut done).await?;
        }
        Ok(done)
    }

    async fn mark_rules(&self, id: &str, rules: &[StepRule], put: bool, done: &mut Done) -> Result<(), Failure> {
        if rules.is_empty() {
            return Ok(());
        }
        let now = self.read_rules(id).await?;
        let mut batches: BTreeMap<Tags, BTreeSet<String>> = BTreeMap::new();
        for (permission, rule) in self.permissions(rules).await? {
            let tags = rule_tags(&rule.marks);
            // An equal rule with another id, put in its place since, is a stranger's.
            let is_it = |now: &&GroupRule| match &rule.id {
                Some(id) => now.id == id.as_str(),
                None => now.permission == permission,
            };
            match now.iter().find(is_it) {
                Some(found) if put && has_all(&found.tags, &tags) => done.already = true,
                Some(found) if !put && !tags.keys().any(|key| found.tags.contains_key(key)) => done.already = true,
                Some(found) => {
                    batches.entry(tags).or_default().insert(found.id.clone());
                }
                None if put => {
                    let message = format!("a rule that was to be marked is gone ({})", rule.rule.traffic);
                    let refusal = Refusal { code: "InvalidSecurityGroupRuleId.NotFound", message };
                    return Err(Failure::Refused { refusal, request_id: done.request_id.clone() });
                }
                None => done.already = true,
            }
        }
        for (tags, ids) in batches {
            done.request_id = Some(self.retag(id, &ids, &tags, put).await?);
        }
        Ok(())
    }

    async fn retag(&self, id: &str, rules: &BTreeSet<String>, tags: &Tags, put: bool) -> Result<String, Failure> {
        let kind = if put { Kind::CreateTags } else { Kind::DeleteTags };
        let about = About { kind, group: id, rules: rules.len() };
        let (_, request_id) = self.cloud.call(about, |world| world.retag_rules(id, rules, tags, put)).await?;
        Ok(request_id)
    }

    async fn update_descriptions(&self) -> Result<Done, Failure> {
        let id = self.group_id().await?;
        let direction = self.direction()?;
        let kind = match direction {
            Direction::Ingress => Kind::UpdateSecurityGroupRuleDescriptionsIngress,
            Direction::Egress => Kind::UpdateSecurityGroupRuleDescriptionsEgress,
        };
        let with_id = |rule: &StepRule| Some((rule.id.as_ref()?.to_string(), rule.description.clone()));
        if let Some(texts) = self.step.adds.iter().map(with_id).collect() {
            return self.describe_by_id(&id, direction, kind, texts).await;
        }
        let rules = self.permissions(&self.step.adds).await?;
        let mut rules: Vec<(Permission, String)> =
            rules.into_iter().map(|(permission, rule)| (permission, rule.description.clone())).collect();
        let mut done = Done::default();
        let mut tries = TRIES;
        while !rules.is_empty() {
            let about = About { kind, group: &id, rules: rules.len() };
            let sent = self.cloud.call(about, |world| world.update_descriptions(&id, &rules)).await;
            tries -= 1;
            match sent {
                Ok(((), request_id)) => {
                    done.request_id = Some(request_id);
                    return Ok(done);
                }
                Err(failure) if refused(&failure, "InvalidPermission.NotFound") && tries > 0 => {
                    let (group, request_id) = self.existing_group(&id).await?;
                    done.request_id = Some(request_id);
                    rules.retain(|(permission, _)| has_rule(&group, permission));
                }
                Err(failure) if refused(&failure, "InvalidPermission.NotFound") => return Err(not_seen_yet(failure)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(done)
    }

    /// Describes rules that were read with their ids: an equal rule, put in the place of ours since, is a stranger's.
    async fn describe_by_id(
        &self,
        id: &str,
        direction: Direction,
        kind: Kind,
        mut texts: BTreeMap<String, String>,
    ) -> Result<Done, Failure> {
        const GONE: &str = "InvalidSecurityGroupRuleId.NotFound";
        let mut done = Done::default();
        let mut tries = TRIES;
        while !texts.is_empty() {
            let about = About { kind, group: id, rules: texts.len() };
            let sent = self.cloud.call(about, |world| world.describe_by_id(id, direction, &texts)).await;
            tries -= 1;
            match sent {
                Ok(((), request_id)) => {
                    done.request_id = Some(request_id);
                    return Ok(done);
                }
                Err(failure) if refused(&failure, GONE) && tries > 0 => {
                    done.already = true;
                    let left: BTreeSet<String> = self.read_rules(id).await?.into_iter().map(|rule| rule.id).collect();
                    texts.retain(|rule, _| left.contains(rule));
                }
                Err(failure) if refused(&failure, GONE) => return Err(not_seen_yet(failure)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(done)
    }

    async fn delete_group(&self) -> Result<Done, Failure> {
        let Some(id) = self.group_id_if_any().await? else { return Ok(already()) };
        let about = About { kind: Kind::DeleteSecurityGroup, group: &id, rules: 0 };
        match self.cloud.call(about, |world| world.delete_group(&id)).await {
            Ok(((), request_id)) => {
                self.cloud.ids().retain(|_, known| *known != id);
                Ok(Done { request_id: Some(request_id), ..Done::default() })
            }
            Err(failure) if refused(&failure, "InvalidGroup.NotFound") => Ok(already()),
            Err(failure) => Err(failure),
        }
    }

    fn direction(&self) -> Result<Direction, Failure> {
        self.step.direction.ok_or_else(|| {
            let message = "the step has rules but no direction".to_owned();
            Failure::Other { kind: ErrorKind::Final, message, request_id: None }
        })
    }

    /// The rules in this cloud's words; errors when one refers by name to a group that isn't there.
    async fn permissions<'r>(&self, rules: &'r [StepRule]) -> Result<Vec<(Permission, &'r StepRule)>, Failure> {
        let mut ids: HashMap<Atom, String> = HashMap::new();
        for peer in rules.iter().filter_map(|rule| rule.rule.peer.group()) {
            if let Entry::Vacant(free) = ids.entry(peer) {
                free.insert(self.id_of(peer).await?);
            }
        }
        let resolve = |atom: Atom| ids.get(&atom).cloned().unwrap_or_default();
        Ok(rules.iter().map(|rule| (to_permission(&rule.rule, self.atoms, resolve), rule)).collect())
    }

    async fn group_id(&self) -> Result<String, Failure> {
        self.id_of(self.step.group).await
    }

    async fn group_id_if_any(&self) -> Result<Option<String>, Failure> {
        match self.group_id().await {
            Ok(id) => Ok(Some(id)),
            Err(failure) if refused(&failure, "InvalidGroup.NotFound") => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The id of a group that a step names by id, or by the name under which it was made in this run or an earlier one.
    async fn id_of(&self, group: Atom) -> Result<String, Failure> {
        let text = self.atoms.text(group);
        if text.starts_with("sg-") || other_account(text).is_some() {
            return Ok(text.to_owned());
        }
        if let Some(id) = self.cloud.ids().get(text) {
            return Ok(id.clone());
        }
        let (group, _) = self.existing_group(text).await?;
        self.cloud.ids().insert(group.name, group.id.clone());
        Ok(group.id)
    }

    async fn existing_group(&self, id_or_name: &str) -> Result<(Group, String), Failure> {
        self.read_group(id_or_name).await?.ok_or_else(|| not_found(id_or_name))
    }

    /// A group and its rules, without the rules' tags: EC2 doesn't give them here.
    async fn read_group(&self, id_or_name: &str) -> Result<Option<(Group, String)>, Failure> {
        let about = About { kind: Kind::DescribeSecurityGroups, group: id_or_name, rules: 0 };
        let (group, request_id) = self.cloud.call(about, |world| Ok(world.find(id_or_name).cloned())).await?;
        Ok(group.map(|mut group| {
            group.rules.iter_mut().for_each(|rule| rule.tags.clear());
            (group, request_id)
        }))
    }

    /// A group's rules with their ids and tags; none when the group is gone.
    async fn read_rules(&self, id: &str) -> Result<Vec<GroupRule>, Failure> {
        let about = About { kind: Kind::DescribeSecurityGroupRules, group: id, rules: 0 };
        let rules = |group: &Group| group.rules.clone();
        Ok(self.cloud.call(about, |world| Ok(world.find(id).map(rules).unwrap_or_default())).await?.0)
    }
}

fn revoking(direction: Direction) -> Kind {
    match direction {
        Direction::Ingress => Kind::RevokeSecurityGroupIngress,
        Direction::Egress => Kind::RevokeSecurityGroupEgress,
    }
}

fn already() -> Done {
    Done { already: true, ..Done::default() }
}

fn refused(failure: &Failure, with: &str) -> bool {
    matches!(failure, Failure::Refused { refusal, .. } if refusal.code == with)
}

fn is_missing(failure: &Failure) -> bool {
    refused(failure, "InvalidPermission.NotFound") || refused(failure, "InvalidGroup.NotFound")
}

fn not_found(group: &str) -> Failure {
    let message = format!("The security group '{group}' does not exist");
    let refusal = Refusal { code: "InvalidGroup.NotFound", message };
    Failure::Refused { refusal, request_id: None }
}

/// A refusal that reading doesn't explain: either reads lag, or somebody writes at the same time. Later may tell.
fn not_seen_yet(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { refusal: Refusal { code, message }, request_id } => {
            Failure::Other { kind: ErrorKind::Transient, message: format!("{code}: {message}"), request_id }
        }
        other @ Failure::Other { .. } => other,
    }
}

fn has_rule(group: &Group, permission: &Permission) -> bool {
    group.rules.iter().any(|rule| rule.permission == *permission)
}

fn has_all(tags: &Tags, wanted: &Tags) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}
