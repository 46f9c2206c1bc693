//! What others deny, in the network's firewall rules and in the policies above and below them; read, never changed.

use std::collections::BTreeSet;

use http::Method;
use rsgsync_core::observed::{Deny, Scope};
use rsgsync_core::rule::{Atoms, Cidr, Direction, Rule, RulePeer};
use rsgsync_core::traffic::Traffic;
use rsgsync_engine::CloudError;

use crate::api::Call;
use crate::connect::Gcp;
use crate::implied::denies_implied;
use crate::translate::{add_traffic, rules_of};
use crate::wire::{Effective, Firewall, Layer4, Network, Policy, PolicyRule, Way};

/// The enforcement order of a network whose policies are looked at before its firewall rules.
const POLICIES_FIRST: &str = "BEFORE_CLASSIC_FIREWALL";

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
    ) -> Result<(Vec<Deny>, Vec<String>), CloudError> {
        if !scope.marked {
            return Ok((Vec::new(), Vec::new()));
        }
        let others = of_network.iter().filter(|f| !f.denied.is_empty() && !f.disabled);
        let others = others.filter(|f| denies_implied(f, scope).is_none());
        let mut denies: Vec<Deny> = others.filter_map(|firewall| of_firewall(firewall, atoms)).collect();
        let Some(effective) = effective else {
            let note = "firewall policies could not be read (compute.networks.getEffectiveFirewalls): what they deny is \
                        not in this plan";
            return Ok((denies, vec![note.to_owned()]));
        };
        let network_denies = |policy: &&Policy| policy.is_of_network() && policy.rules.iter().any(PolicyRule::denies);
        let first = effective.policies.iter().any(|p| network_denies(&p)) && self.policies_first().await?;
        for policy in effective.policies.iter().filter(|policy| first || !policy.is_of_network()) {
            denies.extend(policy.rules.iter().filter_map(|rule| of_policy(policy, rule, atoms)));
        }
        Ok((denies, Vec::new()))
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

/// A firewall rule that denies; `None` where it can't be understood.
fn of_firewall(firewall: &Firewall, atoms: &mut Atoms) -> Option<Deny> {
    let rules = rules_of(firewall, atoms).ok()?;
    let targets: BTreeSet<_> =
        firewall.target_tags.iter().chain(&firewall.target_service_accounts).map(|name| atoms.intern(name)).collect();
    Some(Deny {
        name: firewall.name.clone(),
        priority: Some(firewall.priority.0),
        targets: (!targets.is_empty()).then_some(targets),
        rules: rules.into_iter().collect(),
    })
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
    fn denies(&self) -> bool {
        self.action == "deny" && !self.disabled
    }
}

/// A policy's rule that denies; `None` where it doesn't, or where only the cloud can judge whom and what it denies: secure
/// tags, names, regions, address groups.
fn of_policy(policy: &Policy, rule: &PolicyRule, atoms: &mut Atoms) -> Option<Deny> {
    let PolicyRule { direction, matches, target_secure_tags, target_service_accounts, .. } = rule;
    let (direction, ranges, elsewhere) = match direction {
        Way::Ingress => (Direction::Ingress, &matches.src_ip_ranges, &matches.dest_ip_ranges),
        Way::Egress => (Direction::Egress, &matches.dest_ip_ranges, &matches.src_ip_ranges),
        Way::Unknown => return None,
    };
    if !rule.denies() || !target_secure_tags.is_empty() || !elsewhere.is_empty() || !matches.others.is_empty() {
        return None;
    }
    let mut traffic = BTreeSet::new();
    for Layer4 { ip_protocol, ports } in &matches.layer4 {
        add_traffic(ip_protocol, ports, &mut traffic).ok()?;
    }
    if matches.layer4.is_empty() {
        traffic.insert(Traffic::ALL);
    }
    let mut peers: Vec<Cidr> = ranges.iter().filter_map(|range| Cidr::parse(range)).collect();
    if ranges.is_empty() {
        peers.extend([Cidr::ANY_V4, Cidr::ANY_V6]);
    }
    let targets: BTreeSet<_> = target_service_accounts.iter().map(|name| atoms.intern(name)).collect();
    let rules = peers.iter().flat_map(|cidr| {
        traffic.iter().map(|traffic| Rule { direction, peer: RulePeer::Addresses(*cidr), traffic: *traffic })
    });
    Some(Deny {
        name: format!("firewall policy {}, rule {}", policy.label(), rule.priority),
        priority: None,
        targets: (!targets.is_empty()).then_some(targets),
        rules: rules.collect(),
    })
}
