//! What Neutron's rules can say, and how it spells them.

use serde_json::{Value, json};

use crate::{NODES, Project};

#[test]
fn what_neutron_has_no_rule_for_is_refused_while_planning() {
    let rule = "    rules:\n      - { from: office, to: all, allow: [0-10/tcp], why: old, ticket: NET-7 }\n    \
                peers: { office: { cidrs: [192.0.2.0/24] } }\n";
    let project = Project::new("zero", &format!("{NODES}{rule}"));
    project.run(&["plan"]).exits(1).complains("no port 0");
}

#[test]
fn a_stateless_group_is_noted_and_changes_no_exit_code() {
    let project = Project::new("stateless", NODES);
    let body = json!({ "security_group": { "name": "nodes", "stateful": false } });
    project.call("POST", "/security-groups", &body);
    project.run(&["plan"]).exits(0).says("note `nodes` is stateless: answers need rules of their own");
    project.run(&["apply"]).exits(0);
    let drift = project.run(&["drift", "--format", "json"]).exits(0).json();
    let notes = drift["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| note.as_str().unwrap().starts_with("`nodes` is stateless")), "{notes:?}");
}

#[test]
fn protocols_by_name_and_by_number_are_the_same() {
    let rule = "    rules:\n      - { from: office, to: all, allow: [ipip, esp], why: tunnels, ticket: NET-7 }\n    \
                peers: { office: { cidrs: [192.0.2.0/24] } }\n";
    let project = Project::new("protocols", &format!("{NODES}{rule}"));
    let id = project.make_group("nodes");
    let by_hand =
        |protocol: &str| project.make_rule(&id, &json!({ "protocol": protocol, "remote_ip_prefix": "192.0.2.0/24" }));
    by_hand("ipip");
    by_hand("50");
    project.run(&["apply"]).exits(0);
    let rules = project.rules();
    let tunnels: Vec<_> = rules["nodes"].iter().filter(|rule| rule.contains("192.0.2.0/24")).collect();
    let theirs = ["ingress IPv4 50 *-* 192.0.2.0/24", "ingress IPv4 ipip *-* 192.0.2.0/24"];
    assert_eq!(tunnels, theirs, "theirs do the job");
    for rule in project.groups()["nodes"]["security_group_rules"].as_array().unwrap() {
        if ["ipip", "50"].map(Value::from).contains(&rule["protocol"]) {
            project.call("DELETE", &format!("/security-group-rules/{}", rule["id"].as_str().unwrap()), &Value::Null);
        }
    }
    project.run(&["apply"]).exits(0);
    let rules = project.rules();
    let tunnels: Vec<_> = rules["nodes"].iter().filter(|rule| rule.contains("192.0.2.0/24")).collect();
    assert_eq!(tunnels, ["ingress IPv4 4 *-* 192.0.2.0/24", "ingress IPv4 50 *-* 192.0.2.0/24"], "ours, by number");
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn what_a_rule_s_description_says_is_no_difference() {
    let rule = |why: &str| {
        let rule =
            format!("    rules:\n      - {{ from: office, to: all, allow: [9100/tcp], why: {why}, ticket: NET-7 }}\n");
        format!("{NODES}{rule}    peers: {{ office: {{ cidrs: [192.0.2.0/24] }} }}\n")
    };
    let project = Project::new("words", &rule("metrics"));
    project.run(&["apply"]).exits(0);
    project.write(&rule("probes"));
    for arguments in [["plan", "--detailed-exitcode"], ["plan", "--tidy"], ["apply", "--tidy"]] {
        project.run(&arguments).exits(0).says("nothing to do");
    }
    let description = project.rule_on("nodes", 9100)["description"].as_str().unwrap().to_owned();
    assert!(description.contains("metrics"), "{description}");
}

#[test]
fn an_address_group_is_a_peer_by_its_id() {
    let project = Project::new("addresses", NODES);
    let body = json!({ "address_group": { "name": "office", "addresses": ["192.0.2.0/24"] } });
    let made = project.call("POST", "/address-groups", &body);
    let id = made["address_group"]["id"].as_str().unwrap().to_owned();
    let rule = "    rules:\n      - { from: office, to: all, allow: [9100/tcp], why: metrics, ticket: NET-7 }\n    \
                peers: { office: { address_group: ID } }\n";
    project.write(&format!("{NODES}{}", rule.replace("ID", &id)));
    project.run(&["apply"]).exits(0);
    let office = project.rule_on("nodes", 9100);
    assert_eq!((&office["remote_address_group_id"], &office["ethertype"]), (&json!(id), &json!("IPv4")));
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn icmp_by_type_and_code_and_any_protocol() {
    let rule = "    rules:\n      - { from: office, to: all, allow: [icmp/8/0, icmp/3], why: ping, ticket: NET-7 }\n      \
                - { from: six, to: all, allow: [icmpv6], why: ping, ticket: NET-7 }\n      \
                - { from: vault, to: all, allow: [all], why: everything, ticket: NET-7 }\n    \
                peers: { office: { cidrs: [192.0.2.0/24] }, six: { cidrs: [2001:db8::/32] }, vault: { cidrs: [10.9.9.9/32] } }\n";
    let project = Project::new("icmp", &format!("{NODES}{rule}"));
    project.run(&["apply"]).exits(0);
    let rules = project.rules();
    let new = |rule: &&String| ["192.0.2", "2001", "10.9."].iter().any(|cidr| rule.contains(cidr));
    let new: Vec<&str> = rules["nodes"].iter().filter(new).map(String::as_str).collect();
    let expected = [
        "ingress IPv4 * *-* 10.9.9.9/32",
        "ingress IPv4 icmp 3-* 192.0.2.0/24",
        "ingress IPv4 icmp 8-0 192.0.2.0/24",
        "ingress IPv6 ipv6-icmp *-* 2001:db8::/32",
    ];
    assert_eq!(new, expected);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}
