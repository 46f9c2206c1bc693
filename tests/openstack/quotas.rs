//! Quotas of a project, read beforehand and run into all the same.

use std::collections::BTreeMap;

use crate::trouble::GROUPS;
use crate::{Project, circle};

impl Project {
    fn set_quota(&self, resource: &str, most: u32) {
        let id = self.sdk("demo", &self.name, &["whose"]);
        let body = format!(r#"{{"quota": {{"{resource}": {most}}}}}"#);
        self.sdk("admin", "", &["PUT", &format!("/quotas/{}", id.as_str().unwrap()), &body]);
    }
}

#[test]
fn quotas_are_looked_at_before_anything_is_made() {
    let project = Project::with_quotas("quota", &circle("ipv4"), 10, 20);
    project.run(&["plan"]).exits(1).complains("no room for more rules").complains("20 (read)");
    project.run(&["apply"]).exits(1);
    assert_eq!(project.groups(), BTreeMap::new());
}

#[test]
fn a_quota_that_is_exceeded_half_way_leaves_a_journal_and_is_gone_on_from() {
    // The inventory says that there is more room than there is.
    let inventory = circle("ipv4").replace("project: PROJECT", "project: PROJECT, quotas: { rules: 1000 }");
    let project = Project::with_quotas("half", &inventory, 10, 25);
    let failed = project.run(&["apply"]).exits(3).complains("OverQuota").complains("of 25 are used");
    assert!(failed.stderr.contains("openstack quota set --secgroup-rules"), "{}", failed.stderr);
    assert_eq!(project.scene.journals().len(), 1);
    project.set_quota("security_group_rule", 1000);
    project.run(&["apply"]).exits(0);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn more_groups_than_the_project_may_have_are_refused_with_the_arithmetic() {
    // Three groups, and the project's own `default`, which its first list makes.
    let project = Project::with_quotas("groups", &circle("ipv4"), 3, 100);
    project.run(&["apply"]).exits(1).complains("no room for more groups").complains("3 (read)");
    assert_eq!(project.groups(), BTreeMap::new());
    project.set_quota("security_group", 4);
    project.run(&["apply"]).exits(0);
}

#[test]
fn room_for_groups_that_somebody_takes_meanwhile_leaves_a_journal_and_is_gone_on_from() {
    let mut project = Project::with_quotas("taken", &circle("ipv4"), 10, 100);
    let (failed, proxy) =
        project.meanwhile(&["apply"], (format!("POST {GROUPS}"), 0), |project| project.set_quota("security_group", 2));
    // All three; the first; the two others; the second. The third isn't asked for.
    assert_eq!(proxy.count(&format!("POST {GROUPS}")), 4);
    let failed = failed.exits(3).complains("OverQuota").complains("2 groups of 2 are used, 1 more were asked for");
    assert!(failed.stderr.contains("openstack quota set --secgroups"), "{}", failed.stderr);
    assert_eq!((project.scene.journals().len(), project.listed().len()), (1, 1));
    project.set_quota("security_group", 10);
    project.run(&["apply"]).exits(0);
    assert_eq!(project.listed().len(), 3);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}
