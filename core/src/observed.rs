//! What a cloud really has, in core's words; and what a provider is asked to read.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::inventory::{Ownership, SecurityGroup};
use crate::name::{ClusterName, GroupId, GroupMark, GroupName, Mark, Origin, Owner, RuleId};
use crate::pack::Dialect;
use crate::rule::{Atom, Direction, Family, Rule};
use crate::writer::{Suspects, is_a_writers, suspects};

/// Whose marks are ours.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'a> {
    /// The inventory's owner.
    pub owner: &'a Owner,
    /// The clusters that stand in the inventory.
    pub clusters: &'a BTreeSet<ClusterName>,
}

impl Ours<'_> {
    /// Whether a mark is of our owner and of a cluster that stands in the inventory.
    pub fn is(&self, mark: &Mark) -> bool {
        mark.owner == *self.owner && self.clusters.contains(&mark.cluster)
    }
}

/// What to read of one network.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Whose marks matter.
    pub owner: Owner,
    /// The clusters that stand in the inventory.
    pub clusters: BTreeSet<ClusterName>,
    /// The groups that the inventory names; no two alike.
    pub groups: Vec<ScopeGroup>,
    /// Also every group that carries a mark of the owner, whatever its cluster: among them are orphans.
    pub marked: bool,
    /// Also every other group: what there is to take over.
    pub whole: bool,
}

impl Scope {
    /// Everything that a network has.
    pub fn whole(owner: Owner) -> Self {
        Self { owner, clusters: BTreeSet::new(), groups: Vec::new(), marked: true, whole: true }
    }

    /// Whose marks are ours.
    pub fn ours(&self) -> Ours<'_> {
        Ours { owner: &self.owner, clusters: &self.clusters }
    }

    /// Whether it is asked in the middle of a run, which knows already whose marks are ours and what the quotas are.
    pub fn reads_back(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Whether the marks of a group's rules decide something: where the group is shared, where nobody asked for it and it
    /// isn't simply to be deleted, or where the owner's group is to be taken over once more.
    pub fn needs_rule_marks(&self, group: &ObservedGroup) -> bool {
        let same = |asked: &&ScopeGroup| match &asked.group {
            SecurityGroup::Name(name) => *name == group.name,
            SecurityGroup::Id(id) => *id == group.id,
        };
        let ours = self.ours();
        match self.groups.iter().find(same) {
            Some(asked) => group.ownership(asked.ownership, ours) == Ownership::Shared,
            None if self.whole => group.marks.iter().any(|found| found.mark.owner == self.owner),
            None => group.marks.iter().any(|m| ours.is(&m.mark)) && !group.is_only_made_by(ours),
        }
    }
}

/// One group to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeGroup {
    /// Name or id.
    pub group: SecurityGroup,
    /// The inventory's word on ownership.
    pub ownership: Option<Ownership>,
}

/// What one network has, of the groups that were asked for or found by their marks.
///
/// The caller passes the network's [`crate::rule::Atoms`] to the provider; every atom in here is of that table.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The account or project that was read, where the cloud told.
    pub account: Option<String>,
    /// The groups, sorted by id.
    pub groups: Vec<ObservedGroup>,
    /// Where the network is, for people: `eu-west-1 · vpc-0a1b2c3d (prod)`.
    pub place: String,
    /// What tells this place from every other: two networks of an inventory must not be the same one.
    pub identity: Option<String>,
    /// Quotas, and where each is from.
    pub limits: Limits,
    /// How much of the quotas is used that groups share.
    pub usage: Usage,
    /// What others have that denies traffic, as far as reading tells; read, noted, never changed.
    pub denies: Vec<Foreign>,
    /// What others let through in resources that are of no single group; read, never changed.
    pub allows: Vec<Foreign>,
    /// Names that no new resource can have, where the cloud's own objects have names.
    pub taken: BTreeSet<Arc<str>>,
    /// What a person should know about the reading.
    pub notes: Vec<String>,
    /// Groups that don't know connections: an answer needs a rule of its own (OpenStack).
    pub stateless: BTreeSet<Atom>,
}

/// A group as the cloud has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedGroup {
    /// The atom of its id.
    pub atom: Atom,
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: GroupName,
    /// Its description.
    pub description: String,
    /// Marks of rsgsync owners, sorted.
    pub marks: Vec<GroupMark>,
    /// The cloud's revision of the group, where it has one.
    pub revision: Option<String>,
    /// Its rules, one peer each, as the cloud lists them.
    pub rules: Vec<ObservedRule>,
    /// The cloud's own objects that hold its rules, sorted by name; empty where each rule is its own object.
    pub resources: Vec<Resource>,
}

/// The cloud's own object that holds several rules: all of its sources with all of its traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name, unique in the network.
    pub name: Arc<str>,
    /// The direction of its rules.
    pub direction: Direction,
    /// What it is for.
    pub holds: Holds,
    /// It is there, but not in force: none of its rules is observed.
    pub disabled: bool,
    /// Among the network's resources the lower wins; at the same, what denies.
    pub priority: u32,
    /// Marks of rsgsync owners in its description, sorted, with how its owner holds the group.
    pub marks: Vec<GroupMark>,
    /// Its description.
    pub description: String,
}

/// What a resource is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Rules of the group.
    Rules,
    /// Something that can't be compared with what is wanted, and why: none of it is observed.
    Unreadable(String),
    /// It takes away the rule to all addresses of that family that the cloud gives to every group, and it is ours.
    Denial(Family),
}

/// Something of others that denies traffic, or lets it through, of groups that it isn't of alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// How people find it.
    pub name: String,
    /// Its place among the network's resources, as [`Resource::priority`]; `None`: before all of them.
    pub priority: Option<u32>,
    /// The groups whose traffic it decides about; `None`: everyone's.
    pub targets: Option<BTreeSet<Atom>>,
    /// What it decides about.
    pub rules: Vec<Rule>,
    /// It decides about all of `rules`; otherwise only the cloud knows about which part.
    pub certain: bool,
}

/// A rule as the cloud has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRule {
    /// What it lets through.
    pub rule: Rule,
    /// Its id, where the call that was made gives it.
    pub id: Option<RuleId>,
    /// Its description; empty where there is none.
    pub description: String,
    /// Marks of rsgsync owners, sorted; read in shared groups only (empty elsewhere).
    pub marks: Vec<Mark>,
    /// How many entries it takes of the quota: 1, but for a prefix list its maximum.
    pub weight: u32,
    /// The resource that holds it; `None` where each rule is its own object, and for rules that the cloud gives to every
    /// group.
    pub resource: Option<Arc<str>>,
}

impl ObservedRule {
    /// A rule without id, description and marks.
    pub fn plain(rule: Rule) -> Self {
        Self { rule, id: None, description: String::new(), marks: Vec::new(), weight: 1, resource: None }
    }
}

/// Who claims a rule. Only its group's ownership and this can allow its removal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claim {
    /// It carries a mark of ours.
    pub ours: bool,
    /// It carries a mark that isn't ours.
    pub others: bool,
    /// It is a known other writer's.
    pub writer: bool,
}

impl Claim {
    /// What marks and description say of a rule.
    pub fn of(marks: &[Mark], description: &str, suspects: &Suspects, ours: Ours<'_>) -> Self {
        Self {
            ours: marks.iter().any(|mark| ours.is(mark)),
            others: marks.iter().any(|mark| !ours.is(mark)),
            writer: suspects.of(description).is_some(),
        }
    }
}

impl ObservedGroup {
    /// Who claims its rules, in their order.
    pub fn claims(&self, ours: Ours<'_>) -> impl Iterator<Item = Claim> {
        let suspects = suspects(self.name.as_str());
        self.rules.iter().map(move |rule| {
            let claim = Claim::of(&rule.marks, &rule.description, &suspects, ours);
            let in_writers = rule.resource.as_deref().is_some_and(is_a_writers);
            Claim { writer: claim.writer || in_writers, ..claim }
        })
    }

    /// A group without resources: only what the cloud gives to every group.
    pub fn without_resources(name: &GroupName, atom: Atom, dialect: &Dialect) -> Self {
        Self {
            atom,
            id: GroupId::new(name.as_str()).expect("a group's name is an id as well: both take the same texts"),
            name: name.clone(),
            description: String::new(),
            marks: Vec::new(),
            revision: None,
            rules: dialect.default_rules.iter().map(|rule| ObservedRule::plain(*rule)).collect(),
            resources: Vec::new(),
        }
    }

    /// Whether it is there: a group that is but a name is, while a resource is for it.
    pub fn exists(&self, dialect: &Dialect) -> bool {
        !dialect.groups_are_implicit || !self.resources.is_empty()
    }

    /// What can't be compared in it although it is ours to change, and why: its resource's name comes first.
    pub fn unreadable(&self, ownership: Ownership, ours: Ours<'_>) -> Option<(&str, &str)> {
        self.resources.iter().find_map(|resource| {
            let Holds::Unreadable(why) = &resource.holds else { return None };
            let exclusive = ownership == Ownership::Exclusive && !is_a_writers(&resource.name);
            let may_change = exclusive || resource.marks.iter().any(|found| ours.is(&found.mark));
            may_change.then_some((&*resource.name, why.as_str()))
        })
    }

    /// The families whose outbound traffic a resource of ours denies.
    pub fn denied(&self) -> impl Iterator<Item = Family> {
        let in_force = self.resources.iter().filter(|resource| !resource.disabled);
        in_force.filter_map(|resource| match resource.holds {
            Holds::Denial(family) => Some(family),
            Holds::Rules | Holds::Unreadable(_) => None,
        })
    }

    /// How the group stands to us: what the inventory says, else exclusive where a mark of ours says that we made or
    /// adopted it, else shared.
    pub fn ownership(&self, declared: Option<Ownership>, ours: Ours<'_>) -> Ownership {
        declared.unwrap_or_else(|| {
            let taken = self.marks.iter().any(|m| ours.is(&m.mark) && m.origin != Origin::Joined);
            if taken { Ownership::Exclusive } else { Ownership::Shared }
        })
    }

    /// Whether rsgsync made it for us.
    pub fn made_by(&self, ours: Ours<'_>) -> bool {
        self.marks.iter().any(|m| ours.is(&m.mark) && m.origin == Origin::Made)
    }

    /// Whether rsgsync made it for us, and nobody else's mark is on it: then it is ours to delete.
    pub fn is_only_made_by(&self, ours: Ours<'_>) -> bool {
        self.made_by(ours) && self.other_mark(ours).is_none()
    }

    /// Whether resources hold it, and all of them carry marks of ours and no other: it goes with them.
    pub fn is_in_our_resources(&self, ours: Ours<'_>) -> bool {
        let is_ours = |r: &Resource| !r.marks.is_empty() && r.marks.iter().all(|m| ours.is(&m.mark));
        !self.resources.is_empty() && self.resources.iter().all(is_ours)
    }

    /// A mark that isn't ours: another owner's, or of a cluster that doesn't stand in the inventory.
    pub fn other_mark(&self, ours: Ours<'_>) -> Option<&Mark> {
        self.marks.iter().map(|m| &m.mark).find(|mark| !ours.is(mark))
    }
}

/// Where a quota's number is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    /// The cloud told.
    Read,
    /// The inventory states it.
    Configured,
    /// The cloud's documented default.
    Assumed,
}

impl LimitSource {
    /// `read`, `configured` or `assumed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Configured => "configured",
            Self::Assumed => "assumed",
        }
    }
}

/// A quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At most so many.
    pub at_most: u32,
    /// Says who.
    pub source: LimitSource,
}

/// Quotas of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Rules a group, counted by direction and family as [`crate::pack::Dialect::quota`] says.
    pub rules_per_group: Option<Limit>,
    /// Groups a network.
    pub groups: Option<Limit>,
    /// Rules of the whole project, both directions.
    pub rules: Option<Limit>,
    /// Resources of the whole project.
    pub resources: Option<Limit>,
    /// Address ranges a resource.
    pub addresses_per_resource: Option<Limit>,
}

/// What there is in a whole network, everybody's; `None`: reading didn't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Groups that count towards [`Limits::groups`].
    pub groups: Option<u32>,
    /// Rules that count towards [`Limits::rules`], both directions.
    pub rules: Option<u32>,
    /// Resources that count towards [`Limits::resources`].
    pub resources: Option<u32>,
}
