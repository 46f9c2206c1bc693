//! What is asked of an API server: three lists, in pages.

use http::Request;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Objects a page: what `kubectl` asks for.
const PAGE: u32 = 500;
/// More pages than any cluster has.
const PAGES: usize = 1000;

/// What the API server answered.
pub struct Answers {
    pub nodes: Vec<Node>,
    pub daemon_sets: Vec<Workload>,
    pub deployments: Vec<Workload>,
    /// How many requests it took.
    pub requests: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// What is read of every object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Meta {
    pub name: String,
    pub namespace: String,
    pub labels: std::collections::BTreeMap<String, String>,
}

/// A node.
#[derive(Debug, Deserialize)]
pub struct Node {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: NodeSpec,
    #[serde(default)]
    pub status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSpec {
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    pub addresses: Vec<Address>,
    pub node_info: NodeInfo,
}

#[derive(Debug, Deserialize)]
pub struct Address {
    #[serde(rename = "type")]
    pub kind: String,
    pub address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    pub kubelet_version: String,
    pub operating_system: String,
}

/// A daemon set or a deployment.
#[derive(Debug, Deserialize)]
pub struct Workload {
    pub metadata: Meta,
    #[serde(default)]
    spec: WorkloadSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WorkloadSpec {
    template: Template,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: PodSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    image: String,
}

impl Workload {
    /// The images of its containers.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.spec.template.spec.containers.iter().map(|container| container.image.as_str())
    }
}

/// Asks for nodes, daemon sets and deployments.
pub async fn ask(client: &Client, server: &str) -> Result<Answers, Failure> {
    let mut requests = 0;
    let nodes = list(client, server, "/api/v1/nodes", &mut requests).await?;
    let daemon_sets = list(client, server, "/apis/apps/v1/daemonsets", &mut requests).await?;
    let deployments = list(client, server, "/apis/apps/v1/deployments", &mut requests).await?;
    Ok(Answers { nodes, daemon_sets, deployments, requests })
}

async fn list<T: DeserializeOwned>(
    client: &Client,
    server: &str,
    path: &str,
    requests: &mut usize,
) -> Result<Vec<T>, Failure> {
    let doing = format!("GET {path}");
    let (mut items, mut next) = (Vec::new(), None::<String>);
    for _ in 0..PAGES {
        let uri = match &next {
            None => format!("{path}?limit={PAGE}"),
            Some(token) => format!("{path}?limit={PAGE}&continue={}", in_a_query(token)),
        };
        let request = Request::get(uri).body(Vec::new());
        let request = request.map_err(|error| failed(server, &doing, &kube::Error::HttpError(error)))?;
        *requests += 1;
        let page: List<T> = client.request(request).await.map_err(|error| failed(server, &doing, &error))?;
        items.extend(page.items);
        next = page.metadata.next.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(items);
        }
    }
    Err(Failure::new(format!("{server}: {doing}: the list does not end"), "check that this is an API server"))
}

fn in_a_query(token: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    token.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What the API server said, and what to do.
pub fn failed(server: &str, doing: &str, error: &kube::Error) -> Failure {
    let (message, help) = match error {
        kube::Error::Api(status) => {
            let help = match status.code {
                401 => "the kubeconfig's credentials are refused: renew them, and try `kubectl get nodes`",
                403 => "give that user the rights of examples/kubernetes/rsgsync-init.yaml",
                _ => "try `kubectl get nodes` with the same kubeconfig and context",
            };
            (format!("{} ({} {})", status.message, status.code, status.reason), help)
        }
        other => {
            (causes(other), "check the kubeconfig's server and certificates: `kubectl get nodes` must work with it")
        }
    };
    Failure::new(format!("{server}: {doing}: {message}"), help)
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
