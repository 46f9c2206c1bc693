//! A plan, or what drifted, as one page that needs no other file and no network.

mod cell;
mod filter;
mod head;
mod matrix;
mod picture;
mod proof;
mod rest;
mod rules;
mod view;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use rsgsync_core::document::Document;
use rsgsync_core::inventory::Inventory;
use rsgsync_core::plan::Plan;
use sha2::{Digest, Sha256};

use super::escape;
use view::{Names, groups};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("filter.js");

/// What the page is made of. With `drift` in the document it is about drift.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    pub inventory: &'a Inventory,
    pub plan: &'a Plan,
    pub document: &'a Document,
}

impl Report<'_> {
    fn is_drift(&self) -> bool {
        self.document.drift.is_some()
    }
}

/// Text from a cloud or an inventory: control characters visible, and never markup.
struct Text<T>(T);

impl<T: AsRef<str>> Render for Text<T> {
    fn render_to(&self, buffer: &mut String) {
        escape(self.0.as_ref()).as_str().render_to(buffer);
    }
}

/// The page.
pub fn page(report: &Report<'_>) -> String {
    let groups = groups(report.plan);
    let names: Vec<Names<'_>> = report.plan.networks.iter().map(|n| Names::of(n, report.inventory)).collect();
    let title = format!("rsgsync {} · {}", if report.is_drift() { "drift" } else { "plan" }, report.document.owner);
    let body = html! {
        a.skip href="#main" { "Skip to the report" }
        (head::head(report, &groups))
        main #main tabindex="-1" {
            (filter::form(report, &groups))
            (matrix::section(report, &groups, &names))
            (picture::section(report, &groups, &names))
            (rules::section(report, &groups))
            (rest::section(report))
            (proof::section(report))
        }
        footer {
            p { "Made by " (Text(&report.document.created_by)) ". This page is one file: it loads nothing, and sends nothing." }
        }
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (Text(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// Nothing may be loaded, and nothing runs but what stands in the page.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// A number with what it counts.
fn counted(n: usize, what: &str) -> Markup {
    html! { b { (n) } " " (what) }
}

/// A part that scrolls by itself where it is wider than the page; with the keyboard as well.
fn scrolled(label: &str, inner: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(Text(label)) tabindex="0" { (inner) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clouds_text_is_no_markup_and_hides_nothing() {
        let hostile = "<script>alert(1)</script>\" onload='x' & \u{202e}abc\u{1b}[2J";
        let shown = html! { p title=(Text(hostile)) { (Text(hostile)) } }.into_string();
        let text = "&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload='x' &amp; \\u{202e}abc\\u{1b}[2J";
        assert_eq!(shown, format!("<p title=\"{text}\">{text}</p>"));
    }

    /// `printf abc | openssl dgst -sha256 -binary | base64`, of FIPS 180's own example.
    #[test]
    fn the_policy_names_what_the_page_has_and_nothing_else() {
        assert_eq!(BASE64_STANDARD.encode(Sha256::digest("abc")), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        assert!(policy().starts_with("default-src 'none'; ") && !policy().contains("unsafe"));
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"), "would end before its end");
    }
}
