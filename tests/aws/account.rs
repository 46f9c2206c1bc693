//! An account of a service that speaks EC2's protocol, and what is in it by another client's word.
#![allow(clippy::unwrap_used, reason = "a test fails where its scene does")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::proxy::{Fate, Proxy};
use crate::support::{Ran, Scene};

/// An account of the service, and a folder with an inventory for it.
pub struct Account {
    pub scene: Scene,
    pub variables: BTreeMap<String, String>,
}

impl Account {
    /// `number`, below 1000, is this test's alone.
    pub fn new(number: u64, inventory: &str) -> Self {
        let mut scene = Scene::new(inventory);
        let ours = |name: &str| name.starts_with("AWS_") || name.eq_ignore_ascii_case("no_proxy");
        let mut variables: BTreeMap<String, String> = std::env::vars().filter(|(name, _)| ours(name)).collect();
        let (variable, service) = crate::SERVICE;
        let endpoint = std::env::var(variable).unwrap_or_default();
        assert!(
            !endpoint.is_empty() && variables.contains_key("AWS_ENDPOINT_URL"),
            "the service is not there: run `bash tests/run.sh`, or `out=$(localstack/up {service}) && eval \"$out\"` first"
        );
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS"] {
            variables.insert(variable.into(), endpoint.clone());
        }
        // The service keeps what earlier runs left: an account of this run's own.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let account = now % 1_000_000_000 * 1000 + u128::from(number);
        variables.insert("AWS_ACCESS_KEY_ID".into(), format!("{account:012}"));
        for (name, value) in &variables {
            scene.set(name, value);
        }
        Self { scene, variables }
    }

    /// From now on rsgsync reaches the service through this; boto3 doesn't.
    pub fn through(&mut self, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Proxy {
        let service = self.variables["AWS_ENDPOINT_URL"].strip_prefix("http://").unwrap().trim_end_matches('/');
        let proxy = Proxy::start(service, decide);
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS"] {
            self.scene.set(variable, &proxy.url);
        }
        proxy
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.scene.run(arguments)
    }

    /// One call of another client.
    pub fn boto(&self, action: &str, arguments: &Value) -> Value {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let folder = std::env::var_os("RSGSYNC_LOCALSTACK_DIR").map_or(root.join("localstack/run"), PathBuf::from);
        let output = Command::new(folder.join("aws/venv/bin/python"))
            .arg(root.join("tests/aws/ec2.py"))
            .args([action, &arguments.to_string()])
            .envs(&self.variables)
            .output()
            .unwrap();
        assert!(output.status.success(), "{action}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Security groups by name, but for the VPC's `default`.
    pub fn groups(&self) -> BTreeMap<String, Value> {
        let answer = self.boto("describe_security_groups", &json!({}));
        let groups = answer["SecurityGroups"].as_array().unwrap().clone();
        let named = groups.into_iter().map(|g| (g["GroupName"].as_str().unwrap().to_owned(), g));
        named.filter(|(name, _)| name != "default").collect()
    }

    pub fn id(&self, name: &str) -> String {
        self.groups()[name]["GroupId"].as_str().unwrap().to_owned()
    }

    /// A group's rules as `in tcp 22-22 10.0.0.0/8`; groups by name.
    pub fn rules(&self, name: &str) -> BTreeSet<String> {
        let groups = self.groups();
        let names: BTreeMap<&str, &str> =
            groups.iter().map(|(name, g)| (g["GroupId"].as_str().unwrap(), name.as_str())).collect();
        let mut rules = BTreeSet::new();
        for (way, key) in [("in", "IpPermissions"), ("out", "IpPermissionsEgress")] {
            for permission in groups[name][key].as_array().unwrap() {
                let port = |key: &str| permission[key].as_i64().map_or("*".to_owned(), |p| p.to_string());
                let traffic = format!(
                    "{way} {} {}-{}",
                    permission["IpProtocol"].as_str().unwrap(),
                    port("FromPort"),
                    port("ToPort")
                );
                let all = |list: &str, key: &str| -> Vec<String> {
                    let items = permission[list].as_array().cloned().unwrap_or_default();
                    items.iter().map(|i| i[key].as_str().unwrap().to_owned()).collect()
                };
                rules.extend(all("IpRanges", "CidrIp").iter().map(|r| format!("{traffic} {r}")));
                rules.extend(all("Ipv6Ranges", "CidrIpv6").iter().map(|r| format!("{traffic} {r}")));
                rules.extend(all("PrefixListIds", "PrefixListId").iter().map(|r| format!("{traffic} {r}")));
                let groups = all("UserIdGroupPairs", "GroupId");
                rules.extend(
                    groups.iter().map(|g| format!("{traffic} {}", names.get(g.as_str()).unwrap_or(&g.as_str()))),
                );
            }
        }
        rules
    }

    /// The rules of a group that carry no mark of ours, with all that EC2 tells of them.
    pub fn theirs(&self, id: &str) -> Vec<Value> {
        let rules =
            self.boto("describe_security_group_rules", &json!({ "Filters": [{ "Name": "group-id", "Values": [id] }] }));
        let marked = |rule: &&Value| {
            let tags = rule["Tags"].as_array().cloned().unwrap_or_default();
            tags.iter().any(|tag| tag["Key"].as_str().unwrap().starts_with("rsgsync:"))
        };
        rules["SecurityGroupRules"].as_array().unwrap().iter().filter(|rule| !marked(rule)).cloned().collect()
    }

    pub fn authorize(&self, group: &str, protocol: &str, port: u16, cidr: &str) {
        let permission = json!({
            "IpProtocol": protocol, "FromPort": port, "ToPort": port, "IpRanges": [{ "CidrIp": cidr, "Description": "by hand" }]
        });
        self.boto("authorize_security_group_ingress", &json!({ "GroupId": group, "IpPermissions": [permission] }));
    }
}

/// How often each action was called, by the client's own log.
pub fn calls(ran: &Ran) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in ran.stderr.lines().filter(|line| line.contains("calling AWS")) {
        let action = line.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        *counts.entry(action.to_owned()).or_default() += 1;
    }
    counts
}

pub fn mutating(calls: &BTreeMap<String, usize>) -> usize {
    calls
        .iter()
        .filter(|(action, _)| !action.starts_with("Describe") && !action.starts_with("Get"))
        .map(|(_, n)| n)
        .sum()
}

pub fn set(rules: &[&str]) -> BTreeSet<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

/// LocalStack writes the ports of "all traffic" as -1 or leaves them out.
pub fn without_minus_one(rules: BTreeSet<String>) -> BTreeSet<String> {
    rules.into_iter().map(|rule| rule.replace("-1 -1--1", "-1 *-*")).collect()
}
