//! An inventory for what exists: from groups and from Terraform states.

use serde_json::{Value, json};

use crate::cloud::{PROD, applied, scene};
use crate::support::{Ran, Scene};

pub const QUICKSTART: &str = include_str!("../../examples/quickstart.yaml");
const NETWORK: &str = "simulated: { state: cloud.json }";

/// A cloud in which the example was applied, and nothing says that rsgsync did it.
pub fn unmarked() -> Scene {
    let scene = Scene::new(&QUICKSTART.replace("quickstart-cloud.json", "cloud.json"));
    scene.run(&["apply"]).exits(0);
    let mut state: Value = serde_json::from_slice(&scene.read("cloud.json").unwrap()).unwrap();
    for group in state["groups"].as_array_mut().unwrap() {
        group["tags"] = json!({});
        group["description"] = json!("made by hand");
        for rule in group["rules"].as_array_mut().unwrap() {
            rule["tags"] = json!({});
            rule["description"] = json!("");
        }
    }
    scene.write("cloud.json", state.to_string());
    scene
}

fn init(scene: &Scene, more: &[&str]) -> Ran {
    scene.run(&[&["init", "groups", "--network", NETWORK, "--out", "new.yaml"], more].concat())
}

fn text(scene: &Scene) -> String {
    String::from_utf8(scene.read("new.yaml").unwrap()).unwrap()
}

/// How many rules the next plan adds and removes.
#[track_caller]
fn next_plan(scene: &Scene) -> (usize, usize) {
    scene.run(&["validate", "--inventory", "new.yaml"]).exits(0);
    let plan = scene.run(&["plan", "--inventory", "new.yaml", "--format", "json"]).exits(0).json();
    assert_eq!(plan["proof"]["holds"], true);
    let of = |key: &str| {
        let steps = plan["steps"].as_array().unwrap().iter().filter(|step| step["action"] != "set_marks");
        steps.map(|step| step[key].as_array().map_or(0, Vec::len)).sum()
    };
    (of("rules"), of("removes"))
}

#[test]
fn groups_that_are_right_are_taken_over_without_a_change() {
    let scene = unmarked();
    init(&scene, &[]).exits(0).says("made new.yaml: 3 clusters").says("nothing missing");
    let shared = text(&scene);
    assert_eq!(next_plan(&scene), (0, 0), "{shared}");
    scene.write("new.yaml", shared.replace("# ownership: exclusive", "ownership: exclusive"));
    assert_eq!(next_plan(&scene), (0, 0), "{shared}");
    let before: Value = serde_json::from_slice(&scene.read("cloud.json").unwrap()).unwrap();
    scene.run(&["apply", "--inventory", "new.yaml"]).exits(0);
    let after: Value = serde_json::from_slice(&scene.read("cloud.json").unwrap()).unwrap();
    let ids = |state: &Value| -> Vec<Value> {
        let groups = state["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap()).map(|rule| rule["id"].clone()).collect()
    };
    assert_eq!(ids(&before), ids(&after), "every rule is the one that it was");
    scene.run(&["drift", "--inventory", "new.yaml"]).exits(0);
}

#[test]
fn what_is_missing_is_what_the_next_plan_adds() {
    let scene = unmarked();
    let mut state: Value = serde_json::from_slice(&scene.read("cloud.json").unwrap()).unwrap();
    for group in state["groups"].as_array_mut().unwrap().iter_mut().filter(|group| group["name"] == "prod-etcd") {
        group["rules"].as_array_mut().unwrap().retain(|rule| rule["from_port"] != 10250);
    }
    scene.write("cloud.json", state.to_string());
    init(&scene, &[]).exits(0).says("missing controlplane-kubelet").says("1 rule missing, which the next plan adds");
    assert_eq!(next_plan(&scene), (1, 0));
}

#[test]
fn a_file_that_is_there_is_never_touched() {
    let scene = unmarked();
    scene.write("new.yaml", "mine");
    let calls = |ran: &Ran| ran.stderr.clone();
    let refused = init(&scene, &[]).exits(1).complains("new.yaml is there already");
    assert!(calls(&refused).contains("--out"), "{refused:?}");
    assert_eq!(text(&scene), "mine");
    let printed = scene.run(&["init", "groups", "--network", NETWORK, "--out", "-"]).exits(0).says("clusters:");
    assert!(printed.stderr.contains("rows open"), "{printed:?}");
    assert_eq!(text(&scene), "mine");
}

#[test]
fn what_a_guard_forbids_is_said_and_not_taken_over() {
    let scene = unmarked();
    let mut state: Value = serde_json::from_slice(&scene.read("cloud.json").unwrap()).unwrap();
    for group in state["groups"].as_array_mut().unwrap().iter_mut().filter(|group| group["name"] == "prod-etcd") {
        for (id, port, from) in [("sgr-1a", 2379, "0.0.0.0/0"), ("sgr-1b", 9999, "198.51.100.7/32")] {
            let rule = json!({ "id": id, "direction": "ingress", "tags": {}, "protocol": "tcp", "family": "ipv4",
                "from_port": port, "to_port": port, "peer": { "cidr": from }, "description": "scraper" });
            group["rules"].as_array_mut().unwrap().push(rule);
        }
    }
    scene.write("cloud.json", state.to_string());
    let said = init(&scene, &[]).exits(0);
    let said = said.says("not taken over: 2379/tcp from 0.0.0.0/0 into prod/etcd").says("`etcd-public`");
    said.says(", 1 rule that no row explains, 1 rule that a guard forbids\n");
    assert!(text(&scene).contains("# rules that no row explains: 1; they stand under `rules`"), "{}", text(&scene));
    assert!(text(&scene).contains("{ from: [198.51.100.7/32], to: [etcd], allow: [9999/tcp], why: \"scraper\" }"));
    assert_eq!(next_plan(&scene), (0, 0));
    scene.write("new.yaml", text(&scene).replace("# ownership: exclusive", "ownership: exclusive"));
    let plan = scene.run(&["plan", "--inventory", "new.yaml"]).exits(0);
    assert!(plan.stdout.contains("1 to remove"), "{}", plan.stdout);
}

#[test]
fn groups_that_are_no_clusters_are_left_out() {
    let scene = scene("");
    let rule = json!({ "id": "sgr-1", "direction": "ingress", "tags": {}, "protocol": "tcp", "family": "ipv4",
        "from_port": 443, "to_port": 443, "peer": { "cidr": "0.0.0.0/0" }, "description": "" });
    let web = json!({ "id": "sg-1", "name": "web", "description": "web", "tags": {}, "rules": [rule] });
    scene.write("cloud.json", json!({ "version": 1, "groups": [web.clone()] }).to_string());
    init(&scene, &[]).exits(1).complains("none of the 1 groups looks like a cluster's").complains("--profile");
    scene.write("cloud.json", json!({ "version": 1, "groups": [] }).to_string());
    init(&scene, &[]).exits(1).complains("the network has no groups").complains("--network");
    scene.write("cloud.json", json!({ "version": 1, "groups": [web] }).to_string());
    init(&scene, &["--group", "wbe"]).exits(1).complains("has no group `wbe`");
    init(&scene, &["--group", "web", "--profile", "rke"]).exits(1).complains("there is no profile `rke`");
    assert_eq!(scene.read("new.yaml"), None);
}

#[test]
fn bad_words_are_refused_before_anything_is_read() {
    let scene = unmarked();
    init(&scene, &["--owner", "The Team"]).exits(1).complains("--owner");
    let place = ["init", "groups", "--out", "new.yaml", "--network"];
    scene.run(&[&place[..], &["simulatd: { state: x }"]].concat()).exits(1).complains("simulated");
    scene.run(&[&place[..], &["{}"]].concat()).exits(1);
    assert_eq!(scene.read("new.yaml"), None);
}

/// A Terraform state with the groups of one K3s cluster, and nothing else.
pub fn state(version: u64) -> Value {
    let (servers, agents) = ("sg-0000000000000000a", "sg-0000000000000000b");
    let port = |port: u16, protocol: &str, groups: &[&str], itself: bool| {
        json!({ "from_port": port, "to_port": port, "protocol": protocol, "security_groups": groups, "self": itself,
                "cidr_blocks": [], "ipv6_cidr_blocks": [], "prefix_list_ids": [], "description": "" })
    };
    let group = |name: &str, id: &str, ingress: Vec<Value>| {
        let arn = format!("arn:aws:ec2:eu-west-1:111122223333:security-group/{id}");
        let attributes = json!({ "id": id, "name": name, "arn": arn, "vpc_id": "vpc-1", "owner_id": "111122223333",
            "description": "nodes", "ingress": ingress, "egress": [] });
        json!({ "mode": "managed", "type": "aws_security_group", "name": name, "instances": [{ "attributes": attributes }] })
    };
    let rule = json!({ "mode": "managed", "type": "aws_security_group_rule", "name": "api", "instances": [{ "attributes": {
        "type": "ingress", "security_group_id": servers, "from_port": 10250, "to_port": 10250, "protocol": "tcp",
        "source_security_group_id": agents, "self": false, "description": "" } }] });
    let own = json!({ "mode": "managed", "type": "aws_vpc_security_group_ingress_rule", "name": "own", "instances": [{
        "attributes": { "security_group_id": servers, "ip_protocol": "tcp", "from_port": 6443, "to_port": 6443,
        "referenced_security_group_id": agents, "description": null } }] });
    json!({ "version": version, "terraform_version": "1.9.0", "resources": [
        own,
        rule,
        group("k-server", servers, vec![port(8472, "udp", &[agents], true), port(10250, "tcp", &[], true)]),
        group("k-agent", agents, vec![port(8472, "udp", &[servers], true), port(10250, "tcp", &[servers], true)]),
    ] })
}

#[test]
fn a_terraform_state_gives_its_groups() {
    let scene = scene("");
    scene.write("terraform.tfstate", state(4).to_string());
    let arguments = ["init", "terraform", "terraform.tfstate", "--out", "new.yaml", "--network", NETWORK];
    scene.run(&arguments).exits(0).says("nothing missing");
    let text = text(&scene);
    for line in ["  k:", "profile: k3s", "roles: [k3s-server]", "roles: [k3s-agent]", "security_group: k-server"] {
        assert!(text.lines().any(|l| l.trim_start().starts_with(line.trim_start())), "`{line}` is not in\n{text}");
    }
    scene.run(&["validate", "--inventory", "new.yaml"]).exits(0);
}

#[test]
fn what_is_no_state_is_one_clear_error() {
    let scene = scene("");
    let cases = [
        (b"{".to_vec(), "is no Terraform state"),
        (json!({ "version": 3, "backend": { "type": "s3" } }).to_string().into_bytes(), "in which backend"),
        (state(3).to_string().into_bytes(), "of version 3"),
        (json!({ "format_version": "1.0", "values": {} }).to_string().into_bytes(), "terraform show -json"),
        (json!({ "version": 4, "resources": [] }).to_string().into_bytes(), "has no security group"),
        (b"[]".to_vec(), "has no version"),
    ];
    for (bytes, says) in cases {
        scene.write("state.json", bytes);
        let ran = scene.run(&["init", "terraform", "state.json", "--out", "new.yaml"]).exits(1).complains(says);
        assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
    }
    scene.run(&["init", "terraform", "no.json", "--out", "new.yaml"]).exits(1).complains("can't read no.json");
    assert_eq!(scene.read("new.yaml"), None);
}

/// A state of one K3s cluster whose nodes share a group, as another provider's resources.
fn of_one_group(resources: &Value) -> String {
    json!({ "version": 4, "resources": resources }).to_string()
}

#[test]
fn states_of_openstack_and_google_say_the_same() {
    let resource = |kind: &str, attributes: Value| json!({ "mode": "managed", "type": kind, "name": "n", "instances": [{ "attributes": attributes }] });
    let openstack_rule = |protocol: &str, port: u16, remote: &str| {
        resource(
            "openstack_networking_secgroup_rule_v2",
            json!({ "direction": "ingress", "ethertype": "IPv4", "protocol": protocol, "port_range_min": port,
                "port_range_max": port, "remote_group_id": remote, "remote_ip_prefix": "", "security_group_id": "g1" }),
        )
    };
    let openstack = json!([
        resource("openstack_networking_secgroup_v2", json!({ "id": "g1", "name": "nodes", "region": "R" })),
        openstack_rule("tcp", 6443, "g1"),
        openstack_rule("tcp", 10250, "g1"),
        openstack_rule("udp", 8472, "g1"),
    ]);
    let allow =
        json!([{ "protocol": "tcp", "ports": ["6443", "10250-10250"] }, { "protocol": "udp", "ports": ["8472"] }]);
    let google = json!([resource(
        "google_compute_firewall",
        json!({ "id": "f", "name": "f", "project": "acme", "network": "https://x/global/networks/prod", "direction": "INGRESS",
            "target_tags": ["nodes"], "source_tags": ["nodes"], "allow": allow, "deny": [], "disabled": false }),
    )]);
    for resources in [openstack, google] {
        let scene = scene("");
        scene.write("state.json", of_one_group(&resources));
        let arguments =
            ["init", "terraform", "state.json", "--out", "new.yaml", "--profile", "k3s", "--network", NETWORK];
        scene.run(&arguments).exits(0).says("nodes  k3s-server, k3s-agent  3 of 3 rows open\n");
        assert!(text(&scene).contains("security_group: nodes"), "{}", text(&scene));
    }
}

#[test]
fn a_state_of_several_networks_needs_the_groups_of_one() {
    let scene = scene("");
    let mut state = state(4);
    let second = &mut state["resources"].as_array_mut().unwrap()[3]["instances"][0]["attributes"];
    second["vpc_id"] = json!("vpc-2");
    scene.write("state.json", state.to_string());
    let ran = scene.run(&["init", "terraform", "state.json", "--out", "new.yaml"]).exits(1);
    ran.complains("vpc-1").complains("vpc-2").complains("--group");
}

fn resource(kind: &str, attributes: &Value) -> Value {
    json!({ "mode": "managed", "type": kind, "name": "n", "instances": [{ "attributes": attributes }] })
}

/// A rule of OpenStack's from an address range into the group of [`of_openstack`].
fn openstack_rule(protocol: &str, ports: [u16; 2], prefix: &str) -> Value {
    resource(
        "openstack_networking_secgroup_rule_v2",
        &json!({ "direction": "ingress", "ethertype": "IPv4", "protocol": protocol, "port_range_min": ports[0],
            "port_range_max": ports[1], "remote_group_id": "", "remote_ip_prefix": prefix, "security_group_id": "g1" }),
    )
}

fn of_openstack(rules: &[Value]) -> Value {
    let own = |protocol: &str, port: u16| {
        let mut rule = openstack_rule(protocol, [port, port], "");
        rule["instances"][0]["attributes"]["remote_group_id"] = json!("g1");
        rule
    };
    let group = resource("openstack_networking_secgroup_v2", &json!({ "id": "g1", "name": "nodes", "region": "R" }));
    let known = [group, own("tcp", 6443), own("tcp", 10250), own("udp", 8472)];
    json!(known.iter().chain(rules).collect::<Vec<_>>())
}

fn init_terraform(resources: &Value, more: &[&str]) -> (Scene, Ran) {
    let scene = scene("");
    scene.write("state.json", of_one_group(resources));
    let arguments = ["init", "terraform", "state.json", "--out", "new.yaml", "--profile", "k3s", "--network", NETWORK];
    let ran = scene.run(&[&arguments, more].concat());
    (scene, ran)
}

#[test]
fn what_cant_be_read_of_a_state_is_named_and_nothing_is_made() {
    let cases = [
        (openstack_rule("tcp", [22, 22], "10.0.0.0/8x"), "the address range `10.0.0.0/8x`"),
        (openstack_rule("quux", [0, 0], "10.0.0.0/8"), "the protocol `quux`"),
        (openstack_rule("icmp", [300, 1], "10.0.0.0/8"), "the ports 300 to 1 of icmp"),
        (openstack_rule("tcp", [90, 80], "10.0.0.0/8"), "the ports 90 to 80 of tcp"),
    ];
    for (rule, says) in cases {
        let (scene, ran) = init_terraform(&of_openstack(&[rule]), &[]);
        ran.exits(1).complains(says).complains("`nodes`");
        assert_eq!(scene.read("new.yaml"), None);
    }
}

#[test]
fn protocols_and_codes_of_a_state_are_kept() {
    let rules = [
        openstack_rule("icmp", [3, 4], "10.1.0.0/16"),
        openstack_rule("icmp", [0, 5], "10.2.0.0/16"),
        openstack_rule("vrrp", [0, 0], "10.3.0.0/16"),
        openstack_rule("gre", [0, 0], ""),
    ];
    let (scene, ran) = init_terraform(&of_openstack(&rules), &[]);
    let ran = ran.exits(0);
    assert!(!ran.stdout.contains("in doubt"), "{}", ran.stdout);
    let text = text(&scene);
    let wanted = [
        ("10.1.0.0/16", "icmp/3/4"),
        ("10.2.0.0/16", "icmp/0/5"),
        ("10.3.0.0/16", "proto/112"),
        ("0.0.0.0/0", "proto/47"),
    ];
    for (from, allow) in wanted {
        let line = format!("from: [{from}], to: [nodes], allow: [{allow}]");
        assert!(text.contains(&line), "`{line}` is not in\n{text}");
    }
}

#[test]
fn a_zero_that_may_be_any_is_read_as_terraform_makes_it_and_said() {
    let rules = [openstack_rule("icmp", [8, 0], "10.1.0.0/16"), openstack_rule("icmp", [0, 0], "10.2.0.0/16")];
    let (scene, ran) = init_terraform(&of_openstack(&rules), &[]);
    let said = [
        "icmp of type 8 and code 0 is read as icmp/8",
        "icmp of type 0 and code 0 is read as icmp,",
        "a state has 0 for any as well as for 0",
    ];
    let ran = said.iter().fold(ran.exits(0), |ran, said| ran.says(said));
    assert!(ran.stdout.contains("in doubt: nodes  "), "{}", ran.stdout);
    let text = text(&scene);
    for (from, allow) in [("10.1.0.0/16", "icmp/8"), ("10.2.0.0/16", "icmp")] {
        let line = format!("from: [{from}], to: [nodes], allow: [{allow}]");
        assert!(text.contains(&line), "`{line}` is not in\n{text}");
    }
    assert!(text.contains("# In doubt: nodes: "), "{text}");
}

#[test]
fn a_state_with_the_port_of_rke2s_supervisor_is_rke2() {
    let rule = |port: [u16; 2], protocol: &str| {
        resource(
            "aws_vpc_security_group_ingress_rule",
            &json!({ "security_group_id": "sg-1", "ip_protocol": protocol, "from_port": port[0], "to_port": port[1],
                "referenced_security_group_id": "sg-1", "description": "" }),
        )
    };
    let arn = "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-1";
    let group = json!({ "id": "sg-1", "name": "nodes", "arn": arn, "vpc_id": "vpc-1", "owner_id": "111122223333" });
    let group = resource("aws_security_group", &group);
    let ports = [([6443, 6443], "tcp"), ([9345, 9345], "tcp"), ([2379, 2380], "tcp"), ([10250, 10250], "tcp")];
    let rules = ports.iter().chain(&[([8472, 8472], "udp")]).map(|(port, protocol)| rule(*port, protocol));
    let scene = scene("");
    scene.write("state.json", of_one_group(&json!(std::iter::once(group).chain(rules).collect::<Vec<_>>())));
    scene.run(&["init", "terraform", "state.json", "--out", "new.yaml", "--network", NETWORK]).exits(0);
    assert!(text(&scene).contains("profile: rke2\n"), "{}", text(&scene));
}

#[test]
fn a_tag_of_two_networks_of_google_is_two_groups() {
    let firewall = |network: &str, port: &str| {
        resource(
            "google_compute_firewall",
            &json!({ "id": "f", "name": "f", "project": "acme", "network": network, "direction": "INGRESS",
                "target_tags": ["nodes"], "source_ranges": ["10.0.0.0/8"], "allow": [{ "protocol": "tcp", "ports": [port] }],
                "deny": [], "disabled": false }),
        )
    };
    let (scene, ran) = init_terraform(&json!([firewall("prod", "6443"), firewall("dev", "22")]), &[]);
    ran.exits(1).complains("network: \"prod\"").complains("network: \"dev\"");
    assert_eq!(scene.read("new.yaml"), None);
}

#[test]
fn groups_that_rsgsync_has_already_are_taken_where_they_are_named() {
    let scene = applied(PROD);
    init(&scene, &[]).exits(1).complains("`prod-etcd` (rsgsync has it already, as platform/prod)").complains("--group");
    init(&scene, &["--group", "prod-etcd,prod-control,prod-workers"]).exits(0).says("nothing missing");
    assert_eq!(next_plan(&scene), (0, 0), "{}", text(&scene));
}
