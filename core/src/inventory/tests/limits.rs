//! What is large is read; what is built to hurt is refused; nothing panics.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

const HEAD: &str = "version: 1\nnetworks: { eu: { aws: { region: eu-west-1 } } }\nclusters:\n  prod:\n    network: eu\n    \
                    profile: downstream-node-pools\n    rancher_version: \"2.4\"\n    groups:\n";

fn only_error(text: &str) -> (Code, String) {
    let problems = read(text).expect_err("an error");
    assert_eq!(problems.iter().count(), 1);
    let problem = problems.iter().next().expect("one");
    (problem.kind(), problem.message().to_owned())
}

#[test]
fn an_inventory_of_35_000_groups_is_read() {
    let mut text = HEAD.to_owned();
    for n in 0..35_000 {
        let _ = writeln!(text, "      g{n}: {{ roles: [worker], addresses: [10.{}.{}.0/24] }}", n / 256, n % 256);
    }
    let parsed = read(text).expect("right");
    assert_eq!(parsed.inventory.clusters["prod"].groups.len(), 35_000);
}

#[test]
fn one_anchor_may_serve_thousands_of_groups() {
    let mut text = format!("x-roles: &roles [etcd, controlplane, worker]\n{HEAD}");
    for n in 0..5_000 {
        let _ = writeln!(text, "      g{n}: {{ roles: *roles }}");
    }
    assert!(read(text).is_ok());
}

#[test]
fn nesting_of_100_000_levels_is_refused() {
    let flow = "[".repeat(100_000);
    let map = "{a: ".repeat(100_000);
    let block = "- ".repeat(100_000);
    for text in [flow, map, block] {
        assert_eq!(only_error(&format!("x-deep:\n  {text}")), (Code::TooMuch, "nested too deeply".to_owned()));
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "version: 1\nx-a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        let _ = writeln!(text, "x-{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 9].join(", "));
    }
    assert_eq!(only_error(&text), (Code::TooMuch, "aliases make the file grow too much".to_owned()));
}

#[test]
fn nesting_through_aliases_is_refused() {
    let mut text = "version: 1\nx-0: &a0 [x]\n".to_owned();
    for n in 1..5_000 {
        let _ = writeln!(text, "x-{n}: &a{n} [*a{}]", n - 1);
    }
    assert_eq!(only_error(&text), (Code::TooMuch, "nested too deeply".to_owned()));
}

#[test]
fn a_merge_bomb_is_refused() {
    let mut text = "version: 1\nx-0: &a0 { k: v }\n".to_owned();
    for n in 1..30 {
        let parts: Vec<String> = (0..9).map(|i| format!("k{i}: *a{}", n - 1)).collect();
        let _ = writeln!(text, "x-{n}: &a{n} {{ <<: *a{}, {} }}", n - 1, parts.join(", "));
    }
    assert_eq!(only_error(&text).0, Code::TooMuch);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(bytes);
    }

    #[test]
    fn random_yaml_never_panics(text in "[-a-c0-9:,.&*<>{}\\[\\]\"'|#!%@ \n\t]{0,200}") {
        let _ = read(text);
    }

    #[test]
    fn truncations_never_panic(at in 0..WHOLE.len()) {
        let _ = read(&WHOLE[..at]);
    }

    #[test]
    fn mutations_never_panic(
        edits in proptest::collection::vec((0..WHOLE.len(), 0..12_usize, "[-a-z0-9:,./&*{}\\[\\]\"'# \n]{0,6}|ü|\u{0}"), 1..4)
    ) {
        let mut text = WHOLE.to_owned();
        for (at, length, with) in edits {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            if text.is_char_boundary(start) && text.is_char_boundary(end) {
                text.replace_range(start..end, &with);
            }
        }
        if let Err(problems) = read(&text) {
            prop_assert!(problems.errors() > 0, "an inventory is refused for an error only");
            for problem in &problems {
                prop_assert!(problem.line() >= 1 && problem.column() >= 1);
            }
        }
    }
}
