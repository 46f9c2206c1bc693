//! Rules are added, removed and described: one call for all of a direction; when EC2 refuses it for the sake of one rule, the
//! group is read again and the rest is sent.

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::types::{IpPermission, ResourceType, SecurityGroupRule};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use rsgsync_core::name::{Mark, Origin};
use rsgsync_core::plan::StepRule;
use rsgsync_core::rule::{Atoms, Direction, PeerKind, Rule, RulePeer};
use rsgsync_engine::{CloudError, Done, ErrorKind};

use crate::connect::Aws;
use crate::error::{Asked, code, final_error};
use crate::execute::{Target, by_marks, specification};
use crate::observe::{rules_of, unreadable};
use crate::translate::{self, Listed, Unsayable};
use crate::vpc::filter;

/// How often a refused batch is read again: others may be at work on the same rules, but not for ever.
const ROUNDS: usize = 3;

/// One of the rules is already there.
const DUPLICATE: &[&str] = &["InvalidPermission.Duplicate"];
/// One of the rules is not there (by properties, or by id).
const MISSING: &[&str] = &["InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound"];

/// What became of a call with many rules.
enum Answer {
    /// Carried out; `unknown` when EC2 says that some of the rules were not there.
    Done { request_id: Option<String>, unknown: bool },
    /// Refused because of one of the rules, which is already so.
    Refused(CloudError),
}

/// What a group has now, in one direction.
struct Present {
    rules: Vec<Listed>,
    atoms: Atoms,
}

impl Aws {
    pub(crate) async fn add_rules(&self, rules: &[StepRule], target: &Target<'_>) -> Result<Done, CloudError> {
        let mut done = Done::default();
        for (marks, rules) in by_marks(rules) {
            let part = self.add_marked(&marks, rules, target).await?;
            done.already |= part.already;
            done.request_id = part.request_id.or(done.request_id);
        }
        Ok(done)
    }

    async fn add_marked(
        &self,
        marks: &[Mark],
        mut left: Vec<&StepRule>,
        target: &Target<'_>,
    ) -> Result<Done, CloudError> {
        let mut refusal = None;
        for _ in 0..ROUNDS {
            match self.authorize(&left, marks, target).await? {
                Answer::Done { request_id, .. } => {
                    return Ok(Done { group_id: None, request_id, already: refusal.is_some() });
                }
                Answer::Refused(error) => refusal = Some(error),
            }
            let mut present = self.present(target).await?;
            let (there, missing): (Vec<_>, Vec<_>) = left.into_iter().partition(|rule| present.has(rule, target));
            left = missing;
            if there.is_empty() {
                break;
            }
            self.join(&there, marks, target).await?;
            if left.is_empty() {
                return Ok(Done { already: true, ..Done::default() });
            }
        }
        Err(lagging(refusal, target))
    }

    /// Puts our marks beside those of other owners on rules that turned out to be there, so that they stay when the others
    /// leave; a rule without any mark is a stranger's, and stays so.
    async fn join(&self, there: &[&StepRule], marks: &[Mark], target: &Target<'_>) -> Result<(), CloudError> {
        if marks.is_empty() {
            return Ok(());
        }
        let theirs = |entry: &SecurityGroupRule| {
            let now = translate::rule_marks(entry.tags());
            !now.is_empty() && !marks.iter().all(|mark| now.contains(mark)) && translate::has_room(entry.tags())
        };
        let entries = self.entries_of(there, target).await?;
        let ids: Vec<String> =
            entries.into_iter().filter(theirs).filter_map(|entry| entry.security_group_rule_id).collect();
        let tags = marks.iter().map(|mark| translate::tag(mark, Origin::Joined)).collect();
        self.tag(&ids, tags, target).await.map(|_| ())
    }

    pub(crate) async fn remove_rules(&self, rules: &[StepRule], target: &Target<'_>) -> Result<Done, CloudError> {
        if rules.iter().all(|rule| rule.id.is_some()) {
            return self.remove_by_id(rules, target).await;
        }
        let mut permissions =
            translate::permissions(rules, &target.groups, target.atoms).map_err(|e| unsayable(&e, target))?;
        let (mut already, mut refusal, mut last) = (false, None, None);
        for _ in 0..ROUNDS {
            match self.revoke(Some(permissions), None, target).await? {
                Answer::Done { request_id, unknown: false } => return Ok(Done { group_id: None, request_id, already }),
                Answer::Done { request_id, unknown: true } => last = request_id,
                Answer::Refused(error) => refusal = Some(error),
            }
            already = true;
            let mut present = self.present(target).await?;
            // In EC2's own spelling, so that a rule which it lists is one that it finds.
            permissions = present.spellings(rules, target);
            if permissions.is_empty() {
                return Ok(Done { group_id: None, request_id: last, already });
            }
        }
        Err(lagging(refusal, target))
    }

    /// Removes rules of a shared group; their tags are read again first: others may have joined, or ours be gone.
    async fn remove_by_id(&self, rules: &[StepRule], target: &Target<'_>) -> Result<Done, CloudError> {
        let ids: Vec<String> = rules.iter().filter_map(|rule| Some(rule.id.as_ref()?.to_string())).collect();
        let mut refusal = None;
        for _ in 0..ROUNDS {
            let mut atoms = target.atoms.clone();
            let (mut ours, mut joint) = (Vec::new(), Vec::new());
            for entry in self.list_rules("security-group-rule-id", &ids).await? {
                let Some(id) = entry.security_group_rule_id() else { continue };
                let Some(rule) = rules.iter().find(|r| r.id.as_ref().is_some_and(|i| i.as_str() == id)) else {
                    continue;
                };
                match self.fate(&entry, rule, target, &mut atoms)? {
                    Fate::Remove => ours.push(id.to_owned()),
                    Fate::LeaveToOthers(marks) => joint.push((id.to_owned(), marks)),
                    Fate::Leave => {}
                }
            }
            for (id, marks) in joint {
                self.untag(&[id], &marks, target).await?;
            }
            if ours.is_empty() {
                return Ok(Done { already: true, ..Done::default() });
            }
            let already = ours.len() < rules.len();
            match self.revoke(None, Some(ours), target).await? {
                Answer::Done { request_id, .. } => return Ok(Done { group_id: None, request_id, already }),
                Answer::Refused(error) => refusal = Some(error),
            }
        }
        Err(lagging(refusal, target))
    }

    fn fate(
        &self,
        entry: &SecurityGroupRule,
        rule: &StepRule,
        target: &Target<'_>,
        atoms: &mut Atoms,
    ) -> Result<Fate, CloudError> {
        let account = entry.group_owner_id().unwrap_or_default();
        let now =
            translate::rule_of(entry, account, atoms).map_err(|e| unreadable(&self.session.label(&target.id), &e))?;
        if entry.group_id() != Some(&target.id) || now != key(rule.rule, target, atoms) {
            return Ok(Fate::Leave);
        }
        // Ours are the marks that the plan saw: another inventory of the same owner may have joined since.
        let (ours, others): (Vec<Mark>, Vec<Mark>) =
            translate::rule_marks(entry.tags()).into_iter().partition(|mark| rule.marks.contains(mark));
        Ok(match (ours.is_empty(), others.is_empty()) {
            (false, true) => Fate::Remove,
            // Marked when the plan was made, and not now: somebody took it from us.
            (true, true) if rule.marks.is_empty() => Fate::Remove,
            (false, false) => Fate::LeaveToOthers(ours),
            (true, _) => Fate::Leave,
        })
    }

    pub(crate) async fn update_descriptions(
        &self,
        rules: &[StepRule],
        target: &Target<'_>,
    ) -> Result<Done, CloudError> {
        let mut left: Vec<&StepRule> = rules.iter().collect();
        let mut refusal = None;
        for _ in 0..ROUNDS {
            match self.describe(&left, target).await? {
                Answer::Done { request_id, .. } => {
                    return Ok(Done { group_id: None, request_id, already: refusal.is_some() });
                }
                Answer::Refused(error) => refusal = Some(error),
            }
            let mut present = self.present(target).await?;
            let asked = left.len();
            left.retain(|rule| present.has(rule, target));
            if left.is_empty() {
                return Ok(Done { already: true, ..Done::default() });
            }
            if left.len() == asked {
                break;
            }
        }
        Err(lagging(refusal, target))
    }

    /// The ids of rules, looked up where the step does not say them; a rule that is gone has none.
    pub(crate) async fn ids_of(&self, rules: &[&StepRule], target: &Target<'_>) -> Result<Vec<String>, CloudError> {
        if rules.iter().all(|rule| rule.id.is_some()) {
            return Ok(rules.iter().filter_map(|rule| Some(rule.id.as_ref()?.to_string())).collect());
        }
        let entries = self.entries_of(rules, target).await?;
        Ok(entries.into_iter().filter_map(|entry| entry.security_group_rule_id).collect())
    }

    /// What EC2 lists of these rules; of a rule that is gone nothing.
    async fn entries_of(&self, rules: &[&StepRule], target: &Target<'_>) -> Result<Vec<SecurityGroupRule>, CloudError> {
        let mut atoms = target.atoms.clone();
        let wanted: Vec<Rule> = rules.iter().map(|rule| key(rule.rule, target, &mut atoms)).collect();
        let mut found = Vec::new();
        for entry in self.list_rules("group-id", std::slice::from_ref(&target.id)).await? {
            let account = entry.group_owner_id().unwrap_or_default();
            let rule = translate::rule_of(&entry, account, &mut atoms)
                .map_err(|e| unreadable(&self.session.label(&target.id), &e))?;
            if wanted.contains(&rule) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    async fn authorize(&self, rules: &[&StepRule], marks: &[Mark], target: &Target<'_>) -> Result<Answer, CloudError> {
        let permissions = translate::permissions(rules.iter().copied(), &target.groups, target.atoms);
        let permissions = permissions.map_err(|e| unsayable(&e, target))?;
        let tags = marks.iter().map(|mark| translate::tag(mark, Origin::Made)).collect();
        let tags = specification(ResourceType::SecurityGroupRule, tags);
        match target.direction {
            Direction::Ingress => {
                let call = target.clients.ec2.authorize_security_group_ingress().group_id(&target.id);
                let answer = call.set_ip_permissions(Some(permissions)).set_tag_specifications(tags).send().await;
                self.judge(answer, "AuthorizeSecurityGroupIngress", DUPLICATE, target, |_| false)
            }
            Direction::Egress => {
                let call = target.clients.ec2.authorize_security_group_egress().group_id(&target.id);
                let answer = call.set_ip_permissions(Some(permissions)).set_tag_specifications(tags).send().await;
                self.judge(answer, "AuthorizeSecurityGroupEgress", DUPLICATE, target, |_| false)
            }
        }
    }

    async fn revoke(
        &self,
        permissions: Option<Vec<IpPermission>>,
        ids: Option<Vec<String>>,
        target: &Target<'_>,
    ) -> Result<Answer, CloudError> {
        match target.direction {
            Direction::Ingress => {
                let call = target.clients.ec2.revoke_security_group_ingress().group_id(&target.id);
                let answer = call.set_ip_permissions(permissions).set_security_group_rule_ids(ids).send().await;
                self.judge(answer, "RevokeSecurityGroupIngress", MISSING, target, |o| {
                    !o.unknown_ip_permissions().is_empty()
                })
            }
            Direction::Egress => {
                let call = target.clients.ec2.revoke_security_group_egress().group_id(&target.id);
                let answer = call.set_ip_permissions(permissions).set_security_group_rule_ids(ids).send().await;
                self.judge(answer, "RevokeSecurityGroupEgress", MISSING, target, |o| {
                    !o.unknown_ip_permissions().is_empty()
                })
            }
        }
    }

    async fn describe(&self, rules: &[&StepRule], target: &Target<'_>) -> Result<Answer, CloudError> {
        let permissions = translate::permissions(rules.iter().copied(), &target.groups, target.atoms);
        let permissions = permissions.map_err(|e| unsayable(&e, target))?;
        match target.direction {
            Direction::Ingress => {
                let call = target.clients.ec2.update_security_group_rule_descriptions_ingress().group_id(&target.id);
                let answer = call.set_ip_permissions(Some(permissions)).send().await;
                self.judge(answer, "UpdateSecurityGroupRuleDescriptionsIngress", MISSING, target, |_| false)
            }
            Direction::Egress => {
                let call = target.clients.ec2.update_security_group_rule_descriptions_egress().group_id(&target.id);
                let answer = call.set_ip_permissions(Some(permissions)).send().await;
                self.judge(answer, "UpdateSecurityGroupRuleDescriptionsEgress", MISSING, target, |_| false)
            }
        }
    }

    fn judge<O, E>(
        &self,
        answer: Result<O, SdkError<E, HttpResponse>>,
        action: &'static str,
        refusals: &[&str],
        target: &Target<'_>,
        unknown: impl Fn(&O) -> bool,
    ) -> Result<Answer, CloudError>
    where
        O: RequestId,
        E: ProvideErrorMetadata + Error + 'static,
    {
        match answer {
            Ok(output) => {
                Ok(Answer::Done { request_id: output.request_id().map(str::to_owned), unknown: unknown(&output) })
            }
            Err(e) => {
                let error = self.failed(target.doing.clone(), Asked::ec2(action).about(&target.id), &e);
                if code(&e).is_some_and(|code| refusals.contains(&code)) {
                    Ok(Answer::Refused(error))
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn present(&self, target: &Target<'_>) -> Result<Present, CloudError> {
        let found = self.list_groups(vec![filter("group-id", [target.id.clone()])], &target.doing).await?;
        let mut atoms = target.atoms.clone();
        let mut rules = Vec::new();
        for group in found.iter().filter(|group| group.group_id() == Some(&target.id)) {
            let all = rules_of(group, &mut atoms).map_err(|e| unreadable(&self.session.label(&target.id), &e))?;
            rules.extend(all.into_iter().filter(|listed| listed.rule.direction == target.direction));
        }
        Ok(Present { rules, atoms })
    }
}

/// What becomes of a rule that a plan removes from a shared group.
enum Fate {
    Remove,
    /// Other owners marked it too: it only loses these marks of ours.
    LeaveToOthers(Vec<Mark>),
    /// It is not the rule any more that the plan saw.
    Leave,
}

impl Present {
    fn has(&mut self, rule: &StepRule, target: &Target<'_>) -> bool {
        let wanted = key(rule.rule, target, &mut self.atoms);
        self.rules.iter().any(|listed| listed.rule == wanted)
    }

    fn spellings(&mut self, rules: &[StepRule], target: &Target<'_>) -> Vec<IpPermission> {
        let wanted: Vec<Rule> = rules.iter().map(|rule| key(rule.rule, target, &mut self.atoms)).collect();
        self.rules.iter().filter(|listed| wanted.contains(&listed.rule)).map(|listed| listed.spelling.clone()).collect()
    }
}

/// The rule as it is listed: a group by its id, a reference for both families.
fn key(rule: Rule, target: &Target<'_>, atoms: &mut Atoms) -> Rule {
    use rsgsync_core::rule::Family;
    let peer = match rule.peer {
        RulePeer::Addresses(_) => rule.peer,
        RulePeer::Opaque(PeerKind::Group, atom, _) => {
            let atom = target.groups.get(&atom).map_or(atom, |group| atoms.intern(&group.text()));
            RulePeer::Opaque(PeerKind::Group, atom, Family::Both)
        }
        RulePeer::Opaque(kind, atom, _) => RulePeer::Opaque(kind, atom, Family::Both),
    };
    Rule { peer, ..rule }
}

fn unsayable(error: &Unsayable, target: &Target<'_>) -> CloudError {
    final_error(target.doing.clone(), error.to_string(), "change the rule in the inventory; nothing was sent")
}

/// EC2 refuses for a rule that it doesn't list, or the other way round: a read that lags, which time mends.
fn lagging(refusal: Option<CloudError>, target: &Target<'_>) -> CloudError {
    let message = "AWS's list of the group's rules and its answer disagree".to_owned();
    match refusal {
        Some(error) => {
            CloudError { kind: ErrorKind::Transient, message: format!("{}; {message}", error.message), ..error }
        }
        None => CloudError {
            kind: ErrorKind::Transient,
            doing: target.doing.clone(),
            message,
            request_id: None,
            help: None,
        },
    }
}
