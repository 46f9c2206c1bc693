//! A project of the test server, a folder with an inventory for it, and what others see and do there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Ran, Scene, inventories};

/// A project of its own, and a folder with an inventory for it.
pub struct Project {
    pub scene: Scene,
    pub name: String,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("the server is not there: run `bash tests/run.sh`, or `out=$(localstack/up gcp) && eval \"$out\"` first")
    })
}

/// `http://127.0.0.1:4580`.
pub fn server() -> String {
    variable("RSGSYNC_GCP_SERVER")
}

/// One request to the server, as anybody may make it.
pub fn request(method: &str, path: &str, body: &Value) -> Value {
    let host = server().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    serde_json::from_str(body).unwrap_or_default()
}

impl Project {
    /// `PROJECT` in the inventory becomes the project's name.
    pub fn new(test: &str, inventory: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let name = format!("{test}-{now}");
        let mut scene = Scene::new(&inventory.replace("PROJECT", &name));
        for name in ["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "GCE_METADATA_HOST"] {
            scene.set(name, &variable(name));
        }
        scene.set("no_proxy", "127.0.0.1");
        Self { scene, name }
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.scene.run(arguments)
    }

    pub fn write(&self, inventory: &str) {
        self.scene.write("cluster.yaml", inventory.replace("PROJECT", &self.name));
    }

    /// One call of the API by somebody else; below the project's path.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        request(method, &format!("/compute/v1/projects/{}{path}", self.name), body)
    }

    /// A change by somebody else, carried out when this returns.
    pub fn change(&self, path: &str, body: Value) {
        let operation = self.call("POST", path, &body);
        let done = self.call("POST", &format!("/global/operations/{}/wait", name(&operation)), &Value::Null);
        assert!(done["status"] == "DONE" && done["error"].is_null(), "{done}");
    }

    pub fn make_network(&self, body: Value) {
        self.change("/global/networks", body);
    }

    /// Something goes wrong: `then` as localstack/README.md has it.
    pub fn fault(&self, method: &str, fault: Value) {
        let mut all = json!({ "project": self.name, "method": method });
        all.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        request("POST", "/control/faults", &all);
    }

    /// `quotas`, `pageSize`, `strict`, `inherited`, `instances`.
    pub fn set(&self, settings: Value) {
        request("POST", &format!("/control/settings?project={}", self.name), &settings);
    }

    /// Somebody else makes, changes or (without a body) deletes a firewall rule.
    pub fn others(&self, firewall: &str, body: Value) {
        self.set(json!({ "write": [write(firewall, body)] }));
    }

    /// Somebody else makes a firewall rule.
    pub fn make(&self, firewall: &str, fields: Value) {
        let mut body = json!({ "name": firewall, "network": "global/networks/default" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.others(firewall, body);
    }

    /// What a run asks for, by method; anything that was asked for before isn't in it.
    pub fn calls_of(&self, run: impl FnOnce() -> Ran) -> (Ran, BTreeMap<String, u64>) {
        let log = format!("/control/log?project={}", self.name);
        request("DELETE", &log, &Value::Null);
        let ran = run();
        let counts = request("GET", &log, &Value::Null)["counts"].as_object().unwrap().clone();
        let counts = counts.into_iter().map(|(method, count)| (method, count.as_u64().unwrap())).collect();
        (ran, counts)
    }

    pub fn requests(&self) -> Vec<Value> {
        let log = request("GET", &format!("/control/log?project={}", self.name), &Value::Null);
        log["requests"].as_array().unwrap().clone()
    }

    /// The project's firewall rules but for the default network's four, by name.
    pub fn firewalls(&self) -> BTreeMap<String, Value> {
        let listed = self.call("GET", "/global/firewalls", &Value::Null);
        by_name(listed["items"].as_array().unwrap())
    }

    /// The same, as google-cloud-compute reads them.
    pub fn as_google_reads(&self) -> BTreeMap<String, Value> {
        let key = PathBuf::from(variable("GOOGLE_APPLICATION_CREDENTIALS"));
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/gcp/firewalls.py");
        let python = key.parent().unwrap().join("venv/bin/python");
        let output = Command::new(python).arg("-I").arg(script).arg(&self.name).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        for name in DEFAULT {
            assert!(all.iter().any(|firewall| firewall["name"] == *name), "`{name}` of the default network is gone");
        }
        by_name(&all)
    }

    /// The one firewall rule of ours in which such a text stands.
    #[track_caller]
    pub fn ours(&self, text: &str) -> Value {
        let found: Vec<Value> = self.firewalls().into_values().filter(|f| f.to_string().contains(text)).collect();
        let ours: Vec<&Value> = found.iter().filter(|f| name(f).starts_with("rsgsync-")).collect();
        assert_eq!(ours.len(), 1, "{text}: {found:?}");
        ours[0].clone()
    }
}

/// A change by others, as faults and settings take it.
pub fn write(firewall: &str, body: Value) -> Value {
    if body.is_null() { json!({ "firewall": firewall }) } else { json!({ "firewall": firewall, "body": body }) }
}

pub fn name(firewall: &Value) -> &str {
    firewall["name"].as_str().unwrap()
}

const DEFAULT: [&str; 4] = ["default-allow-icmp", "default-allow-internal", "default-allow-rdp", "default-allow-ssh"];

fn by_name(firewalls: &[Value]) -> BTreeMap<String, Value> {
    let ours = firewalls.iter().filter(|firewall| !DEFAULT.contains(&name(firewall)));
    ours.map(|firewall| (name(firewall).to_owned(), shown(firewall))).collect()
}

/// Without what one client shows and another doesn't.
fn shown(firewall: &Value) -> Value {
    let mut firewall = firewall.clone();
    firewall.as_object_mut().unwrap().remove("enableLogging");
    firewall
}

/// What firewall rules say, target by target: `in tcp 22 0.0.0.0/0`; what is denied begins with `deny`, what is disabled
/// with `off`.
pub fn rules(firewalls: &BTreeMap<String, Value>) -> BTreeMap<String, BTreeSet<String>> {
    let mut rules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for firewall in firewalls.values() {
        let list = |key: &str| -> Vec<String> {
            let texts = firewall[key].as_array().into_iter().flatten();
            texts.map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let targets = [list("targetTags"), list("targetServiceAccounts")].concat();
        let peers =
            [list("sourceRanges"), list("sourceTags"), list("sourceServiceAccounts"), list("destinationRanges")]
                .concat();
        let mut words = Vec::new();
        words.extend(firewall["disabled"].as_bool().filter(|off| *off).map(|_| "off"));
        words.extend(firewall["denied"].as_array().map(|_| "deny"));
        words.push(if firewall["direction"] == "EGRESS" { "out" } else { "in" });
        let entries = ["allowed", "denied"].into_iter().filter_map(|key| firewall[key].as_array()).flatten();
        for entry in entries {
            let protocol = entry["IPProtocol"].as_str().unwrap();
            let ports: Vec<&str> = match entry["ports"].as_array() {
                Some(ports) => ports.iter().map(|port| port.as_str().unwrap()).collect(),
                None => vec!["*"],
            };
            for (port, peer) in ports.iter().flat_map(|port| peers.iter().map(move |peer| (port, peer))) {
                let rule = format!("{} {protocol} {port} {peer}", words.join(" "));
                rules.entry(targets.join(",")).or_default().insert(rule);
            }
        }
    }
    rules
}

pub fn set(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

pub fn counted<const N: usize>(calls: [(&str, u64); N]) -> BTreeMap<String, u64> {
    calls.into_iter().map(|(call, count)| (call.to_owned(), count)).collect()
}

/// What is asked for beside what reading asks for.
pub fn changes(calls: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let reading = counted(READING);
    calls.iter().filter(|(call, _)| !reading.contains_key(*call)).map(|(call, count)| (call.clone(), *count)).collect()
}

/// What planning asks for.
pub const READING: [(&str, u64); 3] =
    [("firewalls.list", 1), ("networks.getEffectiveFirewalls", 1), ("projects.get", 1)];

/// One group, `nodes`, with what the documentation of Rancher's EC2 driver lists.
pub const NODES: &str = r#"
version: 1
owner: platform
networks: { lab: { gcp: { project: PROJECT } } }
clusters:
  nodes:
    network: lab
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [etcd, controlplane, worker], security_group: nodes }
"#;

/// [`NODES`], and port 9100 from `source`: a firewall rule of its own.
pub fn with_rule(source: &str) -> String {
    let rule = "    rules:\n      - { from: office, to: all, allow: [9100/tcp], why: scraping, ticket: NET-7 }\n";
    format!("{NODES}{rule}    peers: {{ office: {{ cidrs: [{source}] }} }}\n")
}

/// The documentation's table of Rancher's EC2 security group: 12 inbound rules.
pub fn nodes_table() -> BTreeSet<String> {
    set(&[
        "in tcp 22 0.0.0.0/0",
        "in tcp 80 0.0.0.0/0",
        "in tcp 443 0.0.0.0/0",
        "in tcp 2376 0.0.0.0/0",
        "in tcp 2379-2380 nodes",
        "in udp 4789 nodes",
        "in tcp 6443 0.0.0.0/0",
        "in udp 8472 nodes",
        "in tcp 10250-10252 nodes",
        "in tcp 10256 nodes",
        "in tcp 30000-32767 0.0.0.0/0",
        "in udp 30000-32767 0.0.0.0/0",
    ])
}

/// A cluster of three groups that refer to each other in circles.
pub fn circle(family: &str) -> String {
    inventories::circle("gcp: { project: PROJECT }", family)
}
