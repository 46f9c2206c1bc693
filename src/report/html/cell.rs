//! The rules of a group become, for each other end, its traffic by how it stands.

use std::collections::BTreeMap;

use rsgsync_core::desired::DesiredRule;
use rsgsync_core::diff::Fate;
use rsgsync_core::packets::{PacketSet, TrafficSet};
use rsgsync_core::rule::{Direction, Family, Rule, RulePeer};

/// How traffic, or a rule, stands; what needs a look comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Required, and nothing lets it through; of a rule: the plan adds it.
    Missing,
    /// Ours, and nothing requires it.
    TooWide,
    /// Not ours to change.
    Foreign,
    /// Asked for by a row that is not opened.
    Held,
    /// The inventory says to leave it alone.
    Ignored,
    /// Required, and let through.
    Open,
}

impl Standing {
    /// All, what needs a look first.
    pub const ALL: [Self; 6] = [Self::Missing, Self::TooWide, Self::Foreign, Self::Held, Self::Ignored, Self::Open];

    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooWide => "too wide",
            Self::Foreign => "foreign",
            Self::Held => "held",
            Self::Ignored => "ignored",
            Self::Open => "open",
        }
    }

    /// The class of what stands so, and its word in the filter.
    pub fn class(self) -> &'static str {
        match self {
            Self::TooWide => "wide",
            other => other.word(),
        }
    }

    /// What the word means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Missing => "required, and not let through: the plan adds it",
            Self::TooWide => "ours, and required by nothing: the plan removes it",
            Self::Foreign => "not ours: shown, never changed",
            Self::Held => "asked for by a row that is not opened: stays",
            Self::Ignored => "the inventory says to leave it alone",
            Self::Open => "required, and let through",
        }
    }

    /// How a rule stands that has this fate.
    pub fn of(fate: Fate) -> Self {
        match fate {
            Fate::Keep | Fate::Redundant | Fate::Join | Fate::Outbound => Self::Open,
            Fate::Remove | Fate::Leave | Fate::Spared => Self::TooWide,
            Fate::Foreign | Fate::Satisfies | Fate::Cascade => Self::Foreign,
            Fate::Held => Self::Held,
            Fate::Ignored => Self::Ignored,
        }
    }
}

/// The traffic between a group and one other end; no entry is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell(pub BTreeMap<Standing, TrafficSet>);

impl Cell {
    /// The traffic of several pairs together.
    pub fn add(&mut self, other: &Self) {
        for (standing, traffic) in &other.0 {
            self.put(*standing, traffic);
        }
    }

    fn put(&mut self, standing: Standing, traffic: &TrafficSet) {
        let known = self.0.entry(standing).or_default();
        *known = known.union(traffic);
    }

    /// What needs a look first.
    pub fn worst(&self) -> Standing {
        self.0.keys().next().copied().unwrap_or(Standing::Open)
    }
}

/// `2379-2380/tcp, 8472/udp`.
pub fn spell(traffic: &TrafficSet) -> String {
    traffic.traffics().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a group's rules of one direction let through, by other end: an address range, or a name in whatever family.
///
/// Of a rule that is there only what nothing requires stands for itself; what is required is open, whoever's rule lets it
/// through.
pub fn cells(
    direction: Direction,
    required: &[DesiredRule],
    observed: &[(Rule, Standing)],
) -> BTreeMap<RulePeer, Cell> {
    let required = || required.iter().map(|r| r.rule).filter(|rule| rule.direction == direction);
    let observed = || observed.iter().filter(|(rule, _)| rule.direction == direction);
    let (asked, there) = (PacketSet::of(required()), PacketSet::of(observed().map(|(rule, _)| *rule)));
    let mut cells: BTreeMap<RulePeer, Cell> = BTreeMap::new();
    let mut put = |peer: RulePeer, standing, packets: PacketSet| {
        if !packets.is_empty() {
            cells.entry(other_end(peer)).or_default().put(standing, &packets.traffic());
        }
    };
    for rule in required() {
        let open = there.within(&rule);
        put(rule.peer, Standing::Missing, PacketSet::of([rule]).difference(&open));
        put(rule.peer, Standing::Open, open);
    }
    for (rule, standing) in observed().filter(|(_, standing)| *standing != Standing::Open) {
        put(rule.peer, *standing, PacketSet::of([*rule]).difference(&asked.within(rule)));
    }
    cells
}

fn other_end(peer: RulePeer) -> RulePeer {
    match peer {
        RulePeer::Opaque(kind, atom, _) => RulePeer::Opaque(kind, atom, Family::Both),
        range @ RulePeer::Addresses(_) => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsgsync_core::rule::{Atoms, Cidr, PeerKind};
    use rsgsync_core::traffic::Traffic;

    fn range(text: &str) -> RulePeer {
        RulePeer::Addresses(Cidr::parse(text).expect("a range"))
    }

    fn rule(peer: RulePeer, traffic: &str) -> Rule {
        Rule { direction: Direction::Ingress, peer, traffic: Traffic::parse(traffic).expect("traffic") }
    }

    fn required(rules: &[Rule]) -> Vec<DesiredRule> {
        rules.iter().map(|rule| DesiredRule { rule: *rule, reasons: Vec::new().into() }).collect()
    }

    fn words(cells: &BTreeMap<RulePeer, Cell>, peer: RulePeer) -> String {
        let part = |(standing, traffic): (&Standing, &TrafficSet)| format!("{} {}", standing.word(), spell(traffic));
        let parts = cells.get(&peer).into_iter().flat_map(|cell| &cell.0).map(part);
        parts.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_is_required_is_open_as_far_as_any_rule_lets_it_through() {
        let office = range("203.0.113.0/24");
        let needs = required(&[rule(office, "80/tcp"), rule(office, "443/tcp"), rule(office, "22/tcp")]);
        let there = [(rule(office, "80/tcp"), Standing::Open), (rule(office, "443/tcp"), Standing::Foreign)];
        let cells = cells(Direction::Ingress, &needs, &there);
        assert_eq!(words(&cells, office), "missing 22/tcp; open 80/tcp, 443/tcp");
    }

    #[test]
    fn of_a_rule_that_is_too_wide_only_the_rest_is() {
        let office = range("203.0.113.0/24");
        let there = [(rule(office, "2379-2400/tcp"), Standing::TooWide)];
        let cells = cells(Direction::Ingress, &required(&[rule(office, "2379-2380/tcp")]), &there);
        assert_eq!(words(&cells, office), "too wide 2381-2400/tcp; open 2379-2380/tcp");
    }

    #[test]
    fn the_world_around_a_required_range_stands_for_itself_and_opens_the_range() {
        let (office, world) = (range("203.0.113.0/24"), range("0.0.0.0/0"));
        let there = [(rule(world, "443/tcp"), Standing::TooWide)];
        let cells = cells(Direction::Ingress, &required(&[rule(office, "443/tcp")]), &there);
        assert_eq!((words(&cells, office), words(&cells, world)), ("open 443/tcp".into(), "too wide 443/tcp".into()));
    }

    #[test]
    fn half_of_a_range_is_open_and_missing() {
        let (all, half) = (range("10.0.0.0/8"), range("10.0.0.0/9"));
        let cells =
            cells(Direction::Ingress, &required(&[rule(all, "22/tcp")]), &[(rule(half, "22/tcp"), Standing::Open)]);
        assert_eq!(words(&cells, all), "missing 22/tcp; open 22/tcp");
        assert_eq!(cells.len(), 1);
    }

    #[test]
    fn a_reference_is_one_end_in_both_families_and_no_range() {
        let etcd = Atoms::new().intern("etcd");
        let named = |family| RulePeer::Opaque(PeerKind::Group, etcd, family);
        let needs = required(&[rule(named(Family::Ipv4), "2379/tcp"), rule(named(Family::Ipv6), "2380/tcp")]);
        let there = [(rule(named(Family::Both), "2379/tcp"), Standing::Open)];
        let cells = cells(Direction::Ingress, &needs, &there);
        assert_eq!(words(&cells, named(Family::Both)), "missing 2380/tcp; open 2379/tcp");
        assert_eq!(cells.len(), 1);
    }

    #[test]
    fn the_other_direction_is_not_looked_at() {
        let world = range("0.0.0.0/0");
        let out = Rule { direction: Direction::Egress, ..rule(world, "all") };
        assert!(cells(Direction::Ingress, &[], &[(out, Standing::Foreign)]).is_empty());
        let cells = cells(Direction::Egress, &[], &[(out, Standing::Held)]);
        assert_eq!(words(&cells, world), "held all");
    }
}
