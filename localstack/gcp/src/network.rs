//! Networks, and the firewalls that hold for one.

use serde_json::{Value, json};

use crate::error::Refusal;
use crate::firewall::check_name;
use crate::project::{Collection, Project};
use crate::schema::Object;
use crate::text;

impl Project {
    /// A network as it is stored.
    pub(crate) fn network(&self, fields: &Value) -> Object {
        let mut fields = fields.as_object().cloned().unwrap_or_default();
        fields.retain(|_, value| !value.is_null());
        for (field, value) in [
            ("autoCreateSubnetworks", json!(true)),
            ("networkFirewallPolicyEnforcementOrder", json!("AFTER_CLASSIC_FIREWALL")),
            ("routingConfig", json!({ "routingMode": "REGIONAL", "bgpBestPathSelectionMode": "LEGACY" })),
        ] {
            fields.entry(field).or_insert(value);
        }
        let mut network = self.made(Collection::Networks, "compute#network", fields);
        let with_id = self.link(Collection::Networks, text::of(&network, "id"));
        network.insert("selfLinkWithId".to_owned(), with_id.into());
        network
    }

    pub(crate) fn new_network(&self, body: Object) -> Result<Object, Refusal> {
        check_name("resource.name", text::of(&body, "name"))?;
        Ok(self.network(&Value::Object(body)))
    }

    /// Errors where a rule needs the network.
    pub(crate) fn unused(&self, network: &Object) -> Result<(), Refusal> {
        let link = text::of(network, "selfLink");
        match self.all(Collection::Firewalls).find(|rule| text::of(rule, "network") == link) {
            Some(rule) => {
                let name = |collection, object| self.resource(collection, text::of(object, "name"));
                let (used, by) = (name(Collection::Networks, network), name(Collection::Firewalls, rule));
                Err(Refusal::in_use(&format!("network '{used}'"), &by))
            }
            None => Ok(()),
        }
    }

    /// `networks.getEffectiveFirewalls`: the network's rules, and the policies that hold for it.
    pub(crate) fn effective(&self, name: &str) -> Result<Value, Refusal> {
        let network = self.get(Collection::Networks, name)?;
        let link = text::of(network, "selfLink");
        let rules: Vec<_> =
            self.all(Collection::Firewalls).filter(|rule| text::of(rule, "network") == link).cloned().collect();
        let mut policies = self.inherited.get(text::of(network, "name")).cloned().unwrap_or_default();
        policies.extend(self.all(Collection::Policies).filter_map(|policy| effective_policy(policy, link)));
        let mut answer = Object::new();
        if !rules.is_empty() {
            answer.insert("firewalls".to_owned(), json!(rules));
        }
        if !policies.is_empty() {
            answer.insert("firewallPolicys".to_owned(), json!(policies));
        }
        Ok(Value::Object(answer))
    }
}

/// The policy as it is shown with a network that it is associated with.
fn effective_policy(policy: &Object, network: &str) -> Option<Value> {
    let associations = policy.get("associations")?.as_array()?;
    let association = associations.iter().find(|association| association["attachmentTarget"] == network)?;
    Some(json!({
        "type": "NETWORK",
        "name": policy["name"],
        "priority": association.get("priority").cloned().unwrap_or(json!(1000)),
        "rules": policy["rules"],
    }))
}
