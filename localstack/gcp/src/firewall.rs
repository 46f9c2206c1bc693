//! Firewall rules: what the service refuses, and the form in which it stores what it takes.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;
use regex::Regex;
use serde_json::{Value, json};

use crate::error::Refusal;
use crate::project::{Collection, Project};
use crate::schema::Object;
use crate::text;

const NAME: &str = "(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)";
static IS_NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("^{NAME}$")).expect("the pattern is a regular expression"));

const DESCRIPTION: usize = 2048;
pub(crate) const RANGES: usize = 5000;
/// The most elements of each list.
const LIMITS: [(&str, usize); 6] = [
    ("sourceRanges", RANGES),
    ("destinationRanges", RANGES),
    ("sourceTags", 30),
    ("targetTags", 70),
    ("sourceServiceAccounts", 10),
    ("targetServiceAccounts", 10),
];
const PROTOCOLS: [&str; 8] = ["tcp", "udp", "icmp", "esp", "ah", "ipip", "sctp", "all"];
const WITH_PORTS: [&str; 6] = ["tcp", "udp", "sctp", "6", "17", "132"];

/// The rules that come with the network `default`.
pub(crate) fn of_a_default_network() -> Vec<Object> {
    let rule = |name: &str, about: &str, source: &str, allowed: Value| {
        json!({
            "name": format!("default-allow-{name}"), "description": format!("Allow {about}"), "priority": 65534,
            "network": "global/networks/default", "sourceRanges": [source], "allowed": allowed,
        })
    };
    let internal = json!([
        { "IPProtocol": "tcp", "ports": ["0-65535"] },
        { "IPProtocol": "udp", "ports": ["0-65535"] },
        { "IPProtocol": "icmp" },
    ]);
    let rules = [
        rule("internal", "internal traffic on the default network", "10.128.0.0/9", internal),
        rule("ssh", "SSH from anywhere", "0.0.0.0/0", json!([{ "IPProtocol": "tcp", "ports": ["22"] }])),
        rule("rdp", "RDP from anywhere", "0.0.0.0/0", json!([{ "IPProtocol": "tcp", "ports": ["3389"] }])),
        rule("icmp", "ICMP from anywhere", "0.0.0.0/0", json!([{ "IPProtocol": "icmp" }])),
    ];
    rules.into_iter().filter_map(|rule| rule.as_object().cloned()).collect()
}

/// Errors unless the text is what Google takes for a name or a tag.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    match IS_NAME.is_match(name) {
        true => Ok(()),
        false => Err(Refusal::field(field, name, &format!("Must be a match of regex '{NAME}'"))),
    }
}

impl Project {
    /// A rule as it is stored, from the body of an insert.
    pub(crate) fn new_firewall(&self, body: Object) -> Result<Object, Refusal> {
        let fields = self.stored(body)?;
        Ok(self.made(Collection::Firewalls, "compute#firewall", fields))
    }

    /// The rule after a patch: what the body names is replaced, whole; null and empty lists clear.
    pub(crate) fn patched(&self, old: &Object, body: Object) -> Result<Object, Refusal> {
        let mut fields = old.clone();
        for (field, value) in body {
            fields.insert(field, value);
        }
        self.replaced(old, fields)
    }

    /// The rule after an update: what the body leaves out is as in a new rule.
    pub(crate) fn updated(&self, old: &Object, mut body: Object) -> Result<Object, Refusal> {
        body.entry("name").or_insert_with(|| old["name"].clone());
        for field in ["id", "kind", "creationTimestamp", "selfLink"] {
            body.insert(field.to_owned(), old[field].clone());
        }
        self.replaced(old, body)
    }

    fn replaced(&self, old: &Object, fields: Object) -> Result<Object, Refusal> {
        let mut new = self.stored(fields)?;
        let action = |rule: &Object| rule.contains_key("denied");
        let same = |field: &str| new.get(field) == old.get(field);
        if !(same("name") && same("direction") && same("network") && action(&new) == action(old)) {
            return Err(Refusal::invalid("Unsupported update operation."));
        }
        new.insert("selfLink".to_owned(), old["selfLink"].clone());
        Ok(new)
    }

    /// The fields in the form in which they are stored.
    fn stored(&self, mut rule: Object) -> Result<Object, Refusal> {
        rule.remove("params");
        rule.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
        check_name("resource.name", text::of(&rule, "name"))?;
        for (field, value) in [("description", json!("")), ("direction", json!("INGRESS")), ("disabled", json!(false))]
        {
            rule.entry(field).or_insert(value);
        }
        rule.entry("priority").or_insert(json!(1000));
        rule.entry("network").or_insert(json!("global/networks/default"));
        rule["network"] = self.network_link("resource.network", text::of(&rule, "network"))?.into();
        check(&rule)?;
        fill_ranges(&mut rule);
        fill_log(&mut rule)?;
        for field in ["allowed", "denied"] {
            for entry in rule.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                let entry = entry.as_object_mut();
                entry.into_iter().for_each(|entry| entry.retain(|_, value| value != &json!([]) && !value.is_null()));
            }
        }
        Ok(rule)
    }

    /// The full address of a network of this project that is there.
    pub(crate) fn network_link(&self, field: &str, address: &str) -> Result<String, Refusal> {
        let wrong = |must: &str| Refusal::field(field, address, must);
        let resource = text::unlink(address);
        let parts: Vec<&str> = resource.split('/').collect();
        let name = match parts[..] {
            ["global", "networks", name] => name,
            ["projects", project, "global", "networks", name] if project == self.id => name,
            ["projects", _, "global", "networks", _] => {
                return Err(wrong("Cross-project references for this resource are not allowed."));
            }
            _ => return Err(wrong("The URL is malformed.")),
        };
        let network = self.get(Collection::Networks, name)?;
        self.idle(Collection::Networks, text::of(network, "name"))?;
        Ok(self.link(Collection::Networks, text::of(network, "name")))
    }
}

/// An inbound rule without a source is open to the world, and an outbound one without a destination likewise.
fn fill_ranges(rule: &mut Object) {
    let outbound = rule["direction"] == "EGRESS";
    let (own, other) =
        if outbound { ("destinationRanges", "sourceRanges") } else { ("sourceRanges", "destinationRanges") };
    if [own, "sourceTags", "sourceServiceAccounts"].iter().any(|field| rule.contains_key(*field)) {
        return;
    }
    let v6 = rule.get(other).and_then(|ranges| ranges[0].as_str()).is_some_and(|range| range.contains(':'));
    rule.insert(own.to_owned(), json!([if v6 { "::/0" } else { "0.0.0.0/0" }]));
}

fn fill_log(rule: &mut Object) -> Result<(), Refusal> {
    let log = rule.get("logConfig").and_then(Value::as_object).cloned().unwrap_or_default();
    let enabled = log.get("enable") == Some(&Value::Bool(true));
    let metadata = log.get("metadata").filter(|value| !value.is_null()).cloned();
    let mut stored = json!({ "enable": enabled });
    match (enabled, metadata) {
        (true, metadata) => stored["metadata"] = metadata.unwrap_or(json!("INCLUDE_ALL_METADATA")),
        (false, None) => {}
        (false, Some(value)) => {
            let must = "Metadata can only be specified when logging is enabled.";
            return Err(Refusal::field("resource.logConfig.metadata", value.as_str().unwrap_or_default(), must));
        }
    }
    rule.insert("logConfig".to_owned(), stored);
    rule.insert("enableLogging".to_owned(), enabled.into());
    Ok(())
}

/// Elements of a list of texts.
pub(crate) fn list<'a>(rule: &'a Object, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    rule.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn check(rule: &Object) -> Result<(), Refusal> {
    for (field, maximum) in LIMITS {
        let actual = list(rule, field).count();
        if actual > maximum {
            return Err(Refusal::too_large(&format!("resource.{field}"), maximum, actual));
        }
    }
    let description = text::of(rule, "description");
    if description.chars().count() > DESCRIPTION {
        let must = format!("Must be at most {DESCRIPTION} characters long");
        return Err(Refusal::field("resource.description", description, &must));
    }
    let priority = rule["priority"].as_i64().unwrap_or_default();
    if !(0..=65535).contains(&priority) {
        let must = "Must be greater than or equal to 0 and less than or equal to 65535";
        return Err(Refusal::field("resource.priority", &priority.to_string(), must));
    }
    check_peers(rule)?;
    check_ranges(rule)?;
    check_action(rule)
}

fn check_peers(rule: &Object) -> Result<(), Refusal> {
    let has = |field: &str| rule.contains_key(field);
    for field in ["sourceTags", "sourceServiceAccounts"] {
        if rule["direction"] == "EGRESS" && has(field) {
            let must = format!("{field} may not be specified for egress rules.");
            return Err(Refusal::field(&format!("resource.{field}"), "", &must));
        }
    }
    let accounts = ["sourceServiceAccounts", "targetServiceAccounts"].into_iter().find(|field| has(field));
    let tags = ["sourceTags", "targetTags"].into_iter().find(|field| has(field));
    if let (Some(accounts), Some(tags)) = (accounts, tags) {
        let must = format!("{accounts} and {tags} cannot be specified in the same firewall.");
        return Err(Refusal::field(&format!("resource.{accounts}"), "", &must));
    }
    for field in ["sourceTags", "targetTags"] {
        for (index, tag) in list(rule, field).enumerate() {
            check_name(&format!("resource.{field}[{index}]"), tag)?;
        }
    }
    for field in ["sourceServiceAccounts", "targetServiceAccounts"] {
        for (index, account) in list(rule, field).enumerate() {
            let address = account.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
            if !address || account.contains(char::is_whitespace) {
                let must = "Must be the e-mail address of a service account.";
                return Err(Refusal::field(&format!("resource.{field}[{index}]"), account, must));
            }
        }
    }
    Ok(())
}

fn check_ranges(rule: &Object) -> Result<(), Refusal> {
    let mut families = (false, false);
    for field in ["sourceRanges", "destinationRanges"] {
        for (index, range) in list(rule, field).enumerate() {
            let field = format!("resource.{field}[{index}]");
            match address_range(range) {
                Some(IpNet::V4(_)) => families.0 = true,
                Some(IpNet::V6(_)) => families.1 = true,
                None => return Err(Refusal::field(&field, range, "Must be a valid CIDR address range.")),
            }
            if families == (true, true) {
                let must = "IPv4 and IPv6 ranges cannot be specified in the same firewall.";
                return Err(Refusal::field(&field, range, must));
            }
        }
    }
    Ok(())
}

/// A range without bits behind its length, or one address.
pub(crate) fn address_range(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(range) => (range == range.trunc()).then_some(range),
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    }
}

fn check_action(rule: &Object) -> Result<(), Refusal> {
    let field = match (rule.contains_key("allowed"), rule.contains_key("denied")) {
        (true, true) => {
            let must = "Should not specify both allowed and denied in the same time.";
            return Err(Refusal::field("resource.allowed[0]", "", must));
        }
        (false, false) => {
            return Err(Refusal::field("resource.allowed", "", "Must specify at least one of allowed or denied."));
        }
        (true, false) => "allowed",
        (false, true) => "denied",
    };
    for (index, entry) in rule[field].as_array().into_iter().flatten().enumerate() {
        check_entry(&format!("resource.{field}[{index}]"), entry)?;
    }
    Ok(())
}

fn check_entry(at: &str, entry: &Value) -> Result<(), Refusal> {
    let protocol = entry["IPProtocol"].as_str().unwrap_or_default();
    let lower = protocol.to_lowercase();
    if !PROTOCOLS.contains(&lower.as_str()) && lower.parse::<u8>().is_err() {
        let must = "Must be one of [tcp, udp, icmp, esp, ah, ipip, sctp, all] or an IP protocol number.";
        return Err(Refusal::field(&format!("{at}.IPProtocol"), protocol, must));
    }
    let ports = entry["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !ports.is_empty() && !WITH_PORTS.contains(&lower.as_str()) {
        let must = "Ports may only be specified on rules whose protocol is one of [TCP, UDP, SCTP].";
        return Err(Refusal::field(&format!("{at}.ports"), "", must));
    }
    for (index, port) in ports.iter().enumerate() {
        let port = port.as_str().unwrap_or_default();
        if !is_ports(port) {
            let must = "Must be a port, or two with a dash between, the first not above the second.";
            return Err(Refusal::field(&format!("{at}.ports[{index}]"), port, must));
        }
    }
    Ok(())
}

pub(crate) fn is_ports(text: &str) -> bool {
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    matches!((port(first), port(last)), (Some(first), Some(last)) if first <= last)
}
