//! The user's own profiles and guards.

use super::*;

const OURS: &str = "name: ours\ntitle: Our nodes\nsource: NET-12\nextends: downstream-node-pools@2.4\n\
                    without: [rancher-ssh]\nrows:\n  - id: agent\n    from: [\"peer:office\"]\n    to: [worker]\n    \
                    protocol: tcp\n    ports: [4000]\n    purpose: our agent\n";
const GUARDS: &str = "- name: agent-public\n  traffic: [4000/tcp]\n  why: it runs commands\n  source: NET-12\n";
const INVENTORY: &str = "version: 1\nowner: platform\nprofiles: [./ours.yaml]\nguards: [./guards.yaml]\n\
                         networks: { lab: { simulated: { state: s.json } } }\nclusters:\n  prod:\n    network: lab\n    \
                         profile: ours\n    rancher_version: \"2.4\"\n    groups:\n      \
                         all: { roles: [etcd, controlplane, worker] }\npeers: { office: { cidrs: [10.0.0.0/8] } }\n";

fn with(inventory: &str, ours: &str, guards: &str) -> Result<Parsed, Problems> {
    let (ours, guards) = (ours.to_owned(), guards.to_owned());
    let files = move |path: &Path| match path.to_string_lossy().as_ref() {
        "./ours.yaml" | "ours.yaml" => Ok(ours.clone()),
        "./guards.yaml" | "guards.yaml" => Ok(guards.clone()),
        other => Err(format!("no file {other}")),
    };
    parse(&[source("cluster.yaml", inventory)], &Catalog::shipped(), &PROVIDERS, jiff::civil::date(2027, 1, 1), &files)
}

/// The one error, which is in `path`; `«…»` is what is underlined.
fn check_in(path: &str, inventory: &str, ours: &str, guards: &str, message: &str, help: &str) {
    let marked = [inventory, ours, guards].into_iter().find(|text| text.contains('«')).expect("a mark");
    let (_, at) = unmark(marked);
    let plain = |text: &str| text.replace(['«', '»'], "");
    let problems = with(&plain(inventory), &plain(ours), &plain(guards)).expect_err("an error");
    let errors: Vec<&Problem> = problems.iter().filter(|problem| !problem.is_warning()).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    check(errors[0], &at, message, help);
    assert!(errors[0].path().ends_with(path), "{}", errors[0].path());
}

fn in_ours(old: &str, new: &str, message: &str, help: &str) {
    assert!(OURS.contains(old), "`{old}`");
    check_in("ours.yaml", INVENTORY, &OURS.replacen(old, new, 1), GUARDS, message, help);
}

#[test]
fn a_profile_of_one_s_own_extends_a_shipped_one() {
    let inventory = with(INVENTORY, OURS, GUARDS).expect("right").inventory;
    let profile = &inventory.clusters["prod"].profile;
    assert!(!profile.shipped);
    assert_eq!(profile.rows_named("rancher-ssh").count(), 0);
    let own = profile.rows_named("ours/agent").next().expect("the row is there");
    let inherited = profile.rows_named("ours/rancher-docker-tls").next().expect("the row is there");
    assert_eq!((own.shipped, inherited.shipped), (false, true));
    assert_eq!(&*inherited.label, "ours");
    assert!(profile.fixes.contains_key("provisioner"));
    assert_eq!(profile.rows_named("cni-weave/control").count(), 1);
}

#[test]
fn a_row_with_the_id_of_an_inherited_one_takes_its_place() {
    let ours = OURS.replace("id: agent", "id: etcd-kube-api");
    let inventory = with(INVENTORY, &ours, GUARDS).expect("right").inventory;
    let rows: Vec<_> = inventory.clusters["prod"].profile.rows_named("etcd-kube-api").cloned().collect();
    assert_eq!((rows.len(), rows[0].shipped), (1, false));
}

#[test]
fn guards_of_one_s_own_can_be_waived_by_name() {
    let waived = INVENTORY.replace(
        "    groups:\n",
        "    waive: [{ guard: agent-public, why: tested }, { guard: etcd-vxlan, why: tested }]\n    groups:\n",
    );
    let inventory = with(&waived, OURS, GUARDS).expect("right").inventory;
    assert_eq!(inventory.guards.len(), 1);
    assert_eq!(inventory.clusters["prod"].waive.len(), 2);
}

#[test]
fn a_file_that_two_inventories_name_is_read_once() {
    let peers = "version: 1\nowner: platform\nprofiles: [./ours.yaml]\nguards: ./guards.yaml\n";
    let read = |path: &Path| if path.ends_with("ours.yaml") { Ok(OURS.to_owned()) } else { Ok(GUARDS.to_owned()) };
    let files = [source("a.yaml", INVENTORY), source("b.yaml", peers)];
    let parsed = parse(&files, &Catalog::shipped(), &PROVIDERS, jiff::civil::date(2027, 1, 1), &read);
    assert_eq!(parsed.map(|parsed| parsed.inventory.guards.len()).ok(), Some(1));
}

#[test]
fn a_mistake_in_a_profile_is_shown_where_it_stands() {
    in_ours("to: [worker]", "to: [«wroker»]", "unknown role: `wroker`", "did you mean `worker`?");
    in_ours("\"peer:office\"", "«\"peer:offce\"»", "unknown peer: `offce`", "did you mean `office`?");
    in_ours("purpose: our", "purpose: our agent\n    «nte»: our", "unknown key: `nte`", "did you mean `note`?");
}

#[test]
fn what_a_profile_extends_must_be_there() {
    let help = "did you mean `downstream-node-pools`?";
    in_ours("downstream-node-pools@2.4", "«downstream-node-pool»", "unknown profile: `downstream-node-pool`", help);
    let word = "downstream-node-pools@2.9";
    in_ours("downstream-node-pools@2.4", "«downstream-node-pools@2.9»", &format!("unknown profile: `{word}`"), "@2.");
    in_ours(
        "[rancher-ssh]",
        "[«rancher-shh»]",
        "unknown row of profile `downstream-node-pools@2.4`: `rancher-shh`",
        "did you mean `rancher-ssh`?",
    );
}

#[test]
fn a_profile_can_t_extend_itself_or_take_a_shipped_name() {
    in_ours(
        "downstream-node-pools@2.4\nwithout: [rancher-ssh]",
        "«ours»",
        "`ours` extends itself",
        "one of them must go",
    );
    check_in(
        "ours.yaml",
        &INVENTORY.replace("profile: ours", "profile: rke2"),
        &OURS.replace("name: ours", "name: «rke2»"),
        GUARDS,
        "a profile that ships has the name `rke2`",
        "`extends: rke2` takes its rows",
    );
}

#[test]
fn an_add_on_must_be_a_profile_that_has_ends() {
    let parts = |name: &str| OURS.replace("rows:", &format!("compose: [{{ profile: «{name}» }}]\nrows:"));
    let check =
        |name: &str, message: &str, help: &str| check_in("ours.yaml", INVENTORY, &parts(name), GUARDS, message, help);
    check("cni-calcio", "unknown profile: `cni-calcio`", "did you mean `cni-calico`?");
    check("common-ports", "`common-ports` is a glossary: its rows say nothing about a cluster", "another kind");
}

#[test]
fn a_file_that_is_not_there_or_empty_is_told_where_it_is_named() {
    let inventory = INVENTORY.replace("./ours.yaml", "«./our.yaml»").replace("profile: ours", "profile: rke2");
    check_in("cluster.yaml", &inventory, OURS, GUARDS, "can't read `./our.yaml`: no file ./our.yaml", "relative");
    let inventory = INVENTORY.replace("./guards.yaml", "«./guards.yaml»");
    check_in("cluster.yaml", &inventory, OURS, "\n", "`./guards.yaml` is empty", "docs/profiles.md");
}

#[test]
fn a_mistake_in_a_guard_is_shown_where_it_stands() {
    let check = |old: &str, new: &str, message: &str, help: &str| {
        check_in("guards.yaml", INVENTORY, OURS, &GUARDS.replacen(old, new, 1), message, help);
    };
    let message = "`tpc` is not traffic: write `22/tcp`, `30000-32767/tcp+udp`, `icmp/8/0`, `esp`, `proto/47` or `all`";
    check("4000/tcp", "«4000/tpc»", message, "write `22/tcp`");
    check("name: agent-public", "name: «etcd-public»", "another guard is named `etcd-public`", "another name");
    check("  why:", "  «sourc»: x\n  why:", "unknown key: `sourc`", "did you mean `source`?");
}

#[test]
fn add_ons_glossaries_and_host_firewalls_are_no_profile_of_a_cluster() {
    for (name, help) in
        [("cni-calico", "by options"), ("common-ports", "without saying who"), ("suse-host-firewall", "host itself")]
    {
        let text = INVENTORY.replace("profile: ours", &format!("profile: «{name}»"));
        let (text, at) = unmark(&text);
        let problems = with(&text, OURS, GUARDS).expect_err("an error");
        let found = problems.iter().find(|problem| problem.message().contains("not something that a cluster can be"));
        let found = found.expect("it is told");
        assert_eq!((found.line(), found.column()), (at.0, at.1));
        assert!(found.help().is_some_and(|told| told.contains(help)), "{:?}", found.help());
    }
}

#[test]
fn a_rancher_server_s_profile_needs_a_group_of_that_role() {
    check_error(
        "groups:\n      server: { roles: [rancher-server, k3s-server]",
        "«groups»:\n      server: { roles: [k3s-server]",
        "no group has the role `rancher-server`, which profile `rancher-server-k3s` is about",
        "add it to the `roles`",
    );
}

#[test]
fn a_row_that_several_composed_profiles_have_must_be_qualified() {
    let text = "version: 1\nowner: platform\nnetworks: { lab: { simulated: { state: s.json } } }\nclusters:\n  mgmt:\n    \
                network: lab\n    profile: rancher-server-rke2\n    rancher_version: \"2.9\"\n    groups:\n      \
                all: { roles: [rancher-server, rke2-server] }\n    waive: [{ row: «kubelet», why: tested }]\n";
    check_file(text, "several rows are named `kubelet`", "write `rancher-server-rke2/kubelet` or `rke2/kubelet`");
    let qualified = text.replace("«kubelet»", "rke2/kubelet");
    assert!(read(qualified).is_ok());
}
