//! What goes wrong on the way: busy services, lost answers, failed operations, other writers, credentials.

use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use crate::project::{NODES, Project, name, nodes_table, rules, server, with_rule, write};

/// With a port less than it should have: one patch repairs it.
fn damaged(test: &str) -> (Project, Value) {
    let project = Project::new(test, NODES);
    project.run(&["apply"]).exits(0);
    let firewall = project.ours("0.0.0.0/0");
    let allowed = json!([{ "IPProtocol": "tcp", "ports": ["22", "80", "443", "2376", "30000-32767"] },
        { "IPProtocol": "udp", "ports": ["30000-32767"] }]);
    project.others(name(&firewall), json!({ "allowed": allowed }));
    (project, firewall)
}

#[test]
fn busy_and_failing_services_are_asked_again() {
    for then in [
        json!({ "rateLimit": { "retryAfter": 1 } }),
        json!("concurrentOperations"),
        json!({ "error": { "status": 500 } }),
        json!({ "error": { "status": 503, "retryAfter": 1 } }),
        json!({ "error": { "status": 429, "reason": "rateLimitExceeded" } }),
    ] {
        let project = Project::new("busy", NODES);
        for method in ["firewalls.list", "firewalls.insert", "globalOperations.wait"] {
            project.fault(method, json!({ "then": then }));
        }
        let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
        assert!(calls["firewalls.insert"] > 2, "{then}: {calls:?}");
        assert_eq!(rules(&project.firewalls())["nodes"], nodes_table(), "{then}");
        assert_eq!(project.firewalls().len(), 2, "{then}");
    }
}

#[test]
fn a_lost_answer_is_no_second_insertion() {
    for then in ["lose", "drop"] {
        let project = Project::new("lost", NODES);
        project.fault("firewalls.insert", json!({ "then": then }));
        project.run(&["apply"]).exits(0);
        assert_eq!(project.firewalls().len(), 2, "{then}");
        let inserts = project.requests().into_iter().filter(|request| request["method"] == "firewalls.insert");
        let mut ids: Vec<String> = inserts.map(|request| request["requestId"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 3, "{then}: {ids:?}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2, "{then}: the repetition has the id of the first");
    }
}

#[test]
fn a_lost_answer_to_a_patch_or_a_deletion_is_found_out_about() {
    let (project, _) = damaged("lost-patch");
    project.fault("firewalls.patch", json!({ "then": "lose" }));
    project.run(&["apply"]).exits(0);
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
    project.fault("firewalls.delete", json!({ "then": "lose" }));
    project.run(&["destroy", "--yes"]).exits(0);
    assert!(project.firewalls().is_empty());
}

#[test]
fn an_operation_that_fails_late_is_a_failure_and_is_gone_on_from() {
    let project = Project::new("late", NODES);
    let then =
        json!({ "failOperation": { "code": "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "message": "No.", "status": 400 } });
    project.fault("firewalls.insert", json!({ "then": then }));
    project.run(&["apply"]).exits(3).complains("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE: No.");
    assert_eq!(project.firewalls().len(), 1);
    project.run(&["apply"]).exits(0);
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
}

#[test]
fn an_operation_that_fails_for_a_while_is_asked_for_again_as_another() {
    let project = Project::new("passing", NODES);
    let then = json!({ "failOperation": { "code": "INTERNAL_ERROR", "message": "Try again.", "status": 500 } });
    project.fault("firewalls.insert", json!({ "then": then }));
    project.run(&["apply"]).exits(0);
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
}

#[test]
fn operations_are_waited_for_side_by_side() {
    let project = Project::new("side-by-side", NODES);
    project.fault("firewalls.insert", json!({ "then": { "slow": { "looks": 3 } } }));
    project.run(&["apply"]).exits(0);
    let methods: Vec<Value> = project.requests().into_iter().map(|request| request["method"].clone()).collect();
    let second = methods.iter().rposition(|method| method == "firewalls.insert").unwrap();
    let waits = methods[..second].iter().filter(|method| **method == "globalOperations.wait").count();
    assert!(waits < 3, "the second insertion waits for the first: {methods:?}");
}

#[test]
fn slow_operations_are_waited_for_again_and_again() {
    let project = Project::new("slow", NODES);
    project.fault("firewalls.insert", json!({ "then": { "slow": { "looks": 3 } }, "times": 2 }));
    let (_, calls) = project.calls_of(|| project.run(&["apply"]).exits(0));
    assert_eq!((calls["firewalls.insert"], calls["globalOperations.wait"]), (2, 6), "{calls:?}");
}

#[test]
fn a_rule_that_others_wrote_since_the_plan_is_not_patched() {
    let (project, firewall) = damaged("writer");
    // After it was planned with, before it is read again.
    let ranges = json!({ "sourceRanges": ["192.0.2.0/24"] });
    project.fault("firewalls.get", json!({ "then": { "writeBefore": write(name(&firewall), ranges.clone()) } }));
    let (ran, calls) = project.calls_of(|| project.run(&["apply"]));
    ran.exits(3).complains("not the one that the plan knows").complains("plan again");
    assert_eq!(calls.get("firewalls.patch"), None, "{calls:?}");
    assert_eq!(project.ours("NodePort")["sourceRanges"], ranges["sourceRanges"]);
    project.run(&["apply"]).exits(0);
    // What they have opened more narrowly does no harm, until it is tidied up.
    assert!(rules(&project.firewalls())["nodes"].is_superset(&nodes_table()));
    project.run(&["apply", "--tidy", "--max-removals", "20"]).exits(0);
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
}

#[test]
fn a_rule_that_others_write_at_the_same_moment_is_found_out_about() {
    let (project, firewall) = damaged("moment");
    let ranges = json!({ "sourceRanges": ["192.0.2.0/24"] });
    // After it was patched, before it is read again.
    project.fault("firewalls.get", json!({ "skip": 1, "then": { "writeBefore": write(name(&firewall), ranges) } }));
    project.run(&["apply"]).exits(3).complains("at the same moment").complains("plan again");
}

#[test]
fn a_rule_that_was_made_anew_under_its_name_is_not_patched() {
    let (project, firewall) = damaged("anew");
    let mut body = firewall.clone();
    for key in ["id", "kind", "creationTimestamp", "selfLink", "logConfig", "enableLogging"] {
        body.as_object_mut().unwrap().remove(key);
    }
    body["allowed"] = project.firewalls()[name(&firewall)]["allowed"].clone();
    project.fault("firewalls.get", json!({ "then": { "writeBefore": write(name(&firewall), json!(null)) } }));
    project.fault("firewalls.get", json!({ "then": { "writeBefore": write(name(&firewall), body) } }));
    project.run(&["apply"]).exits(3).complains("not the one that the plan knows");
}

#[test]
fn a_name_that_somebody_took_meanwhile_is_an_error() {
    let project = Project::new("taken", NODES);
    project.run(&["apply"]).exits(0);
    let ours = name(&project.ours("sourceTags")).to_owned();
    project.others(&ours, json!(null));
    let theirs = json!({ "name": &ours, "network": "global/networks/default", "sourceRanges": ["192.0.2.0/24"], "allowed": [{ "IPProtocol": "esp" }] });
    project.fault("firewalls.insert", json!({ "then": { "writeBefore": write(&ours, theirs) } }));
    project.run(&["apply"]).exits(3).complains("alreadyExists").complains("names are unique in the whole project");
    assert_eq!(project.firewalls()[&ours]["allowed"][0]["IPProtocol"], "esp");
    // Known to be taken, the name is another.
    project.run(&["apply"]).exits(0);
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
}

#[test]
fn what_the_credentials_may_not_do_is_said_with_the_role_that_may() {
    let project = Project::new("denied", NODES);
    project.fault("firewalls.list", json!({ "then": "deny" }));
    let (ran, calls) = project.calls_of(|| project.run(&["plan"]));
    ran.exits(1).complains("forbidden").complains("roles/compute.networkViewer");
    assert_eq!(calls["firewalls.list"], 1, "asking again won't help");
    project.fault("firewalls.insert", json!({ "then": "deny", "times": 9 }));
    project.run(&["apply"]).exits(3).complains("roles/compute.securityAdmin");
    // Without the quota there is a plan all the same.
    project.fault("projects.get", json!({ "then": "deny" }));
    project.run(&["plan"]).exits(0);
}

#[test]
fn a_network_that_does_not_exist_is_named() {
    let inventory = NODES.replace("project: PROJECT", "project: PROJECT, network: prod");
    let project = Project::new("network", &inventory);
    project.run(&["plan"]).exits(1).complains("has no network `prod`").complains("gcloud compute networks list");
    project.fault("networks.getEffectiveFirewalls", json!({ "then": "deny" }));
    project.run(&["plan"]).exits(1).complains("has no network `prod`");
    project.make_network(json!({ "name": "prod", "autoCreateSubnetworks": false }));
    project.run(&["apply"]).exits(0);
    let networks: Vec<Value> = project.firewalls().into_values().map(|f| f["network"].clone()).collect();
    assert!(
        networks.iter().all(|network| network.as_str().unwrap().ends_with("/global/networks/prod")),
        "{networks:?}"
    );
}

/// Credentials of a user, whose tokens come from `path` of the server.
fn user(project: &mut Project, path: &str) {
    let key = json!({ "type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": "again",
        "token_uri": format!("{}{path}", server()), "quota_project_id": "the-payer" });
    use_key(project, &key);
}

fn use_key(project: &mut Project, key: &Value) {
    let path = project.scene.write("key.json", key.to_string());
    project.scene.set("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap());
}

fn callers(project: &Project) -> Vec<Value> {
    project.requests().into_iter().map(|request| json!([request["caller"], request["quotaProject"]])).collect()
}

#[test]
fn every_kind_of_default_credentials_is_taken() {
    let mut project = Project::new("kinds", NODES);
    project.set(json!({ "strict": true }));
    project.run(&["plan"]).exits(0);
    assert!(callers(&project).iter().all(|c| c[0] == "tester@demo.iam.gserviceaccount.com"), "{:?}", callers(&project));
    user(&mut project, "/token");
    project.calls_of(|| project.run(&["plan"]).exits(0));
    assert!(
        callers(&project).iter().all(|c| *c == json!(["user@example.com", "the-payer"])),
        "{:?}",
        callers(&project)
    );
    let source = json!({ "type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": "again",
        "token_uri": format!("{}/token", server()) });
    // What `gcloud auth application-default login` leaves, on another quota project.
    project.scene.unset("GOOGLE_APPLICATION_CREDENTIALS").set("GOOGLE_CLOUD_QUOTA_PROJECT", "another-payer");
    project.scene.write("home/.config/gcloud/application_default_credentials.json", source.to_string());
    project.calls_of(|| project.run(&["plan"]).exits(0));
    assert!(
        callers(&project).iter().all(|c| *c == json!(["user@example.com", "another-payer"])),
        "{:?}",
        callers(&project)
    );
    let url =
        format!("{}/v1/projects/-/serviceAccounts/robot@demo.iam.gserviceaccount.com:generateAccessToken", server());
    use_key(
        &mut project,
        &json!({ "type": "impersonated_service_account", "service_account_impersonation_url": url,
        "source_credentials": source, "delegates": [] }),
    );
    project.calls_of(|| project.run(&["plan"]).exits(0));
    assert!(callers(&project).iter().all(|c| c[0] == "robot@demo.iam.gserviceaccount.com"), "{:?}", callers(&project));
    let token = project.scene.write("subject", "a token of another cloud");
    use_key(
        &mut project,
        &json!({ "type": "external_account", "token_url": format!("{}/token", server()),
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "credential_source": { "file": token.to_str().unwrap() } }),
    );
    project.calls_of(|| project.run(&["plan"]).exits(0));
    assert!(callers(&project).iter().all(|c| c[0] == "principal@example.com"), "{:?}", callers(&project));
}

/// A metadata server: what it is asked for ends up in the channel.
fn metadata_server() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = String::new();
            let mut lines = BufReader::new(&stream).lines();
            while let Some(Ok(line)) = lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty())) {
                request.push_str(&line.to_ascii_lowercase());
                request.push('\n');
            }
            let token = json!({ "access_token": "from-the-machine", "expires_in": 3600, "token_type": "Bearer" });
            let (status, body) = match request.contains("/token") {
                true => ("200 OK", token.to_string()),
                false => ("404 Not Found", String::new()),
            };
            let length = body.len();
            let head = "metadata-flavor: Google\r\ncontent-type: application/json\r\nconnection: close";
            write!(stream, "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
            asked.send(request).unwrap_or_default();
        }
    });
    (address, seen)
}

#[test]
fn a_machine_s_own_account_is_taken_where_there_is_nothing_else() {
    let mut project = Project::new("machine", NODES);
    let (address, seen) = metadata_server();
    project.scene.unset("GOOGLE_APPLICATION_CREDENTIALS").set("GCE_METADATA_HOST", &address);
    project.run(&["apply"]).exits(0);
    // A token, and none of those that the server of the tests gives.
    assert!(callers(&project).iter().all(|caller| caller[0] == "unknown"), "{:?}", callers(&project));
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
    let asked: Vec<String> = seen.try_iter().filter(|request| request.contains("/token")).collect();
    let [request] = &asked[..] else { panic!("{asked:?}") };
    assert!(request.starts_with("get /computemetadata/v1/instance/service-accounts/default/token"), "{request}");
    assert!(request.contains("metadata-flavor: google"), "{request}");
}

#[test]
fn a_token_that_is_over_is_replaced() {
    let mut project = Project::new("expiry", NODES);
    project.set(json!({ "strict": true }));
    user(&mut project, "/token");
    // Refused in the middle, though it should live on.
    project.fault("firewalls.insert", json!({ "then": "expireToken" }));
    project.run(&["apply"]).exits(0);
    project.set(json!({ "strict": false }));
    assert_eq!(rules(&project.firewalls())["nodes"], nodes_table());
    // It lives for three seconds, and the run outlives it: a removal waits for `--settle`.
    user(&mut project, "/token/3");
    project.write(&with_rule("192.0.2.0/24"));
    project.run(&["apply"]).exits(0);
    project.write(&with_rule("198.51.100.0/24"));
    project.run(&["apply", "--settle", "6"]).exits(0);
    project.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn credentials_that_are_wrong_or_missing_are_said_so() {
    let mut project = Project::new("wrong", NODES);
    project.set(json!({ "strict": true }));
    project.run(&["validate"]).exits(0);
    let file = project.scene.path("none.json");
    project.scene.set("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap());
    project.run(&["validate"]).exits(0);
    project.run(&["plan"]).exits(1).complains("none.json").complains("gcloud auth application-default login");
    // The token endpoint refuses.
    user(&mut project, "/token");
    use_key(
        &mut project,
        &json!({ "type": "authorized_user", "client_id": "id", "client_secret": "secret",
        "refresh_token": "", "token_uri": format!("{}/token", server()) }),
    );
    let denied = project.run(&["plan"]).exits(1).complains("invalid_grant").complains("application-default login");
    assert!(!denied.stderr.contains("secret"), "{}", denied.stderr);
    // The API refuses.
    user(&mut project, "/token");
    project
        .fault("firewalls.list", json!({ "then": { "error": { "status": 401, "reason": "authError" } }, "times": 9 }));
    project.run(&["plan"]).exits(1).complains("authError").complains("the credentials are not accepted");
    // Nobody gives any, and there is no metadata server.
    project.scene.unset("GOOGLE_APPLICATION_CREDENTIALS");
    project.run(&["plan"]).exits(1).complains("no metadata server answers").complains("application-default login");
}

#[test]
fn the_address_may_lack_its_slash_and_has_to_be_one() {
    let mut project = Project::new("address", NODES);
    project.scene.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", &format!("{}/compute/v1", server()));
    project.run(&["plan"]).exits(0);
    project.scene.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "compute.example.org");
    project.run(&["plan"]).exits(1).complains("is no address");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    project.scene.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", &format!("http://127.0.0.1:{port}/compute/v1/"));
    project.run(&["validate"]).exits(0);
    project.run(&["plan"]).exits(1).complains(&format!("no connection to http://127.0.0.1:{port}")).complains("help:");
}
