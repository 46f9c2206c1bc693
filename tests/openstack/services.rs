//! The services themselves.

use std::process::Command;

use crate::{NODES, Project};

#[test]
fn a_second_up_prints_how_to_reach_what_runs_and_starts_nothing() {
    let project = Project::new("up", NODES);
    let run = project.services();
    let processes = || ["keystone.pid", "neutron.pid"].map(|pid| std::fs::read_to_string(run.join(pid)).unwrap());
    let before = processes();
    let up = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/localstack/up"))
        .arg("openstack")
        .env("RSGSYNC_LOCALSTACK_DIR", run.parent().unwrap())
        .output()
        .unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let exports = String::from_utf8(up.stdout).unwrap();
    for variable in ["OS_CLIENT_CONFIG_FILE", "OS_CLOUD"] {
        let line = format!("export {variable}={}", project.variables[variable]);
        assert!(exports.lines().any(|printed| printed == line), "{line} is not in {exports}");
    }
    assert_eq!(processes(), before);
    project.run(&["plan"]).exits(0);
}
