//! What can log in, and where it is looked for.

use serde_json::json;

use crate::project::Project;
use crate::{NODES, nodes_table};

#[test]
fn tokens_that_expire_are_replaced() {
    // This Keystone's tokens live for seconds; a removal waits for `--settle`, so the run outlives one.
    let project = Project::new("expiry", &NODES.replace("cloud: demo", "cloud: demo-short-lived"));
    project.run(&["apply"]).exits(0);
    let id = project.id("nodes");
    project.delete_rule_on("nodes", 6443);
    project.make_rule(&id, &json!({ "port_range_min": 6000, "port_range_max": 7000 }));
    project.run(&["apply", "--settle", "8"]).exits(0);
    assert_eq!(project.rules()["nodes"], nodes_table());
}

#[test]
fn application_credentials_bring_their_own_project() {
    // Its project is `demo`, which other tests leave alone.
    let inventory = NODES.replace("cloud: demo, project: PROJECT", "cloud: demo-application-credential, project: demo");
    let project = Project::new("application", &inventory);
    project.run(&["plan"]).exits(0).says("project demo");
    project
        .write(&NODES.replace("cloud: demo, project: PROJECT", "cloud: demo-application-credential, project: PROJECT"));
    project.run(&["plan"]).exits(1).complains("is of project `demo`");
}

#[test]
fn the_variables_of_an_openrc_file_are_enough() {
    let mut project = Project::new("variables", &NODES.replace("{ cloud: demo, project: PROJECT }", "{}"));
    let file = std::fs::read_to_string(&project.variables["OS_CLIENT_CONFIG_FILE"]).unwrap();
    let url =
        file.lines().find_map(|line| line.trim().strip_prefix("auth_url: ")).unwrap().trim_matches('\'').to_owned();
    let name = project.name.clone();
    for (variable, value) in [
        ("OS_CLOUD", ""),
        ("OS_AUTH_URL", url.as_str()),
        ("OS_USERNAME", "demo"),
        ("OS_PASSWORD", "demo-password"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_NAME", name.as_str()),
        ("OS_PROJECT_DOMAIN_ID", "default"),
        ("OS_REGION_NAME", ""),
        ("OS_INTERFACE", "internal"),
        ("OS_IDENTITY_API_VERSION", "3"),
    ] {
        project.scene.set(variable, value);
    }
    project.run(&["plan"]).exits(0).says(&name);
    project.scene.set("OS_AUTH_URL", "");
    project.run(&["plan"]).exits(1).complains("OS_AUTH_URL").complains("help:");
}

/// A cloud of clouds.yaml with this beside the address of Keystone.
pub fn cloud(file: &str, more: &str, auth: &str) -> String {
    let url = file.lines().find_map(|line| line.trim().strip_prefix("auth_url: ")).unwrap();
    format!("clouds:\n  demo:\n    region_name: RegionOne\n{more}    auth:\n      auth_url: {url}\n{auth}")
}

#[test]
fn os_cloud_names_the_cloud_where_the_inventory_does_not() {
    let mut project = Project::new("os-cloud", &NODES.replace("{ cloud: demo, project: PROJECT }", "{}"));
    for (cloud, project_of_cloud) in [("demo-reader", "project demo"), ("admin", "project admin")] {
        project.scene.set("OS_CLOUD", cloud);
        project.run(&["plan"]).exits(0).says(project_of_cloud);
    }
}

#[test]
fn a_token_is_enough() {
    let mut project = Project::new("token", NODES);
    let token = project.sdk("demo", &project.name, &["token"]);
    let auth = format!("      token: {}\n      project_domain_name: Default\n", token.as_str().unwrap());
    project.clouds(|file| cloud(file, "    auth_type: v3token\n", &auth));
    project.run(&["plan"]).exits(0).says(&project.name);
}

#[test]
fn passwords_may_stand_in_a_file_of_their_own() {
    let mut project = Project::new("secure", NODES);
    let auth = "      username: demo\n      user_domain_name: Default\n      project_domain_name: Default\n";
    project.clouds(|file| cloud(file, "", auth));
    project.run(&["plan"]).exits(1).complains("help:");
    project.scene.set("OS_CLIENT_SECURE_FILE", "nowhere.yaml");
    project.run(&["plan"]).exits(1).complains("OS_CLIENT_SECURE_FILE names nowhere.yaml");
    let secure = project.scene.write("secure.yaml", "clouds: { demo: { auth: { password: demo-password } } }\n");
    project.scene.set("OS_CLIENT_SECURE_FILE", secure.to_str().unwrap());
    project.run(&["plan"]).exits(0).says(&project.name);
}

#[test]
fn users_and_projects_of_one_name_are_told_apart_by_their_domains() {
    // Its user and project are called `demo`, as those of the cloud `demo` are.
    let inventory = |cloud: &str| NODES.replace("cloud: demo, project: PROJECT", &format!("cloud: {cloud}"));
    let project = Project::new("domains", &inventory("other"));
    let accounts = ["other", "demo"].map(|cloud| {
        project.write(&inventory(cloud));
        project.run(&["plan", "--format", "json"]).exits(0).json()["networks"][0]["account"].clone()
    });
    assert_ne!(accounts[0], accounts[1]);
    assert_eq!(accounts[0], project.sdk("other", "", &["whose"]));
}
