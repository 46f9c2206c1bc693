//! Why no plan can be made, and the way out.

use crate::link::MissingPeer;
use crate::name::{ClusterName, Mark, NetworkName};
use crate::observed::Limit;
use crate::traffic::Traffic;

/// Why no plan can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A shared group doesn't exist.
    #[error("security group `{group}` of network `{network}` is shared, but does not exist")]
    SharedGroupMissing {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
    },
    /// A group given by id doesn't exist.
    #[error("security group `{group}` of network `{network}` does not exist")]
    NoSuchId {
        /// The network.
        network: NetworkName,
        /// The id.
        group: String,
    },
    /// An exclusive group carries the mark of another owner.
    #[error("security group `{group}` of network `{network}` is exclusive, but carries the mark of `{mark}`")]
    OtherOwner {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// The other's mark.
        mark: Mark,
    },
    /// The cloud has no such rules.
    #[error("security group `{group}` of network `{network}` can't have {traffic} ({row}): {why}")]
    Unsayable {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// What is to be let through.
        traffic: Traffic,
        /// The row that asks for it.
        row: String,
        /// What the cloud can't say.
        why: String,
    },
    /// Something of a group that is ours to change can't be compared with what is wanted.
    #[error(
        "security group `{group}` of network `{network}`: `{resource}` has {why}, which can't be compared with what is wanted"
    )]
    Unreadable {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// The cloud's own object that holds it.
        resource: String,
        /// What it has.
        why: String,
    },
    /// Denying all outbound traffic that isn't wanted would cut what something behind that deny lets out.
    #[error(
        "security group `{group}` of network `{network}`: `egress: strict` would cut what `{by}` (priority {priority}) lets \
         out: {rules}"
    )]
    Denied {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// What lets it out.
        by: String,
        /// Its priority: not before that of the deny.
        priority: u32,
        /// What would be cut.
        rules: String,
    },
    /// The cloud makes no group of this name.
    #[error("security group `{group}` of network `{network}` can't be made: {why}")]
    NoSuchName {
        /// The network.
        network: NetworkName,
        /// The name.
        group: String,
        /// What is wrong with it.
        why: String,
    },
    /// A rule names a group that is neither there nor to be made.
    #[error("network `{network}`: {missing}")]
    MissingPeer {
        /// The network.
        network: NetworkName,
        /// Who names whom.
        missing: MissingPeer,
    },
    /// Two networks of the inventory are the same place.
    #[error("networks `{one}` and `{two}` are the same place, {place}: each would undo what the other does")]
    SamePlace {
        /// The one.
        one: NetworkName,
        /// The other.
        two: NetworkName,
        /// Where they are.
        place: String,
    },
    /// A network of a run that is to be rolled back is another place now.
    #[error("network `{network}` was {then} when the run was planned, and is {now} now")]
    OtherPlace {
        /// The network.
        network: NetworkName,
        /// Where it was.
        then: String,
        /// Where it is.
        now: String,
    },
    /// A group is not as it was when a saved plan was made.
    #[error("security group `{group}` of network `{network}` is not as it was when the plan was made: {what}")]
    Changed {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// What would make the plan another.
        what: String,
    },
    /// The inventory names one security group in two ways.
    #[error("network `{network}`: `{one}` and `{two}` are the same security group")]
    NamedTwice {
        /// The network.
        network: NetworkName,
        /// The one way.
        one: String,
        /// The other.
        two: String,
    },
    /// A rule names a group that `--cluster` leaves unmade.
    #[error("rules of `{group}` refer to security group `{peer}`, which doesn't exist and which --cluster leaves out")]
    LeftOut {
        /// The group whose rules refer to it.
        group: String,
        /// The group that would have to be made first.
        peer: String,
        /// A cluster that has it.
        cluster: ClusterName,
    },
    /// A group that is to be deleted is referred to by rules that stay: not ours, needed, held or ignored.
    #[error(
        "security group `{group}` of network `{network}` can't be deleted: rules of `{from}` that stay refer to it: {rules}"
    )]
    StillReferenced {
        /// The network.
        network: NetworkName,
        /// The group that was to be deleted.
        group: String,
        /// The group whose rules refer to it.
        from: String,
        /// The rules, and why each stays.
        rules: String,
        /// None of them is ours, and the cloud would delete them with the group: `--cascade` allows that.
        cascades: bool,
    },
    /// A quota of the whole network, or of the project that several share, has no room for the additions that must stand
    /// before the removals.
    #[error(
        "network `{network}` has no room for more {what}: {before} now, everybody's, {adds} to add, {removes} to remove \
         afterwards, {peak} at once, but the quota is {} ({})", limit.at_most, limit.source.as_str()
    )]
    NetworkQuota {
        /// The network; of several that share the quota their names: ``a` and `b``.
        network: String,
        /// What is counted.
        what: NetworkCount,
        /// Counted now.
        before: u32,
        /// To be added.
        adds: usize,
        /// To be removed.
        removes: usize,
        /// The most that may be there at once.
        peak: usize,
        /// The quota.
        limit: Limit,
    },
    /// The quota has no room for the additions that must stand before the removals.
    #[error(
        "security group `{group}` of network `{network}` has no room: {before} rules now, {adds} to add, {removes} to \
         remove afterwards, {peak} at once, but the quota is {of} ({what})"
    )]
    Quota {
        /// The network.
        network: NetworkName,
        /// The group.
        group: String,
        /// Counted now.
        before: u32,
        /// Counted among the additions.
        adds: u32,
        /// Counted among the removals.
        removes: u32,
        /// The most that are there at once.
        peak: u32,
        /// The quota.
        of: u32,
        /// What is counted.
        what: String,
    },
}

/// What a quota of a whole network counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkCount {
    /// Groups.
    Groups,
    /// Rules of all groups.
    Rules,
    /// The cloud's own objects that hold rules.
    Resources,
}

impl std::fmt::Display for NetworkCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Groups => "groups",
            Self::Rules => "rules",
            Self::Resources => "resources",
        })
    }
}

impl PlanError {
    /// What to do next.
    pub fn help(&self) -> String {
        let help = match self {
            Self::LeftOut { cluster, .. } => return format!("add `--cluster {cluster}`, or apply that cluster first"),
            Self::Changed { .. } => "nothing was changed; make a new plan, and review it",
            Self::OtherPlace { .. } => "use the credentials of then, and run it in the same folder",
            Self::SamePlace { .. } => "give the clusters one network",
            Self::NamedTwice { .. } => "name it the same way everywhere: its groups then share it",
            Self::SharedGroupMissing { .. } => "check the name, or write `create: true` beside `ownership: shared`",
            Self::NoSuchId { .. } => "check the id, the region and the network, or name the group instead",
            Self::OtherOwner { .. } => {
                "write `ownership: shared`, add the mark's cluster to this inventory, or pass `--take-over` when that owner is gone"
            }
            Self::MissingPeer { .. } => "check the name, give the group's id, or create the group first",
            Self::Unsayable { .. } => "waive the row, or give it another peer with `narrow`",
            Self::Unreadable { .. } => {
                "nothing was changed; replace it, or write `ownership: shared` where it isn't ours"
            }
            Self::Denied { .. } => {
                "give it a priority before 65534, list what it lets out under `rules:`, or write `egress: open`"
            }
            Self::NoSuchName { .. } => "name it otherwise; is it an id, check its spelling",
            Self::StillReferenced { group, cascades: true, .. } => {
                return format!(
                    "ask whoever made them; `--cascade {group}` lets this cloud delete them with the group: they count as removals"
                );
            }
            Self::StillReferenced { cascades: false, .. } => {
                "remove those rules by hand, or ask whoever made them; where the group that has them is an orphan, `apply --prune` removes them"
            }
            Self::NetworkQuota { what, .. } => {
                return format!(
                    "raise the quota with your provider and state it, `quotas: {{ {what}: N }}` beside the network's other keys, \
                     or make room: `plan` lists orphans"
                );
            }
            Self::Quota { .. } => {
                "raise the quota with your provider and state it, `aws: { quotas: { rules_per_group: N } }`, use fewer and wider peers, \
                 or allow a gap by name with --allow-gap ROW"
            }
        };
        help.to_owned()
    }
}
