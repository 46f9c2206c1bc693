//! A plan becomes a document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::seal::{checksum, digest};
use super::{
    Document, DriftEntry, ExemptEntry, FlowEntry, GroupEntry, GuardEntry, NetworkEntry, ObservedEntry, OrphanEntry,
    PeerEntry, ProofEntry, QuotaEntry, RuleEntry, RulesEntry, StepEntry, UnopenedEntry, VERSION, WitnessEntry,
};
use crate::diff::Fate;
use crate::flow::{End, Flow, Reason};
use crate::guard::{Guard, GuardsInForce};
use crate::name::NetworkName;
use crate::observed::{Limit, Limits, Observed, ObservedGroup};
use crate::plan::{Action, GroupPlan, GroupStatus, NetworkPlan, Plan, Step, StepRule, by_group, moved};
use crate::proof::{ASSUMPTIONS, Fault, Packet, PacketPeer, Witness};
use crate::rule::{Atom, Direction, Family, PeerKind, Rule, RulePeer};
use crate::traffic::Traffic;

/// A plan as a document, with the guards that were checked.
pub fn document(plan: &Plan, in_force: &GuardsInForce, created_by: &str) -> Document {
    let network = |name: &NetworkName| plan.networks.iter().find(|n| n.network.name == *name);
    let steps: Vec<StepEntry> =
        plan.steps.iter().filter_map(|step| network(&step.network).map(|n| step_entry(step, n))).collect();
    let touched = touched(plan);
    let mut document = Document {
        version: VERSION,
        digest: String::new(),
        checksum: String::new(),
        created_by: created_by.to_owned(),
        owner: plan.owner.to_string(),
        clusters: Some(plan.clusters.clone()),
        networks: plan.networks.iter().map(network_entry).collect(),
        groups: plan.networks.iter().flat_map(group_entries).collect(),
        orphans: plan.networks.iter().flat_map(orphan_entries).collect(),
        steps,
        observed: observed_entries(plan, &touched),
        required: required_entries(plan, &touched),
        guards: in_force.all().map(|guard| guard_entry(guard, plan, in_force)).collect(),
        exempt: exempt_entries(plan, in_force),
        trusted: plan.trusted.iter().map(ToString::to_string).collect(),
        unopened: plan
            .unopened
            .iter()
            .map(|u| UnopenedEntry {
                network: u.network.clone(),
                cluster: u.cluster.clone(),
                row: u.row.clone(),
                why: u.why.to_string(),
            })
            .collect(),
        without_members: plan.without_members.clone(),
        assumed: plan.assumed.clone(),
        foreign: with_fate(plan, &[Fate::Foreign, Fate::Satisfies]),
        held: with_fate(plan, &[Fate::Held]),
        needed_elsewhere: plan.elsewhere.iter().map(flow_entry).collect(),
        lost: plan.lost.iter().map(flow_entry).collect(),
        notes: plan.notes.clone(),
        refused: plan.blast.clone(),
        proof: proof_entry(plan),
        drift: None,
        attachments: None,
    };
    document.digest = digest(&document);
    document.checksum = checksum(&document);
    document
}

/// The groups of steps, and those with rules that refer to a group which is deleted.
fn touched(plan: &Plan) -> BTreeSet<(&NetworkName, Atom)> {
    let mut touched: BTreeSet<(&NetworkName, Atom)> = plan.steps.iter().map(|s| (&s.network, s.group)).collect();
    for step in plan.steps.iter().filter(|s| s.action == Action::DeleteGroup) {
        let network = plan.networks.iter().find(|n| n.network.name == step.network);
        let groups = network.and_then(|n| n.observed.as_ref().ok()).map(|o| o.groups.as_slice()).unwrap_or_default();
        let refers = |group: &&ObservedGroup| group.rules.iter().any(|r| r.rule.peer.group() == Some(step.group));
        touched.extend(groups.iter().filter(refers).map(|group| (&step.network, group.atom)));
    }
    touched
}

/// What differs between desired and observed, as `drift` reports it.
pub fn drift(plan: &Plan) -> Vec<DriftEntry> {
    let mut out = Vec::new();
    for network in &plan.networks {
        for group in &network.groups {
            let entry = |kind: &str, rule: Option<RuleEntry>| DriftEntry {
                network: network.network.name.clone(),
                security_group: network.group_name(group.atom).to_owned(),
                kind: kind.to_owned(),
                rule,
            };
            match group.status {
                GroupStatus::Create => out.push(entry("group_missing", None)),
                GroupStatus::Delete => out.push(entry("group_unexpected", None)),
                GroupStatus::Adopt | GroupStatus::Change | GroupStatus::InSync | GroupStatus::Skipped => {}
            }
        }
    }
    let moved: BTreeMap<_, BTreeSet<Rule>> =
        by_group(&plan.steps).into_iter().map(|(place, steps)| (place, moved(&steps))).collect();
    for step in &plan.steps {
        let Some(network) = plan.networks.iter().find(|n| n.network.name == step.network) else { continue };
        let stays = |rule: &&StepRule| moved.get(&(&step.network, step.group)).is_some_and(|m| m.contains(&rule.rule));
        let entry = |kind: &str, rule: &StepRule| DriftEntry {
            network: step.network.clone(),
            security_group: network.group_name(step.group).to_owned(),
            kind: kind.to_owned(),
            rule: Some(step_rule_entry(rule, network)),
        };
        if matches!(step.action, Action::AddRules | Action::ReplaceRules) {
            out.extend(step.adds.iter().filter(|r| !stays(r)).map(|rule| entry("missing", rule)));
        }
        if matches!(step.action, Action::RemoveRules | Action::ReplaceRules) {
            out.extend(step.removes.iter().filter(|r| !stays(r)).map(|rule| entry("unexpected", rule)));
        }
        for (group, rules) in &step.cascade {
            let security_group = network.group_name(*group).to_owned();
            out.extend(
                rules
                    .iter()
                    .map(|rule| DriftEntry { security_group: security_group.clone(), ..entry("unexpected", rule) }),
            );
        }
    }
    out
}

fn guard_entry(guard: &Guard, plan: &Plan, in_force: &GuardsInForce) -> GuardEntry {
    let groups = plan.networks.iter().flat_map(|n| n.groups.iter().map(move |g| (n, g)));
    let aside =
        groups.filter(|(n, g)| in_force.get(&n.network.name, &g.security_group).is_some_and(|set| !set.has(guard)));
    GuardEntry {
        name: guard.name.to_string(),
        traffic: guard.traffic.iter().map(ToString::to_string).collect(),
        why: guard.why.clone(),
        waived: aside.map(|(n, g)| format!("{}/{}", n.network.name, n.group_name(g.atom))).collect(),
    }
}

fn exempt_entries(plan: &Plan, in_force: &GuardsInForce) -> Vec<ExemptEntry> {
    let groups = plan.networks.iter().flat_map(|n| n.groups.iter().map(move |g| (n, g)));
    let entries = groups.flat_map(|(network, group)| {
        let set = in_force.get(&network.network.name, &group.security_group);
        set.into_iter().flat_map(|set| &set.exempt).map(|(traffic, cidr)| ExemptEntry {
            network: network.network.name.clone(),
            security_group: network.group_name(group.atom).to_owned(),
            traffic: traffic.to_string(),
            cidr: cidr.to_string(),
        })
    });
    entries.collect()
}

fn network_entry(network: &NetworkPlan) -> NetworkEntry {
    let observed = network.observed.as_ref();
    NetworkEntry {
        name: network.network.name.clone(),
        provider: network.network.provider.to_owned(),
        account: observed.ok().and_then(|o| o.account.clone()),
        place: observed.ok().map(|o| o.place.clone()),
        identity: observed.ok().and_then(|o| o.identity.clone()),
        at: network.network.at.clone(),
        status: if observed.is_ok() { "ok" } else { "error" }.to_owned(),
        error: observed.err().cloned(),
        quotas: observed.map(quotas).unwrap_or_default(),
    }
}

fn quotas(observed: &Observed) -> BTreeMap<String, QuotaEntry> {
    let Limits { rules_per_group, groups, rules, resources, addresses_per_resource } = observed.limits;
    let usage = observed.usage;
    let all = [
        ("rules_per_group", rules_per_group, None),
        ("groups", groups, usage.groups),
        ("rules", rules, usage.rules),
        ("resources", resources, usage.resources),
        ("addresses_per_resource", addresses_per_resource, None),
    ];
    let entries = all.into_iter().filter_map(|(name, limit, used)| {
        let Limit { at_most, source } = limit?;
        Some((name.to_owned(), QuotaEntry { at_most, source: source.as_str().to_owned(), used }))
    });
    entries.collect()
}

fn group_entries(network: &NetworkPlan) -> Vec<GroupEntry> {
    let mut entries = Vec::new();
    // A group that is but a name is there before anything is made for it.
    let there = |group: &GroupPlan| network.observed_group(group.atom).filter(|_| group.status != GroupStatus::Create);
    for group in &network.groups {
        let of_orphan = network.orphans.iter().filter(|o| o.atom == group.atom).flat_map(|o| &o.marks);
        let of_orphan = of_orphan.map(|m| (&m.mark.cluster, None));
        let members = group.members.iter().map(|(cluster, member)| (cluster, Some(member)));
        entries.extend(members.chain(of_orphan).map(|(cluster, member)| GroupEntry {
            network: network.network.name.clone(),
            cluster: cluster.clone(),
            group: member.cloned(),
            security_group: network.group_name(group.atom).to_owned(),
            id: there(group).map(|g| g.id.to_string()),
            ownership: group.ownership.as_str().to_owned(),
            status: group.status,
            rules_before: group.rules_before,
            rules_after: group.rules_after,
            quota: group.quota.as_ref().map(|q| q.of),
            quota_of: group.quota.as_ref().map(|q| q.what.clone()),
        }));
    }
    entries
}

fn orphan_entries(network: &NetworkPlan) -> impl Iterator<Item = OrphanEntry> {
    network.orphans.iter().filter_map(|orphan| {
        let group = network.observed_group(orphan.atom)?;
        Some(OrphanEntry {
            network: network.network.name.clone(),
            security_group: network.group_name(group.atom).to_owned(),
            id: group.id.to_string(),
            marks: orphan.marks.iter().map(ToString::to_string).collect(),
            prune: orphan.prune,
            rules: orphan.rules,
        })
    })
}

fn step_entry(step: &Step, network: &NetworkPlan) -> StepEntry {
    let entries = |rules: &[StepRule]| rules.iter().map(|r| step_rule_entry(r, network)).collect::<Vec<_>>();
    let (adds, removes) = (entries(&step.adds), entries(&step.removes));
    let (rules, removes) = match step.action {
        Action::ReplaceRules | Action::SetMarks => (adds, removes),
        Action::RemoveRules | Action::DeleteGroup => (removes, Vec::new()),
        _ if adds.is_empty() => (removes, Vec::new()),
        _ => (adds, Vec::new()),
    };
    StepEntry {
        id: step.id,
        network: step.network.clone(),
        security_group: network.group_name(step.group).to_owned(),
        direction: step.direction.map(|d| d.as_str().to_owned()),
        action: step.action,
        depends_on: step.depends_on.clone(),
        resource: step.resource.clone(),
        rules,
        removes,
        marks: step.group_marks.iter().map(|(mark, origin)| format!("{mark}={}", origin.as_str())).collect(),
        unmarks: step.group_unmarks.iter().map(ToString::to_string).collect(),
        description: step.description.clone(),
        cascade: step
            .cascade
            .iter()
            .map(|(group, rules)| RulesEntry {
                network: step.network.clone(),
                security_group: network.group_name(*group).to_owned(),
                rules: entries(rules),
            })
            .collect(),
    }
}

fn step_rule_entry(rule: &StepRule, network: &NetworkPlan) -> RuleEntry {
    RuleEntry {
        id: rule.id.as_ref().map(ToString::to_string),
        description: rule.description.clone(),
        reasons: rule.reasons.clone(),
        resource: rule.resource.as_deref().map(str::to_owned),
        marks: rule.marks.iter().map(ToString::to_string).collect(),
        ..rule_entry(&rule.rule, network)
    }
}

/// A rule in the contract's words; without id, description, reasons and marks.
pub fn rule_entry(rule: &Rule, network: &NetworkPlan) -> RuleEntry {
    let (from_port, to_port) = ports(rule.traffic);
    RuleEntry {
        id: None,
        direction: rule.direction.as_str().to_owned(),
        protocol: rule.traffic.protocol().contract_word(),
        family: rule.peer.family().as_str().to_owned(),
        from_port,
        to_port,
        peer: peer_entry(rule.peer, network),
        description: String::new(),
        reasons: Arc::default(),
        resource: None,
        marks: Vec::new(),
        needed: false,
    }
}

fn ports(traffic: Traffic) -> (Option<u16>, Option<u16>) {
    match (traffic.ports(), traffic.icmp_type_code()) {
        (Some(ports), _) => (Some(ports.from()), Some(ports.to())),
        (None, Some((kind, code))) => (kind.map(u16::from), code.map(u16::from)),
        (None, None) => (None, None),
    }
}

/// The other end of a rule, with the group's name where the network knows it.
pub fn peer_entry(peer: RulePeer, network: &NetworkPlan) -> PeerEntry {
    let mut entry = PeerEntry::default();
    match peer {
        RulePeer::Addresses(cidr) => entry.cidr = Some(cidr.to_string()),
        RulePeer::Opaque(PeerKind::Group, atom, _) => {
            let text = network.group_name(atom);
            match text.rsplit_once('/').filter(|_| crate::link::names_another_account(text)) {
                Some((account, id)) => {
                    entry.account = Some(account.to_owned());
                    entry.security_group = Some(id.to_owned());
                }
                None => entry.security_group = Some(text.to_owned()),
            }
        }
        RulePeer::Opaque(PeerKind::PrefixList, atom, _) => {
            entry.prefix_list = Some(network.atoms.text(atom).to_owned())
        }
        RulePeer::Opaque(PeerKind::AddressGroup, atom, _) => {
            entry.address_group = Some(network.atoms.text(atom).to_owned())
        }
        RulePeer::Opaque(PeerKind::ServiceAccount, atom, _) => {
            entry.service_account = Some(network.atoms.text(atom).to_owned());
        }
    }
    entry
}

fn observed_entries(plan: &Plan, touched: &BTreeSet<(&NetworkName, Atom)>) -> Vec<ObservedEntry> {
    let mut out = Vec::new();
    for network in &plan.networks {
        let Ok(observed) = &network.observed else { continue };
        for group in observed.groups.iter().filter(|g| touched.contains(&(&network.network.name, g.atom))) {
            let rules = group.rules.iter().map(|r| RuleEntry {
                id: r.id.as_ref().map(ToString::to_string),
                description: r.description.clone(),
                resource: r.resource.as_deref().map(str::to_owned),
                marks: r.marks.iter().map(ToString::to_string).collect(),
                ..rule_entry(&r.rule, network)
            });
            out.push(ObservedEntry {
                network: network.network.name.clone(),
                security_group: network.group_name(group.atom).to_owned(),
                id: group.id.to_string(),
                revision: group.revision.clone(),
                description: group.description.clone(),
                marks: group.marks.iter().map(ToString::to_string).collect(),
                rules: rules.collect(),
            });
        }
    }
    out
}

fn required_entries(plan: &Plan, touched: &BTreeSet<(&NetworkName, Atom)>) -> Vec<RulesEntry> {
    let mut out = Vec::new();
    for network in &plan.networks {
        for group in network.groups.iter().filter(|g| touched.contains(&(&network.network.name, g.atom))) {
            let rules = group.diff.required.iter();
            let rules = rules.map(|r| RuleEntry { reasons: r.reasons.clone(), ..rule_entry(&r.rule, network) });
            out.push(RulesEntry {
                network: network.network.name.clone(),
                security_group: network.group_name(group.atom).to_owned(),
                rules: rules.collect(),
            });
        }
    }
    out
}

fn with_fate(plan: &Plan, fates: &[Fate]) -> Vec<RulesEntry> {
    let mut out = Vec::new();
    for network in &plan.networks {
        for group in &network.groups {
            let Some(observed) = network.observed_group(group.atom) else { continue };
            let of_fate = observed.rules.iter().zip(&group.diff.fates).filter(|(_, fate)| fates.contains(fate));
            let rules: Vec<RuleEntry> = of_fate
                .map(|(r, fate)| RuleEntry {
                    id: r.id.as_ref().map(ToString::to_string),
                    description: r.description.clone(),
                    reasons: needed_for(group, &r.rule, *fate),
                    needed: *fate == Fate::Satisfies,
                    ..rule_entry(&r.rule, network)
                })
                .collect();
            if !rules.is_empty() {
                let (name, security_group) = (network.network.name.clone(), network.group_name(group.atom).to_owned());
                out.push(RulesEntry { network: name, security_group, rules });
            }
        }
    }
    out
}

/// Why a rule of others is needed; nothing where it isn't.
fn needed_for(group: &GroupPlan, rule: &Rule, fate: Fate) -> Arc<[Reason]> {
    match fate {
        Fate::Satisfies => group.diff.reasons(rule).into_iter().cloned().collect(),
        _ => Arc::default(),
    }
}

/// A flow in the contract's words.
pub fn flow_entry(flow: &Flow) -> FlowEntry {
    let end = |end: &End| match end {
        End::Group(cluster, group) => serde_json::json!({ "cluster": cluster, "group": group }),
        End::Peer(peer) => serde_json::json!({ "peer": peer }),
        End::Cidr(cidr) => serde_json::json!({ "cidr": cidr.to_string() }),
        End::Name(name) => serde_json::json!({ "name": name }),
        End::SelfGroup => Value::from("self"),
    };
    let (from_port, to_port) = ports(flow.traffic);
    FlowEntry {
        cluster: flow.cluster.clone(),
        from: end(&flow.from),
        to: end(&flow.to),
        protocol: flow.traffic.protocol().contract_word(),
        from_port,
        to_port,
        profile: flow.reason.profile.clone(),
        row: flow.reason.row.clone(),
        why: flow.reason.why.clone(),
        local: flow.local,
    }
}

fn proof_entry(plan: &Plan) -> ProofEntry {
    let proof = &plan.proof;
    let gaps = proof.gaps.iter().filter_map(|(name, group, rule)| {
        let network = plan.networks.iter().find(|n| n.network.name == *name)?;
        let security_group = network.group_name(*group).to_owned();
        Some(RulesEntry { network: name.clone(), security_group, rules: vec![rule_entry(rule, network)] })
    });
    ProofEntry {
        holds: proof.holds(),
        required_flows: proof.required_flows,
        held_before: proof.held_before,
        kept: proof.kept,
        opened_outside_desired: proof.opened_outside_desired,
        guards: proof.guards,
        assumptions: ASSUMPTIONS.iter().map(|a| (*a).to_owned()).collect(),
        gaps: proof.gaps.iter().flat_map(|(name, group, rule)| gap_flows(plan, name, *group, rule)).collect(),
        gap_rules: gaps.collect(),
        cascades: proof
            .cascades
            .iter()
            .filter_map(|(name, group)| {
                let network = plan.networks.iter().find(|n| n.network.name == *name)?;
                Some(format!("{name}/{}", network.group_name(*group)))
            })
            .collect(),
        witness: proof.witness.as_ref().and_then(|w| witness_entry(w, plan)),
    }
}

/// A required rule as the flows that it stands for, one for each reason.
fn gap_flows(plan: &Plan, name: &NetworkName, group: Atom, rule: &Rule) -> Vec<FlowEntry> {
    let Some(network) = plan.networks.iter().find(|n| n.network.name == *name) else { return Vec::new() };
    let node_group = |atom: Atom| {
        let member = network.groups.iter().find(|g| g.atom == atom).and_then(|g| g.members.first());
        match member {
            Some((cluster, group)) => serde_json::json!({ "cluster": cluster, "group": group }),
            None => serde_json::json!({ "name": network.group_name(atom) }),
        }
    };
    let other = match rule.peer {
        RulePeer::Addresses(cidr) => serde_json::json!({ "cidr": cidr.to_string() }),
        RulePeer::Opaque(PeerKind::Group, atom, _) => node_group(atom),
        RulePeer::Opaque(_, atom, _) => serde_json::json!({ "name": network.atoms.text(atom) }),
    };
    let (from, to) = match rule.direction {
        Direction::Ingress => (other, node_group(group)),
        Direction::Egress => (node_group(group), other),
    };
    let (from_port, to_port) = ports(rule.traffic);
    let required = network.groups.iter().filter(|g| g.atom == group).flat_map(|g| &g.diff.required);
    let reasons = required.filter(|r| r.rule == *rule).flat_map(|r| &*r.reasons);
    let flows = reasons.map(|reason| FlowEntry {
        cluster: reason.cluster.clone(),
        from: from.clone(),
        to: to.clone(),
        protocol: rule.traffic.protocol().contract_word(),
        from_port,
        to_port,
        profile: reason.profile.clone(),
        row: reason.row.clone(),
        why: reason.why.clone(),
        local: false,
    });
    flows.collect()
}

fn witness_entry(witness: &Witness, plan: &Plan) -> Option<WitnessEntry> {
    let network = plan.networks.iter().find(|n| n.network.name == witness.network)?;
    Some(WitnessEntry::of(witness, |atom| network.group_name(atom).to_owned()))
}

impl WitnessEntry {
    /// A witness in words; `name` gives what people call a group, a list or an account.
    pub(super) fn of(witness: &Witness, name: impl Fn(Atom) -> String) -> Self {
        let packet = |packet: &Packet| {
            let peer = match packet.peer {
                PacketPeer::Address(Family::Ipv4, address) => {
                    std::net::Ipv4Addr::from(u32::try_from(address).unwrap_or(u32::MAX)).to_string()
                }
                PacketPeer::Address(_, address) => std::net::Ipv6Addr::from(address).to_string(),
                PacketPeer::Opaque(_, atom, _) => name(atom),
            };
            let (way, side) = match packet.direction {
                Direction::Ingress => ("in", "from"),
                Direction::Egress => ("out", "to"),
            };
            format!("{way} {} {side} {peer}", Traffic::at(packet.point))
        };
        Self {
            fault: match &witness.fault {
                Fault::Cut => "cut".to_owned(),
                Fault::Opened => "opened".to_owned(),
                Fault::Guard(name) => format!("guard {name}"),
                Fault::Referenced => "referenced".to_owned(),
                Fault::NotOurs => "not ours".to_owned(),
                Fault::RemovedTwice => "removed twice".to_owned(),
                Fault::Unknown => "unknown".to_owned(),
            },
            network: witness.network.clone(),
            security_group: name(witness.group),
            step: witness.step,
            packet: witness.packet.as_ref().map_or_else(|| "the group itself".to_owned(), packet),
        }
    }
}
