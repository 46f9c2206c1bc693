//! A random small cloud, what is wanted of it, and what goes wrong, all from one seed.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::packets::{GROUPS, PORTS};

pub const OUR_MARK: &str = "rsgsync:platform/prod";
pub const OTHERS_MARK: &str = "rsgsync:other/blue";

/// What a scenario begins with.
pub struct Scenario {
    /// The state file.
    pub state: Value,
    /// What each group of the inventory should let in, as rules of a state file.
    pub wanted: Vec<(&'static str, Vec<Value>)>,
}

pub fn scenario(seed: u64) -> Scenario {
    let mut rng = Rng::with_seed(seed);
    let there: Vec<&str> = GROUPS.into_iter().filter(|g| ["shared", "other"].contains(g) || rng.bool()).collect();
    let groups: Vec<Value> = there.iter().enumerate().map(|(at, name)| group(&mut rng, at, name, &there)).collect();
    let wanted = ["alpha", "beta", "shared"].map(|name| {
        let mut rules = distinct_rules(&mut rng, 3, &GROUPS);
        let there = groups.iter().filter(|group| group["name"] == name);
        for there in there.flat_map(|group| group["rules"].as_array().unwrap()) {
            let rule = narrower(&mut rng, there);
            if there["direction"] == "ingress" && rng.bool() && !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        (name, rules)
    });
    let mut faults = json!({});
    if rng.bool() {
        faults["lag"] = json!(rng.u64(1..=4));
    }
    if rng.bool() {
        faults["seed"] = json!(rng.u64(..));
        faults["rate"] = json!(rng.f64() * 0.2);
    }
    let known = |name: &str| -> Vec<Value> {
        let there = groups.iter().filter(|group| group["name"] == name);
        let there = there.flat_map(|group| group["rules"].as_array().unwrap()).cloned();
        let wished = wanted.iter().filter(|(group, _)| *group == name).flat_map(|(_, rules)| rules.clone());
        there.chain(wished).map(unmarked).collect()
    };
    faults["schedule"] = (0..rng.usize(0..6)).map(|_| entry(&mut rng, &known)).collect();
    let quota = json!({ "rules_per_group": if rng.bool() { 60 } else { rng.u32(5..=12) }, "groups": 100 });
    // With latency, calls of several steps are in flight at once.
    let latency = if rng.bool() { 20 } else { 0 };
    let state = json!({ "version": 1, "groups": groups, "faults": faults, "quota": quota, "latency_ms": latency });
    Scenario { state, wanted: wanted.into() }
}

fn group(rng: &mut Rng, at: usize, name: &str, there: &[&str]) -> Value {
    let mut rules = distinct_rules(rng, 6, there);
    let ours = ["alpha", "beta"].contains(&name);
    for rule in rules.iter_mut().filter(|_| !ours) {
        rule["tags"] = match rng.u8(0..6) {
            0 | 1 if name == "shared" => json!({ OUR_MARK: "" }),
            2 => json!({ OTHERS_MARK: "" }),
            3 if name == "shared" => json!({ OTHERS_MARK: "", OUR_MARK: "" }),
            _ => json!({}),
        };
    }
    if rng.u8(0..5) > 0 {
        rules.push(json!({ "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } }));
    }
    let tags = if ours { json!({ OUR_MARK: *rng.choice(&["made", "adopted"]).unwrap() }) } else { json!({}) };
    json!({ "id": format!("sg-{at}"), "name": name, "description": "a group", "tags": tags, "rules": rules })
}

/// A part of what a rule lets in, so that it has to be replaced without a gap.
fn narrower(rng: &mut Rng, rule: &Value) -> Value {
    let mut rule = unmarked(rule.clone());
    if rule["protocol"] == "all" {
        rule["protocol"] = json!("tcp");
    }
    let (from, to) = (rule["from_port"].as_u64().unwrap_or(1), rule["to_port"].as_u64().unwrap_or(6));
    let (a, b) = (rng.u64(from..=to), rng.u64(from..=to));
    rule["from_port"] = json!(a.min(b));
    rule["to_port"] = json!(a.max(b));
    rule
}

fn distinct_rules(rng: &mut Rng, most: usize, peers: &[&str]) -> Vec<Value> {
    let mut rules = Vec::new();
    for _ in 0..rng.usize(0..=most) {
        let rule = rule(rng, peers);
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

fn rule(rng: &mut Rng, groups: &[&str]) -> Value {
    let (a, b) = (rng.u64(PORTS), rng.u64(PORTS));
    let peer = match rng.u8(0..7) {
        0..4 => json!({ "security_group": *rng.choice(groups).unwrap() }),
        4 => json!({ "cidr": "10.0.0.0/30" }),
        5 => json!({ "cidr": *rng.choice(&["10.0.0.0/31", "10.0.0.2/31"]).unwrap() }),
        _ => json!({ "cidr": format!("10.0.0.{}/32", rng.u8(0..4)) }),
    };
    match rng.u8(0..9) {
        0 => json!({ "direction": "ingress", "protocol": "all", "peer": peer }),
        n => {
            let protocol = if n < 6 { "tcp" } else { "udp" };
            json!({ "direction": "ingress", "protocol": protocol, "from_port": a.min(b), "to_port": a.max(b), "peer": peer })
        }
    }
}

fn unmarked(mut rule: Value) -> Value {
    rule.as_object_mut().unwrap().remove("tags");
    rule
}

fn entry(rng: &mut Rng, known: &dyn Fn(&str) -> Vec<Value>) -> Value {
    let faults = ["throttle", "error_500", "timeout", "lost_answer", "denied", "kill", "kill_before"];
    let mut entry =
        if rng.u8(0..3) == 0 { foreign(rng, known) } else { json!({ "fault": rng.choice(faults).unwrap() }) };
    if rng.u8(0..4) == 0 {
        let kinds =
            ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress", "CreateSecurityGroup", "CreateTags"];
        entry["kind"] = json!(rng.choice(kinds).unwrap());
    } else {
        entry["call"] = json!(rng.u64(1..=14));
    }
    entry
}

/// A stranger takes rules away or makes new ones, often one in the place of one that is there or wanted.
fn foreign(rng: &mut Rng, known: &dyn Fn(&str) -> Vec<Value>) -> Value {
    let group = rng.choice(["alpha", "beta", "shared", "other"]).unwrap();
    let known = known(group);
    let one = |rng: &mut Rng| match rng.choice(&known) {
        Some(rule) if rng.u8(0..4) > 0 => rule.clone(),
        _ => rule(rng, &GROUPS),
    };
    let added = one(rng);
    let removed = if rng.bool() { added.clone() } else { one(rng) };
    let mut writes = json!({ "group": group, "authorize": [added] });
    if rng.bool() {
        writes["revoke"] = json!([removed]);
    }
    if ["alpha", "beta"].contains(&group) {
        writes["create"] = json!(rng.u8(0..3) == 0);
        writes["delete"] = json!(rng.u8(0..3) == 0);
    }
    json!({ "fault": "foreign", "writes": writes })
}
