//! What is read, but said to be doubtful.

use super::*;

#[test]
fn host_bits() {
    check_warning(
        "trusted: [203.0.113.0/24]",
        "trusted: [«203.0.113.9/24»]",
        "`203.0.113.9/24` has host bits: `203.0.113.0/24` is used",
        "write `203.0.113.0/24` for the range, `203.0.113.9` for the one address",
    );
}

#[test]
fn the_range_without_host_bits_is_used() {
    let parsed = read(changed("trusted: [203.0.113.0/24]", "trusted: [203.0.113.9/24]")).expect("only a warning");
    assert_eq!(parsed.inventory.trusted[0].to_string(), "203.0.113.0/24");
}

#[test]
fn a_missing_version_takes_the_newest_profile() {
    check_warning(
        "profile: rancher-server-k3s\n    rancher_version: \"2.4\"",
        "profile: «rancher-server-k3s»",
        "`rancher_version` is missing: `rancher-server-k3s@2.6`, the newest, is used",
        "write `rancher_version: \"2.6\"`",
    );
}

#[test]
fn an_expired_rule() {
    check_warning(
        "until: 2027-06-30",
        "until: «2026-12-31»",
        "expired on 2026-12-31: what it opened is planned for removal",
        "",
    );
}

#[test]
fn an_expired_guard_waiver() {
    check_warning(
        "until: 2027-05-31",
        "until: «2026-12-31»",
        "expired on 2026-12-31: what it allowed is planned for removal",
        "",
    );
}

#[test]
fn an_expired_difference() {
    check_warning(
        "until: 2027-01-31",
        "until: «2026-12-31»",
        "expired on 2026-12-31: it stays in force; renew or remove it",
        "",
    );
}

#[test]
fn the_last_day_is_not_expired() {
    let parsed = read(changed("until: 2027-06-30", "until: 2027-01-01")).expect("right");
    assert!(parsed.warnings.iter().all(|warning| warning.kind() != Code::Expired));
}

#[test]
fn a_shared_group_without_an_owner() {
    let text = changed("ownership: shared", "ownership: «shared»").replacen("owner: platform\n", "", 1);
    let (text, at) = unmark(&text);
    let parsed = read(&text).expect("only a warning");
    let warning = parsed.warnings.iter().find(|w| w.line() == at.0).expect("a warning");
    check(
        warning,
        &at,
        "a shared group, and the inventory names no owner: `default` is used",
        "add `owner: NAME` at the top",
    );
}

#[test]
fn roles_that_the_profile_has_no_row_for() {
    check_warning(
        "etcd:    { roles: [etcd] }",
        "etcd:    { «roles»: [rke2-agent] }",
        "profile `downstream-node-pools` has no row for these roles: nothing will be opened",
        "",
    );
}

#[test]
fn a_peer_that_nothing_refers_to_with_nearly_a_known_name() {
    check_warning(
        "kube-api-clients: { cidrs",
        "«kube-api-client»: { cidrs",
        "nothing refers to peer `kube-api-client`",
        "did you mean `kube-api-clients`?",
    );
}

#[test]
fn a_peer_with_the_name_of_a_role() {
    check_warning(
        "kube-api-clients: { cidrs",
        "«rancher-server»: { cidrs",
        "nothing refers to peer `rancher-server`: rows mean the groups that play that role",
        "`external: true`",
    );
}

#[test]
fn a_value_that_no_row_needs() {
    check_warning(
        "values: { auth_provider_port: 636 }",
        "values: { «auth_port»: 636 }",
        "no row of the profile needs `auth_port`",
        "known: auth_provider_port",
    );
}
