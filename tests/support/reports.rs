//! Clouds whose reports say all that a report can say.

use serde_json::{Value, json};

use super::Scene;

/// One group on a cloud that has what it needs.
pub fn in_sync() -> Scene {
    let scene = Scene::new(
        r#"version: 1
owner: platform
networks: { lab: { simulated: { state: cloud.json } } }
clusters:
  nodes:
    network: lab
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [etcd, controlplane, worker], security_group: rancher-nodes }
"#,
    );
    scene.run(&["apply"]).exits(0);
    scene
}

/// The quickstart, where the kubelet's rule of `prod-etcd` is gone, etcd is open to the world, and somebody else has joined
/// `rancher-nodes`.
pub fn drifted() -> Scene {
    let scene = Scene::new(&include_str!("../../examples/quickstart.yaml").replace("quickstart-cloud", "cloud"));
    scene.run(&["apply"]).exits(0);
    let mut state: Value = serde_json::from_slice(&scene.read("cloud.json").unwrap()).unwrap();
    for group in state["groups"].as_array_mut().unwrap() {
        let name = group["name"].as_str().unwrap().to_owned();
        let rules = group["rules"].as_array_mut().unwrap();
        match name.as_str() {
            "prod-etcd" => {
                rules.retain(|rule| rule["from_port"] != 10250);
                rules.push(tcp(2379, &json!({ "cidr": "0.0.0.0/0" }), "opened by hand"));
            }
            "rancher-nodes" => {
                rules.push(tcp(9000, &json!({ "cidr": "192.0.2.0/24" }), "of the other team"));
                group["tags"] = json!({ "rsgsync:platform/legacy": "joined" });
            }
            _ => {}
        }
    }
    scene.write("cloud.json", state.to_string());
    scene
}

/// A new cluster of more groups than a table has room for.
pub fn wide() -> Scene {
    let workers: String = (0..12).map(|i| format!("      w{i}: {{ roles: [worker] }}\n")).collect();
    Scene::new(&format!(
        r#"version: 1
owner: platform
networks: {{ lab: {{ simulated: {{ state: cloud.json }} }} }}
clusters:
  prod:
    network: lab
    profile: downstream-custom-nodes
    rancher_version: "2.4"
    options: {{ cni: canal, rancher_external_lb: false, nodeport_services: false }}
    groups:
      control: {{ roles: [etcd, controlplane] }}
{workers}"#
    ))
}

/// What would run, load or end a tag, wherever an inventory and a cloud can have it; and a network that can't be read.
pub fn hostile() -> Scene {
    let scene = Scene::new(
        r#"version: 1
owner: platform
networks:
  lab: { simulated: { state: "<img src=x onerror=alert(1)>.json" } }
  far: { simulated: { state: far.json } }
clusters:
  nodes:
    network: lab
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [etcd, controlplane, worker], security_group: rancher-nodes }
    rules:
      - { from: ours, to: all, allow: [9100/tcp], why: "<script>alert(3)</script>", ticket: "\" onmouseover=\"alert(4)" }
      - { from: office, to: all, allow: [9101/tcp], why: "'><svg onload=alert(5)>\u202e" }
  away:
    network: far
    profile: rancher-nodes-ec2-sg
    rancher_version: "2.4"
    groups:
      all: { roles: [worker], security_group: distant }
peers:
  ours: { prefix_list: "pl-\"><script>alert(6)</script>" }
  office: { cidrs: [198.51.100.0/24] }
"#,
    );
    let mut theirs = tcp(9000, &json!({ "prefix_list": "pl-</style><b onclick=alert(7)>" }), "javascript:alert(8)");
    theirs["id"] = json!("sgr-\"><iframe src=//example.test onload=alert(9)>");
    let out = json!({ "direction": "egress", "protocol": "all", "peer": { "cidr": "0.0.0.0/0" } });
    let tags = json!({ "rsgsync:platform/nodes": "made" });
    let group = json!({ "id": "sg-0a1b", "name": "rancher-nodes", "tags": tags, "rules": [out, theirs] });
    scene.write("<img src=x onerror=alert(1)>.json", json!({ "version": 1, "groups": [group] }).to_string());
    let schedule = json!([{ "kind": "DescribeSecurityGroups", "fault": "denied", "times": 99 }]);
    scene.write("far.json", json!({ "version": 1, "faults": { "schedule": schedule } }).to_string());
    scene
}

fn tcp(port: u16, peer: &Value, description: &str) -> Value {
    json!({ "direction": "ingress", "protocol": "tcp", "from_port": port, "to_port": port, "peer": peer,
        "description": description })
}
