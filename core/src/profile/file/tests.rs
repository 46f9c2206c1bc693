use super::*;
use crate::inventory::problem::Problem;
use crate::inventory::tree;
use crate::traffic::PortRange;

const HEAD: &str = "name: p\ntitle: t\nkind: requirements\nsource: s\nroles: [etcd]\n";
const TAIL: &str = "required: always, purpose: w, seed: []";

fn read_text(text: &str) -> Result<Draft, Vec<Problem>> {
    let report = Report::default();
    let words = Words { vocabulary: Vocabulary::shipped(), peers: vec!["office"], any_peer: false, shipped: true };
    let draft = tree::read(&report, "p.yaml", text.as_bytes()).and_then(|node| read(&report, &node, &words));
    let problems = report.into_problems();
    draft.filter(|_| problems.is_empty()).ok_or(problems)
}

fn with_row(row: &str) -> Result<Draft, Vec<Problem>> {
    read_text(&format!("{HEAD}rows:\n  - {{ {row} }}\n"))
}

fn rows(row: &str) -> Vec<ProfileRow> {
    with_row(row).expect("the row is right").profile.rows
}

/// `LINE:COLUMN MESSAGE; HELP` of every problem.
fn wrong(text: &str) -> Vec<String> {
    let problems = read_text(text).expect_err("a problem");
    let show = |p: &Problem| format!("{}:{} {}; {}", p.line(), p.column(), p.message(), p.help().unwrap_or_default());
    problems.iter().map(show).collect()
}

fn wrong_row(row: &str) -> String {
    wrong(&format!("{HEAD}rows:\n  - {{ {row} }}\n")).concat()
}

#[test]
fn every_kind_of_end_and_port_is_read() {
    let rows = rows(&format!(
        "id: a, from: [etcd, any-node, 'peer:rke-cli', 'peer:office', 'cidr:2001:db8::/32', 'fqdn:x.io', 'net:pod'], \
         to: ['self:group'], protocol: tcp+udp, ports: [53, '1-2', $open], {TAIL}"
    ));
    assert_eq!(
        rows[0].from,
        [
            Selector::Role("etcd".into()),
            Selector::Role("any-node".into()),
            Selector::Peer("rke-cli".into()),
            Selector::Peer("office".into()),
            Selector::Cidr(Cidr::parse("2001:db8::/32").expect("a range")),
            Selector::Name("x.io".into()),
            Selector::Net("pod".into()),
        ]
    );
    assert_eq!(
        rows[0].ports,
        [
            Port::Range(PortRange::single(53)),
            Port::Range(PortRange::new(1, 2).expect("in order")),
            Port::Symbol("open".into())
        ]
    );
}

#[test]
fn icmp_takes_type_and_code_esp_nothing_and_a_number_is_a_protocol() {
    let row = |rest: &str| rows(&format!("id: a, from: [etcd], to: [etcd], {rest}, {TAIL}"));
    assert_eq!(row("protocol: icmp, ports: [8/0]")[0].ports, [Port::Icmp(8, Some(0))]);
    assert!(row("protocol: esp")[0].ports.is_empty());
    assert_eq!(row("protocol: 112")[0].protocol, "112");
    let esp = wrong_row(&format!("id: a, from: [etcd], to: [etcd], protocol: esp, ports: [1], {TAIL}"));
    assert!(esp.ends_with("esp has no ports; leave `ports` out"), "{esp}");
    let icmp = wrong_row(&format!("id: a, from: [etcd], to: [etcd], protocol: icmp, ports: [300], {TAIL}"));
    assert!(icmp.contains("`300` is no ICMP type or `TYPE/CODE`"), "{icmp}");
}

#[test]
fn a_row_that_is_local_to_the_node_is_known_by_its_ends() {
    let row = rows(&format!("id: a, from: ['self:node'], to: [etcd], protocol: tcp, ports: [1], {TAIL}"));
    assert!(row[0].local);
}

#[test]
fn all_keys_of_a_condition_must_hold_and_any_and_not_nest() {
    let condition = |text: &str| {
        let row = rows(&format!("id: a, from: [etcd], to: [etcd], protocol: all, condition: {text}, {TAIL}"));
        row[0].condition.to_string()
    };
    assert_eq!(condition("{ cni: flannel, cni_backend: [vxlan, udp] }"), "cni = flannel and cni_backend = vxlan | udp");
    assert_eq!(condition("{ any: [{ cni: weave }, { not: { windows: true } }] }"), "cni = weave or not windows = true");
}

#[test]
fn a_mistake_is_told_with_its_place_and_the_nearest_word() {
    let row = "{ id: a, from: [wroker], to: [etcd], protocol: tcp, ports: [1], purpose: w }";
    assert_eq!(wrong(&format!("{HEAD}rows:\n  - {row}\n")), ["7:21 unknown role: `wroker`; did you mean `worker`?"]);
}

#[test]
fn all_mistakes_come_at_once() {
    let text = "name: p\nsource: s\nkind: requirment\nrows:\n  - { id: a, form: [etcd], to: ['peer:rke-clo'], \
                protocol: tpc, purpose: w }\n";
    let told = wrong(text);
    assert_eq!(told.len(), 5, "{told:#?}");
    for message in [
        "unknown kind of profile: `requirment`; did you mean `requirements`?",
        "`from` is missing",
        "unknown key: `form`; did you mean `from`?",
        "unknown peer: `rke-clo`; did you mean `rke-cli`?",
        "`tpc` is no protocol",
    ] {
        assert!(told.iter().any(|line| line.contains(message)), "{message} is not in {told:#?}");
    }
}

#[test]
fn unknown_words_are_errors() {
    for (row, message) in [
        ("to: [etcd], protocol: tcp, ports: [70000]", "port 70000 is above 65535"),
        ("to: [etcd], protocol: tcp", "tcp needs ports"),
        ("to: [], protocol: all", "`to` names nobody"),
        ("to: ['net:pods'], protocol: all", "did you mean `pod`?"),
        ("to: ['cidr:10.0.0.1/8'], protocol: all", "write `cidr:10.0.0.0/8`"),
        ("to: ['self:nod'], protocol: all", "`self:nod` selects nothing"),
        ("to: [etcd], protocol: tcp+icmp, ports: [1]", "are not protocols with the same ports"),
        ("to: [etcd], protocol: all, condition: { cnj: canal }", "unknown option: `cnj`; did you mean `cni`?"),
        ("to: [etcd], protocol: all, condition: { cni: [canal, x] }", "option `cni` is never `x`"),
        ("to: [etcd], protocol: all, condition: { cni: [] }", "`cni` has no value"),
        ("to: [etcd], protocol: all, condition: { windows: yes-please }", "option `windows` is never `yes-please`"),
        ("to: [etcd], protocol: all, versions: '2.4'", "`2.4` is not a version range"),
        ("to: [etcd], protocol: all, from_role: any-node", "unknown role: `any-node`"),
    ] {
        let got = wrong_row(&format!("id: a, from: [etcd], {row}, {TAIL}"));
        assert!(got.contains(message), "{got}");
    }
}

#[test]
fn two_rows_of_one_id_are_an_error() {
    let row = format!("{{ id: a, from: [etcd], to: [etcd], protocol: all, {TAIL} }}");
    let told = wrong(&format!("{HEAD}rows: [{row}, {row}]\n"));
    assert!(told.concat().contains("another row has the id `a`"), "{told:?}");
}

#[test]
fn only_a_glossary_s_rows_may_have_no_ends() {
    let row = "rows: [{ id: a, protocol: tcp, ports: [1], purpose: w }]";
    assert!(read_text(&format!("name: p\nsource: s\nkind: glossary\n{row}\n")).is_ok());
    assert!(wrong(&format!("name: p\nsource: s\n{row}\n")).concat().contains("`from` is missing"));
}

#[test]
fn rows_are_required_unless_they_come_from_another_profile() {
    assert!(wrong("name: p\nsource: s\n").concat().contains("`rows` is missing"));
    assert!(read_text("name: p\nsource: s\nextends: kubeadm\n").is_ok());
    assert!(wrong("name: p\nsource: s\nrows: []\nwithout: [a]\n").concat().contains("`without` leaves out"));
}
