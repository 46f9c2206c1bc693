//! `matrix` and `profile`, run as a user runs them.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const INVENTORY: &str = "version: 1\nowner: platform\nnetworks: { lab: { simulated: { state: s.json } } }\nclusters:\n  \
                         mgmt:\n    network: lab\n    profile: rancher-server-k3s\n    rancher_version: \"2.4\"\n    \
                         options: { ssl_termination: rancher }\n    groups: { server: { roles: [rancher-server, k3s-server] } }\n  \
                         prod:\n    network: lab\n    profile: downstream-node-pools\n    rancher_version: \"2.4\"\n    \
                         rancher: mgmt\n    options: { rancher_external_lb: false }\n    groups:\n      \
                         etcd: { roles: [etcd] }\n      workers: { roles: [worker] }\n";

/// Output, errors and exit code.
fn run(folder: &Path, arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::cargo_bin("rsgsync").expect("the program is built");
    let output = command.current_dir(folder).env_remove("RSGSYNC_INVENTORY").args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().unwrap_or(-1))
}

fn in_folder(arguments: &[&str]) -> (String, String, i32) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cluster.yaml"), INVENTORY).expect("it is written");
    run(folder.path(), arguments)
}

fn json(arguments: &[&str]) -> Value {
    let (out, errors, code) = in_folder(arguments);
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn the_matrix_has_the_contract_s_flows() {
    let value = json(&["matrix", "--format", "json"]);
    assert_eq!(value["version"], 1);
    let flows = value["flows"].as_array().expect("a list");
    let ssh = flows.iter().find(|flow| flow["row"] == "rancher-ssh" && flow["to"]["group"] == "etcd").expect("a flow");
    assert_eq!(
        *ssh,
        serde_json::json!({
            "cluster": "prod",
            "from": { "cluster": "mgmt", "group": "server" },
            "to": { "cluster": "prod", "group": "etcd" },
            "protocol": "tcp",
            "from_port": 22,
            "to_port": 22,
            "profile": "downstream-node-pools@2.4",
            "row": "rancher-ssh",
            "why": "Rancher provisions nodes over SSH",
            "local": false,
        })
    );
    let unopened = value["unopened"].as_array().expect("a list");
    assert!(unopened.iter().any(|row| row["row"] == "clients-nodeport" && row["cluster"] == "prod"));
    assert_eq!(value["without_members"][1]["role"], "controlplane");
}

#[test]
fn the_matrix_is_a_table_in_every_format() {
    let (text, _, code) = in_folder(&["matrix", "--cluster", "prod"]);
    assert_eq!(code, 0);
    assert!(text.starts_with("Cluster prod\nFrom / To") && text.contains("controlplane"), "{text}");
    let (markdown, _, _) = in_folder(&["matrix", "--cluster", "prod", "--format", "markdown"]);
    assert!(markdown.contains("| From / To | mgmt/server | etcd | workers |"), "{markdown}");
    let (html, _, _) = in_folder(&["matrix", "--format", "html"]);
    assert!(html.starts_with("<!doctype html>") && html.contains("<h2>Cluster mgmt</h2>"), "{html}");
}

#[test]
fn a_misspelt_name_is_answered_with_the_nearest() {
    for (arguments, help) in [
        (["matrix", "--cluster", "prd"], "did you mean `prod`?"),
        (["profile", "show", "downstream-node-pool"], "did you mean `downstream-node-pools`?"),
    ] {
        let (_, errors, code) = in_folder(&arguments);
        assert_eq!(code, 1);
        assert!(errors.contains(help), "{errors}");
    }
}

#[test]
fn the_list_has_every_profile_without_rows() {
    let list = json(&["profile", "list", "--format", "json"]);
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 39);
    assert!(list.iter().all(|entry| entry["title"].is_string() && entry["source"].is_string()));
    assert!(list.iter().all(|entry| entry.get("rows").is_none()));
}

#[test]
fn the_user_s_own_profiles_are_listed_and_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it is written");
    write("ours.yaml", "name: ours\nsource: NET-12\nextends: downstream-node-pools@2.4\n");
    write("cluster.yaml", &format!("{INVENTORY}profiles: [ours.yaml]\n"));
    let (out, errors, code) = run(folder.path(), &["profile", "list"]);
    assert_eq!((code, out.lines().any(|line| line.starts_with("ours "))), (0, true), "{out}{errors}");
    let (out, _, code) = run(folder.path(), &["profile", "show", "ours"]);
    assert_eq!((code, out.contains("2379")), (0, true), "{out}");

    // One that is being written is no reason to show nothing.
    write("cluster.yaml", "version: 1\nclusters: { a: { profile: our } }\n");
    let (out, errors, code) = run(folder.path(), &["profile", "list"]);
    assert_eq!((code, out.contains("downstream-node-pools")), (0, true), "{errors}");
    assert!(errors.contains("cluster.yaml has errors"), "{errors}");
    assert_eq!(run(folder.path(), &["profile", "list", "-i", "./cluster.yaml"]).2, 1);
}

#[test]
fn a_profile_is_shown_with_every_version_s_rows() {
    let shown = json(&["profile", "show", "downstream-node-pools", "--format", "json"]);
    let rows = shown["rows"].as_array().expect("a list");
    assert_eq!(rows.len(), 29);
    let row = rows.iter().find(|row| row["id"] == "etcd-rancher-https").expect("the row");
    assert_eq!(row["versions"], ">=2.0 <2.12");
    assert_eq!((&row["from"], &row["to"]), (&serde_json::json!(["etcd"]), &serde_json::json!(["rancher-server"])));
    assert_eq!((&row["protocol"], &row["ports"]), (&"tcp".into(), &serde_json::json!(["443"])));
    assert_eq!(row["condition"], serde_json::json!({ "rancher_external_lb": false }));
    assert_eq!((&row["required"], &row["seed"]), (&"conditional".into(), &serde_json::json!(["t08.c04", "t08.n3"])));
    let k3s = json(&["profile", "show", "rancher-server-k3s", "--format", "json"]);
    let versions: Vec<&Value> = k3s["rows"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["id"] == "kubelet")
        .map(|r| &r["versions"])
        .collect();
    assert_eq!(versions, [">=2.0 <2.6", ">=2.6"]);
}

#[test]
fn the_ec2_group_is_shown_beside_today_s_driver() {
    let (text, _, _) = in_folder(&["profile", "show", "rancher-nodes-ec2-sg"]);
    let after = text.split("Compared with rancher-nodes-ec2-sg-driver-v4").nth(1).expect("it is compared");
    let part = after.split("Compared").next().expect("a part");
    // rancher/machine PR 21, 96, 132, 147 and 180.
    for port in ["9796", "179", "9345", "5473"] {
        assert!(part.contains(&format!("only there: {port}/tcp from self:group to self:group")), "{part}");
    }
    assert!(part.contains("only there: 8443/tcp from 0.0.0.0/0 to self:group"), "{part}");
}

#[test]
fn other_commands_say_that_a_format_is_not_theirs() {
    let (_, errors, code) = in_folder(&["validate", "--format", "html"]);
    assert_eq!(code, 1);
    assert!(errors.contains("--format html is not a format of this command"), "{errors}");
}

#[test]
fn a_cluster_may_have_a_profile_of_one_s_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = INVENTORY.replace("profile: downstream-node-pools", "profile: ours");
    let text = text.replace("owner: platform\n", "owner: platform\nprofiles: [./ours.yaml]\n");
    std::fs::write(folder.path().join("cluster.yaml"), text).expect("it is written");
    let ours = "name: ours\nsource: NET-12\nextends: downstream-node-pools@2.4\nrows:\n  - { id: agent, from: [etcd], \
                to: [worker], protocol: tcp, ports: [4000], purpose: our agent }\n";
    std::fs::write(folder.path().join("ours.yaml"), ours).expect("it is written");
    let (out, errors, code) = run(folder.path(), &["matrix", "--format", "json"]);
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.contains("\"our agent\"") && out.contains("\"etcd-client\"") || out.contains("etcd-etcd-client"),
        "{out}"
    );
    std::fs::write(folder.path().join("ours.yaml"), ours.replace("[worker]", "[wroker]")).expect("it is written");
    let (_, errors, code) = run(folder.path(), &["validate"]);
    assert_eq!(code, 1);
    assert!(errors.contains("ours.yaml:5:") && errors.contains("did you mean `worker`?"), "{errors}");
}
