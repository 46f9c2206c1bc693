//! What others deny, in the network's firewall rules and in the policies above and below them; read, never changed.

use std::collections::BTreeSet;

use http::Method;
use rsgsync_core::observed::{Foreign, Scope};
use rsgsync_core::packets::PacketSet;
use rsgsync_core::rule::{Atoms, Cidr, Direction, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;
use rsgsync_engine::CloudError;

use crate::api::Call;
use crate::connect::Gcp;
use crate::implied::denies_implied;
use crate::translate::{Targets, add_traffic, direction_of, rules_of};
use crate::wire::{Effective, Firewall, Layer4, Network, Policy, PolicyRule, Way};

/// The enforcement order of a network whose policies are looked at before its firewall rules.
const POLICIES_FIRST: &str = "BEFORE_CLASSIC_FIREWALL";

/// What a policy's rule says of its packets; every other word than these lets them through, or has them inspected.
const DENY: &str = "deny";
const GOTO_NEXT: &str = "goto_next";

impl Gcp {
    /// What decides about the network's packets beside its firewall rules; `None` where these credentials aren't told.
    pub(crate) async fn effective(&self) -> Result<Option<Effective>, CloudError> {
        let doing = format!("reading what is in force in network `{}`", self.place.network);
        let path = ["global", "networks", &self.place.network, "getEffectiveFirewalls"];
        match self.send(&doing, &Call::new("networks.getEffectiveFirewalls", Method::GET, &path)).await {
            Ok(answer) => Ok(Some(answer.read(&doing)?)),
            Err(refused) if refused.status == 404 => Err(self.no_network(doing)),
            Err(refused) if refused.is_forbidden() => {
                tracing::info!(error = %refused.error, "firewall policies are not known");
                Ok(None)
            }
            Err(refused) => Err(refused.error),
        }
    }

    /// What others deny, and what could not be read of it.
    pub(crate) async fn denies(
        &self,
        of_network: &[&Firewall],
        scope: &Scope,
        effective: Option<Effective>,
        atoms: &mut Atoms,
    ) -> Result<(Vec<Foreign>, Vec<String>), CloudError> {
        if !scope.marked {
            return Ok((Vec::new(), Vec::new()));
        }
        let others = of_network.iter().filter(|f| !f.denied.is_empty() && !f.disabled);
        let others = others.filter(|f| denies_implied(f, scope).is_none());
        let others: Vec<Foreign> = others.filter_map(|firewall| of_firewall(firewall, atoms)).collect();
        let Some(effective) = effective else {
            let note = "firewall policies could not be read (compute.networks.getEffectiveFirewalls): what they deny is \
                        not in this plan";
            return Ok((others, vec![note.to_owned()]));
        };
        let decides = |policy: &&Policy| policy.is_of_network() && policy.rules.iter().any(PolicyRule::decides);
        let first = effective.policies.iter().any(|p| decides(&p)) && self.policies_first().await?;
        let policies = effective.policies.iter().filter(|policy| first || !policy.is_of_network());
        let Ruled { mut denies, decided, notes } = of_policies(policies, atoms);
        denies.extend(others.into_iter().filter_map(|deny| left(deny, &decided)));
        Ok((denies, notes))
    }

    /// Whether the network's own policies decide before its firewall rules.
    async fn policies_first(&self) -> Result<bool, CloudError> {
        let doing = format!("reading network `{}`", self.place.network);
        let path = ["global", "networks", &self.place.network];
        match self.send(&doing, &Call::new("networks.get", Method::GET, &path)).await {
            Ok(answer) => {
                let network: Network = answer.read(&doing)?;
                Ok(network.network_firewall_policy_enforcement_order.as_deref() == Some(POLICIES_FIRST))
            }
            Err(refused) if refused.is_forbidden() => Ok(false),
            Err(refused) => Err(refused.error),
        }
    }
}

/// What others let through in firewall rules for everybody, or for several tags or accounts.
pub(crate) fn allows(of_network: &[&Firewall], atoms: &mut Atoms) -> Vec<Foreign> {
    let in_no_group = |f: &&&Firewall| !matches!(f.targets(), Targets::One(_)) && f.denied.is_empty() && !f.disabled;
    of_network.iter().filter(in_no_group).filter_map(|firewall| of_firewall(firewall, atoms)).collect()
}

/// What a firewall rule decides about; where it can't be understood, at most that. `None`: it has no direction.
fn of_firewall(firewall: &Firewall, atoms: &mut Atoms) -> Option<Foreign> {
    let direction = direction_of(firewall).ok()?;
    let read = rules_of(firewall, atoms);
    let certain = read.is_ok();
    let rules = read.or_else(|_| rules_of(&firewall.without_other_end(), atoms));
    let rules = rules.map_or_else(|_| everything(direction), |rules| rules.into_iter().collect());
    let targets: BTreeSet<_> =
        firewall.target_tags.iter().chain(&firewall.target_service_accounts).map(|name| atoms.intern(name)).collect();
    Some(Foreign {
        name: firewall.name.clone(),
        priority: Some(firewall.priority.0),
        targets: (!targets.is_empty()).then_some(targets),
        rules,
        certain,
    })
}

fn everything(direction: Direction) -> Vec<Rule> {
    let all = |cidr| Rule { direction, peer: RulePeer::Addresses(cidr), traffic: Traffic::ALL };
    [Cidr::ANY_V4, Cidr::ANY_V6].map(all).to_vec()
}

impl Policy {
    fn is_of_network(&self) -> bool {
        self.kind == "NETWORK"
    }

    /// The name that people gave it.
    fn label(&self) -> &str {
        [&self.short_name, &self.display_name, &self.name].into_iter().find(|name| !name.is_empty()).map_or("", |n| n)
    }
}

impl PolicyRule {
    /// Whether it doesn't leave the decision to what comes after its policy.
    fn decides(&self) -> bool {
        self.action != GOTO_NEXT && !self.disabled
    }
}

/// What policies rule.
#[derive(Default)]
struct Ruled {
    denies: Vec<Foreign>,
    /// What they decide otherwise, so that nothing after them is asked.
    decided: Vec<Foreign>,
    /// What can't be judged here.
    notes: Vec<String>,
}

fn of_policies<'a>(policies: impl Iterator<Item = &'a Policy>, atoms: &mut Atoms) -> Ruled {
    let Ruled { mut denies, mut decided, mut notes } = Ruled::default();
    for policy in policies {
        let mut rules: Vec<&PolicyRule> = policy.rules.iter().filter(|rule| !rule.disabled).collect();
        rules.sort_by_key(|rule| rule.priority);
        let (mut left_to_others, mut unjudged) = (Vec::new(), 0);
        for rule in rules {
            let Some(judged) = of_policy(policy, rule, atoms) else { continue };
            match rule.action.as_str() {
                DENY if !judged.certain => unjudged += 1,
                DENY => denies.extend(left(judged, &decided).and_then(|deny| left(deny, &left_to_others))),
                GOTO_NEXT => left_to_others.push(judged),
                _ => decided.push(judged),
            }
        }
        notes.extend((unjudged > 0).then(|| {
            let (name, s) = (policy.label(), if unjudged == 1 { "" } else { "s" });
            format!(
                "firewall policy {name} has {unjudged} rule{s} to deny by what only the cloud can judge (secure tags, names, \
                 regions, address groups): what they stop is not in this plan"
            )
        }));
    }
    Ruled { denies, decided, notes }
}

/// What is left of a deny where others come before it; it is uncertain where they perhaps do.
fn left(mut deny: Foreign, before: &[Foreign]) -> Option<Foreign> {
    let direction = deny.rules.first()?.direction;
    let mut packets = PacketSet::of(deny.rules);
    for other in before.iter().filter(|other| other.rules.first().is_some_and(|rule| rule.direction == direction)) {
        let decides = PacketSet::of(other.rules.iter().copied());
        let (always, never) = match (&deny.targets, &other.targets) {
            (_, None) => (true, false),
            (None, Some(_)) => (false, false),
            (Some(ours), Some(theirs)) => (ours.is_subset(theirs), ours.is_disjoint(theirs)),
        };
        if always && other.certain {
            packets = packets.difference(&decides);
        } else if !never && packets.intersects(&decides) {
            deny.certain = false;
        }
    }
    let rules = packets.cover(direction);
    (!rules.is_empty()).then_some(Foreign { rules, ..deny })
}

/// What a policy's rule decides about; uncertain where only the cloud can judge that: secure tags, names, regions, address
/// groups. `None`: it has no direction.
fn of_policy(policy: &Policy, rule: &PolicyRule, atoms: &mut Atoms) -> Option<Foreign> {
    let PolicyRule { direction, matches, target_secure_tags, target_service_accounts, .. } = rule;
    let (direction, ranges, elsewhere) = match direction {
        Way::Ingress => (Direction::Ingress, &matches.src_ip_ranges, &matches.dest_ip_ranges),
        Way::Egress => (Direction::Egress, &matches.dest_ip_ranges, &matches.src_ip_ranges),
        Way::Unknown => return None,
    };
    let mut certain = target_secure_tags.is_empty() && elsewhere.is_empty() && matches.others.is_empty();
    let mut traffic = BTreeSet::new();
    for Layer4 { ip_protocol, ports } in &matches.layer4 {
        certain &= add_traffic(ip_protocol, ports, &mut traffic).is_ok();
    }
    if traffic.is_empty() || !certain {
        traffic = BTreeSet::from([Traffic::ALL]);
    }
    let mut peers: Vec<Cidr> = ranges.iter().filter_map(|range| Cidr::parse(range)).collect();
    if ranges.is_empty() {
        peers.extend([Cidr::ANY_V4, Cidr::ANY_V6]);
    }
    let targets: BTreeSet<_> = target_service_accounts.iter().map(|name| atoms.intern(name)).collect();
    let rules = peers.iter().flat_map(|cidr| {
        traffic.iter().map(|traffic| Rule { direction, peer: RulePeer::Addresses(*cidr), traffic: *traffic })
    });
    Some(Foreign {
        name: format!("firewall policy {}, rule {}", policy.label(), rule.priority),
        priority: None,
        targets: (!targets.is_empty()).then_some(targets),
        rules: rules.collect(),
        certain,
    })
}
