//! Reads groups and rules: one call, and one more where the rules' marks decide something.

use std::collections::{HashMap, HashSet};

use rsgsync_core::name::{GroupId, GroupName, Mark, NameError, RuleId};
use rsgsync_core::observed::{Observed, ObservedGroup, ObservedRule, Scope, Usage};
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Attachments, CloudError, ErrorKind};

use crate::Simulated;
use crate::fault::Kind;
use crate::store::{About, Failure};
use crate::translate::{marks_of_group, marks_of_rule, to_rule};
use crate::world::Group;

impl Simulated {
    pub(crate) async fn observe_groups(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        let doing = "reading security groups";
        let about = About { kind: Kind::DescribeSecurityGroups, group: "", rules: 0 };
        let found = self.call(about, |world| {
            let asked = scope.groups.iter().filter_map(|group| world.find(group.group.as_str()));
            let of_owner = |group: &&Group| marks_of_group(&group.tags).iter().any(|m| m.mark.owner == scope.owner);
            let marked = world.groups().filter(|group| scope.whole || scope.marked && of_owner(group));
            let usage =
                Usage { groups: saturated(world.groups().count()), rules: saturated(world.rules()), resources: None };
            Ok((asked.chain(marked).cloned().collect::<Vec<Group>>(), usage))
        });
        let ((mut found, usage), _) = found.await.map_err(|failure| self.error(doing, failure))?;
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);

        let mut groups = Vec::with_capacity(found.len());
        for group in &found {
            groups.push(read_group(group, atoms).map_err(|error| self.error(doing, unreadable(&error)))?);
        }
        self.ids().extend(found.into_iter().map(|group| (group.name, group.id)));
        self.read_marks(scope, &mut groups).await?;

        let place = self.lock().given().map_or("in memory".to_owned(), |path| path.display().to_string());
        let identity =
            self.lock().given().and_then(|path| std::path::absolute(path).ok()).map(|path| path.display().to_string());
        // Ids are counted: without the network they would name one of another network's groups, too.
        let account = Some(self.network.to_string());
        let limits = self.limits();
        Ok(Observed { account, groups, place, identity, limits, usage, ..Observed::default() })
    }

    /// How many interfaces carry each of these groups.
    pub(crate) async fn count_interfaces(&self, groups: &[GroupId]) -> Result<Attachments, CloudError> {
        let about = About { kind: Kind::DescribeNetworkInterfaces, group: "", rules: 0 };
        let counted = self.call(about, |world| {
            let of = |id: &GroupId| world.find(id.as_str()).map_or(0, |group| group.interfaces);
            Ok(groups.iter().map(|id| (id.clone(), of(id))).collect())
        });
        counted.await.map(|(counted, _)| counted).map_err(|failure| self.error("counting network interfaces", failure))
    }

    /// Rules' marks are only read where they decide something.
    async fn read_marks(&self, scope: &Scope, groups: &mut [ObservedGroup]) -> Result<(), CloudError> {
        let shared = groups.iter().filter(|group| scope.needs_rule_marks(group));
        let shared: HashSet<String> = shared.map(|group| group.id.as_str().to_owned()).collect();
        if shared.is_empty() {
            return Ok(());
        }
        let about = About { kind: Kind::DescribeSecurityGroupRules, group: "", rules: 0 };
        let marks = self.call(about, |world| {
            let rules = shared.iter().filter_map(|id| world.find(id)).flat_map(|group| &group.rules);
            Ok(rules.map(|rule| (rule.id.clone(), marks_of_rule(&rule.tags))).collect::<HashMap<String, Vec<Mark>>>())
        });
        let (marks, _) = marks.await.map_err(|failure| self.error("reading security group rules", failure))?;
        for group in groups.iter_mut().filter(|group| shared.contains(group.id.as_str())) {
            for rule in &mut group.rules {
                let of_rule = rule.id.as_ref().and_then(|id| marks.get(id.as_str()));
                rule.marks = of_rule.cloned().unwrap_or_default();
            }
        }
        Ok(())
    }
}

fn read_group(group: &Group, atoms: &mut Atoms) -> Result<ObservedGroup, NameError> {
    let Group { id, name, description, tags, interfaces: _, rules } = group;
    let rules = rules.iter().map(|rule| {
        Ok(ObservedRule {
            rule: to_rule(&rule.permission, atoms),
            id: Some(RuleId::new(&rule.id)?),
            description: rule.description.clone(),
            marks: Vec::new(),
            weight: 1,
            resource: None,
        })
    });
    let rules = rules.collect::<Result<_, NameError>>()?;
    Ok(ObservedGroup {
        atom: atoms.intern(id),
        id: GroupId::new(id)?,
        name: GroupName::new(name)?,
        description: description.clone(),
        marks: marks_of_group(tags),
        revision: None,
        rules,
        resources: Vec::new(),
    })
}

fn saturated(count: usize) -> Option<u32> {
    Some(u32::try_from(count).unwrap_or(u32::MAX))
}

fn unreadable(error: &NameError) -> Failure {
    Failure::Other { kind: ErrorKind::Final, message: error.to_string(), request_id: None }
}
