//! Clouds are reached over TLS, many with a certificate of a CA of their own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::project::Project;
use crate::{NODES, nodes_table};

/// Keystone and Neutron behind TLS, while it lives.
struct Tls {
    server: Child,
    ports: Vec<u16>,
    ca: String,
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn tls(project: &Project) -> Tls {
    let (run, here) = (project.services(), env!("CARGO_MANIFEST_DIR"));
    let port = |name: &str| std::fs::read_to_string(run.join(name)).unwrap().trim().to_owned();
    let folder = project.scene.write("tls/readme", "made by a test").parent().unwrap().to_owned();
    let mut server = Command::new(run.join("venv/bin/python"))
        .arg(format!("{here}/tests/openstack/tls.py"))
        .arg(&folder)
        .args([port("keystone.port"), port("neutron.port")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Tls { server, ports: serde_json::from_str(&line).unwrap(), ca: folder.join("ca.pem").display().to_string() }
}

#[test]
fn a_cloud_with_a_ca_of_its_own_is_trusted_as_clouds_yaml_says() {
    let mut project = Project::new("tls", NODES);
    let tls = tls(&project);
    let (keystone, neutron) = (tls.ports[0], tls.ports[1]);
    let cloud = |more: &str| {
        let demo = NODES.replace("cloud: demo", "cloud: behind-tls");
        project.write(&demo);
        let more = more.to_owned();
        move |_: &str| {
            format!(
                "clouds:\n  behind-tls:\n    region_name: RegionOne\n    network_endpoint_override: https://127.0.0.1:{neutron}\n{more}    \
                 auth:\n      auth_url: https://127.0.0.1:{keystone}/v3\n      username: demo\n      password: demo-password\n      \
                 user_domain_name: Default\n      project_domain_name: Default\n"
            )
        }
    };
    let unknown = cloud("");
    let trusted = cloud(&format!("    cacert: {}\n", tls.ca));
    let unasked = cloud("    verify: false\n");
    project.clouds(unknown);
    project.run(&["plan"]).exits(1).complains("certificate").complains("cacert");
    project.clouds(trusted);
    project.run(&["apply"]).exits(0);
    assert_eq!(project.rules()["nodes"], nodes_table());
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
    project.clouds(unasked);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}
