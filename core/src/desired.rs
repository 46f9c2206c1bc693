//! Flows become rules, group by group: references where the cloud can express them, addresses where it cannot.

use std::collections::BTreeMap;

use crate::flow::{Flow, Reason, Unopened};
use crate::inventory::{EgressMode, Ownership, SecurityGroup};
use crate::name::{ClusterName, NetworkName, NodeGroupName};
use crate::rule::{Atom, Atoms, Cidr, Direction, Family, Rule};
use crate::traffic::Traffic;

/// What every managed group should have.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// By network, in the inventory's order; groups sorted by security group.
    pub networks: BTreeMap<NetworkName, DesiredNetwork>,
    /// Rows that no rule was made for, because an end can't be written as one.
    pub unopened: Vec<Unopened>,
    /// Flows into groups of `external` clusters: needed there, never written.
    pub elsewhere: Vec<Flow>,
}

/// The groups of one network.
#[derive(Debug, Clone, Default)]
pub struct DesiredNetwork {
    /// Names that the rules point into.
    pub atoms: Atoms,
    /// Sorted by security group, no two of one.
    pub groups: Vec<DesiredGroup>,
}

/// One security group and the rules that it needs.
#[derive(Debug, Clone)]
pub struct DesiredGroup {
    /// Name or id.
    pub security_group: SecurityGroup,
    /// The atom of that text.
    pub atom: Atom,
    /// Node groups that use it, sorted; at least one.
    pub members: Vec<(ClusterName, NodeGroupName)>,
    /// The inventory's word; members agree.
    pub ownership: Option<Ownership>,
    /// A shared group may be created.
    pub create: bool,
    /// Strict only when every member's cluster is.
    pub egress: EgressMode,
    /// Families of its members' clusters together.
    pub family: Family,
    /// Rules, sorted, no two alike; ingress, and egress where a flow states it. A reference has the families that the flow
    /// needs; the cloud's dialect decides what that is in rules.
    pub rules: Vec<DesiredRule>,
    /// Traffic that rows ask for which were not opened: what is observed of it is kept, whatever its source.
    pub held: Vec<(Direction, Traffic)>,
    /// Traffic of the inventory's `ignore`: differences in it are left alone.
    pub ignored: Vec<Traffic>,
    /// Known private addresses of groups that rules refer to, for shared groups where a range may cover a reference.
    pub addresses: BTreeMap<Atom, Vec<Cidr>>,
}

/// A rule and why it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredRule {
    /// What must be let through.
    pub rule: Rule,
    /// Why, sorted; at least one.
    pub reasons: Vec<Reason>,
}
