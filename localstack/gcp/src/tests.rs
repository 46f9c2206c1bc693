//! Requests and answers, without HTTP.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cloud::{Cloud, Outcome, Request};
use crate::control;
use crate::credentials::Credentials;
use crate::filter::Filter;
use crate::schema::Schema;

struct Api(Cloud);

const RULES: &str = "projects/p/global/firewalls";

impl Api {
    fn new() -> Self {
        Self(Cloud::new(false, Credentials::default()))
    }

    fn outcome(&mut self, verb: &str, path: &str, body: &Value) -> Outcome {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        let (query, body) = (pairs.collect::<BTreeMap<_, _>>(), body.to_string());
        let request = Request { verb, path, query, authorization: None, quota_project: None, body: body.as_bytes() };
        self.0.handle(&request)
    }

    /// Status and body.
    fn ask(&mut self, verb: &str, path: &str, body: &Value) -> (u16, Value) {
        match self.outcome(verb, path, body) {
            Outcome::Answer(value) => (200, value),
            Outcome::Refused(refusal) => (refusal.status.as_u16(), refusal.body()),
            Outcome::Unknown => (404, Value::Null),
            Outcome::Closed => (0, Value::Null),
            Outcome::Later { at, project, operation } => {
                std::thread::sleep(at - Instant::now());
                match self.0.look(&project, &operation) {
                    Outcome::Answer(value) => (200, value),
                    _ => panic!("`{operation}` is gone"),
                }
            }
        }
    }

    /// The operation that the request starts, when it is done.
    fn done(&mut self, verb: &str, path: &str, body: &Value) -> Value {
        let (status, operation) = self.ask(verb, path, body);
        assert_eq!((status, &operation["status"]), (200, &json!("RUNNING")), "{operation}");
        let (_, operation) = self.wait(&operation);
        assert_eq!(operation["status"], "DONE");
        operation
    }

    fn wait(&mut self, operation: &Value) -> (u16, Value) {
        let path = format!("projects/p/global/operations/{}/wait", operation["name"].as_str().unwrap());
        self.ask("POST", &path, &Value::Null)
    }

    fn insert(&mut self, fields: Value) {
        let operation = self.done("POST", RULES, &fields);
        assert_eq!(operation["error"], Value::Null);
    }

    fn rule(&mut self, name: &str) -> Value {
        let (status, rule) = self.ask("GET", &format!("{RULES}/{name}"), &Value::Null);
        assert_eq!(status, 200, "{rule}");
        rule
    }

    /// Asserts that the request is refused, with this text in the message.
    #[track_caller]
    fn refused(&mut self, status: u16, text: &str, verb: &str, path: &str, body: &Value) {
        let (given, answer) = self.ask(verb, path, body);
        assert_eq!(given, status, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(text), "{answer}");
        assert_eq!(answer["error"]["message"], answer["error"]["errors"][0]["message"]);
    }

    fn control(&mut self, verb: &http::Method, path: &str, body: &Value) -> Value {
        control::handle(&mut self.0, verb, path, Some("p"), body.to_string().as_bytes()).unwrap()
    }

    fn fault(&mut self, method: &str, then: &Value) {
        let fault = json!({ "project": "p", "method": method, "then": then });
        self.control(&http::Method::POST, "/faults", &fault);
    }
}

fn rule(more: Value) -> Value {
    let mut rule = json!({
        "name": "a", "sourceRanges": ["10.0.0.0/8"], "targetTags": ["node"], "allowed": [{ "IPProtocol": "tcp", "ports": ["22"] }],
    });
    for (field, value) in more.as_object().unwrap().clone() {
        rule[field] = value;
    }
    rule
}

#[test]
fn a_request_that_is_not_of_the_schema_is_refused() {
    let mut api = Api::new();
    for (fields, text) in [
        (json!({ "x": 1 }), "Invalid JSON payload received. Unknown name \"x\" at 'resource': Cannot find field."),
        (json!({ "enableLogging": true }), "Unknown name \"enableLogging\""),
        (json!({ "logConfig": { "x": 1 } }), "Unknown name \"x\" at 'resource.logConfig'"),
        (json!({ "allowed": [{ "protocol": "tcp" }] }), "Unknown name \"protocol\" at 'resource.allowed[0]'"),
        (json!({ "priority": "high" }), "Invalid value at 'resource.priority' (TYPE_INT32), \"high\""),
        (json!({ "priority": 1.5 }), "(TYPE_INT32), 1.5"),
        (json!({ "disabled": "yes" }), "(TYPE_BOOLEAN)"),
        (json!({ "direction": "IN" }), "Invalid value at 'resource.direction' (TYPE_ENUM), \"IN\""),
        (json!({ "sourceRanges": "10.0.0.0/8" }), "Invalid value at 'resource.sourceRanges' (TYPE_ARRAY)"),
        (json!({ "sourceRanges": [1] }), "Invalid value at 'resource.sourceRanges[0]' (TYPE_STRING), 1"),
    ] {
        api.refused(400, text, "POST", RULES, &rule(fields.clone()));
        assert_eq!(api.ask("POST", RULES, &rule(fields)).1["error"]["status"], "INVALID_ARGUMENT");
    }
    api.refused(400, "Unknown name \"x\": Cannot bind query parameter", "GET", &format!("{RULES}?x=1"), &Value::Null);
    api.refused(400, "maxResults", "GET", &format!("{RULES}?maxResults=501"), &Value::Null);
    api.refused(400, "(TYPE_INTEGER)", "GET", &format!("{RULES}?maxResults=few"), &Value::Null);
    api.refused(400, "Must be a match of regex", "GET", &format!("{RULES}/Upper"), &Value::Null);
}

#[test]
fn parameters_that_every_method_takes_are_taken() {
    let query = "alt=json&$alt=json&$apiVersion=2026-09-01&prettyPrint=false&fields=items&key=k&quotaUser=q&pageToken=\
                 &returnPartialSuccess=true";
    let (status, list) = Api::new().ask("GET", &format!("{RULES}?{query}"), &Value::Null);
    assert_eq!((status, list["items"].as_array().unwrap().len()), (200, 4));
}

#[test]
fn what_is_no_method_is_unknown() {
    for (verb, path) in [("GET", "projects/p/global/things"), ("PUT", RULES), ("GET", ""), ("GET", "projects/p/")] {
        assert_eq!(Api::new().ask(verb, path, &Value::Null), (404, Value::Null), "{verb} {path}");
    }
}

#[test]
fn numbers_may_be_text_and_nulls_are_nothing() {
    let mut api = Api::new();
    api.insert(rule(json!({ "priority": "7", "sourceTags": null, "denied": null, "description": null })));
    let stored = api.rule("a");
    assert_eq!((&stored["priority"], &stored["description"]), (&json!(7), &json!("")));
    assert!(stored.get("sourceTags").is_none() && stored.get("denied").is_none());
}

#[test]
fn what_the_server_sets_can_not_be_sent() {
    let mut api = Api::new();
    api.insert(rule(json!({ "id": "1", "kind": "x", "creationTimestamp": "x", "selfLink": "x", "params": {} })));
    let stored = api.rule("a");
    assert_eq!(stored["kind"], "compute#firewall");
    assert_eq!(stored["selfLink"], "https://www.googleapis.com/compute/v1/projects/p/global/firewalls/a");
    assert!(stored["id"].as_str().unwrap().parse::<u64>().unwrap() > 1 && stored.get("params").is_none());
    assert_eq!(api.rule(stored["id"].as_str().unwrap()), stored, "an id is as good as a name");
}

#[test]
fn a_network_has_many_addresses() {
    let mut api = Api::new();
    for (index, network) in [
        "global/networks/default",
        "projects/p/global/networks/default",
        "https://www.googleapis.com/compute/v1/projects/p/global/networks/default",
        "http://127.0.0.1:4580/compute/v1/projects/p/global/networks/default",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("a{index}");
        api.insert(rule(json!({ "name": name, "network": network })));
        let stored = api.rule(&name);
        assert_eq!(stored["network"], "https://www.googleapis.com/compute/v1/projects/p/global/networks/default");
    }
}

#[test]
fn empty_lists_clear_and_missing_ones_stay() {
    let mut api = Api::new();
    api.insert(rule(json!({ "sourceTags": ["web"] })));
    let path = format!("{RULES}/a");
    api.done("PATCH", &path, &json!({ "sourceRanges": [] }));
    let stored = api.rule("a");
    assert_eq!((stored.get("sourceRanges"), &stored["sourceTags"]), (None, &json!(["web"])));
    api.done("PATCH", &path, &json!({ "sourceTags": [], "targetTags": null }));
    let stored = api.rule("a");
    assert_eq!(stored["sourceRanges"], json!(["0.0.0.0/0"]), "the trap");
    assert!(stored.get("sourceTags").is_none() && stored.get("targetTags").is_none());
}

#[test]
fn an_address_family_is_kept_when_a_range_is_filled_in() {
    let mut api = Api::new();
    api.insert(json!({ "name": "a", "destinationRanges": ["fd00::/8"], "allowed": [{ "IPProtocol": "all" }] }));
    assert_eq!(api.rule("a")["sourceRanges"], json!(["::/0"]));
}

#[test]
fn logging_has_metadata_only_when_it_is_on() {
    let mut api = Api::new();
    api.insert(rule(json!({ "logConfig": { "enable": true } })));
    let stored = api.rule("a");
    assert_eq!(stored["logConfig"], json!({ "enable": true, "metadata": "INCLUDE_ALL_METADATA" }));
    assert_eq!(stored["enableLogging"], true);
    let off = json!({ "name": "b", "logConfig": { "enable": false, "metadata": "EXCLUDE_ALL_METADATA" } });
    api.refused(400, "resource.logConfig.metadata", "POST", RULES, &rule(off));
}

#[test]
fn the_action_of_a_rule_stays() {
    let mut api = Api::new();
    api.insert(rule(json!({})));
    let deny = json!({ "allowed": null, "denied": [{ "IPProtocol": "all" }] });
    api.refused(400, "Unsupported update operation.", "PATCH", &format!("{RULES}/a"), &deny);
}

#[test]
fn ports_are_single_or_rising() {
    let mut api = Api::new();
    for (index, ports) in ["0", "65535", "0-65535", "7-7"].into_iter().enumerate() {
        let allowed = json!([{ "IPProtocol": "SCTP", "ports": [ports] }]);
        api.insert(rule(json!({ "name": format!("a{index}"), "allowed": allowed })));
    }
    for ports in ["", "-", "1-", "-1", "+1", "1-2-3", "65536", "2-1", " 1", "a"] {
        let allowed = json!([{ "IPProtocol": "tcp", "ports": [ports] }]);
        api.refused(400, "ports[0]", "POST", RULES, &rule(json!({ "allowed": allowed })));
    }
    for protocol in ["all", "icmp", "esp", "58", "1"] {
        let allowed = json!([{ "IPProtocol": protocol, "ports": ["1"] }]);
        api.refused(400, "Ports may only", "POST", RULES, &rule(json!({ "allowed": allowed })));
    }
}

#[test]
fn a_change_is_seen_when_it_is_done() {
    let mut api = Api::new();
    api.fault("firewalls.insert", &json!({ "slow": { "looks": 2 } }));
    let (_, operation) = api.ask("POST", RULES, &rule(json!({})));
    let path = format!("{RULES}/a");
    assert_eq!((&operation["status"], &operation["progress"]), (&json!("RUNNING"), &json!(0)));
    api.refused(404, "was not found", "GET", &path, &Value::Null);
    api.refused(409, "already exists", "POST", RULES, &rule(json!({})));
    assert_eq!(api.wait(&operation).1["status"], "RUNNING");
    assert_eq!(api.wait(&operation).1["status"], "DONE");
    assert_eq!(api.rule("a")["id"], operation["targetId"]);

    api.fault("firewalls.patch", &json!({ "delay": { "milliseconds": 60000 } }));
    api.ask("PATCH", &path, &json!({ "disabled": true }));
    assert_eq!(api.rule("a")["disabled"], false);
    api.refused(400, "'projects/p/global/firewalls/a' is not ready", "PATCH", &path, &json!({ "disabled": true }));
    api.refused(400, "is not ready", "DELETE", &path, &Value::Null);
}

#[test]
fn a_lost_answer_is_found_again_by_its_request_id() {
    let mut api = Api::new();
    let path = format!("{RULES}?requestId=8D1B0C2E-9F5C-4B8B-8A55-0d6f3f3c2a11");
    api.fault("firewalls.insert", &json!("lose"));
    assert_eq!(api.ask("POST", &path, &rule(json!({}))).0, 0);
    std::thread::sleep(Duration::from_millis(10));
    let (status, operation) = api.ask("POST", &path.to_lowercase().replace("requestid", "requestId"), &rule(json!({})));
    assert_eq!((status, &operation["status"]), (200, &json!("DONE")));
    assert_eq!(api.rule("a")["id"], operation["targetId"]);
    api.refused(409, "already exists", "POST", RULES, &rule(json!({})));
}

#[test]
fn a_dropped_request_does_nothing() {
    let mut api = Api::new();
    api.fault("firewalls.delete", &json!("drop"));
    let path = format!("{RULES}/default-allow-ssh");
    assert_eq!(api.ask("DELETE", &path, &Value::Null).0, 0);
    std::thread::sleep(Duration::from_millis(10));
    api.rule("default-allow-ssh");
    api.done("DELETE", &path, &Value::Null);
    api.refused(404, "was not found", "GET", &path, &Value::Null);
}

#[test]
fn a_failed_operation_says_why_and_changes_nothing() {
    let mut api = Api::new();
    api.control(&http::Method::POST, "/settings", &json!({ "quotas": { "FIREWALLS": 4 } }));
    let operation = api.done("POST", RULES, &rule(json!({})));
    assert_eq!(operation["error"]["errors"][0]["code"], "QUOTA_EXCEEDED");
    assert_eq!(operation["error"]["errors"][0]["message"], "Quota 'FIREWALLS' exceeded.  Limit: 4.0 globally.");
    assert_eq!((&operation["httpErrorStatusCode"], &operation["httpErrorMessage"]), (&json!(403), &json!("FORBIDDEN")));
    api.refused(404, "was not found", "GET", &format!("{RULES}/a"), &Value::Null);
}

#[test]
fn inserts_on_their_way_count_against_the_quota() {
    let mut api = Api::new();
    api.control(&http::Method::POST, "/settings", &json!({ "quotas": { "FIREWALLS": 5 } }));
    let (_, first) = api.ask("POST", RULES, &rule(json!({})));
    let (_, second) = api.ask("POST", RULES, &rule(json!({ "name": "b" })));
    assert_eq!(api.wait(&first).1["error"], Value::Null);
    assert_eq!(api.wait(&second).1["error"]["errors"][0]["code"], "QUOTA_EXCEEDED");
}

#[test]
fn a_rate_limit_has_the_details_that_tell_it_from_a_denial() {
    let mut api = Api::new();
    for (then, reason, detail) in [
        (json!({ "rateLimit": { "retryAfter": 3 } }), "rateLimitExceeded", json!("RATE_LIMIT_EXCEEDED")),
        (json!("concurrentOperations"), "rateLimitExceeded", json!("CONCURRENT_OPERATIONS_QUOTA_EXCEEDED")),
        (json!("deny"), "forbidden", Value::Null),
    ] {
        api.fault("firewalls.list", &then);
        let (status, answer) = api.ask("GET", RULES, &Value::Null);
        assert_eq!((status, &answer["error"]["errors"][0]["reason"]), (403, &json!(reason)));
        assert_eq!(answer["error"]["details"][0]["reason"], detail);
    }
}

#[test]
fn faults_hit_what_they_name_as_often_as_they_say() {
    let mut api = Api::new();
    let error = json!({ "error": { "status": 500 } });
    let fault = json!({ "method": "firewalls.get", "name": "default-allow-ssh", "skip": 1, "times": 2, "then": error });
    api.control(&http::Method::POST, "/faults", &fault);
    let mut get = |name: &str| api.ask("GET", &format!("{RULES}/default-allow-{name}"), &Value::Null).0;
    let statuses: Vec<u16> = ["ssh", "ssh", "rdp", "ssh", "ssh"].into_iter().map(&mut get).collect();
    assert_eq!(statuses, [200, 500, 200, 500, 200]);
    assert_eq!(api.control(&http::Method::GET, "/faults", &Value::Null), json!([]));
}

#[test]
fn a_control_request_that_makes_no_sense_is_refused() {
    let mut api = Api::new();
    for (path, body) in [
        ("/faults", json!({ "then": "explode" })),
        ("/faults", json!({ "then": "lose", "methods": "x" })),
        ("/faults", json!({ "then": { "slow": { "waits": 1 } } })),
        ("/settings", json!({ "quota": {} })),
        ("/settings", json!({ "inherited": { "default": [{ "x": 1 }] } })),
        ("/settings", json!({ "instances": { "europe-west1-b": [{ "name": "a", "x": 1 }] } })),
        ("/settings", json!({ "instances": { "europe-west1-b": [{}] } })),
        ("/settings", json!({ "instances": { "europe-west1-b": [instance("a", "global/networks/none")] } })),
        ("/settings", json!({ "write": [{ "name": "a" }] })),
        ("/settings", json!({ "write": [{ "firewall": "a", "body": { "name": "a" } }] })),
    ] {
        let answer = control::handle(&mut api.0, &http::Method::POST, path, Some("p"), body.to_string().as_bytes());
        assert_eq!(answer.unwrap_err().0, 400, "{path} {body}");
    }
}

#[test]
fn others_can_write_now() {
    let mut api = Api::new();
    let made = json!({ "firewall": "a", "body": rule(json!({})) });
    let patched = json!({ "firewall": "default-allow-ssh", "body": { "disabled": true } });
    let write = json!([made, patched, { "firewall": "default-allow-rdp" }]);
    api.control(&http::Method::POST, "/settings", &json!({ "write": write }));
    assert_eq!(api.rule("a")["targetTags"], json!(["node"]));
    assert_eq!(api.rule("default-allow-ssh")["disabled"], true);
    assert_eq!(api.ask("GET", &format!("{RULES}/default-allow-rdp"), &Value::Null).0, 404);
    let log = api.control(&http::Method::GET, "/log", &Value::Null);
    assert_eq!(log["counts"], json!({ "firewalls.get": 3 }));
}

#[test]
fn a_page_token_is_good_for_its_own_question() {
    let mut api = Api::new();
    let (_, page) = api.ask("GET", &format!("{RULES}?maxResults=1"), &Value::Null);
    let token = page["nextPageToken"].as_str().unwrap();
    let (_, next) = api.ask("GET", &format!("{RULES}?maxResults=3&pageToken={token}"), &Value::Null);
    assert_eq!((next["items"].as_array().unwrap().len(), next.get("nextPageToken")), (3, None));
    let other = format!("{RULES}?filter=priority%3D5&pageToken={token}");
    api.refused(400, "pageToken", "GET", &other, &Value::Null);
    api.refused(400, "pageToken", "GET", &format!("{RULES}?pageToken=1"), &Value::Null);
}

#[test]
fn a_page_goes_on_behind_an_item_that_was_deleted() {
    let mut api = Api::new();
    let (_, page) = api.ask("GET", &format!("{RULES}?maxResults=2"), &Value::Null);
    assert_eq!(page["items"][1]["name"], "default-allow-internal");
    api.done("DELETE", &format!("{RULES}/default-allow-internal"), &Value::Null);
    let token = page["nextPageToken"].as_str().unwrap();
    let (_, next) = api.ask("GET", &format!("{RULES}?pageToken={token}"), &Value::Null);
    let names: Vec<_> = next["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(names, ["default-allow-rdp", "default-allow-ssh"]);
}

#[test]
fn pages_of_the_newest_first_go_on_where_they_ended() {
    let mut api = Api::new();
    for name in ["a", "b"] {
        std::thread::sleep(Duration::from_millis(5));
        api.insert(rule(json!({ "name": name })));
    }
    let path = format!("{RULES}?orderBy=creationTimestamp%20desc&maxResults=2");
    let (_, page) = api.ask("GET", &path, &Value::Null);
    assert_eq!((&page["items"][0]["name"], &page["items"][1]["name"]), (&json!("b"), &json!("a")));
    api.done("DELETE", &format!("{RULES}/a"), &Value::Null);
    let (_, next) =
        api.ask("GET", &format!("{path}&pageToken={}", page["nextPageToken"].as_str().unwrap()), &Value::Null);
    assert_eq!(next["items"].as_array().unwrap().len(), 2);
    assert!(next["items"][0]["name"].as_str().unwrap().starts_with("default-"), "{next}");
}

/// All that is answered is of the discovery document's types, but for the one field that isn't documented.
#[test]
fn answers_are_of_the_schema() {
    let mut api = Api::new();
    let instances = json!({ "europe-west1-b": [instance("a", "global/networks/default")] });
    let settings = json!({ "quotas": { "FIREWALLS": 5 }, "instances": instances });
    api.control(&http::Method::POST, "/settings", &settings);
    let policies = "projects/p/global/firewallPolicies";
    let done = api.done("POST", RULES, &rule(json!({})));
    let failed = api.done("POST", RULES, &rule(json!({ "name": "b" })));
    assert!(failed["error"].is_object());
    api.done("POST", policies, &json!({ "name": "policy" }));
    let association = json!({ "name": "it", "attachmentTarget": "global/networks/default" });
    api.done("POST", &format!("{policies}/policy/addAssociation"), &association);
    let mut answers = vec![("Operation", done), ("Operation", failed)];
    for (kind, path) in [
        ("Project", "projects/p"),
        ("Firewall", "projects/p/global/firewalls/a"),
        ("FirewallList", "projects/p/global/firewalls?maxResults=2"),
        ("Network", "projects/p/global/networks/default"),
        ("NetworkList", "projects/p/global/networks"),
        ("NetworksGetEffectiveFirewallsResponse", "projects/p/global/networks/default/getEffectiveFirewalls"),
        ("FirewallPolicy", "projects/p/global/firewallPolicies/policy"),
        ("FirewallPolicyList", "projects/p/global/firewallPolicies"),
        ("FirewallPolicyAssociation", "projects/p/global/firewallPolicies/policy/getAssociation?name=it"),
        ("FirewallPolicyRule", "projects/p/global/firewallPolicies/policy/getRule?priority=2147483647"),
        ("OperationList", "projects/p/global/operations"),
        ("InstanceAggregatedList", "projects/p/aggregated/instances"),
    ] {
        let (status, answer) = api.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        answers.push((kind, answer));
    }
    for (kind, mut answer) in answers {
        let rules = if kind == "Firewall" { Some(&mut answer) } else { None };
        rules.into_iter().for_each(without_the_undocumented);
        for field in ["items", "firewalls"] {
            answer[field].as_array_mut().into_iter().flatten().for_each(without_the_undocumented);
        }
        answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        if let Err(refusal) = Schema::get().typed(kind, answer) {
            panic!("{kind}: {}", refusal.message);
        }
    }
}

fn without_the_undocumented(rule: &mut Value) {
    rule.as_object_mut().unwrap().remove("enableLogging");
}

fn instance(name: &str, network: &str) -> Value {
    json!({ "name": name, "networkInterfaces": [{ "network": network }], "tags": { "items": ["node"] } })
}

#[test]
fn instances_come_in_pages_of_zones_and_stay_where_settings_leave_them_out() {
    let mut api = Api::new();
    let own = |name: &str| instance(name, "global/networks/default");
    let zones = json!({
        "europe-west1-b": [own("a"), own("b")],
        "us-east1-c": [own("a"), instance("c", "projects/host/global/networks/default")],
    });
    api.control(&http::Method::POST, "/settings", &json!({ "instances": zones }));
    api.control(&http::Method::POST, "/settings", &json!({ "pageSize": 3 }));
    let mut page = |query: &str| {
        let (status, page) = api.ask("GET", &format!("projects/p/aggregated/instances{query}"), &Value::Null);
        assert_eq!(status, 200, "{page}");
        page
    };
    let first = page("?maxResults=500");
    let names = |page: &Value, zone: &str| -> Vec<Value> {
        let instances = page["items"][format!("zones/{zone}")]["instances"].as_array().into_iter().flatten();
        instances.map(|instance| instance["name"].clone()).collect()
    };
    assert_eq!(
        (names(&first, "europe-west1-b"), names(&first, "us-east1-c")),
        (vec!["a".into(), "b".into()], vec!["a".into()])
    );
    let nothing = &first["items"]["zones/europe-west1-d"];
    assert_eq!((&nothing["warning"]["code"], nothing.get("instances")), (&json!("NO_RESULTS_ON_PAGE"), None));
    let second = page(&format!("?pageToken={}", first["nextPageToken"].as_str().unwrap()));
    assert_eq!((names(&second, "europe-west1-b"), names(&second, "us-east1-c")), (vec![], vec!["c".into()]));
    assert_eq!(second.get("nextPageToken"), None);
    let link =
        |page: &Value, zone: &str| page["items"][zone]["instances"][0]["networkInterfaces"][0]["network"].clone();
    let expected =
        |project: &str| format!("https://www.googleapis.com/compute/v1/projects/{project}/global/networks/default");
    assert_eq!(link(&first, "zones/europe-west1-b"), expected("p"));
    assert_eq!(link(&second, "zones/us-east1-c"), expected("host"));
}

#[test]
fn an_empty_list_has_no_items() {
    let (_, list) = Api::new().ask("GET", "projects/p/global/operations", &Value::Null);
    assert_eq!((&list["kind"], list.get("items")), (&json!("compute#operationList"), None));
}

#[test]
fn a_network_that_rules_need_is_not_deleted() {
    let mut api = Api::new();
    let networks = "projects/p/global/networks";
    let order = "BEFORE_CLASSIC_FIREWALL";
    api.done("POST", networks, &json!({ "name": "other", "networkFirewallPolicyEnforcementOrder": order }));
    api.insert(rule(json!({ "network": "global/networks/other" })));
    let path = format!("{networks}/other");
    assert_eq!(api.ask("GET", &path, &Value::Null).1["networkFirewallPolicyEnforcementOrder"], order);
    api.refused(400, "is already being used by 'projects/p/global/firewalls/a'", "DELETE", &path, &Value::Null);
    let (_, effective) = api.ask("GET", &format!("{path}/getEffectiveFirewalls"), &Value::Null);
    assert_eq!(effective["firewalls"].as_array().unwrap().len(), 1);
    api.done("DELETE", &format!("{RULES}/a"), &Value::Null);
    api.done("DELETE", &path, &Value::Null);
    api.refused(404, "networks/other' was not found", "GET", &path, &Value::Null);
}

#[test]
fn projects_are_apart() {
    let mut api = Api::new();
    api.insert(rule(json!({})));
    api.refused(404, "projects/q/", "GET", "projects/q/global/firewalls/a", &Value::Null);
    api.0.reset(Some("q"));
    api.rule("a");
    api.0.reset(Some("p"));
    api.refused(404, "was not found", "GET", &format!("{RULES}/a"), &Value::Null);
}

#[test]
fn fields_say_what_of_an_answer_is_wanted() {
    let mut api = Api::new();
    let instances = json!([instance("a", "global/networks/default"), instance("b", "global/networks/default")]);
    api.control(&http::Method::POST, "/settings", &json!({ "instances": { "europe-west1-b": instances } }));
    let mut page = |fields: &str| {
        let path = format!("projects/p/aggregated/instances?maxResults=1&fields={fields}");
        let (status, page) = api.ask("GET", &path, &Value::Null);
        assert_eq!(status, 200, "{page}");
        page
    };
    let whole = page("items,nextPageToken");
    assert_eq!(whole.as_object().unwrap().keys().collect::<Vec<_>>(), ["items", "nextPageToken"]);
    assert_eq!(whole["items"]["zones/europe-west1-b"]["instances"][0]["tags"]["items"], json!(["node"]));
    let part = page("items/*/instances(name,tags/items,networkInterfaces(name))");
    let expected = json!([{ "name": "a", "tags": { "items": ["node"] }, "networkInterfaces": [{ "name": "nic0" }] }]);
    assert_eq!(part["items"]["zones/europe-west1-b"], json!({ "instances": expected }));
    assert_eq!((part.get("nextPageToken"), &part["items"]["zones/europe-west1-c"]), (None, &json!({})));
    let deep = "a/".repeat(30) + "a";
    for fields in ["a,", "a/", "a(b", "a)", "a()", "a,a", "a(b)c", &deep] {
        api.refused(400, "Invalid field selection", "GET", &format!("{RULES}?fields={fields}"), &Value::Null);
    }
}

#[test]
fn filters_that_make_no_sense_are_refused() {
    let deep = format!("{}name=a{}", "(".repeat(1000), ")".repeat(1000));
    for text in
        ["", "name", "name=", "=a", "(name=a", "name=a)", "name=a OR", "name=a AND", "name eq (", "priority<x", &deep]
    {
        assert!(Filter::read(text).is_none(), "{text}");
    }
}

#[test]
fn filters_bind_as_they_should() {
    let item = json!({ "name": "a", "priority": 5, "logConfig": { "enable": false } });
    for (text, takes) in [
        ("name=a OR name=b AND name=c", true),
        ("(name=a OR name=b) AND name=c", false),
        ("NOT name=b name=a", true),
        ("-name=a", false),
        ("logConfig.enable=false", true),
        ("priority>=5 priority<=5 priority>4 priority<6", true),
        ("missing:*", false),
        ("name:*", true),
        ("name=\"a\"", true),
        ("name eq 'a|b'", true),
        ("name eq (a|b)", true),
        ("name ne (a|b)", false),
        ("missing!=x", true),
    ] {
        assert_eq!(Filter::read(text).unwrap().takes(item.as_object().unwrap()), takes, "{text}");
    }
}
