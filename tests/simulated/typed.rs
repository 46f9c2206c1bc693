//! Every command that README and docs tell to type is typed into a shell, on simulated clouds.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cloud;
use crate::guide::{driver, simulated, with_load_balancer};
use crate::init::{QUICKSTART, state, unmarked};
use crate::support::Scene;

/// With what a command begins.
const BEGINNINGS: [&str; 9] =
    ["rsgsync ", "cargo ", "bash ", "source ", "jq ", "echo ", "out=$(", "text=$(", "localstack/"];

/// What needs more than a simulated cloud: by page and beginning, and the file that does it.
const ELSEWHERE: [(&str, &str, &str); 12] = [
    ("docs/adopting.md", "rsgsync init kubeconfig", "tests/kubernetes/main.rs"),
    ("docs/openstack.md", "rsgsync destroy --yes", "tests/openstack/cascade.rs"),
    ("README.md", "out=$(localstack/up aws)", "tests/run.sh"),
    ("README.md", "out=$(localstack/up gcp)", "tests/run.sh"),
    ("README.md", "localstack/down aws", "tests/run.sh"),
    ("README.md", "bash tests/run.sh", "tests/run.sh"),
    ("README.md", "cargo install --path . --locked", "Cargo.lock"),
    ("docs/benchmarks.md", "bash benches/run.sh", "benches/run.sh"),
    ("docs/scale.md", "cargo bench --no-default-features --bench scale", "benches/scale.rs"),
    ("localstack/README.md", "out=$(localstack/up ", "tests/run.sh"),
    ("localstack/README.md", "localstack/down ", "tests/run.sh"),
    ("localstack/README.md", "rsgsync plan --inventory inventory.yaml", "tests/aws/main.rs"),
];

/// What stands in place of a cloud that `init` reads: its groups are as somebody made them by hand.
const BY_HAND: &str = "simulated: { state: by-hand.json }";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The commands of a page: lines that are set off by four spaces, outside fences. One that ends in `\` goes on.
fn commands(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap().replace("\\\n", "");
    let prose = text.split("```").step_by(2).flat_map(str::lines);
    let set_off = prose.filter_map(|line| line.strip_prefix("    "));
    let bare = set_off.map(|line| line.trim_start_matches("$ ").trim_start_matches("17 * * * *  "));
    bare.filter(|line| BEGINNINGS.iter().any(|word| line.starts_with(word))).map(str::to_owned).collect()
}

/// The pages that tell something to type: all but those that the program wrote.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_str().unwrap()));
    let written = ["docs/cli.md", "docs/ports.md"];
    let mut pages: Vec<String> = docs.filter(|page| page.ends_with(".md") && !written.contains(&&**page)).collect();
    pages.extend(["README.md".to_owned(), "localstack/README.md".to_owned()]);
    pages.sort();
    pages
}

/// The repository as a reader has it, with files for clouds. `cluster.yaml` is the first example, applied once.
fn folder() -> Scene {
    let scene = Scene::new(&QUICKSTART.replace("quickstart-cloud.json", "cloud.json"));
    scene.run(&["apply"]).exits(0);
    scene.run(&["plan", "--out", "plan.json"]).exits(0);
    scene.write("by-hand.json", by_hand());
    copy_examples(&scene, "examples");
    scene.write("examples/eu.json", with_load_balancer());
    scene.write("examples/shared-nodes/ec2.json", driver());
    let terraform = state(4).to_string().replace("\"k-", "\"prod-");
    scene.write("terraform.tfstate", &terraform);
    scene.write("state.json", &terraform);
    scene
}

/// The three groups of the first example's `prod` as somebody made them by hand: guessing more takes long.
fn by_hand() -> String {
    let mut cloud = cloud::state(&unmarked());
    let groups = cloud["groups"].as_array_mut().unwrap();
    groups.retain(|group| group["name"].as_str().unwrap().starts_with("prod-"));
    for group in groups {
        let rules = group["rules"].as_array_mut().unwrap();
        rules.retain(|rule| rule["peer"]["security_group"] != "rancher-server");
    }
    cloud.to_string()
}

fn copy_examples(scene: &Scene, folder: &str) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let name = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
        if root().join(&name).is_dir() {
            copy_examples(scene, &name);
        } else if name.ends_with(".yaml") {
            scene.write(&name, simulated(&fs::read_to_string(root().join(&name)).unwrap()));
        }
    }
}

/// A command as it can be typed in the scene: its clouds are files, its journal is one that is there, and nobody is asked.
fn here(command: &str, scene: &Scene, number: usize) -> String {
    let bare = command.split("  #").next().unwrap().trim_end();
    let journal = scene.journals()[0].display().to_string();
    let parts = bare.split('\'').map(|part| {
        let is_cloud = ["aws: {", "gcp: {", "openstack: {", "simulated: {"].iter().any(|word| part.starts_with(word));
        if is_cloud { BY_HAND } else { part }
    });
    let mut line = parts.collect::<Vec<_>>().join("'").replace("/etc/rsgsync/", "");
    line = line.replace("cargo run --no-default-features --", "rsgsync").replace("FILE", &journal);
    if line.starts_with("rsgsync rollback ~") {
        line = format!("rsgsync rollback {journal}");
    }
    if line.starts_with("rsgsync init") && !line.contains("--out") {
        line += &format!(" --out new-{number}.yaml");
    }
    if line.starts_with("rsgsync init terraform") {
        line += &format!(" --network '{BY_HAND}'");
    }
    if line.starts_with("rsgsync rollback") || line.starts_with("rsgsync destroy") {
        line += " --yes";
    }
    line
}

/// The exit codes that a page lets expect.
fn expected(command: &str) -> &'static [i32] {
    match command.split_once("exit code ") {
        Some((_, code)) if code.starts_with("137") => &[137],
        Some((_, code)) => panic!("exit code {code}"),
        None if command.contains("rsgsync drift") => &[0, 2],
        None => &[0],
    }
}

fn is_installed(tool: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap().status.success()
}

#[test]
fn every_command_of_the_pages_runs() {
    let (mut typed, mut left) = (0, vec![false; ELSEWHERE.len()]);
    for page in pages() {
        let commands = commands(&page);
        if commands.is_empty() {
            continue;
        }
        let scene = folder();
        for (number, command) in commands.iter().enumerate() {
            let elsewhere = |(on, start, _): &(&str, &str, &str)| *on == page && command.starts_with(start);
            if let Some(place) = ELSEWHERE.iter().position(elsewhere) {
                assert!(root().join(ELSEWHERE[place].2).is_file(), "{}", ELSEWHERE[place].2);
                left[place] = true;
                continue;
            }
            if command.starts_with("jq ") && !is_installed("jq") {
                continue;
            }
            let ran = scene.shell(&here(command, &scene, number));
            let code = ran.code.unwrap_or(-1);
            assert!(
                expected(command).contains(&code),
                "{page}: {command}: exit code {code}\n{}{}",
                ran.stdout,
                ran.stderr
            );
            typed += 1;
        }
    }
    assert!(typed > 50, "only {typed} commands were typed");
    let unused: Vec<_> = ELSEWHERE.iter().zip(left).filter(|(_, left)| !left).collect();
    assert!(unused.is_empty(), "no page has these: {unused:?}");
}
