//! Several files are one inventory.

use super::*;

const PEERS: &str = "version: 1\nowner: platform\npeers:\n  office: { cidrs: [198.51.100.7] }\n";

fn cluster_file(owner: &str, name: &str) -> String {
    format!(
        "version: 1\nowner: {owner}\nnetworks:\n  eu: {{ aws: {{ region: eu-west-1 }} }}\nclusters:\n  {name}:\n    \
         network: eu\n    profile: downstream-node-pools\n    rancher_version: \"2.4\"\n    groups:\n      \
         all: {{ roles: [worker] }}\n    rules:\n      - {{ from: office, to: all, allow: [22/tcp], why: repairs }}\n"
    )
}

/// The one error of `b.yaml`, given beside `a.yaml`; `«…»` is what is underlined.
fn check_second(a: &str, b: &str, message: &str, help: &str) -> Problem {
    let (b, at) = unmark(b);
    let problems = read_files(&[source("a.yaml", a), source("b.yaml", &b)]).expect_err("an error");
    let errors: Vec<&Problem> = problems.iter().filter(|problem| !problem.is_warning()).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    check(errors[0], &at, message, help);
    assert_eq!(errors[0].path(), "b.yaml");
    errors[0].clone()
}

#[test]
fn a_peer_of_one_file_serves_the_clusters_of_another() {
    let files = [source("a.yaml", cluster_file("platform", "prod")), source("b.yaml", PEERS)];
    let inventory = read_files(&files).expect("right").inventory;
    assert!(inventory.clusters["prod"].peers.contains_key("office"));
}

#[test]
fn the_same_definition_twice_is_one() {
    let text = cluster_file("platform", "prod");
    let files = [source("a.yaml", &text), source("b.yaml", &text), source("c.yaml", PEERS)];
    assert_eq!(read_files(&files).expect("right").inventory.clusters.len(), 1);
}

#[test]
fn a_cluster_defined_twice_and_differently() {
    let a = format!("{}{}", cluster_file("platform", "prod"), "peers: { office: { cidrs: [198.51.100.7] } }\n");
    let b = a.replace("22/tcp", "23/tcp").replace("  prod:", "  «prod»:");
    let problem =
        check_second(&a, &b, "cluster `prod` is defined twice, and differently", "make the two equal, or remove one");
    let shown: Vec<String> = miette::Diagnostic::related(&problem).expect("related").map(|d| d.to_string()).collect();
    assert_eq!(shown, ["the other definition"]);
}

#[test]
fn a_network_defined_twice_and_differently() {
    let b = "version: 1\nnetworks:\n  «lab»: { simulated: { state: other.json } }\n";
    check_second(WHOLE, b, "network `lab` is defined twice, and differently", "make the two equal");
}

#[test]
fn a_path_in_another_folder_is_another_path() {
    let text = "version: 1\nnetworks:\n  lab: { simulated: { state: cloud.json } }\n";
    assert!(read_files(&[source("x/a.yaml", text), source("x/b.yaml", text)]).is_ok());
    assert!(read_files(&[source("x/a.yaml", text), source("y/b.yaml", text)]).is_err());
}

#[test]
fn two_owners() {
    let b = "version: 1\nowner: «payments»\n";
    check_second(WHOLE, b, "the owner is `payments` here and `platform` there", "one owner's inventory");
}

#[test]
fn a_file_without_owner_takes_the_others() {
    let files = [
        source("a.yaml", PEERS.replace("owner: platform\n", "")),
        source("b.yaml", "version: 1\nowner: x\nnetworks: { lab: { simulated: { state: cloud.json } } }\n"),
    ];
    assert_eq!(read_files(&files).expect("right").inventory.owner.as_str(), "x");
}

#[test]
fn errors_of_all_files_come_at_once() {
    let files =
        [source("a.yaml", "version: 2\n"), source("b.yaml", "version: 1\nowner: X\n"), source("c.yaml", "a: [")];
    let problems = read_files(&files).expect_err("errors");
    let at: Vec<&str> = problems.iter().map(Problem::path).collect();
    assert_eq!(at, ["a.yaml", "b.yaml", "c.yaml"]);
}

#[test]
fn a_broken_file_makes_no_unknown_names_elsewhere() {
    let files = [source("a.yaml", cluster_file("platform", "prod")), source("b.yaml", "peers: [")];
    let problems = read_files(&files).expect_err("an error");
    assert_eq!(problems.iter().map(Problem::path).collect::<Vec<_>>(), ["b.yaml"]);
}

#[test]
fn a_wrong_line_of_a_named_file_is_shown_in_that_file() {
    let problems = read(changed("./office.txt", "lists/spoilt.txt")).expect_err("an error");
    let problem = problems.iter().find(|problem| !problem.is_warning()).expect("an error");
    assert_eq!(problem.message(), "`198.51.100.777/32` is not an address range");
    assert_eq!((problem.path(), problem.line(), problem.column()), ("lists/spoilt.txt", 2, 3));
}
