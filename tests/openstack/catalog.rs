//! Which of the catalog's endpoints is taken, and of what a login is.

use std::collections::BTreeSet;

use crate::support::Ran;
use crate::{NODES, Project};

impl Project {
    /// Where a port's number stands: `neutron` is the public one of `RegionOne`.
    fn port(&self, name: &str) -> String {
        std::fs::read_to_string(self.services().join(format!("{name}.port"))).unwrap().trim().to_owned()
    }

    /// `demo` of clouds.yaml with this in place of its region.
    fn demo(&mut self, settings: &str) {
        self.clouds(|file| {
            let cloud = "demo:\n    region_name: RegionOne\n";
            assert!(file.contains(cloud), "{file}");
            file.replacen(cloud, &format!("demo:\n{settings}"), 1)
        });
    }
}

/// The ports of the endpoints that were called, by the client's own log.
fn ports(ran: &Ran) -> BTreeSet<String> {
    let called = ran.stderr.lines().filter_map(|line| line.split("url=\"http://127.0.0.1:").nth(1));
    called.map(|rest| rest.split('/').next().unwrap().to_owned()).collect()
}

#[test]
fn of_several_endpoints_region_and_interface_decide() {
    let mut project = Project::new("endpoints", NODES);
    project.scene.set("RUST_LOG", "rsgsync_openstack=debug");
    let of = |project: &Project, name: &str| BTreeSet::from([project.port(name)]);
    let planned = |project: &Project| project.run(&["plan"]).exits(0);
    assert_eq!(ports(&planned(&project)), of(&project, "neutron"));
    project.demo("    region_name: RegionOne\n    interface: internal\n");
    assert_eq!(ports(&planned(&project)), of(&project, "neutron-internal"));
    project.demo("    interface: internalURL\n");
    assert_eq!(ports(&planned(&project)), of(&project, "neutron-internal"), "one region has it");
    project.demo("    region_name: RegionTwo\n");
    assert_eq!(ports(&planned(&project).says("RegionTwo")), of(&project, "neutron-two"));
    project.write(&NODES.replace("cloud: demo", "cloud: demo, region: RegionOne"));
    assert_eq!(ports(&planned(&project)), of(&project, "neutron"), "the inventory's word counts");
}

#[test]
fn an_endpoint_that_is_not_there_or_not_the_only_one_is_asked_for() {
    let mut project = Project::new("no-endpoint", NODES);
    project.demo("");
    project.run(&["plan"]).exits(1).complains("names no region").complains("`RegionOne`, `RegionTwo`");
    project.demo("    region_name: RegionTwo\n    interface: internal\n");
    project.run(&["plan"]).exits(1).complains("no region `RegionTwo`").complains("`RegionOne`");
    project.demo("    region_name: RegionOne\n    interface: admin\n");
    project.run(&["plan"]).exits(1).complains("no admin endpoint for `network`").complains("help:");
}

/// `demo` may log in to the domain, too, which has no security groups.
#[test]
fn a_login_to_a_domain_needs_a_project() {
    let mut project = Project::new("domain", NODES);
    project.sdk("admin", "", &["domain-role"]);
    let project_of_demo = "      project_name: demo\n      project_domain_name: Default\n";
    project.clouds(|file| file.replacen(project_of_demo, "      domain_name: Default\n", 1));
    project.write(&NODES.replace(", project: PROJECT", ""));
    project.run(&["plan"]).exits(1).complains("is not of a project").complains("write `project:`");
    project.write(NODES);
    project.run(&["plan"]).exits(0).says(&project.name);
}
