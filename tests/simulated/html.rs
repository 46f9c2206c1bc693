//! The report as a page: it has what the other reports have, and nothing in it is anything but text.

use std::collections::BTreeSet;

use crate::support::Scene;
use crate::support::reports::{drifted, hostile, in_sync};

fn page(scene: &Scene, command: &str, code: i32) -> String {
    scene.run(&[command, "--format", "html"]).exits(code).stdout
}

#[track_caller]
fn has(page: &str, text: &str) {
    assert!(page.contains(text), "`{text}` is not in\n{page}");
}

/// What stands between two texts, of every place that has them.
fn between<'p>(page: &'p str, start: &'p str, end: char) -> impl Iterator<Item = &'p str> {
    page.split(start).skip(1).filter_map(move |rest| rest.split(end).next())
}

#[test]
fn a_page_has_the_plans_groups_rules_reasons_digest_and_proof() {
    let scene = drifted();
    let page = page(&scene, "drift", 2);
    let text = scene.run(&["drift"]).exits(2).stdout;
    for word in ["Plan ", "Proof ", "World "] {
        let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        has(&page, line.trim());
    }
    let json = scene.run(&["drift", "--format", "json"]).exits(2).json();
    has(&page, json["digest"].as_str().unwrap());
    for group in json["groups"].as_array().unwrap() {
        has(&page, &format!("data-group=\"{}\"", group["security_group"].as_str().unwrap()));
    }
    for assumption in json["proof"]["assumptions"].as_array().unwrap() {
        has(&page, assumption.as_str().unwrap());
    }
    for required in json["required"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        for reason in required["reasons"].as_array().unwrap() {
            has(&page, reason["why"].as_str().unwrap());
            let row = format!("{} · {}</span>", reason["profile"].as_str().unwrap(), reason["row"].as_str().unwrap());
            has(&page, &row);
        }
    }
    // The source of the rows of prod's profile, as its file has it.
    has(&page, "Rancher v2.0-v2.4 Port Requirements; Ports for Rancher Launched Kubernetes Clusters using Node Pools");
}

#[test]
fn the_matrix_says_what_is_missing_too_wide_and_foreign() {
    let page = page(&drifted(), "drift", 2);
    let (_, matrix) = page.split_once("<section id=\"matrix\"").unwrap();
    let (matrix, _) = matrix.split_once("</section>").unwrap();
    let parts = matrix.split("class=\"part\" data-standing=\"").skip(1).map(|part| {
        let (standing, rest) = part.split_once('"').unwrap();
        (standing, rest.split("</span> ").nth(1).unwrap().split('<').next().unwrap())
    });
    let parts: BTreeSet<(&str, &str)> = parts.filter(|(standing, _)| *standing != "open").collect();
    assert_eq!(parts, [("foreign", "9000/tcp"), ("missing", "10250/tcp"), ("wide", "2379/tcp")].into());
}

#[test]
fn hostile_texts_stay_text() {
    let page = page(&hostile(), "plan", 1);
    for tag in ["<img", "<iframe", "<svg onload", "<b onclick"] {
        assert!(!page.contains(tag), "{tag}");
    }
    assert_eq!((page.matches("<script").count(), page.matches("</style").count()), (1, 1));
    // They are all there.
    for n in [1, 3, 4, 5, 6, 7, 8, 9] {
        has(&page, &format!("alert({n})"));
    }
    for escaped in [
        "&lt;script&gt;alert(3)&lt;/script&gt;",
        "&quot; onmouseover=&quot;alert(4)",
        "'&gt;&lt;svg onload",
        "\\u{202e}",
    ] {
        has(&page, escaped);
    }
    has(&page, "could not be read");
    has(&page, "You are not authorized to perform this operation.");
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    for page in [page(&drifted(), "plan", 0), page(&hostile(), "plan", 1)] {
        for way in [" src=\"", "srcset=", "<link", "<object", "<embed", "@import", "url("] {
            assert!(!page.contains(way), "{way}");
        }
        let elsewhere = between(&page, "href=\"", '"').filter(|href| !href.starts_with('#'));
        assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&str>::new());
        has(&page, "content=\"default-src 'none'; ");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let scene = drifted();
    assert_eq!(page(&scene, "plan", 0), page(&scene, "plan", 0));
}

#[test]
fn in_sync_there_is_a_page_as_well() {
    has(&page(&in_sync(), "drift", 0), "In sync");
}

#[test]
fn a_plan_that_is_saved_is_still_json() {
    let scene = drifted();
    let page = scene.run(&["plan", "--format", "html", "--out", "plan.json"]).exits(0).stdout;
    let saved: serde_json::Value = serde_json::from_slice(&scene.read("plan.json").unwrap()).unwrap();
    has(&page, saved["digest"].as_str().unwrap());
}
