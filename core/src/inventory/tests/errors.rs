//! Each error: its message, the text that it underlines (between `«` and `»`), and the way out.

use super::*;

// The file.

#[test]
fn a_tab_as_indentation() {
    for text in [
        "version: 1\npeers:\n«\t»office: 1\n",
        "version: 1\npeers:\n  office:\n  «\t»tag: x\n",
        "version: 1\nclusters: {\n«\t»prod: }\n",
        "version: 1\nowner: platform\n\n  \n«\t»trusted: []\n",
        "version: 1\ntrusted:\n«\t»- 10.0.0.0/8\n",
    ] {
        check_file(text, "a tab stands in the indentation", "YAML indents with spaces");
    }
}

#[test]
fn a_tab_elsewhere() {
    assert!(read(WHOLE.replacen("owner: platform", "owner:\tplatform\t# us", 1)).is_ok());
    check_file(
        "version: 1\ntrusted:\n-\t«-» 10.0.0.0/8\n",
        "not YAML: '-' must be followed by a valid YAML whitespace",
        "quotes, brackets and indentation",
    );
}

#[test]
fn a_comma_in_a_text_without_quotes() {
    check_error(
        "why: node-exporter,",
        "why: node-exporter, «metrics of nodes», and more,",
        "unknown key: `metrics of nodes`",
        "write `why: \"node-exporter, metrics of nodes, and more\"` for one text",
    );
    check_error(
        "{ tag: bastion }",
        "{ cidrs: 10.0.0.0/8, «192.168.0.0/16» }",
        "unknown key: `192.168.0.0/16`",
        "`cidrs: [10.0.0.0/8, 192.168.0.0/16]` for several",
    );
    // Where a key is meant, the nearest is told.
    check_error("{ tag: bastion }", "{ tag: bastion, «tagg»: x }", "unknown key: `tagg`", "did you mean `tag`?");
    check_error("{ tag: bastion }", "{ cidrs: [10.0.0.0/8], «tagg» }", "unknown key: `tagg`", "did you mean `tag`?");
}

#[test]
fn a_second_document() {
    check_file(
        "version: 1\n---\n«v»ersion: 1\n",
        "a second YAML document starts here",
        "give each document its own file",
    );
}

#[test]
fn an_empty_file() {
    check_file("«»", "the file is empty", "an inventory starts with `version: 1`");
    check_file("«»# nothing but a comment\n", "the file is empty", "an inventory starts with `version: 1`");
}

#[test]
fn a_list_at_the_top() {
    check_file("«»- version: 1\n", "the inventory must be a mapping, and is a list", "`key: value`");
}

#[test]
fn no_utf8() {
    let problems = read(b"version: 1\nowner: \xff\xfe\n").expect_err("an error");
    let problem = problems.iter().next().expect("an error");
    assert_eq!(problem.message(), "this is not UTF-8 text");
    assert_eq!((problem.line(), problem.column()), (2, 8));
}

#[test]
fn binary_junk() {
    let problems = read(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0").expect_err("an error");
    assert_eq!(problems.errors(), 1);
}

#[test]
fn an_alias_without_anchor() {
    check_file("version: 1\nowner: «*»name\n", "no anchor of that name stands above this alias", "`&name`");
}

#[test]
fn an_alias_inside_its_anchor() {
    check_file("version: 1\nx-a: &a [«*a»]\n", "this alias stands inside what it stands for", "");
}

#[test]
fn a_key_twice() {
    check_error(
        "egress: open",
        "egress: open\n    «egress»: strict",
        "the key `egress` stands here twice",
        "remove one of the two",
    );
}

#[test]
fn a_section_twice() {
    // What the second defines is known all the same: there is one error.
    let second = "«peers»:\n  sales: { cidrs: [198.51.100.0/24] }\n";
    let text = changed("x-anything: ignored, so that YAML anchors can live there\n", second);
    let text = text.replacen("from: monitoring, to", "from: sales, to", 1);
    check_file(&text, "the key `peers` stands here twice", "put what is below both under one of them");
}

#[test]
fn the_first_of_two_equal_keys_is_shown_too() {
    let problems = read(changed("egress: open", "egress: open\n    egress: strict")).expect_err("an error");
    let problem = problems.iter().find(|problem| !problem.is_warning()).expect("an error");
    assert_eq!(miette::Diagnostic::labels(problem).map(Iterator::count), Some(2));
}

#[test]
fn a_key_that_is_no_text() {
    check_error("owner: platform", "«[»owner]: platform", "a key must be a text", "`key: value`");
}

// The top level.

#[test]
fn no_version() {
    check_file("«»owner: x\n", "`version` is missing", "`version: 1`");
}

#[test]
fn another_version() {
    check_error("version: 1", "version: «2»", "version 2 is not known", "reads `version: 1`");
    check_error(
        "version: 1",
        "version: «\"1\"»",
        "`version` must be the number 1, and is the text `1`",
        "`version: 1`",
    );
}

#[test]
fn an_unknown_key_at_the_top() {
    check_error("trusted:", "«trustd»:", "unknown key: `trustd`", "did you mean `trusted`?");
}

#[test]
fn an_owner_of_another_grammar() {
    let message =
        "`Platform Team` is not a valid owner: use a-z, 0-9 and `-`, start with a letter, 31 characters at most";
    check_error("owner: platform", "owner: «Platform Team»", message, "");
}

// Networks.

#[test]
fn a_network_without_provider() {
    check_error(
        "  lab:\n    simulated: { state: cloud.json }",
        "  «lab»:\n    nat: []",
        "the network has no provider",
        "write one of aws, gcp, simulated",
    );
}

#[test]
fn a_network_with_two_providers() {
    check_error(
        "simulated: { state: cloud.json }",
        "simulated: { state: cloud.json }\n    «aws»: { region: eu-west-1 }",
        "the network has a second provider",
        "make it two networks",
    );
}

#[test]
fn an_unknown_provider() {
    let text = changed("simulated: { state: cloud.json }", "azure: {}");
    let problems = read(text).expect_err("errors");
    let told: Vec<&str> = problems.iter().filter(|p| !p.is_warning()).map(Problem::message).collect();
    assert_eq!(told, ["the network has no provider", "unknown key: `azure`"]);
}

#[test]
fn an_unknown_key_of_a_provider() {
    check_error(
        "aws: { region: eu-west-1, vpc: vpc",
        "aws: { region: eu-west-1, «vcp»: vpc",
        "unknown key: `vcp`",
        "`vpc`",
    );
}

#[test]
fn a_provider_without_a_key_that_it_needs() {
    check_error("simulated: { state: cloud.json }", "«simulated»: {}", "`state` is missing", "`simulated` needs it");
}

#[test]
fn an_account_that_yaml_reads_as_a_number() {
    check_error(
        "account: \"111122223333\"",
        "account: «011122223333»",
        "`account` must be a quoted text, and is the number 011122223333",
        "write \"011122223333\"",
    );
}

#[test]
fn a_quota_that_is_no_number() {
    check_error(
        "rules_per_group: 120",
        "rules_per_group: «many»",
        "`rules_per_group` must be a whole number from 1, and is the text `many`",
        "",
    );
}

#[test]
fn a_quota_that_the_provider_never_gives() {
    check_error(
        "rules_per_group: 120",
        "rules_per_group: «1001»",
        "`rules_per_group` is 1000 at most on `aws`",
        "leave it out, or write 1000",
    );
}

#[test]
fn an_unknown_quota() {
    check_error("rules_per_group: 120", "«rules_per_sg»: 120", "unknown key: `rules_per_sg`", "known: rules_per_group");
}

#[test]
fn tags_without_a_tag() {
    check_error("{ tags: { Name: hub } }", "{ «tags»: {} }", "without a tag everything would match", "");
}

#[test]
fn a_link_to_an_unknown_network() {
    check_error("links: { hub: reference }", "links: { «hob»: reference }", "unknown network: `hob`", "`hub`");
}

#[test]
fn an_unknown_kind_of_link() {
    check_error("hub: reference", "hub: «refrence»", "unknown link: `refrence`", "did you mean `reference`?");
}

// Clusters.

#[test]
fn a_cluster_without_network() {
    check_error("  mgmt:\n    network: eu\n", "  «mgmt»:\n", "`network` is missing", "name one of `networks`");
}

#[test]
fn an_unknown_network() {
    check_error("network: hub", "network: «hubb»", "unknown network: `hubb`", "did you mean `hub`?");
}

#[test]
fn a_cluster_name_of_another_grammar() {
    let message =
        "`Mgmt` is not a valid cluster name: use a-z, 0-9 and `-`, start with a letter, 31 characters at most";
    let text = WHOLE.replace("cluster: mgmt", "cluster: Mgmt").replace("rancher: mgmt", "rancher: Mgmt");
    check_file(&text.replace("  mgmt:", "  «Mgmt»:"), message, "");
}

#[test]
fn an_unknown_profile() {
    check_error(
        "profile: downstream-node-pools",
        "profile: «downstream-node-pool»",
        "unknown profile: `downstream-node-pool`",
        "did you mean `downstream-node-pools`?",
    );
}

#[test]
fn an_unquoted_version() {
    check_error(
        "rancher_version: \"2.4\"",
        "rancher_version: «2.4»",
        "`rancher_version` must be a quoted text, and is the number 2.4",
        "write \"2.4\": unquoted, YAML reads 2.10 as 2.1",
    );
}

#[test]
fn a_text_that_is_no_version() {
    check_error("rancher_version: \"2.4\"", "rancher_version: «latest»", "`latest` is not a version", "\"2.4\"");
}

#[test]
fn a_version_that_the_profile_is_not_for() {
    check_error(
        "rancher_version: \"2.4\"",
        "rancher_version: «\"1.6\"»",
        "profile `rancher-server-k3s` is not for version 1.6",
        "it is for >=2.0 <2.6, >=2.6",
    );
}

#[test]
fn an_unknown_managing_cluster() {
    check_error("rancher: mgmt", "rancher: «mgnt»", "unknown cluster: `mgnt`", "did you mean `mgmt`?");
}

#[test]
fn an_unknown_option() {
    check_error("{ cni: canal,", "{ «cnl»: canal,", "unknown option: `cnl`", "did you mean `cni`?");
}

#[test]
fn an_unknown_value_of_an_option() {
    check_error("{ cni: canal,", "{ cni: «kanal»,", "unknown value of `cni`: `kanal`", "did you mean `canal`?");
}

#[test]
fn an_option_that_is_true_or_false() {
    check_error(
        "rancher_external_lb: false",
        "rancher_external_lb: «no»",
        "`rancher_external_lb` must be `true` or `false`, and is the text `no`",
        "write `false`, without quotes",
    );
}

#[test]
fn several_values_of_an_option_that_has_one() {
    check_error(
        "{ cni: canal,",
        "{ «cni»: [canal, calico],",
        "`cni` must be one value, and is a list",
        "several clusters",
    );
}

#[test]
fn an_option_that_the_profile_fixes() {
    check_error(
        "{ cni: canal,",
        "{ provisioner: «custom», cni: canal,",
        "profile `downstream-node-pools` is for `provisioner: node-driver`",
        "leave the option out",
    );
}

#[test]
fn a_value_that_is_no_port() {
    check_error("kube_api_endpoint_port: 443", "kube_api_endpoint_port: «https»", "`https` is not a port", "0-65535");
    check_error(
        "kube_api_endpoint_port: 443",
        "kube_api_endpoint_port: «70000»",
        "port 70000 is above 65535",
        "0-65535",
    );
}

#[test]
fn an_unknown_cluster_network() {
    check_error("cidrs: { pod:", "cidrs: { «pods»:", "unknown cluster network: `pods`", "did you mean `pod`?");
}

#[test]
fn a_range_that_is_none() {
    check_error("10.42.0.0/16", "«10.42.0.0/33»", "`10.42.0.0/33` is not an address range", "10.0.0.0/8");
}

#[test]
fn an_unknown_egress() {
    check_error("egress: open", "egress: «closed»", "unknown egress: `closed`", "known: open, strict");
}

// Groups.

#[test]
fn a_cluster_without_groups() {
    let groups = "groups:\n      all: { roles: [etcd, controlplane, worker], security_group: sg-0aaaabbbbccccdddd }";
    check_error(groups, "«groups»: {}", "the cluster has no groups", "name its node groups");
}

#[test]
fn a_group_without_roles() {
    check_error("{ roles: [etcd] }", "{ «roles»: [] }", "the group has no roles", "say what its nodes do");
    check_error("etcd:    { roles: [etcd] }", "«etcd»: {}", "`roles` is missing", "say what its nodes do");
}

#[test]
fn an_unknown_role() {
    check_error("roles: [etcd]", "roles: [«etdc»]", "unknown role: `etdc`", "did you mean `etcd`?");
}

#[test]
fn any_node_is_no_role_of_a_group() {
    check_error("roles: [etcd]", "roles: [«any-node»]", "unknown role: `any-node`", "known: rancher-server, etcd");
}

#[test]
fn roles_of_another_type() {
    check_error("roles: [etcd]", "«roles»: { etcd: true }", "`roles` must be a list, and is a mapping", "");
    check_error(
        "roles: [etcd]",
        "roles: [«7»]",
        "an item of `roles` must be a quoted text, and is the number 7",
        "\"7\"",
    );
}

#[test]
fn a_group_of_another_type() {
    check_error(
        "etcd:    { roles: [etcd] }",
        "etcd: «etcd»",
        "`etcd` must be a mapping, and is the text `etcd`",
        "`key: value`",
    );
}

#[test]
fn an_unknown_ownership() {
    check_error("ownership: shared, create: true,", "ownership: «share»,", "unknown ownership: `share`", "`shared`");
}

#[test]
fn creating_what_is_not_shared() {
    check_error("ownership: shared, create: true", "create: «true»", "`create` is for shared groups", "leave it out");
}

#[test]
fn creating_an_id() {
    check_error(
        "security_group: rancher-nodes, ownership: shared, create: true",
        "security_group: sg-0123, ownership: shared, create: «true»",
        "a group can't be created with the id `sg-0123`",
        "give `security_group` a name",
    );
}

#[test]
fn groups_that_disagree_on_ownership() {
    let more = "      more: { roles: [worker], security_group: rancher-nodes, ownership: exclusive }\n";
    let text = WHOLE.replacen("      workers: {", &format!("{more}      workers: {{"), 1);
    check_file(
        &text.replacen("ownership: shared", "ownership: «shared»", 1),
        "security group `rancher-nodes` is shared here and exclusive in `prod/more`",
        "give both the same `ownership`",
    );
}

#[test]
fn a_group_that_is_both_ours_and_external() {
    let ours = "network: hub\n    profile: downstream-custom-nodes\n    rancher_version: \"2.4\"\n    groups:\n      \
                all: { roles: [etcd], security_group: sg-0aaaabbbbccccdddd }\n";
    let text = WHOLE.replacen("  elsewhere:\n", &format!("  ours:\n    {ours}  elsewhere:\n"), 1);
    let (before, after) = text.rsplit_once("sg-0aaaabbbbccccdddd").expect("it is there");
    check_file(
        &format!("{before}«sg-0aaaabbbbccccdddd»{after}"),
        "security group `sg-0aaaabbbbccccdddd` is both ours and external: `ours/all` names it too",
        "name two groups",
    );
}

#[test]
fn an_address_of_a_node_that_is_none() {
    check_error("public: [192.0.2.11]", "public: [«node-1»]", "`node-1` is not an address range", "single address");
}

// Rules, waivers, narrowings, ignored differences.

#[test]
fn a_port_above_the_last() {
    check_error("[9796/tcp]", "[«70000/tcp»]", "port 70000 is above 65535", "ports are 0-65535");
}

#[test]
fn a_reversed_range() {
    check_error("[9796/tcp]", "[«9797-9796/tcp»]", "the range 9797-9796 is reversed", "`22/tcp`");
}

#[test]
fn a_port_without_protocol() {
    let message =
        "`9796` is not traffic: write `22/tcp`, `30000-32767/tcp+udp`, `icmp/8/0`, `esp`, `proto/47` or `all`";
    check_error("[9796/tcp]", "[«9796»]", message, "`22/tcp`");
}

#[test]
fn a_rule_without_why() {
    check_error(
        "{ from: monitoring, to: workers, allow: [9796/tcp], why: node-exporter,",
        "{ «from»: monitoring, to: workers, allow: [9796/tcp],",
        "`why` is missing",
        "say in a few words why",
    );
}

#[test]
fn a_blank_why() {
    check_error("why: node-exporter", "why: «\" \"»", "`why` says nothing", "");
}

#[test]
fn a_rule_from_nobody_known() {
    check_error("from: monitoring, to", "from: «monitorin», to", "unknown group or peer: `monitorin`", "`monitoring`");
}

#[test]
fn a_rule_to_another_clusters_group() {
    check_error(
        "from: monitoring, to",
        "from: «mgmt/server», to",
        "unknown group or peer: `mgmt/server`",
        "`peers: { NAME: { cluster: mgmt, group: server } }`",
    );
}

#[test]
fn a_rule_between_outsiders() {
    check_error(
        "{ from: monitoring, to: workers",
        "{ «from»: monitoring, to: office",
        "neither end is a group of this cluster",
        "its groups: control, etcd, workers",
    );
}

#[test]
fn a_name_that_is_a_group_and_a_peer() {
    let text = WHOLE.replacen("bastion:  ", "workers:  ", 1).replacen("to: workers", "to: «workers»", 1);
    check_file(&text, "`workers` is a group of this cluster and a peer", "rename one of the two");
}

#[test]
fn a_day_that_is_none() {
    check_error("until: 2027-06-30", "until: «2027-06-31»", "`2027-06-31` is not a day", "2027-06-30");
    check_error("until: 2027-06-30", "until: «June 2027»", "`June 2027` is not a day", "2027-06-30");
}

#[test]
fn an_unknown_row() {
    check_error(
        "row: rancher-ssh",
        "row: «rancher-shh»",
        "unknown row of profile `downstream-node-pools@2.4`: `rancher-shh`",
        "did you mean `rancher-ssh`?",
    );
}

#[test]
fn a_row_of_another_profile() {
    check_error(
        "row: downstream-node-pools/clients-nodeport",
        "row: «rancher-server-k3s/https-rancher»",
        "unknown row of profile `downstream-node-pools@2.4`: `rancher-server-k3s/https-rancher`",
        "known: ",
    );
}

#[test]
fn an_unknown_guard() {
    check_error(
        "guard: kubelet-public",
        "guard: «kublet-public»",
        "unknown guard: `kublet-public`",
        "did you mean `kubelet-public`?",
    );
}

#[test]
fn a_waiver_of_nothing() {
    check_error("{ row: rancher-ssh, why", "{ «why»", "`row` or `guard` is missing", "name the profile's row");
}

#[test]
fn a_waiver_of_two_things() {
    check_error(
        "{ row: rancher-ssh, why",
        "{ row: rancher-ssh, guard: «kubelet-public», why",
        "`row` and `guard` don't go together",
        "make it two entries",
    );
}

#[test]
fn a_waiver_for_an_unknown_group() {
    check_error("groups: [workers]", "groups: [«worker»]", "unknown group of this cluster: `worker`", "`workers`");
}

#[test]
fn a_narrowing_to_nobody() {
    check_error("from: [monitoring], why", "«from»: [], why", "`from` names nobody", "name a group, a peer");
}

#[test]
fn an_ignored_difference_in_an_unknown_group() {
    check_error(
        "group: workers, port",
        "group: «master», port",
        "unknown group of this cluster: `master`",
        "known: control",
    );
}

#[test]
fn rules_that_are_no_list() {
    check_error(
        "narrow:\n      - {",
        "«narrow»:\n      {",
        "`narrow` must be a list, and is a mapping",
        "start each entry with `- `",
    );
}

#[test]
fn a_reference_to_a_network_whose_groups_are_but_names() {
    check_error(
        "simulated: { state: cloud.json }",
        "gcp: { project: a }\n    links: { other: «reference» }\n  other:\n    gcp: { project: b }",
        "`gcp` has no references to groups of another network",
        "write `private` or `public`",
    );
}

#[test]
fn a_service_account_that_is_none() {
    check_error(
        "etcd:    { roles: [etcd] }",
        "etcd:    { roles: [etcd], service_account: «etcd» }",
        "`etcd` is not a service account",
        "write its address",
    );
}

#[test]
fn a_service_account_beside_a_security_group() {
    check_error(
        "etcd:    { roles: [etcd] }",
        "etcd:    { roles: [etcd], security_group: x, service_account: «a@b.iam.gserviceaccount.com» }",
        "`security_group` and `service_account` don't go together",
        "write the one",
    );
}

#[test]
fn a_service_account_in_a_cloud_that_has_none() {
    check_error(
        "etcd:    { roles: [etcd] }",
        "etcd:    { roles: [etcd], service_account: «a@b.iam.gserviceaccount.com» }",
        "`aws` has no rules for service accounts",
        "write `security_group` instead",
    );
}

// Peers.

#[test]
fn a_peer_that_is_nobody() {
    check_error("lists:            { prefix_list: pl-0123 }", "«lists»: {}", "peer `lists` is nobody", "cidrs_file");
}

#[test]
fn a_peer_that_is_two() {
    check_error(
        "{ prefix_list: pl-0123 }",
        "{ prefix_list: pl-0123, tag: «web» }",
        "`prefix_list` and `tag` don't go together",
        "make it two peers",
    );
}

#[test]
fn a_peer_without_address() {
    check_error("{ prefix_list: pl-0123 }", "{ «cidrs»: [] }", "there is no address in it", "leave the peer out");
    check_error("./office.txt", "«./empty.txt»", "there is no address in it", "leave the peer out");
}

#[test]
fn a_peer_of_an_unknown_cluster() {
    check_error(
        "{ cluster: mgmt, group",
        "{ cluster: «mgnt», group",
        "unknown cluster: `mgnt`",
        "did you mean `mgmt`?",
    );
}

#[test]
fn a_peer_of_an_unknown_group() {
    check_error("group: server }", "group: «serve» }", "unknown group of cluster `mgmt`: `serve`", "`server`");
}

#[test]
fn a_file_that_cannot_be_read() {
    check_error("./office.txt", "«./offic.txt»", "can't read `./offic.txt`: no such file", "");
}

#[test]
fn a_peer_that_looks_like_an_address() {
    check_error("lists: ", "«10.0.0.1»: ", "`10.0.0.1` can't be a peer's name", "under `cidrs`");
}

#[test]
fn a_key_of_another_kind_of_peer() {
    check_error("{ tag: bastion }", "{ tag: bastion, «account»: \"1\" }", "unknown key: `account`", "known: cidrs");
}

// All of them.

#[test]
fn all_errors_come_at_once_in_the_order_of_the_lines() {
    let text = WHOLE
        .replace("owner: platform", "owner: Platform")
        .replace("egress: open", "egress: closed")
        .replace("roles: [etcd]", "roles: [etdc]")
        .replace("9796/tcp", "70000/tcp")
        .replace("prefix_list", "prefixlist");
    let problems = read(text).expect_err("errors");
    let told: Vec<&str> = problems.iter().filter(|p| !p.is_warning()).map(Problem::message).collect();
    assert_eq!(told.len(), 6, "{told:?}");
    assert_eq!(problems.errors(), 6);
    assert!(problems.iter().map(Problem::line).is_sorted());
}

#[test]
fn an_error_in_what_several_aliases_bring_is_told_once() {
    let text = WHOLE
        .replacen("options: { cni: flannel, cni_backend: vxlan", "options: &o { cnl: flannel, cni_backend: vxlan", 1)
        .replacen(
            "options: { cni: canal, authorized_cluster_endpoint: true, rancher_external_lb: false }",
            "options: *o",
            1,
        )
        .replacen("provisioner: [custom, hosted] ", "", 1);
    let problems = read(text).expect_err("an error");
    assert_eq!(problems.errors(), 1);
}

#[test]
fn the_way_to_the_field_is_told() {
    let problems = read(changed("roles: [etcd]", "roles: [etdc]")).expect_err("an error");
    let problem = problems.iter().find(|problem| !problem.is_warning()).expect("an error");
    assert_eq!(problem.field(), "clusters.prod.groups.etcd.roles[0]");
}

#[test]
fn what_people_see() {
    let text = changed("rancher_version: \"2.4\"", "rancher_version: 2.4").replacen("egress: open", "egres: open", 1);
    let problems = read(text).expect_err("errors");
    let mut shown = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    miette::GraphicalReportHandler::new_themed(theme).render_report(&mut shown, &problems).expect("a report");
    insta::assert_snapshot!(shown);
}
