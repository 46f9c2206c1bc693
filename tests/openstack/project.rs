//! A project of its own on real Neutron, what is in it by another client than ours, and a folder with an inventory for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::{Ran, Scene};

type Variables = BTreeMap<String, String>;

/// A project of its own, and a folder with an inventory for it.
pub struct Project {
    pub scene: Scene,
    pub name: String,
    pub variables: Variables,
    sdk: Mutex<Sdk>,
}

impl Project {
    /// `PROJECT` in the inventory becomes the project's name. `groups` and `rules` are its quotas; -1: none.
    pub fn with_quotas(test: &str, inventory: &str, groups: i64, rules: i64) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let name = format!("{test}-{now}");
        let mut scene = Scene::new(&inventory.replace("PROJECT", &name));
        let ours = |name: &str| name.starts_with("OS_") || name.eq_ignore_ascii_case("no_proxy");
        let variables: Variables = std::env::vars().filter(|(name, _)| ours(name)).collect();
        assert!(
            variables.contains_key("OS_CLIENT_CONFIG_FILE"),
            "OpenStack is not there: run `bash tests/run.sh`, or `out=$(localstack/up openstack) && eval \"$out\"` first"
        );
        for (name, value) in &variables {
            scene.set(name, value);
        }
        let sdk = Mutex::new(Sdk::start(&variables));
        let project = Self { scene, name, variables, sdk };
        project.sdk("admin", "", &["project", &project.name, &groups.to_string(), &rules.to_string()]);
        project
    }

    pub fn new(test: &str, inventory: &str) -> Self {
        Self::with_quotas(test, inventory, -1, -1)
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.scene.run(arguments)
    }

    pub fn write(&self, inventory: &str) {
        self.scene.write("cluster.yaml", inventory.replace("PROJECT", &self.name));
    }

    /// The folder of the services: their ports, their Python.
    pub fn services(&self) -> PathBuf {
        services(&self.variables)
    }

    /// From now on rsgsync reads a clouds.yaml that is changed so; other clients don't.
    pub fn clouds(&mut self, change: impl FnOnce(&str) -> String) {
        let file = std::fs::read_to_string(&self.variables["OS_CLIENT_CONFIG_FILE"]).unwrap();
        let path = self.scene.write("clouds.yaml", change(&file));
        self.scene.set("OS_CLIENT_CONFIG_FILE", path.to_str().unwrap());
    }

    /// What another client does.
    pub fn sdk(&self, cloud: &str, project: &str, arguments: &[&str]) -> Value {
        self.sdk.lock().unwrap().ask(&[&[cloud, project], arguments].concat())
    }

    /// One call to Neutron by another client.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.sdk("demo", &self.name, &[method, path, &body.to_string()])
    }

    /// Security groups, but for the project's `default`.
    pub fn listed(&self) -> Vec<Value> {
        let groups = self.sdk("demo", &self.name, &["groups"]);
        groups.as_array().unwrap().iter().filter(|group| group["name"] != "default").cloned().collect()
    }

    pub fn groups(&self) -> BTreeMap<String, Value> {
        let name = |group: &Value| group["name"].as_str().unwrap().to_owned();
        self.listed().into_iter().map(|group| (name(&group), group)).collect()
    }

    /// Every group's rules as `ingress IPv4 tcp 22-22 10.0.0.0/8`; groups by name.
    pub fn rules(&self) -> BTreeMap<String, BTreeSet<String>> {
        let groups = self.groups();
        let names: BTreeMap<&str, &str> =
            groups.iter().map(|(name, group)| (group["id"].as_str().unwrap(), name.as_str())).collect();
        let text = |rule: &Value| {
            let word = |key: &str| match &rule[key] {
                Value::Null => "*".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let peer = match (rule["remote_group_id"].as_str(), rule["remote_ip_prefix"].as_str()) {
                (Some(group), _) => names.get(group).copied().unwrap_or(group),
                (None, prefix) => prefix.unwrap_or("*"),
            };
            let ports = format!("{}-{}", word("port_range_min"), word("port_range_max"));
            format!("{} {} {} {ports} {peer}", word("direction"), word("ethertype"), word("protocol"))
        };
        let rules = |group: &Value| group["security_group_rules"].as_array().unwrap().iter().map(text).collect();
        groups.iter().map(|(name, group)| (name.clone(), rules(group))).collect()
    }

    pub fn id(&self, group: &str) -> String {
        self.groups()[group]["id"].as_str().unwrap().to_owned()
    }

    /// A rule of that first port.
    pub fn rule_on(&self, group: &str, port: u16) -> Value {
        let rules = self.groups()[group]["security_group_rules"].as_array().unwrap().clone();
        rules.into_iter().find(|rule| rule["port_range_min"] == port).unwrap()
    }

    /// Takes that rule away.
    pub fn delete_rule_on(&self, group: &str, port: u16) {
        let rule = self.rule_on(group, port);
        self.call("DELETE", &format!("/security-group-rules/{}", rule["id"].as_str().unwrap()), &Value::Null);
    }

    pub fn make_group(&self, name: &str) -> String {
        let made = self.call("POST", "/security-groups", &json!({ "security_group": { "name": name } }));
        made["security_group"]["id"].as_str().unwrap().to_owned()
    }

    pub fn make_rule(&self, group: &str, fields: &Value) -> String {
        let mut rule =
            json!({ "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp" });
        rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self.call("POST", "/security-group-rules", &json!({ "security_group_rule": rule }));
        made["security_group_rule"]["id"].as_str().unwrap().to_owned()
    }
}

/// The folder of the services.
fn services(variables: &Variables) -> PathBuf {
    PathBuf::from(&variables["OS_CLIENT_CONFIG_FILE"]).parent().unwrap().to_owned()
}

/// python-openstacksdk, which does what it is asked, one thing after the other.
struct Sdk {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Sdk {
    fn start(variables: &Variables) -> Self {
        let mut process = Command::new(services(variables).join("venv/bin/python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openstack/neutron.py"))
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, questions, answers }
    }

    fn ask(&mut self, question: &[&str]) -> Value {
        writeln!(self.questions, "{}", json!(question)).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "{question:?} failed: its stderr says why");
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
