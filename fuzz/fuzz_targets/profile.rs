//! A user's own profile and a user's own guards, in an inventory that uses them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsgsync_fuzz::journey::go;

fuzz_target!(|text: &str| {
    let named = text.lines().find_map(|line| line.strip_prefix("name:"));
    let name = named.map(str::trim).filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    go(&using("profiles: [own.yaml]", name.unwrap_or("kubeadm")), Some(text));
    go(&using("guards: [own.yaml]", "kubeadm"), Some(text));
});

fn using(files: &str, profile: &str) -> Vec<u8> {
    format!(
        "version: 1
owner: platform
{files}
networks: {{ eu: {{ simulated: {{}} }} }}
clusters:
  prod:
    network: eu
    profile: {profile}
    cidrs: {{ pod: [10.42.0.0/16] }}
    groups:
      one: {{ roles: [etcd, controlplane, k3s-server, rke2-server, rancher-server], addresses: [10.0.0.0/24] }}
      two: {{ roles: [worker, k3s-agent, rke2-agent] }}
peers:
  office: {{ cidrs: [203.0.113.0/24] }}
"
    )
    .into_bytes()
}
