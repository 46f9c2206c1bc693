//! Bad input of every kind: one clear error that says where it is and the way out, and no call.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cloud::{NODES, calls, scene, tcp, with_groups};

/// The line and column of the `«` in a text, from 1, and the text without it.
#[track_caller]
fn marked(text: &str) -> (usize, usize, String) {
    let at = text.find('«').expect("a mark");
    let before = &text[..at];
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (before.matches('\n').count() + 1, column, text.replacen('«', "", 1))
}

/// Applies an inventory, which must be refused at the `«` with this message and way out, before any call.
#[track_caller]
fn assert_refused(text: &str, message: &str, way_out: &str) {
    let (line, column, text) = marked(text);
    let place = format!("[cluster.yaml:{line}:{column}]");
    assert_bytes_refused(text.as_bytes(), &[&place, message, "help: ", way_out]);
}

#[track_caller]
fn assert_bytes_refused(inventory: &[u8], parts: &[&str]) {
    let scene = scene("");
    scene.write("cluster.yaml", inventory);
    let ran = scene.run(&["apply"]).exits(1);
    // Long messages are wrapped.
    let told = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(told.contains(part), "`{part}` is not in\n{}", ran.stderr);
    }
    for word in ["panicked", "RUST_BACKTRACE", "\u{1b}"] {
        assert!(!ran.stderr.contains(word), "`{word}` is in\n{}", ran.stderr);
    }
    assert_eq!(ran.stdout, "");
    assert_eq!(calls(&ran), [""; 0]);
    assert_eq!(scene.read("cloud.json"), None);
}

fn changed(from: &str, to: &str) -> String {
    assert_eq!(NODES.matches(from).count(), 1, "{from}");
    NODES.replace(from, to)
}

fn with_rule(rule: &str) -> String {
    format!("{NODES}    rules:\n      - {{ {rule} }}\n")
}

#[test]
fn an_unknown_key() {
    assert_refused(&changed("    profile:", "    «profil: x\n    profile:"), "unknown key: `profil`", "`profile`");
}

#[test]
fn a_wrong_type() {
    assert_refused(&changed("[etcd, controlplane, worker]", "[«3]"), "must be a", "");
}

#[test]
fn a_port_above_65535() {
    let text = with_rule("from: 192.0.2.0/24, to: all, allow: [«70000/tcp], why: x");
    assert_refused(&text, "70000", "65535");
}

#[test]
fn a_reversed_range() {
    assert_refused(
        &with_rule("from: 192.0.2.0/24, to: all, allow: [«9000-8000/tcp], why: x"),
        "9000-8000 is reversed",
        "`30000-32767/tcp+udp`",
    );
}

#[test]
fn host_bits_are_a_warning_and_the_canonical_form_is_used() {
    let scene = scene(&with_rule("from: 192.0.2.77/24, to: all, allow: [9797/tcp], why: x"));
    let column = "      - { from: ".len() + 1;
    let place = format!("cluster.yaml:{}:{column}", NODES.lines().count() + 2);
    scene.run(&["apply"]).exits(0).says("192.0.2.0/24").complains(&place).complains("192.0.2.0/24");
    assert!(crate::cloud::rules_of(&scene, "rancher-nodes").contains(&"in 9797/tcp 192.0.2.0/24".to_owned()));
}

#[test]
fn an_unknown_role() {
    assert_refused(&changed("[etcd,", "[«etdc,"), "unknown role: `etdc`", "did you mean `etcd`?");
}

#[test]
fn an_unknown_profile() {
    let text = changed("profile: rancher-nodes-ec2-sg", "profile: «rancher-nodes-ec2");
    assert_refused(&text, "unknown profile: `rancher-nodes-ec2`", "did you mean `rancher-nodes-ec2-sg`?");
}

#[test]
fn an_unknown_option() {
    let text = changed("    groups:", "    options: { «cnl: canal }\n    groups:");
    assert_refused(&text, "unknown option: `cnl`", "did you mean `cni`?");
}

#[test]
fn an_unknown_network() {
    assert_refused(&changed("network: lab", "network: «lap"), "unknown network: `lap`", "did you mean `lab`?");
}

#[test]
fn an_unknown_group() {
    let text = with_rule("from: 192.0.2.0/24, to: «al, allow: [9797/tcp], why: x");
    assert_refused(&text, "`al`", "did you mean `all`?");
}

#[test]
fn a_key_twice() {
    assert_refused(
        &changed("owner: platform", "owner: platform\n«owner: sales"),
        "`owner` stands here twice",
        "remove",
    );
}

#[test]
fn a_section_twice() {
    let text = with_rule("from: home, to: all, allow: [9797/tcp], why: x")
        + "peers:\n  office: { cidrs: [192.0.2.0/24] }\n«peers:\n  home: { cidrs: [198.51.100.0/24] }\n";
    assert_refused(&text, "the key `peers` stands here twice", "put what is below both under one of them");
    let ran = scene(&text.replace('«', "")).run(&["validate"]).exits(1);
    assert!(!ran.stderr.contains("`home`"), "{}", ran.stderr);
}

#[test]
fn a_tab_as_indentation() {
    let text = changed("    network: lab", "«\tnetwork: lab");
    assert_refused(&text, "a tab stands in the indentation", "YAML indents with spaces");
}

#[test]
fn a_comma_in_a_text_without_quotes() {
    assert_refused(
        &with_rule("from: 192.0.2.0/24, to: all, allow: [9797/tcp], why: metrics, «read by the office"),
        "unknown key: `read by the office`",
        "write `why: \"metrics, read by the office\"` for one text",
    );
}

#[test]
fn a_version_without_quotes() {
    assert_refused(&changed("\"2.4\"", "«2.4"), "must be a quoted text", "write \"2.4\"");
}

#[test]
fn an_empty_file() {
    assert_refused("«", "the file is empty", "version: 1");
}

#[test]
fn bytes_that_are_no_text() {
    assert_bytes_refused(b"version: 1\nowner: \xff\xfe\n", &["[cluster.yaml:2:8]", "not UTF-8", "help: "]);
}

#[test]
fn a_program() {
    assert_bytes_refused(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0", &["[cluster.yaml:1:1]"]);
}

#[test]
fn nesting_of_100_000_levels() {
    let deep = format!("{NODES}x-deep: {}", "[".repeat(100_000));
    assert_bytes_refused(deep.as_bytes(), &["cluster.yaml:12:", "nested too deeply", "help: "]);
}

#[test]
fn an_alias_bomb() {
    let mut text = format!("{NODES}x-0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..20 {
        let _ = writeln!(text, "x-{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 9].join(", "));
    }
    assert_bytes_refused(text.as_bytes(), &["cluster.yaml:1", "aliases make the file grow too much", "help: "]);
}

#[test]
fn a_name_that_the_cloud_refuses_is_refused_before_any_call() {
    let scene = scene(&NODES.replace("security_group: rancher-nodes", "security_group: sg-web"));
    scene.run(&["apply"]).exits(1).complains("`sg-web`").complains("sg-*").complains("spelling");
    assert_eq!(scene.read("cloud.json"), None);
}

#[test]
fn all_errors_come_at_once() {
    let text = changed("network: lab", "network: lap").replace("[etcd,", "[etdc,");
    assert_bytes_refused(text.as_bytes(), &["unknown network: `lap`", "unknown role: `etdc`"]);
}

#[test]
fn an_error_names_the_file_of_several() {
    let scene = scene(NODES);
    scene.write("more.yaml", "version: 1\nowner: platform\npeers:\n  office: { cidr: 192.0.2.0/24 }\n");
    scene.run(&["validate", "-i", "cluster.yaml", "-i", "more.yaml"]).exits(1).complains("more.yaml:4:13");
}

// The state file.

/// Applies onto a state file that is none, which must be refused with the file's name, these words, and untouched.
#[track_caller]
fn assert_state_refused(state: &str, parts: &[&str]) {
    let scene = scene(NODES);
    scene.write("cloud.json", state);
    let mut ran = scene.run(&["apply"]).exits(1).complains("cloud.json").complains("help: ");
    for part in parts {
        ran = ran.complains(part);
    }
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    assert_eq!(calls(&ran), [""; 0]);
    assert_eq!(scene.read("cloud.json").unwrap(), state.as_bytes());
}

#[test]
fn a_state_file_that_is_no_json() {
    let way_out = "correct it (docs/simulated.md has the keys)";
    assert_state_refused("{ \"version\": 1,\n  \"groups\": [ }", &["line 2, column 15", way_out]);
    assert_state_refused("", &["line 1", way_out]);
}

#[test]
fn a_state_file_of_another_version() {
    assert_state_refused("{ \"version\": 2 }", &["`version` is 2"]);
}

#[test]
fn a_state_file_with_an_unknown_key() {
    assert_state_refused("{ \"version\": 1, \"gruops\": [] }", &["line 1", "gruops"]);
}

#[test]
fn a_state_file_with_the_same_group_twice() {
    let group = |id: &str| json!({ "id": id, "name": "twin" });
    assert_state_refused(&with_groups(json!([group("sg-1"), group("sg-2")])), &["groups[1].name", "`twin`"]);
}

#[test]
fn a_state_file_with_escape_sequences_in_a_description() {
    let group = json!({ "id": "sg-1", "name": "x", "description": "a\u{1b}[2Jb" });
    assert_state_refused(&with_groups(json!([group])), &["groups[0].description"]);
}

#[test]
fn a_state_file_whose_folder_is_not_there() {
    let scene = scene(&NODES.replace("cloud.json", "nowhere/cloud.json"));
    scene.run(&["plan"]).exits(1).complains("nowhere").complains("its folder must exist");
}

// What a terminal would carry out.

fn group_with(rule: Value) -> String {
    let tags = json!({ "rsgsync:platform/nodes": "made" });
    with_groups(json!([{ "id": "sg-1", "name": "rancher-nodes", "tags": tags, "rules": [rule] }]))
}

#[test]
fn escape_sequences_from_a_cloud_reach_no_terminal() {
    let scene = scene(NODES);
    let mut rule = tcp(9000, "192.0.2.0/24");
    rule["peer"] = json!({ "prefix_list": "pl-\u{1b}[2J" });
    scene.write("cloud.json", group_with(rule));
    for command in [&["plan"][..], &["drift"], &["plan", "--color", "never"], &["apply", "--max-removals", "1"]] {
        let ran = scene.run(command);
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{command:?}: {ran:?}");
    }
}

#[test]
fn escape_sequences_from_a_cloud_are_shown() {
    let scene = scene(NODES);
    let mut rule = tcp(9000, "192.0.2.0/24");
    rule["peer"] = json!({ "prefix_list": "pl-\u{1b}[2J" });
    scene.write("cloud.json", group_with(rule));
    scene.run(&["plan"]).exits(0).says("pl-\\u{1b}[2J");
}

#[test]
fn escape_sequences_from_an_inventory_reach_no_terminal() {
    let scene = scene(&with_rule("from: 192.0.2.0/24, to: all, allow: [9797/tcp], why: \"a\\e[2Jb\""));
    let ran = scene.run(&["plan"]).exits(0).says("a\\u{1b}[2Jb");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'));
    assert_bytes_refused(changed("[etcd,", "[\"\\e[2J\",").as_bytes(), &["unknown role"]);
}

#[test]
fn an_inventory_of_nothing_is_never_in_sync() {
    let scene = scene("version: 1\n");
    for command in ["validate", "plan", "apply", "drift"] {
        scene.run(&[command]).exits(1).complains("no networks and no clusters").complains("`clusters:`");
    }
}
