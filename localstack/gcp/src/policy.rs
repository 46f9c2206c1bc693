//! Network firewall policies: rules by priority, under a fingerprint, held by the networks that they are associated with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Refusal;
use crate::firewall::{RANGES, address_range, check_name, list};
use crate::project::{Change, Collection, Project};
use crate::schema::Object;
use crate::text;

const ACTIONS: [&str; 4] = ["allow", "deny", "goto_next", "apply_security_profile_group"];
const NETWORK: &str = "attachmentTarget";

impl Project {
    /// `getRule`.
    pub(crate) fn policy_rule(&self, policy: &str, priority: Option<&str>) -> Result<Value, Refusal> {
        let policy = self.get(Collection::Policies, policy)?;
        let place = place(policy, priority)?;
        Ok(policy["rules"][place].clone())
    }

    /// `getAssociation`.
    pub(crate) fn policy_association(&self, policy: &str, name: Option<&str>) -> Result<Value, Refusal> {
        let policy = self.get(Collection::Policies, policy)?;
        let named = elements(policy, "associations").iter().find(|association| association["name"].as_str() == name);
        named.cloned().ok_or_else(|| no_association(name))
    }

    /// What a method of the policies would change; nothing where the server doesn't have it.
    pub(crate) fn policy_change(&self, method: &str, call: &Call<'_>) -> Option<Result<Change, Refusal>> {
        let policy = || self.get(Collection::Policies, call.name());
        let operation = format!("compute.networkFirewallPolicy.{method}");
        let changed = match method {
            "insert" => return Some(self.policy_insertion(operation, call)),
            "delete" => return Some(self.policy_deletion(operation, call.name())),
            "patch" => policy().and_then(|policy| patched(policy, call.body()?)),
            "addRule" => policy().and_then(|policy| with_rule(policy, call)),
            "patchRule" => policy().and_then(|policy| with_patched_rule(policy, call)),
            "removeRule" => policy().and_then(|policy| without_rule(policy, call)),
            "addAssociation" => policy().and_then(|policy| self.associated(policy, call)),
            "removeAssociation" => policy().and_then(|policy| dissociated(policy, call)),
            _ => return None,
        };
        Some(changed.and_then(|new| self.replacement(Collection::Policies, &operation, policy()?, finished(new))))
    }

    fn policy_insertion(&self, operation: String, call: &Call<'_>) -> Result<Change, Refusal> {
        let mut body = call.body()?;
        body.retain(|_, value| !value.is_null());
        check_name("resource.name", text::of(&body, "name"))?;
        body.remove("associations");
        body.entry("description").or_insert(json!(""));
        let rules = elements(&body, "rules").to_vec();
        let body = with_rules(body, rules)?;
        let policy = finished(self.made(Collection::Policies, "compute#firewallPolicy", body));
        Ok(Change { operation, ..self.insertion(Collection::Policies, policy)? })
    }

    fn policy_deletion(&self, operation: String, name: &str) -> Result<Change, Refusal> {
        let policy = self.get(Collection::Policies, name)?;
        if let Some(association) = elements(policy, "associations").first() {
            let used = format!("firewall_policy '{}'", self.resource(Collection::Policies, text::of(policy, "name")));
            return Err(Refusal::in_use(&used, association[NETWORK].as_str().unwrap_or_default()));
        }
        Ok(Change { operation, ..self.removal(Collection::Policies, name)? })
    }

    /// A network has one policy: another one is in the way unless it is to be replaced.
    fn associated(&self, policy: &Object, call: &Call<'_>) -> Result<Object, Refusal> {
        let mut body = call.body()?;
        let network = self.network_link("resource.attachmentTarget", text::of(&body, NETWORK))?;
        let taken =
            |policy: &Object| elements(policy, "associations").iter().any(|other| other[NETWORK] == network.as_str());
        if call.query("replaceExistingAssociation") != Some("true") && self.all(Collection::Policies).any(taken) {
            return Err(Refusal::exists(&format!("firewall policy association of {network}")));
        }
        body.insert(NETWORK.to_owned(), network.clone().into());
        body.insert("firewallPolicyId".to_owned(), policy["id"].clone());
        let mut associations = elements(policy, "associations").to_vec();
        associations.retain(|other| other[NETWORK] != network.as_str());
        associations.push(Value::Object(body));
        Ok(with(policy, "associations", associations))
    }
}

fn dissociated(policy: &Object, call: &Call<'_>) -> Result<Object, Refusal> {
    let name = call.query("name");
    let mut associations = elements(policy, "associations").to_vec();
    let before = associations.len();
    associations.retain(|association| association["name"].as_str() != name);
    if associations.len() == before {
        return Err(no_association(name));
    }
    Ok(with(policy, "associations", associations))
}

fn patched(policy: &Object, body: Object) -> Result<Object, Refusal> {
    if body.get("fingerprint") != policy.get("fingerprint") {
        return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "conditionNotMet", "Invalid fingerprint."));
    }
    let mut new = policy.clone();
    if let Some(description) = body.get("description") {
        new.insert("description".to_owned(), description.clone());
    }
    match body.get("rules").and_then(Value::as_array) {
        Some(rules) => with_rules(new, rules.clone()),
        None => Ok(new),
    }
}

fn with_rule(policy: &Object, call: &Call<'_>) -> Result<Object, Refusal> {
    let mut body = call.body()?;
    let bound = |name| call.query(name).and_then(|text| text.parse::<i64>().ok());
    if let (Some(least), Some(most)) = (bound("minPriority"), bound("maxPriority")) {
        let free = (least..=most).find(|priority| position(policy, *priority).is_none());
        let free = free.ok_or_else(|| Refusal::invalid("There is no free priority in the given range."))?;
        body.insert("priority".to_owned(), free.into());
    }
    let mut rules = elements(policy, "rules").to_vec();
    rules.push(Value::Object(body));
    with_rules(policy.clone(), rules)
}

fn with_patched_rule(policy: &Object, call: &Call<'_>) -> Result<Object, Refusal> {
    let place = place(policy, call.query("priority"))?;
    let mut rules = elements(policy, "rules").to_vec();
    for (field, value) in call.body()? {
        rules[place][&field] = value;
    }
    with_rules(policy.clone(), rules)
}

fn without_rule(policy: &Object, call: &Call<'_>) -> Result<Object, Refusal> {
    let place = place(policy, call.query("priority"))?;
    let mut rules = elements(policy, "rules").to_vec();
    rules.remove(place);
    with_rules(policy.clone(), rules)
}

/// The policy with these rules and the four that every policy has.
fn with_rules(policy: Object, rules: Vec<Value>) -> Result<Object, Refusal> {
    let mut stored: Vec<Value> = rules.into_iter().map(stored_rule).collect::<Result<_, _>>()?;
    for rule in default_rules() {
        if !stored.iter().any(|other| other["priority"] == rule["priority"]) {
            stored.push(rule);
        }
    }
    stored.sort_by_key(|rule| rule["priority"].as_i64());
    if stored.windows(2).any(|pair| pair[0]["priority"] == pair[1]["priority"]) {
        return Err(Refusal::invalid("Cannot have rules with the same priority."));
    }
    Ok(with(&policy, "rules", stored))
}

fn stored_rule(rule: Value) -> Result<Value, Refusal> {
    let mut rule = rule.as_object().cloned().unwrap_or_default();
    rule.retain(|_, value| !value.is_null());
    let priority = rule.get("priority").and_then(Value::as_i64).unwrap_or(-1);
    if priority < 0 {
        let must = "Must be between 0 and 2147483647, inclusive.";
        return Err(Refusal::field("resource.priority", &priority.to_string(), must));
    }
    let action = text::of(&rule, "action");
    if !ACTIONS.contains(&action) {
        return Err(Refusal::field("resource.action", action, &format!("Must be one of {ACTIONS:?}.")));
    }
    let matches = rule.get("match").and_then(Value::as_object).cloned().unwrap_or_default();
    let configs = elements(&matches, "layer4Configs").len();
    if configs == 0 || !rule.contains_key("direction") {
        return Err(Refusal::invalid("A rule needs a direction and layer4Configs."));
    }
    let mut ranges = 0;
    for field in ["srcIpRanges", "destIpRanges"] {
        ranges += list(&matches, field).count();
        if let Some(wrong) = list(&matches, field).find(|range| address_range(range).is_none()) {
            return Err(Refusal::field(
                &format!("resource.match.{field}"),
                wrong,
                "Must be a valid CIDR address range.",
            ));
        }
    }
    if ranges > RANGES {
        return Err(Refusal::too_large("resource.match", RANGES, ranges));
    }
    for (field, value) in [("description", json!("")), ("disabled", json!(false)), ("enableLogging", json!(false))] {
        rule.entry(field).or_insert(value);
    }
    rule.insert("kind".to_owned(), json!("compute#firewallPolicyRule"));
    rule.insert("ruleTupleCount".to_owned(), json!(1 + ranges.max(1) * configs));
    Ok(Value::Object(rule))
}

/// What every policy ends with.
fn default_rules() -> [Value; 4] {
    let rule = |priority: i64, direction: &str, field: &str, range: &str, family: &str| {
        json!({
            "kind": "compute#firewallPolicyRule", "priority": priority, "action": "goto_next", "direction": direction,
            "description": format!("default {} rule{family}", direction.to_lowercase()), "enableLogging": false,
            "match": { "layer4Configs": [{ "ipProtocol": "all" }], field: [range] }, "ruleTupleCount": 2,
        })
    };
    [
        rule(2147483644, "EGRESS", "destIpRanges", "::/0", " ipv6"),
        rule(2147483645, "INGRESS", "srcIpRanges", "::/0", " ipv6"),
        rule(2147483646, "EGRESS", "destIpRanges", "0.0.0.0/0", ""),
        rule(2147483647, "INGRESS", "srcIpRanges", "0.0.0.0/0", ""),
    ]
}

/// What changes with every change.
fn finished(mut policy: Object) -> Object {
    let tuples: i64 = elements(&policy, "rules").iter().filter_map(|rule| rule["ruleTupleCount"].as_i64()).sum();
    policy.insert("ruleTupleCount".to_owned(), tuples.into());
    policy.insert("fingerprint".to_owned(), STANDARD.encode(text::random::<4>()).into());
    policy
}

fn with(policy: &Object, field: &str, elements: Vec<Value>) -> Object {
    let mut policy = policy.clone();
    policy.insert(field.to_owned(), Value::Array(elements));
    policy
}

fn elements<'a>(object: &'a Object, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn position(policy: &Object, priority: i64) -> Option<usize> {
    elements(policy, "rules").iter().position(|rule| rule["priority"] == priority)
}

fn place(policy: &Object, priority: Option<&str>) -> Result<usize, Refusal> {
    let priority = priority.unwrap_or("0");
    let place = priority.parse().ok().and_then(|priority| position(policy, priority));
    let must = format!("The firewall policy does not contain a rule at priority {priority}.");
    place.ok_or_else(|| Refusal::field("priority", priority, &must))
}

fn no_association(name: Option<&str>) -> Refusal {
    let name = name.unwrap_or_default();
    Refusal::field("name", name, &format!("An association with name {name} does not exist."))
}
