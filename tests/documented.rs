//! What README, docs and examples tell people to type is what the program takes; the examples are valid, the messages real, and
//! permissions are those of the calls made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder of the repository, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The words of a command: what stands between single quotes is one.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            let bare = part.split_whitespace().map(|word| word.trim_matches('"')).filter(|word| !word.is_empty());
            words.extend(bare.map(str::to_owned));
        }
    }
    words
}

/// The arguments of every `rsgsync` that a text tells to run: what is set off as code, or runs in a file.
fn commands(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).expect("a text");
    let prose = path.extension().is_some_and(|extension| extension == "md");
    let told = text.lines().filter(|line| !prose || line.starts_with("    "));
    let arguments = told.filter_map(|line| {
        let before = ["", "$ ", "- ", "- run: ", "#   ", "ExecStart=/usr/bin/", "text=$(", "17 * * * *  "];
        let line = line.trim_start();
        let command = before.iter().find_map(|prefix| line.strip_prefix(prefix)?.strip_prefix("rsgsync "))?;
        let end = [" >", " 2>", " |", " #", ")", "     ("].iter().filter_map(|mark| command.find(mark)).min();
        Some(words(&command[..end.unwrap_or(command.len())]))
    });
    arguments.collect()
}

/// The pages that people wrote.
fn pages() -> Vec<PathBuf> {
    let written = ["cli.md", "ports.md"];
    let docs = files("docs").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let docs = docs.filter(|path| !written.iter().any(|page| path.ends_with(page)));
    docs.chain(["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "localstack/README.md"].map(|page| root().join(page)))
        .collect()
}

/// What stands between backticks in the prose of a page.
fn inline(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a page");
    let prose: String = text.split("```").step_by(2).collect();
    prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_command_in_the_prose_is_one_that_the_program_takes() {
    let mut tried = 0;
    for path in pages() {
        for code in inline(&path) {
            let Some(command) = code.strip_prefix("rsgsync ") else { continue };
            let command = command.split(" >").next().unwrap_or_default();
            Command::cargo_bin("rsgsync")
                .expect("the program is built")
                .args(words(command))
                .arg("--help")
                .assert()
                .success();
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried} commands were found");
}

/// Flags that pages tell of other programs.
const OF_OTHERS: [&str; 13] = [
    "--access-rules",
    "--bench",
    "--emulators",
    "--features",
    "--file",
    "--idle",
    "--json",
    "--no-default-features",
    "--openstack-sec-groups",
    "--peers",
    "--sizes",
    "--start",
    "--workspace",
];

#[test]
fn every_flag_in_the_prose_is_one_of_the_program() {
    let reference = fs::read_to_string(root().join("docs/cli.md")).expect("a page");
    let of_the_program: BTreeSet<&str> = reference.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    let mut of_others = BTreeSet::new();
    for path in pages() {
        let code = inline(&path).join(" ");
        let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| word.len() > 2);
        for flag in words.filter(|word| word.starts_with("--")) {
            if OF_OTHERS.contains(&flag) {
                of_others.insert(flag.to_owned());
            } else {
                assert!(of_the_program.contains(flag), "{}: {flag}", path.display());
            }
        }
    }
    assert_eq!(of_others, OF_OTHERS.map(str::to_owned).into());
}

/// What a heading is called in a link, as forges make it of its text.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c)).collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let headings = |path: &Path| {
        let text = fs::read_to_string(path).expect("a page");
        let lines = text.lines().filter_map(|line| line.strip_prefix('#'));
        lines.map(|line| anchor(line.trim_start_matches('#').trim())).collect::<BTreeSet<_>>()
    };
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            assert!(heading.is_empty() || headings(&target).contains(heading), "{}: {link}", page.display());
            followed += 1;
        }
    }
    assert!(followed > 60, "only {followed} links were found");
}

#[test]
fn every_command_that_is_told_is_one_that_the_program_takes() {
    let texts = [vec![root().join("README.md"), root().join("src/args.rs")], files("docs"), files("examples")].concat();
    let mut tried = 0;
    for path in texts {
        for arguments in commands(&path) {
            // `--help` last: what stands before it is parsed first.
            let mut command = Command::cargo_bin("rsgsync").expect("the program is built");
            let output = command.args(&arguments).arg("--help").output().expect("it runs");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: rsgsync {}: {errors}", path.display(), arguments.join(" "));
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried} commands were found");
}

/// Whether a command asks no cloud.
fn is_offline(arguments: &[String]) -> bool {
    let offline = ["validate", "matrix", "profile"];
    offline.contains(&arguments[0].as_str()) || arguments.iter().any(|argument| argument == "--desired")
}

#[test]
#[cfg_attr(not(all(feature = "aws", feature = "gcp", feature = "openstack")), ignore = "this build lacks a provider")]
fn what_the_guide_tells_to_run_without_a_cloud_works_as_it_stands() {
    let told = commands(&root().join("docs/guide.md"));
    let offline: Vec<_> = told.into_iter().filter(|arguments| is_offline(arguments)).collect();
    assert!(offline.len() > 6, "only {} commands were found", offline.len());
    for arguments in offline {
        Command::cargo_bin("rsgsync").expect("it is built").current_dir(root()).args(arguments).assert().success();
    }
}

#[test]
#[cfg_attr(not(all(feature = "aws", feature = "gcp", feature = "openstack")), ignore = "this build lacks a provider")]
fn every_inventory_of_the_examples_is_valid_and_names_its_schema() {
    let mut tried = 0;
    for path in files("examples") {
        let text = fs::read_to_string(&path).expect("an example");
        if !text.lines().any(|line| line == "version: 1") || !text.lines().any(|line| line == "clusters:") {
            continue;
        }
        let schema = text.strip_prefix("# yaml-language-server: $schema=").and_then(|rest| rest.lines().next());
        let schema = schema.unwrap_or_else(|| panic!("{} names no schema", path.display()));
        assert!(path.with_file_name(schema).is_file(), "{}: there is no {schema}", path.display());
        Command::cargo_bin("rsgsync").expect("it is built").arg("validate").arg("-i").arg(&path).assert().success();
        tried += 1;
    }
    assert!(tried > 6, "only {tried} inventories were found");
}

/// The messages that a page's tables quote in their first columns, in pieces: what differs from case to case is `…`.
fn quoted(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let messages = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).flat_map(|message| message.split('…'));
    let pieces = messages.map(|piece| piece.trim_matches([' ', ',', '.', ':', ';']));
    pieces.filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_messages_of_the_troubleshooting_page_are_those_of_the_program() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).expect("a page");
    let folders = ["src", "core/src", "engine/src", "providers"];
    // A text that goes on in the next line of the source is one text.
    let joined = |text: String| text.split("\\\n").map(str::trim_start).collect::<String>();
    let sources: Vec<String> = folders.into_iter().flat_map(sources).map(joined).collect();
    let of_the_clouds = ["PolicyNotAuthorized"];
    let quoted = quoted(&page);
    assert!(quoted.len() > 100, "only {} pieces were found", quoted.len());
    for piece in quoted.iter().filter(|piece| !of_the_clouds.contains(&piece.as_str())) {
        assert!(sources.iter().any(|source| source.contains(piece.as_str())), "nothing says `{piece}`");
    }
}

#[test]
fn the_containers_run_what_the_program_takes() {
    for path in ["examples/cron/kubernetes.yaml", "docs/fleet.md"] {
        let text = fs::read_to_string(root().join(path)).expect("an example");
        let list = text.lines().find_map(|line| line.trim().strip_prefix("args: [")?.strip_suffix(']'));
        let list = list.expect("arguments").replace("$(JOB_COMPLETION_INDEX)", "0");
        let arguments = list.split(", ").map(|word| word.trim_matches('"'));
        Command::cargo_bin("rsgsync").expect("the program is built").args(arguments).arg("--help").assert().success();
    }
}

/// `ec2:…` in a policy.
fn actions(policy: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("examples/permissions").join(policy)).expect("a policy");
    let policy: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements").iter();
    let actions = statements.flat_map(|statement| match &statement["Action"] {
        serde_json::Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    });
    actions.map(|action| action.as_str().expect("an action").to_owned()).collect()
}

/// The EC2 actions that the provider calls: every method of the SDK's client that its source names.
fn called() -> BTreeSet<String> {
    let verbs = ["describe_", "create_", "delete_", "authorize_", "revoke_", "update_"];
    let nouns = ["security_group", "tags", "vpc", "network_interfaces"];
    let mut called = BTreeSet::new();
    for path in files("providers/aws/src").iter().filter(|path| !path.to_string_lossy().contains("tests")) {
        let text = fs::read_to_string(path).expect("a source");
        for call in text.split('.').skip(1) {
            let Some((name, _)) = call.split_once("()") else { continue };
            if verbs.iter().any(|verb| name.starts_with(verb)) && nouns.iter().any(|noun| name.contains(noun)) {
                let words = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
                called.insert(format!("ec2:{}", words.collect::<String>()));
            }
        }
    }
    called
}

#[test]
fn the_policies_for_aws_allow_the_calls_that_are_made_and_no_other() {
    let (observe, apply) = (actions("aws-observe.json"), actions("aws-apply.json"));
    assert!(observe.iter().all(|action| action.starts_with("ec2:Describe")), "{observe:?}");
    assert!(apply.iter().all(|action| !action.starts_with("ec2:Describe")), "{apply:?}");
    let allowed: BTreeSet<String> = observe.union(&apply).cloned().collect();
    assert_eq!(allowed, called());
    let told = fs::read_to_string(root().join("docs/aws.md")).expect("a guide");
    for action in allowed {
        assert!(told.contains(&action), "docs/aws.md does not tell of {action}");
    }
}

/// What `Call::new(` of a provider is given, up to `end`.
fn calls_in(sources: &[String], end: char) -> impl Iterator<Item = &str> {
    let calls = sources.iter().flat_map(|text| text.split("Call::new(").skip(1));
    calls.filter_map(move |call| call.split_once(end).map(|(given, _)| given))
}

fn sources(provider: &str) -> Vec<String> {
    let files = files(provider).into_iter().filter(|path| !path.to_string_lossy().contains("tests"));
    files.map(|path| fs::read_to_string(path).expect("a source")).collect()
}

/// `GET /v2.0/…` of a list of access rules.
fn access_rules(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("examples/permissions").join(file)).expect("access rules");
    let rules: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let word = |rule: &serde_json::Value, key: &str| rule[key].as_str().expect("a word").to_owned();
    assert!(rules.iter().all(|rule| word(rule, "service") == "network"));
    rules.iter().map(|rule| format!("{} {}", word(rule, "method"), word(rule, "path"))).collect()
}

#[test]
fn the_access_rules_for_openstack_allow_the_calls_that_are_made_and_no_other() {
    let (observe, apply) = (access_rules("openstack-observe.json"), access_rules("openstack-apply.json"));
    assert!(observe.iter().all(|rule| rule.starts_with("GET ")), "{observe:?}");
    assert!(observe.is_subset(&apply));
    let sources = sources("providers/openstack/src");
    let called = calls_in(&sources, '&').chain(calls_in(&sources, ')')).filter_map(|given| {
        let (method, path) = given.strip_prefix("Method::")?.split_once(", \"")?;
        Some(format!("{method} /v2.0{}", path.split_once('"')?.0.replace("{}", "*")))
    });
    assert_eq!(apply, called.collect());
}

/// The permissions that Google's reference names for each method.
const NEEDED: [(&str, &[&str]); 10] = [
    ("firewalls.delete", &["compute.firewalls.delete", "compute.networks.updatePolicy"]),
    ("firewalls.get", &["compute.firewalls.get"]),
    ("firewalls.insert", &["compute.firewalls.create", "compute.networks.updatePolicy"]),
    ("firewalls.list", &["compute.firewalls.list"]),
    ("firewalls.patch", &["compute.firewalls.get", "compute.firewalls.update", "compute.networks.updatePolicy"]),
    ("globalOperations.wait", &["compute.globalOperations.get"]),
    ("instances.aggregatedList", &["compute.instances.list"]),
    ("networks.get", &["compute.networks.get"]),
    ("networks.getEffectiveFirewalls", &["compute.networks.getEffectiveFirewalls"]),
    ("projects.get", &["compute.projects.get"]),
];

fn role(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("examples/permissions").join(file)).expect("a role");
    text.lines().filter_map(|line| line.strip_prefix("  - ")).map(str::to_owned).collect()
}

#[test]
fn the_roles_for_google_cloud_allow_the_calls_that_are_made_and_no_other() {
    let sources = sources("providers/gcp/src");
    let called = calls_in(&sources, ',').filter_map(|given| given.strip_prefix('"')?.strip_suffix('"'));
    assert_eq!(called.collect::<BTreeSet<_>>(), NEEDED.iter().map(|(method, _)| *method).collect());
    let (observe, apply) = (role("gcp-observe.yaml"), role("gcp-apply.yaml"));
    assert!(observe.is_disjoint(&apply));
    let changes = ["create", "update", "delete", "updatePolicy"];
    assert!(observe.iter().all(|permission| !changes.iter().any(|verb| permission.ends_with(verb))), "{observe:?}");
    let needed = NEEDED.iter().flat_map(|(_, permissions)| *permissions).map(|permission| (*permission).to_owned());
    assert_eq!(observe.union(&apply).cloned().collect::<BTreeSet<_>>(), needed.collect());
    let told = fs::read_to_string(root().join("docs/gcp.md")).expect("a guide");
    for (method, _) in NEEDED {
        let (resource, verb) = method.split_once('.').expect("a method");
        assert!(
            told.contains(&format!("`{resource}.")) && told.contains(&format!(".{verb}`")),
            "docs/gcp.md: {method}"
        );
    }
}

/// What `--help` says, with these words before it.
fn help(words: &[&str]) -> String {
    let mut command = Command::cargo_bin("rsgsync").expect("the program is built");
    let output = command
        .args(words)
        .arg("--help")
        .env_remove("RSGSYNC_INVENTORY")
        .env_remove("RSGSYNC_LOG_FORMAT")
        .env("COLUMNS", "80")
        .output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The commands that a help lists.
fn listed(help: &str) -> Vec<&str> {
    let list = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let names = list.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// The help of a command and of all that is below it, as a chapter each.
fn chapters(words: &[&str], out: &mut String) {
    let help = help(words);
    let lines: String = help.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    let title = [&["rsgsync"], words].concat().join(" ");
    out.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", lines.trim_end()));
    for name in listed(&help) {
        chapters(&[words, &[name]].concat(), out);
    }
}

#[test]
fn the_reference_is_what_the_program_says() {
    let mut expected =
        "# Every command and flag\n\nAs `--help` tells it; `rsgsync man` makes manual pages of the same.\n".to_owned();
    chapters(&[], &mut expected);
    assert!(expected.lines().all(|line| line.chars().count() <= 80), "a line of help is wider than 80 columns");
    assert_written("docs/cli.md", &expected);
}

#[test]
fn the_tables_of_ports_are_those_of_the_profiles() {
    let shown = |words: &[&str]| {
        let output = Command::cargo_bin("rsgsync").expect("the program is built").arg("profile").args(words).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    let list: serde_json::Value = serde_json::from_str(&shown(&["list", "--format", "json"])).expect("JSON");
    let list = list.as_array().expect("an array");
    assert!(list.len() > 30, "{} profiles", list.len());
    let mut expected = "# The ports of every profile\n\nAs `rsgsync profile show NAME --format markdown` prints them; \
        how an inventory uses them is in [profiles.md](profiles.md).\n\n"
        .to_owned();
    let names: Vec<&str> = list.iter().map(|profile| profile["name"].as_str().expect("a name")).collect();
    for (name, profile) in names.iter().zip(list) {
        expected.push_str(&format!("- [{name}](#{name}): {}\n", profile["title"].as_str().expect("a title")));
    }
    for name in names {
        let page = shown(&["show", name, "--format", "markdown"]);
        let lines = page.lines().map(|line| if line.starts_with("## ") { format!("#{line}") } else { line.to_owned() });
        expected.push_str(&format!("\n## {name}\n\n{}\n", lines.collect::<Vec<_>>().join("\n").trim_end()));
    }
    assert_written("docs/ports.md", &expected);
}

#[test]
#[cfg_attr(not(all(feature = "aws", feature = "gcp", feature = "openstack")), ignore = "this build lacks a provider")]
fn the_schema_of_inventories_is_what_the_program_prints() {
    let output = Command::cargo_bin("rsgsync").expect("the program is built").arg("schema").output();
    let printed = String::from_utf8(output.expect("it runs").stdout).expect("text");
    assert_written("docs/inventory.schema.json", &printed);
}

/// The keys that the objects of a schema may have.
fn keys_of(schema: &serde_json::Value, all: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        all.extend(properties.keys().cloned());
    }
    let inner = schema.as_object().into_iter().flat_map(|map| map.values());
    inner.chain(schema.as_array().into_iter().flatten()).for_each(|inner| keys_of(inner, all));
}

#[test]
fn every_key_of_an_inventory_is_told() {
    let schema = fs::read(root().join("docs/inventory.schema.json")).expect("a schema");
    let mut keys = BTreeSet::new();
    keys_of(&serde_json::from_slice(&schema).expect("JSON"), &mut keys);
    assert!(keys.len() > 90, "only {} keys", keys.len());
    let page = fs::read_to_string(root().join("docs/inventory.md")).expect("a page");
    let code = page.split('`').skip(1).step_by(2);
    let told: BTreeSet<&str> = code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    for key in keys {
        assert!(told.contains(key.as_str()), "docs/inventory.md does not tell of `{key}`");
    }
}

/// A page of the docs is what the program says; with `RSGSYNC_WRITE_DOCS` it becomes that.
fn assert_written(page: &str, expected: &str) {
    let path = root().join(page);
    if std::env::var_os("RSGSYNC_WRITE_DOCS").is_some() {
        fs::write(&path, expected).expect("a page");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected, "{page} is old: RSGSYNC_WRITE_DOCS=1 cargo test --test documented");
}

/// A flag means the same in every command that has it: it is defined once.
#[test]
fn a_flag_is_told_in_the_same_words_everywhere() {
    let reference = fs::read_to_string(root().join("docs/cli.md")).expect("a page");
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut lines = reference.lines().peekable();
    while let Some(line) = lines.next() {
        let flag = line.trim_start();
        if !flag.starts_with('-') || !line.starts_with("  ") {
            continue;
        }
        let (flag, rest) = flag.split_once("  ").unwrap_or((flag, ""));
        let text = if rest.is_empty() { lines.peek().map_or("", |next| next.trim()) } else { rest.trim() };
        told.entry(flag.to_owned()).or_default().insert(text.to_owned());
    }
    assert!(told.len() > 30, "{} flags", told.len());
    for flag in ["--format <FORMAT>", "-i, --inventory <PATH>", "--settle <SECONDS>", "--concurrency <N>", "-y, --yes"]
    {
        let texts = &told[flag];
        assert_eq!(texts.len(), 1, "{flag}: {texts:?}");
    }
}

#[test]
fn every_test_that_the_answers_name_is_there() {
    let page = fs::read_to_string(root().join("docs/answers.md")).expect("a page");
    let sources = ["tests", "core", "engine", "providers"].map(files).concat();
    let sources = sources.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let all: String = sources.map(|path| fs::read_to_string(path).expect("a text")).collect();
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    for line in &lines {
        let tests = line.rsplit(" | ").next().unwrap_or_default();
        let tests: Vec<&str> = tests.split('`').filter(|name| name.contains('_')).collect();
        assert!(!tests.is_empty(), "{line}");
        for test in tests {
            assert!(all.contains(&format!("fn {test}(")), "there is no test {test}");
        }
    }
    assert_eq!(lines.len(), 19, "what people ask");
}
