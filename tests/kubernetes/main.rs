//! `rsgsync init kubeconfig` against an API server of our own, in Kubernetes' list shape; it has met no real one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where its scene does")]

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{Ran, Scene};

const TOKEN: &str = "kubeconfig-u-4x9";

/// An API server on loopback that answers its lists in pages of two, and notes what it is asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(nodes: Vec<Value>, daemon_sets: Vec<Value>, deployments: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut token) = (String::new(), String::new());
                reader.read_line(&mut line).unwrap();
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|n| n > 2) {
                    if let Some(value) = header.to_ascii_lowercase().strip_prefix("authorization: bearer ") {
                        token = value.trim().to_owned();
                    }
                    header.clear();
                }
                let mut words = line.split_whitespace();
                let (verb, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                log.lock().unwrap().push(format!("{verb} {path}"));
                let items = match path {
                    "/api/v1/nodes" => Some(&nodes),
                    "/apis/apps/v1/daemonsets" => Some(&daemon_sets),
                    "/apis/apps/v1/deployments" => Some(&deployments),
                    _ => None,
                };
                let (status, body) = match items {
                    _ if token != TOKEN => (401, failure(401, "Unauthorized", "Unauthorized")),
                    Some(items) => (200, page(items, query)),
                    None => (403, failure(403, "Forbidden", &format!("User \"u\" cannot list {path}"))),
                };
                let body = body.to_string();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
                let _ = write!(stream, "{head}connection: close\r\n\r\n{body}");
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn kubeconfig(&self, token: &str) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "Prod",
            "clusters": [{ "name": "c", "cluster": { "server": self.address } }],
            "users": [{ "name": "u", "user": { "token": token } }],
            "contexts": [{ "name": "Prod", "context": { "cluster": "c", "user": "u" } }],
        })
        .to_string()
    }

    fn scene(&self) -> Scene {
        let scene = Scene::new("");
        scene.write("kubeconfig", self.kubeconfig(TOKEN));
        scene
    }
}

/// A page of a list: two items, and `continue` where there are more.
fn page(items: &[Value], query: &str) -> Value {
    let at = query.split('&').find_map(|part| part.strip_prefix("continue=at%2F")).map_or(0, |at| at.parse().unwrap());
    let end = items.len().min(at + 2);
    let next = if end < items.len() { format!("at/{end}") } else { String::new() };
    json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "7", "continue": next },
            "items": items[at..end] })
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code })
}

fn node(name: &str, version: &str, roles: &[&str], address: &str) -> Value {
    let labels: serde_json::Map<String, Value> =
        roles.iter().map(|role| (format!("node-role.kubernetes.io/{role}"), json!("true"))).collect();
    json!({
        "metadata": { "name": name, "labels": labels },
        "spec": { "podCIDRs": ["10.42.0.0/24"] },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": address }, { "type": "Hostname", "address": name }],
            "nodeInfo": { "kubeletVersion": version, "operatingSystem": "linux" },
        },
    })
}

fn workload(namespace: &str, name: &str, image: &str) -> Value {
    json!({ "metadata": { "name": name, "namespace": namespace },
            "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

fn rke2() -> Server {
    let version = "v1.31.4+rke2r1";
    let nodes = vec![
        node("s1", version, &["control-plane", "etcd", "master"], "10.0.0.1"),
        node("s2", version, &["control-plane", "etcd", "master"], "10.0.0.2"),
        node("a1", version, &["worker"], "10.0.1.1"),
    ];
    let daemon_sets = vec![
        workload("kube-system", "rke2-canal", "rancher/hardened-calico:v3"),
        workload("kube-system", "rke2-ingress-nginx-controller", "rancher/nginx:1"),
    ];
    Server::new(nodes, daemon_sets, vec![workload("kube-system", "rke2-metrics-server", "rancher/ms:1")])
}

fn init(scene: &Scene) -> Ran {
    scene.run(&["init", "kubeconfig", "--kubeconfig", "kubeconfig", "--out", "new.yaml"])
}

fn written(scene: &Scene) -> String {
    String::from_utf8(scene.read("new.yaml").unwrap()).unwrap()
}

#[track_caller]
fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l.trim_start().starts_with(line)), "`{line}` is not in\n{text}");
    }
}

#[test]
fn rke2_gives_its_roles_addresses_and_cni() {
    let server = rke2();
    let scene = server.scene();
    init(&scene).exits(0).says("made new.yaml: 1 cluster").says("read 3 nodes in 4 requests");
    let text = written(&scene);
    assert_has(
        &text,
        &[
            "prod:",
            "profile: rke2",
            "cni: canal # kube-system/rke2-canal runs",
            "server:",
            "roles: [rke2-server]",
            "addresses: [10.0.0.1/32, 10.0.0.2/32]",
            "agent:",
            "roles: [rke2-agent]",
            "addresses: [10.0.1.1/32]",
            "#   nodeport_services: true | false",
        ],
    );
    scene.run(&["validate", "--inventory", "new.yaml"]).exits(0);
}

#[test]
fn k3s_with_rancher_is_a_rancher_server_of_the_version_of_its_image() {
    let nodes = vec![node("n1", "v1.20.15+k3s1", &["control-plane", "etcd", "master"], "10.0.0.1")];
    let deployments = vec![
        workload("cattle-system", "rancher", "registry.example:5000/rancher/rancher:v2.4.18"),
        workload("kube-system", "metrics-server", "rancher/ms:1"),
    ];
    let server = Server::new(nodes, Vec::new(), deployments);
    let scene = server.scene();
    init(&scene).exits(0);
    let text = written(&scene);
    let wanted = [
        "profile: rancher-server-k3s",
        "rancher_version: \"2.4.18\"",
        "metrics_server: true",
        "roles: [rancher-server, k3s-server]",
    ];
    assert_has(&text, &wanted);
    scene.run(&["validate", "--inventory", "new.yaml"]).exits(0);
}

#[test]
fn kubeadm_and_a_cluster_that_rancher_made_differ_by_their_labels() {
    let nodes = vec![node("m", "v1.32.0", &["control-plane"], "10.0.0.1"), node("w", "v1.32.0", &[], "10.0.0.2")];
    let scene = Server::new(nodes, vec![workload("kube-system", "cilium", "cilium")], Vec::new()).scene();
    init(&scene).exits(0).says("kubeadm (kubelet v1.32.0; a guess");
    assert_has(
        &written(&scene),
        &["profile: kubeadm", "roles: [controlplane, etcd]", "roles: [worker]", "cni: cilium"],
    );
    scene.run(&["validate", "--inventory", "new.yaml"]).exits(0);

    let nodes = vec![
        node("m", "v1.20.8", &["controlplane", "etcd"], "10.0.0.1"),
        node("w", "v1.20.8", &["worker"], "10.0.0.2"),
    ];
    let agent = workload("cattle-system", "cattle-cluster-agent", "rancher/rancher-agent:v2.4.8");
    let scene = Server::new(nodes, vec![workload("kube-system", "canal", "canal")], vec![agent]).scene();
    init(&scene).exits(0);
    assert_has(
        &written(&scene),
        &["profile: downstream-custom-nodes", "roles: [etcd, controlplane]", "roles: [worker]"],
    );
    scene.run(&["validate", "--inventory", "new.yaml"]).exits(0);
}

#[test]
fn a_refusal_says_what_the_server_said_and_writes_nothing() {
    let server = rke2();
    let scene = server.scene();
    scene.write("kubeconfig", server.kubeconfig("old"));
    init(&scene).exits(1).complains("Unauthorized").complains("renew them");
    assert_eq!(scene.read("new.yaml"), None);
    scene.write("kubeconfig", "nonsense: [");
    init(&scene).exits(1).complains("can't read the kubeconfig");
    scene.write("new.yaml", "mine");
    scene.write("kubeconfig", server.kubeconfig(TOKEN));
    init(&scene).exits(1).complains("never overwrites");
    assert_eq!(scene.read("new.yaml").as_deref(), Some(&b"mine"[..]));
}

#[test]
fn a_hosted_cluster_without_rancher_has_no_table() {
    let scene = Server::new(vec![node("n", "v1.30.2-eks-1", &[], "10.0.0.1")], Vec::new(), Vec::new()).scene();
    init(&scene).exits(1).complains("no table of ports is for Amazon EKS").complains("--profile");
    // Its kubelets' versions are those of Kubernetes itself.
    let mut node = node("n", "v1.30.2", &[], "10.0.0.1");
    node["metadata"]["labels"]["kubernetes.azure.com/cluster"] = json!("MC_group_name_westeurope");
    let scene = Server::new(vec![node], Vec::new(), Vec::new()).scene();
    init(&scene).exits(1).complains("no table of ports is for Azure Kubernetes Service").complains("--profile");
}

#[test]
fn the_example_grants_what_is_asked_for_and_nothing_else() {
    let server = rke2();
    let scene = server.scene();
    init(&scene).exits(0);
    let mut asked = server.asked();
    asked.sort();
    asked.dedup();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kubernetes/rsgsync-init.yaml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let mut granted = Vec::new();
    for rule in manifest.lines().filter_map(|line| line.trim().strip_prefix("- { apiGroups: [")) {
        let (group, rest) = rule.split_once("], resources: [").unwrap();
        let (resources, verbs) = rest.split_once("], verbs: [").unwrap();
        assert_eq!(verbs, "list] }");
        let root = match group.trim_matches('"') {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        granted.extend(resources.split(", ").map(|resource| format!("GET {root}/{resource}")));
    }
    granted.sort();
    assert_eq!(granted, asked);
}
