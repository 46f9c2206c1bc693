//! A plan becomes the JSON that programs read, and that a saved plan is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::diff::Fate;
use crate::flow::{Assumed, End, Flow, Reason};
use crate::inventory::Ownership;
use crate::name::{ClusterName, NetworkName, NodeGroupName};
use crate::observed::{Limit, LimitSource, Limits};
use crate::plan::{Action, GroupStatus, NetworkPlan, Plan, Step, StepId, StepRule};
use crate::proof::{ASSUMPTIONS, Fault, PacketPeer, Witness};
use crate::rule::{Atom, Family, PeerKind, Rule, RulePeer};
use crate::traffic::Traffic;

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

/// `plan --format json`, and a saved plan. Lists are never null; additions are fine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// 1.
    pub version: u32,
    /// SHA-256 of accounts, group ids, steps and the rules of ours that they touch: what a reviewer approves.
    pub digest: String,
    /// SHA-256 of the document without this field: shows damage, not forgery.
    pub checksum: String,
    /// `rsgsync 0.1.0`.
    pub created_by: String,
    /// Whose.
    pub owner: String,
    /// Networks, in the inventory's order.
    pub networks: Vec<NetworkEntry>,
    /// One entry a node group.
    pub groups: Vec<GroupEntry>,
    /// Steps, in an order that keeps every dependency.
    pub steps: Vec<StepEntry>,
    /// Groups that steps touch, as they were read.
    pub observed: Vec<ObservedEntry>,
    /// What must be let through in those groups.
    pub required: Vec<RulesEntry>,
    /// What must not be open to public addresses.
    pub guards: Vec<GuardEntry>,
    /// Rows that are not opened.
    pub unopened: Vec<UnopenedEntry>,
    /// Options that got a default.
    pub assumed: Vec<Assumed>,
    /// Rules that are not ours.
    pub foreign: Vec<RulesEntry>,
    /// Rules that rows ask for which are not opened, and that stay.
    pub held: Vec<RulesEntry>,
    /// Flows into clusters that are not ours to write.
    pub needed_elsewhere: Vec<FlowEntry>,
    /// Flows that are lost with what is destroyed.
    pub lost: Vec<FlowEntry>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Why apply refuses without `--max-removals`.
    pub refused: Option<String>,
    /// About every state in between.
    pub proof: ProofEntry,
    /// For `drift`: what differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Vec<DriftEntry>>,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkEntry {
    /// The inventory's name.
    pub name: NetworkName,
    /// `aws`, `simulated` …
    pub provider: String,
    /// The account or project that was read.
    pub account: Option<String>,
    /// The inventory's own keys.
    pub at: serde_json::Map<String, Value>,
    /// `ok` or `error`.
    pub status: String,
    /// Why it could not be read.
    pub error: Option<String>,
    /// Quotas and where each number is from.
    pub quotas: BTreeMap<String, QuotaEntry>,
}

/// A quota.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuotaEntry {
    /// The number.
    pub at_most: u32,
    /// `read`, `configured` or `assumed`.
    pub source: String,
}

/// One node group's security group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// Where.
    pub network: NetworkName,
    /// Whose.
    pub cluster: ClusterName,
    /// The node group.
    pub group: NodeGroupName,
    /// The security group's name, or its id where the inventory gives that.
    pub security_group: String,
    /// Its id; null while it doesn't exist.
    pub id: Option<String>,
    /// `exclusive` or `shared`.
    pub ownership: String,
    /// How it stands.
    pub status: GroupStatus,
    /// Rules now.
    pub rules_before: usize,
    /// Rules when the plan is done.
    pub rules_after: usize,
    /// The quota that is fuller.
    pub quota: Option<u32>,
    /// What that quota counts: `ingress ipv4`.
    pub quota_of: Option<String>,
}

/// One API call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// Its number, from 1.
    pub id: StepId,
    /// Where.
    pub network: NetworkName,
    /// The group.
    pub security_group: String,
    /// `ingress`, `egress` or null.
    pub direction: Option<String>,
    /// What it does.
    pub action: Action,
    /// Steps that must be done before.
    pub depends_on: Vec<StepId>,
    /// The cloud's own object, where that is not the group.
    pub resource: Option<String>,
    /// The rules that it adds, removes (`remove_rules`, `delete_group`) or describes.
    pub rules: Vec<RuleEntry>,
    /// The rules that `replace_rules` removes.
    pub removes: Vec<RuleEntry>,
    /// The marks that the group gets, with how we came to it.
    pub marks: Vec<String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleEntry {
    /// The cloud's id, where it is known.
    pub id: Option<String>,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `all`, or the number.
    pub protocol: String,
    /// `ipv4`, `ipv6` or `both`.
    pub family: String,
    /// The first port, or the ICMP type; null: any.
    pub from_port: Option<u16>,
    /// The last port, or the ICMP code; null: any.
    pub to_port: Option<u16>,
    /// The other end.
    pub peer: PeerEntry,
    /// The description.
    pub description: String,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// The other end of a rule: exactly one of these, with `account` beside another account's group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerEntry {
    /// An address range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// A group: its name where that is unique in the network, else its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_group: Option<String>,
    /// The account of that group, when it is another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// A prefix list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_list: Option<String>,
    /// An address group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_group: Option<String>,
    /// A service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// A group as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservedEntry {
    /// Where.
    pub network: NetworkName,
    /// Its name, or its id where the name is not unique.
    pub security_group: String,
    /// Its id.
    pub id: String,
    /// The cloud's revision, where it has one.
    pub revision: Option<String>,
    /// `OWNER/CLUSTER=ORIGIN`.
    pub marks: Vec<String>,
    /// Its rules.
    pub rules: Vec<RuleEntry>,
}

/// Rules of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RulesEntry {
    /// Where.
    pub network: NetworkName,
    /// The group.
    pub security_group: String,
    /// The rules.
    pub rules: Vec<RuleEntry>,
}

/// A guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardEntry {
    /// Its name.
    pub name: String,
    /// `2379-2380/tcp` …
    pub traffic: Vec<String>,
    /// Why it must not be public.
    pub why: String,
    /// `NETWORK/SECURITY_GROUP` where it is set aside.
    pub waived: Vec<String>,
}

/// A row that is not opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnopenedEntry {
    /// Where.
    pub network: NetworkName,
    /// Whose.
    pub cluster: ClusterName,
    /// The row.
    pub row: Arc<str>,
    /// `peer undefined: rancher-clients`, `option not set: cni_backend` …
    pub why: String,
}

/// One required connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEntry {
    /// Whose row.
    pub cluster: ClusterName,
    /// `{cluster, group}`, `{peer}`, `{cidr}`, `{name}` or `self`.
    pub from: Value,
    /// The same.
    pub to: Value,
    /// As in a rule.
    pub protocol: String,
    /// As in a rule.
    pub from_port: Option<u16>,
    /// As in a rule.
    pub to_port: Option<u16>,
    /// With its version.
    pub profile: Arc<str>,
    /// The row.
    pub row: Arc<str>,
    /// The purpose.
    pub why: Arc<str>,
    /// Stays on the node.
    pub local: bool,
}

/// What was found about the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofEntry {
    /// Whether the plan is safe.
    pub holds: bool,
    /// Required rules.
    pub required_flows: usize,
    /// Of those, let through now.
    pub held_before: usize,
    /// Of those, let through at every point.
    pub kept: usize,
    /// Packet classes that open although nothing wants them.
    pub opened_outside_desired: usize,
    /// Guards that were checked.
    pub guards: usize,
    /// What is taken for granted.
    pub assumptions: Vec<String>,
    /// Required rules that may be cut for a time, by the user's word.
    pub gaps: Vec<RulesEntry>,
    /// A packet that shows what is wrong.
    pub witness: Option<WitnessEntry>,
}

/// A packet that shows what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessEntry {
    /// `cut`, `opened`, `guard NAME`, `referenced` or `removed twice`.
    pub fault: String,
    /// Where.
    pub network: NetworkName,
    /// In which group.
    pub security_group: String,
    /// At which step.
    pub step: StepId,
    /// `in 2379/tcp from 10.1.2.3`.
    pub packet: String,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftEntry {
    /// Where.
    pub network: NetworkName,
    /// The group.
    pub security_group: String,
    /// `missing`, `unexpected` or `group_missing`.
    pub kind: String,
    /// The rule; null for `group_missing`.
    pub rule: Option<RuleEntry>,
}

/// A plan as a document. `guards` comes from [`crate::guard`].
pub fn document(plan: &Plan, guards: Vec<GuardEntry>, created_by: &str) -> Document {
    let network = |name: &NetworkName| plan.networks.iter().find(|n| n.network.name == *name);
    let steps: Vec<StepEntry> =
        plan.steps.iter().filter_map(|step| network(&step.network).map(|n| step_entry(step, n))).collect();
    let touched: BTreeSet<(&NetworkName, Atom)> = plan.steps.iter().map(|s| (&s.network, s.group)).collect();
    let mut document = Document {
        version: VERSION,
        digest: String::new(),
        checksum: String::new(),
        created_by: created_by.to_owned(),
        owner: plan.owner.to_string(),
        networks: plan.networks.iter().map(network_entry).collect(),
        groups: plan.networks.iter().flat_map(group_entries).collect(),
        steps,
        observed: observed_entries(plan, &touched),
        required: required_entries(plan, &touched),
        guards,
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
        assumed: plan.assumed.clone(),
        foreign: with_fate(plan, &[Fate::Foreign, Fate::Satisfies]),
        held: with_fate(plan, &[Fate::Held]),
        needed_elsewhere: plan.elsewhere.iter().map(flow_entry).collect(),
        lost: plan.lost.iter().map(flow_entry).collect(),
        notes: plan.notes.clone(),
        refused: plan.blast.clone(),
        proof: proof_entry(plan),
        drift: None,
    };
    document.digest = digest(&document);
    document.checksum = checksum(&document);
    document
}

/// What differs between desired and observed, as `drift` reports it.
pub fn drift(plan: &Plan) -> Vec<DriftEntry> {
    let mut out = Vec::new();
    for network in &plan.networks {
        for group in &network.groups {
            let entry = |kind: &str, rule: Option<RuleEntry>| DriftEntry {
                network: network.network.name.clone(),
                security_group: group.security_group.clone(),
                kind: kind.to_owned(),
                rule,
            };
            if group.status == GroupStatus::Create {
                out.push(entry("group_missing", None));
            }
        }
    }
    for step in &plan.steps {
        let Some(network) = plan.networks.iter().find(|n| n.network.name == step.network) else { continue };
        let entry = |kind: &str, rule: &StepRule| DriftEntry {
            network: step.network.clone(),
            security_group: network.group_name(step.group).to_owned(),
            kind: kind.to_owned(),
            rule: Some(step_rule_entry(rule, network)),
        };
        if matches!(step.action, Action::AddRules | Action::ReplaceRules) {
            out.extend(step.adds.iter().map(|rule| entry("missing", rule)));
        }
        if matches!(step.action, Action::RemoveRules | Action::ReplaceRules) {
            out.extend(step.removes.iter().map(|rule| entry("unexpected", rule)));
        }
    }
    out
}

fn network_entry(network: &NetworkPlan) -> NetworkEntry {
    let observed = network.observed.as_ref();
    NetworkEntry {
        name: network.network.name.clone(),
        provider: network.network.provider.to_owned(),
        account: observed.ok().and_then(|o| o.account.clone()),
        at: network.network.at.clone(),
        status: if observed.is_ok() { "ok" } else { "error" }.to_owned(),
        error: observed.err().cloned(),
        quotas: observed.map(|o| quotas(&o.limits)).unwrap_or_default(),
    }
}

fn quotas(limits: &Limits) -> BTreeMap<String, QuotaEntry> {
    let Limits { rules_per_group, groups, rules } = limits;
    let entry = |limit: &Limit| QuotaEntry {
        at_most: limit.at_most,
        source: match limit.source {
            LimitSource::Read => "read",
            LimitSource::Configured => "configured",
            LimitSource::Assumed => "assumed",
        }
        .to_owned(),
    };
    let all = [("rules_per_group", rules_per_group), ("groups", groups), ("rules", rules)];
    all.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), entry(limit.as_ref()?)))).collect()
}

fn group_entries(network: &NetworkPlan) -> Vec<GroupEntry> {
    let entries = network.groups.iter().flat_map(|group| {
        group.members.iter().map(|(cluster, member)| GroupEntry {
            network: network.network.name.clone(),
            cluster: cluster.clone(),
            group: member.clone(),
            security_group: group.security_group.clone(),
            id: network.observed_group(group.atom).map(|g| g.id.to_string()),
            ownership: group.ownership.as_str().to_owned(),
            status: group.status,
            rules_before: group.rules_before,
            rules_after: group.rules_after,
            quota: group.quota.as_ref().map(|q| q.of),
            quota_of: group.quota.as_ref().map(|q| q.what.clone()),
        })
    });
    entries.collect()
}

fn step_entry(step: &Step, network: &NetworkPlan) -> StepEntry {
    let entries = |rules: &[StepRule]| rules.iter().map(|r| step_rule_entry(r, network)).collect::<Vec<_>>();
    let (adds, removes) = (entries(&step.adds), entries(&step.removes));
    let (rules, removes) = match step.action {
        Action::ReplaceRules => (adds, removes),
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
    }
}

fn step_rule_entry(rule: &StepRule, network: &NetworkPlan) -> RuleEntry {
    RuleEntry {
        id: rule.id.as_ref().map(ToString::to_string),
        description: rule.description.clone(),
        reasons: rule.reasons.clone(),
        ..rule_entry(&rule.rule, network)
    }
}

/// A rule in the contract's words; without id, description and reasons.
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
        reasons: Vec::new(),
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
            match text.rsplit_once('/').filter(|(account, _)| account.bytes().all(|b| b.is_ascii_digit())) {
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
                ..rule_entry(&r.rule, network)
            });
            out.push(ObservedEntry {
                network: network.network.name.clone(),
                security_group: group.name.to_string(),
                id: group.id.to_string(),
                revision: group.revision.clone(),
                marks: group.marks.iter().map(|m| format!("{}={}", m.mark, m.origin.as_str())).collect(),
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
                security_group: group.security_group.clone(),
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
                .map(|(r, _)| RuleEntry {
                    id: r.id.as_ref().map(ToString::to_string),
                    description: r.description.clone(),
                    ..rule_entry(&r.rule, network)
                })
                .collect();
            if !rules.is_empty() {
                let (name, security_group) = (network.network.name.clone(), group.security_group.clone());
                out.push(RulesEntry { network: name, security_group, rules });
            }
        }
    }
    out
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
        gaps: gaps.collect(),
        witness: proof.witness.as_ref().and_then(|w| witness_entry(w, plan)),
    }
}

fn witness_entry(witness: &Witness, plan: &Plan) -> Option<WitnessEntry> {
    let network = plan.networks.iter().find(|n| n.network.name == witness.network)?;
    let packet = &witness.packet;
    let traffic = Traffic::at(packet.point);
    let peer = match packet.peer {
        PacketPeer::Address(Family::Ipv4, address) => {
            std::net::Ipv4Addr::from(u32::try_from(address).unwrap_or(u32::MAX)).to_string()
        }
        PacketPeer::Address(_, address) => std::net::Ipv6Addr::from(address).to_string(),
        PacketPeer::Opaque(PeerKind::Group, atom, _) => network.group_name(atom).to_owned(),
        PacketPeer::Opaque(_, atom, _) => network.atoms.text(atom).to_owned(),
    };
    let (way, side) = match packet.direction {
        crate::rule::Direction::Ingress => ("in", "from"),
        crate::rule::Direction::Egress => ("out", "to"),
    };
    Some(WitnessEntry {
        fault: match &witness.fault {
            Fault::Cut => "cut".to_owned(),
            Fault::Opened => "opened".to_owned(),
            Fault::Guard(name) => format!("guard {name}"),
            Fault::Referenced => "referenced".to_owned(),
            Fault::RemovedTwice => "removed twice".to_owned(),
        },
        network: witness.network.clone(),
        security_group: network.group_name(witness.group).to_owned(),
        step: witness.step,
        packet: format!("{way} {traffic} {side} {peer}"),
    })
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// SHA-256 of what a reviewer approves: accounts, group ids, steps, and the rules of ours that they touch.
fn digest(document: &Document) -> String {
    let accounts: Vec<_> = document.networks.iter().map(|n| (&n.name, &n.account)).collect();
    let ids: Vec<_> = document.observed.iter().map(|o| (&o.network, &o.security_group, &o.id)).collect();
    let approved = serde_json::json!({ "accounts": accounts, "groups": ids, "steps": document.steps });
    sha256(&canonical(&approved))
}

/// SHA-256 of the document without its checksum.
pub fn checksum(document: &Document) -> String {
    let mut value = serde_json::to_value(document).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.remove("checksum");
    }
    sha256(&canonical(&value))
}

/// JSON with sorted keys and no spaces, whatever order the library keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let fields: Vec<String> =
                sorted.into_iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// `exclusive` or `shared`, for reports.
impl std::fmt::Display for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
