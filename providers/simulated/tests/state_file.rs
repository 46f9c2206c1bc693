//! The state file: what is read, what is refused and where, and what survives a run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rsgsync_core::observed::LimitSource;
use rsgsync_simulated::Simulated;
use scene::*;
use serde_json::{Value, json};

fn open(path: &Path) -> Result<Simulated, String> {
    Simulated::open(Some(path), network(), BTreeMap::new()).map_err(|error| error.to_string())
}

/// The file is refused, with an error that names it and says `what`; it stays as it is.
fn refused(contents: &str, what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    fs::write(&path, contents).unwrap();
    let error = open(&path).err().unwrap_or_else(|| panic!("{contents} should be refused"));
    assert!(error.contains("cloud.json"), "{error}");
    assert!(error.contains(what), "{error}\nshould say: {what}");
    assert_eq!(fs::read_to_string(&path).unwrap(), contents);
}

fn with_rule(rule: Value) -> String {
    let mut rule = rule;
    for (key, value) in [("id", json!("sgr-1")), ("direction", json!("ingress")), ("protocol", json!("tcp"))] {
        rule.as_object_mut().unwrap().entry(key).or_insert(value);
    }
    state(json!([{ "id": "sg-1", "name": "one", "rules": [rule] }])).to_string()
}

#[test]
fn junk_is_refused_with_its_place() {
    refused("", "line 1, column 0: EOF");
    refused("{\n  \"version\": 1,\n  nonsense", "line 3, column 3");
    refused("[]", "line 1, column");
    refused("{ \"groups\": [] }", "missing field `version`");
    refused(&format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)), "line 1");
}

#[test]
fn a_version_from_the_future_is_refused_even_with_new_keys() {
    refused("{ \"version\": 2, \"galaxies\": [] }", "`version` is 2");
}

#[test]
fn a_last_id_that_leaves_no_room_is_refused() {
    for last in [u64::MAX, u64::MAX / 2 + 1] {
        refused(&format!("{{ \"version\": 1, \"last_id\": {last} }}"), "`last_id`");
    }
}

#[test]
fn unknown_keys_are_refused_with_their_path() {
    refused("{ \"version\": 1, \"group\": [] }", "unknown field `group`");
    let text = with_rule(json!({ "peer": { "cidr": "10.0.0.0/8" }, "port": 22 }));
    refused(&text, "`groups[0].rules[0].port`: unknown field `port`");
}

#[test]
fn a_reference_to_nothing_is_refused() {
    let text = with_rule(json!({ "peer": { "security_group": "two" } }));
    refused(&text, "`groups[0].rules[0].peer.security_group`: there is no group `two`");
}

#[test]
fn ids_and_names_are_there_once() {
    let twice = state(json!([group("sg-1", "one"), group("sg-1", "two")])).to_string();
    refused(&twice, "`groups[1].id`: `sg-1` is already the id at `groups[0].id`");
    let twice = state(json!([group("sg-1", "one"), group("sg-2", "one")])).to_string();
    refused(&twice, "`groups[1].name`: another group is named `one`");
    let rules = json!([tcp("sgr-1", 22, "10.0.0.0/8"), tcp("sgr-1", 80, "10.0.0.0/8")]);
    let twice = state(json!([{ "id": "sg-1", "name": "one", "rules": rules }])).to_string();
    refused(&twice, "`groups[0].rules[1].id`");
}

#[test]
fn a_rule_is_there_once() {
    let rules = json!([tcp("sgr-1", 22, "10.0.0.0/8"), tcp("sgr-2", 22, "10.0.0.1/8")]);
    let twice = state(json!([{ "id": "sg-1", "name": "one", "rules": rules }])).to_string();
    refused(&twice, "`groups[0].rules[1]`: the group has this rule already");
}

#[test]
fn rules_that_say_nothing_sensible_are_refused() {
    let any = json!({ "cidr": "10.0.0.0/8" });
    for (rule, what) in [
        (json!({ "peer": {} }), "rules[0].peer`: one of"),
        (json!({ "peer": { "cidr": "10.0.0.0/8", "prefix_list": "pl-1" } }), "rules[0].peer`: one of"),
        (json!({ "peer": { "cidr": "10.0.0.0/33" } }), "rules[0].peer.cidr`: `10.0.0.0/33` is no address range"),
        (json!({ "peer": any, "from_port": 2, "to_port": 1 }), "rules[0].to_port`: the range 2-1 is reversed"),
        (json!({ "peer": any, "from_port": 70000, "to_port": 70000 }), "rules[0].from_port`: invalid value"),
        (json!({ "peer": any, "from_port": 22 }), "rules[0].to_port`: missing"),
        (json!({ "peer": any, "protocol": "tcpp" }), "rules[0].protocol`: `tcpp` is no protocol"),
        (json!({ "peer": any, "protocol": "all", "from_port": 1, "to_port": 1 }), "rules[0].from_port`: `all` has no"),
        (json!({ "peer": any, "protocol": "icmp", "from_port": 256 }), "rules[0].from_port`: an ICMP"),
        (json!({ "peer": any, "family": "ipv6" }), "rules[0].family`: this peer's family is ipv4"),
        (json!({ "peer": any, "description": "<b>" }), "rules[0].description`: Invalid rule description"),
    ] {
        refused(&with_rule(rule), what);
    }
}

#[test]
fn faults_that_strike_nothing_are_refused() {
    let text = json!({ "version": 1, "faults": { "schedule": [{ "fault": "throttle" }] } }).to_string();
    refused(&text, "`faults.schedule[0]`: needs `call` or `kind`");
    let text = json!({ "version": 1, "faults": { "schedule": [{ "call": 1, "fault": "flood" }] } }).to_string();
    refused(&text, "`faults.schedule[0].fault`: unknown variant `flood`");
}

#[test]
fn a_missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(open(&folder.path().join("nowhere/cloud.json")).unwrap_err().contains("nowhere"));
}

#[test]
fn no_file_is_an_empty_cloud_and_reading_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    let cloud = open(&path).unwrap();
    assert_eq!(cloud.state()["groups"], json!([]));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(observe(&cloud, &[("one", None)]));
    assert!(!path.exists());
}

#[test]
fn what_is_written_reads_back_the_same() {
    let rules = json!([
        tcp("sgr-1", 22, "10.0.0.0/8"),
        { "id": "sgr-2", "direction": "egress", "protocol": "all", "family": "ipv6", "peer": { "cidr": "::/0" } },
        { "id": "sgr-3", "direction": "ingress", "protocol": "icmp", "from_port": 8, "peer": { "cidr": "10.0.0.0/8" } },
        { "id": "sgr-4", "direction": "ingress", "protocol": "icmpv6", "from_port": 1, "to_port": 4,
          "peer": { "prefix_list": "pl-1" } },
        { "id": "sgr-5", "direction": "ingress", "protocol": "50", "peer": { "security_group": "sg-1" } },
        { "id": "sgr-6", "direction": "ingress", "protocol": "udp", "peer": { "address_group": "ag" }, "reasons": [] },
        { "direction": "ingress", "protocol": "132", "from_port": 5, "to_port": 6, "tags": { "a": "b" },
          "peer": { "security_group": "sg-7", "account": "222233334444" }, "description": "sctp" },
    ]);
    let text = state(json!([{ "id": "sg-1", "name": "one", "rules": rules }]));
    let first = cloud(&text).state();
    assert_eq!(cloud(&first).state(), first);
    let rule = |n: usize| &first["groups"][0]["rules"][n];
    assert_eq!((&rule(2)["from_port"], &rule(2)["to_port"]), (&json!(8), &Value::Null));
    assert_eq!(rule(4)["peer"], json!({ "security_group": "one" }));
    assert_eq!(rule(4)["protocol"], "50");
    assert_eq!((&rule(5)["from_port"], &rule(5)["to_port"]), (&json!(0), &json!(65535)));
    assert_eq!(rule(6)["peer"], json!({ "security_group": "sg-7", "account": "222233334444" }));
    assert_eq!(rule(6)["id"], "sgr-00000000000000007", "the first number that no id has");
}

#[tokio::test]
async fn a_change_is_in_the_file_when_the_call_returns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    let mut plan = Plan::default();
    plan.create("one");
    plan.execute(&open(&path).unwrap(), 1).await;
    let state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(state["groups"][0]["tags"], json!({ "rsgsync:platform/prod": "made" }));
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["cloud.json"], "nothing is left beside it");
}

#[tokio::test]
async fn what_somebody_else_writes_between_two_calls_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    let (mine, theirs) = (open(&path).unwrap(), open(&path).unwrap());
    let mut plan = Plan::default();
    plan.create("one");
    plan.create("two");
    plan.execute(&mine, 1).await;
    plan.execute(&theirs, 2).await;
    let (observed, _) = observe(&mine, &[("one", None), ("two", None)]).await;
    assert_eq!(observed.groups.len(), 2);
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let cloud = open(&path).unwrap();
            scope.spawn(move || {
                let mut plan = Plan::default();
                (0..10).for_each(|n| plan.create(&format!("g{writer}-{n}")));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                assert!(runtime.block_on(plan.carry_out(&cloud)).is_complete());
            });
        }
    });
    assert_eq!(open(&path).unwrap().state()["groups"].as_array().unwrap().len(), 40);
}

#[tokio::test]
async fn a_file_that_turns_to_junk_is_an_error_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    let cloud = open(&path).unwrap();
    fs::write(&path, "junk").unwrap();
    let mut plan = Plan::default();
    plan.create("one");
    let error = rsgsync_engine::Cloud::execute(&cloud, &plan.steps[0], &plan.atoms).await.unwrap_err();
    assert!(error.message.contains("cloud.json is not valid"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "junk");
}

#[tokio::test]
async fn the_inventorys_quota_stands_before_the_clouds() {
    let quotas = BTreeMap::from([("rules_per_group".to_owned(), 100)]);
    let cloud = Simulated::open(None, network(), quotas).unwrap();
    let limits = observe(&cloud, &[]).await.0.limits;
    let (rules, groups) = (limits.rules_per_group.unwrap(), limits.groups.unwrap());
    assert_eq!((rules.at_most, rules.source), (100, LimitSource::Configured));
    assert_eq!((groups.at_most, groups.source), (2500, LimitSource::Read));
}

/// Not a test by itself: the process that the next test kills.
#[tokio::test]
#[ignore = "run by the test of the kill"]
async fn victim() {
    let Some(path) = std::env::var_os("RSGSYNC_TEST_STATE") else { return };
    let cloud = open(Path::new(&path)).unwrap();
    let mut plan = Plan::default();
    plan.create("one");
    plan.create("two");
    let _ = plan.carry_out(&cloud).await;
}

#[test]
fn a_kill_ends_the_process_once_before_or_after_its_call() {
    for (fault, groups) in [("kill_before", 1), ("kill", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.json");
        let schedule = json!([{ "call": 2, "fault": fault }]);
        fs::write(&path, json!({ "version": 1, "faults": { "schedule": schedule } }).to_string()).unwrap();
        let run = || {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "victim", "--ignored"]).env("RSGSYNC_TEST_STATE", &path);
            command.output().unwrap().status.code()
        };
        assert_eq!(run(), Some(137), "{fault}");
        let count = || open(&path).unwrap().state()["groups"].as_array().unwrap().len();
        assert_eq!(count(), groups, "{fault}");
        assert_eq!(run(), Some(0), "{fault}: the second run is not killed");
        assert_eq!(count(), 2, "{fault}");
    }
}

#[tokio::test]
async fn what_lags_and_what_chance_comes_next_stand_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    let mut before = state(json!([group("sg-1", "one")]));
    before["faults"] = json!({ "lag": 1, "seed": 7, "rate": 0 });
    fs::write(&path, before.to_string()).unwrap();
    let read = || -> Value { serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap() };
    let mut plan = Plan::default();
    plan.add("sg-1", &[], &["in 22/tcp 10.0.0.0/8"]);
    plan.execute(&open(&path).unwrap(), 1).await;
    let written = read();
    assert_eq!(written["earlier"][0]["groups"][0]["rules"], json!([]));
    assert_ne!(written["faults"]["seed"], json!(7));
    let rules = async || observe(&open(&path).unwrap(), &[("one", None)]).await.0.groups[0].rules.len();
    assert_eq!(rules().await, 0);
    assert!(read().get("earlier").is_none());
    assert_eq!(rules().await, 1);
}
