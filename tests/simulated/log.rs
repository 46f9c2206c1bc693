//! What stderr gets: how much of it, and as lines for people or objects for programs.

use serde_json::{Value, json};

use crate::cloud::NODES;
use crate::support::{Ran, Scene};

/// Every line of stderr, each an object with what log collectors ask for.
#[track_caller]
fn objects(ran: &Ran) -> Vec<Value> {
    let object = |line: &str| -> Value {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "target", "message"] {
            assert!(object[key].is_string(), "no {key} in {line}");
        }
        object
    };
    ran.stderr.lines().map(object).collect()
}

/// The messages and help of those with this code.
fn told<'a>(objects: &'a [Value], code: &str) -> Vec<(&'a str, &'a str)> {
    let of_code = objects.iter().filter(|object| object["code"] == code);
    of_code.map(|o| (o["message"].as_str().unwrap(), o["help"].as_str().unwrap_or_default())).collect()
}

/// A cloud whose first call that adds rules goes wrong for good.
fn refusing() -> Scene {
    let scene = Scene::new(NODES);
    let faults = json!({ "schedule": [{ "kind": "AuthorizeSecurityGroupIngress", "fault": "denied" }] });
    scene.write("cloud.json", json!({ "version": 1, "faults": faults }).to_string());
    scene
}

#[test]
fn every_line_for_programs_is_an_object() {
    let scene = Scene::new(NODES);
    let ran = scene.run(&["apply", "--log-format", "json", "-vv"]).exits(0).says("Applied in");
    let objects = objects(&ran);
    let calls: Vec<&Value> = objects.iter().filter(|object| object["target"] == "rsgsync_simulated::store").collect();
    assert!(calls.iter().any(|call| call["kind"] == "CreateSecurityGroup" && call["level"] == "INFO"), "{calls:?}");
    assert!(told(&objects, "step").contains(&("lab create group rancher-nodes: done", "")), "{objects:?}");
    let journal = objects.iter().find(|object| object["code"] == "journal").unwrap();
    assert!(std::path::Path::new(journal["journal"].as_str().unwrap()).is_file(), "{journal}");
}

#[test]
fn an_error_for_programs_has_code_message_help_and_place() {
    let text = NODES.replace("    profile:", "    profil: x\n    profile:");
    let ran = Scene::new(&text).run(&["plan", "--log-format", "json"]).exits(1);
    let objects = objects(&ran);
    let error = objects.first().unwrap();
    assert_eq!(
        (objects.len(), &error["level"], &error["code"]),
        (1, &json!("ERROR"), &json!("inventory::unknown-key"))
    );
    assert_eq!((&error["file"], &error["line"], &error["column"]), (&json!("cluster.yaml"), &json!(8), &json!(5)));
    assert!(
        error["message"].as_str().unwrap().contains("profil") && error["help"].as_str().unwrap().contains("profile")
    );
}

#[test]
fn a_run_that_stops_tells_programs_what_is_left() {
    let ran = refusing().run(&["apply", "--log-format", "json"]).exits(3);
    let objects = objects(&ran);
    assert!(told(&objects, "cloud").iter().any(|(message, _)| message.contains("rancher-nodes")), "{objects:?}");
    let (left, help) = told(&objects, "left")[0];
    assert!(left.contains("left") && help.starts_with("apply again"), "{left}: {help}");
    assert!(objects.iter().filter(|o| o["code"] == "left" || o["code"] == "cloud").all(|o| o["level"] == "ERROR"));
}

#[test]
fn misuse_is_an_object_too() {
    for arguments in
        [&["plan", "--log-format", "json", "--nonsense"], &["plan", "--nonsense", "--quiet", "--log-format=json"]]
    {
        let ran = Scene::new(NODES).run(&arguments[..]).exits(1);
        let objects = objects(&ran);
        assert_eq!(told(&objects, "usage").len(), 1, "{objects:?}");
        assert!(told(&objects, "usage")[0].0.contains("--nonsense"), "{objects:?}");
    }
}

#[test]
fn the_variable_says_it_and_the_flag_wins() {
    let mut scene = refusing();
    scene.set("RSGSYNC_LOG_FORMAT", "json");
    objects(&scene.run(&["apply"]).exits(3));
    objects(&scene.run(&["plan", "--nonsense"]).exits(1));
    let text = scene.run(&["plan", "--log-format", "text", "--format", "xml"]).exits(1);
    assert!(text.stderr.starts_with("error: "), "{}", text.stderr);
    scene.set("RSGSYNC_LOG_FORMAT", "xml");
    scene.run(&["plan"]).exits(1).complains("--log-format").complains("[possible values: text, json]");
}

#[test]
fn reports_do_not_depend_on_how_stderr_is_written() {
    let run = |format| Scene::new(NODES).run(&["plan", "--log-format", format]).exits(0).stdout;
    assert_eq!(run("json"), run("text"));
}

#[test]
fn v_shows_each_call_and_vv_every_detail() {
    let levels = |flags: &[&str]| {
        let ran = Scene::new(NODES).run(&[&["plan", "--log-format", "json"], flags].concat()).exits(0);
        let of_clouds = objects(&ran).into_iter().filter(|o| o["target"].as_str().unwrap().starts_with("rsgsync_"));
        of_clouds.map(|o| o["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(levels(&[]), [""; 0]);
    assert_eq!(levels(&["-v"]), ["call"]);
    assert_eq!(levels(&["-vv"]), ["call"]);
    let ran = throttled().run(&["apply", "-v"]).exits(0);
    assert!(!ran.stderr.contains("DEBUG"), "{}", ran.stderr);
    throttled().run(&["apply", "-vv"]).exits(0).complains("DEBUG trying again");
}

/// A cloud that asks to slow down once.
fn throttled() -> Scene {
    let scene = Scene::new(NODES);
    let faults = json!({ "schedule": [{ "kind": "CreateSecurityGroup", "fault": "throttle", "retry_after_ms": 1 }] });
    scene.write("cloud.json", json!({ "version": 1, "faults": faults }).to_string());
    scene
}

#[test]
fn q_leaves_errors_and_the_way_back() {
    let doubtful = NODES.replace("    rancher_version: \"2.4\"\n", "");
    let scene = Scene::new(&doubtful);
    assert!(scene.run(&["plan"]).exits(0).stderr.contains("warning") || scene.run(&["plan"]).stderr.contains('⚠'));
    assert_eq!(scene.run(&["apply", "-q"]).exits(0).stderr, "");
    let ran = refusing().run(&["apply", "-q"]).exits(3).complains("error: step").complains("journal: ");
    assert!(!ran.stderr.contains("done\n"), "{}", ran.stderr);
    scene.run(&["plan", "-q", "-v"]).exits(1).complains("cannot be used with");
}

#[test]
fn rust_log_overrides_the_flags() {
    let mut scene = Scene::new(NODES);
    scene.set("RUST_LOG", "off");
    assert!(!scene.run(&["plan", "-vv"]).exits(0).stderr.contains("call"));
    scene.set("RUST_LOG", "rsgsync_simulated=info");
    scene.run(&["plan", "-q"]).exits(0).complains("call");
    scene.set("RUST_LOG", "rsgsync=loud");
    scene.run(&["plan"]).exits(0).complains("RUST_LOG is set aside").complains("help: ");
}
