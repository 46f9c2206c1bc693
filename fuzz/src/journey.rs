//! An inventory goes all the way: read, worked out, planned on empty clouds, saved, and proved again.

use std::sync::LazyLock;

use jiff::civil::{Date, date};
use miette::{GraphicalReportHandler, GraphicalTheme};
use rsgsync_core::desired::desired;
use rsgsync_core::document::{Saved, document};
use rsgsync_core::flow::flows;
use rsgsync_core::guard::{GuardsInForce, judge, withdraw};
use rsgsync_core::inventory::{Inventory, PlaceKind, Problem, ProviderSpec, Source, parse};
use rsgsync_core::observed::Observed;
use rsgsync_core::plan::{NetworkInput, Plan, PlanOptions, plan};
use rsgsync_core::profile::Catalog;
use rsgsync_core::world::world;
use rsgsync_simulated::Simulated;

/// Parsed once.
static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::shipped);

const TODAY: Date = date(2026, 11, 26);

/// The simulated cloud's, and one with every kind of key.
const PROVIDERS: &[ProviderSpec] = &[
    rsgsync_simulated::SPEC,
    ProviderSpec {
        word: "aws",
        keys: &[("region", PlaceKind::Text), ("vpc", PlaceKind::TextOrTags)],
        required: &["region"],
        most: &[],
        absent: None,
        groups_are_names: false,
        beside_rules: &[],
    },
];

/// Reads an inventory, in which `files` are what every file that it names holds, and goes on where it is right.
///
/// Panics where a plan doesn't hold, or where a saved one says something else than the one that was saved.
pub fn go(inventory: &[u8], files: Option<&str>) {
    let source = Source { path: "fuzz.yaml".into(), folder: "dir".into(), bytes: inventory.to_vec() };
    let read = |_: &std::path::Path| files.map(str::to_owned).ok_or_else(|| "there is no such file".to_owned());
    match parse(&[source], &CATALOG, PROVIDERS, TODAY, &read) {
        Err(problems) => problems.iter().for_each(show),
        Ok(parsed) => {
            parsed.warnings.iter().for_each(show);
            worked_out(&parsed.inventory);
        }
    }
}

/// Problems point into the text: drawing them must work whatever stands there.
fn show(problem: &Problem) {
    let (_, _) = (problem.source_line(), problem.underlined());
    if problem.source_line().len() <= 400 {
        let mut out = String::new();
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
        // An error is for the caller to deal with; a panic is what is looked for.
        let _ = handler.render_report(&mut out, problem);
    }
}

fn worked_out(inventory: &Inventory) {
    let flows = flows(inventory, TODAY);
    let mut desired = desired(inventory, &flows);
    let verdict = judge(&desired, inventory, TODAY);
    withdraw(&mut desired, &verdict.expired);
    let guards = GuardsInForce::of(&desired, inventory, TODAY);
    if !verdict.refused.is_empty() {
        return;
    }
    let clouds: Vec<Simulated> = desired
        .networks
        .keys()
        .map(|name| Simulated::in_memory(br#"{"version":1}"#, name.clone()).expect("an empty cloud"))
        .collect();
    let inputs = desired.networks.keys().zip(&clouds).map(|(name, pack)| NetworkInput {
        network: inventory.networks[name].clone(),
        observed: Ok(Observed::default()),
        pack,
        calls: 0,
    });
    let inputs = inputs.collect();
    if let Ok(plan) = plan(inventory, &flows, desired, inputs, &guards, &PlanOptions::default()) {
        assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
        save(&plan, &guards);
    }
}

/// Says what a plan opens to the world, saves it, and proves what was saved.
pub fn save(plan: &Plan, guards: &GuardsInForce) {
    world(plan);
    let saved = serde_json::to_vec(&document(plan, guards, "fuzz")).expect("a document is JSON");
    let proof = Saved::read(&saved).expect("what was saved can be read").prove();
    assert_eq!(proof.holds(), plan.proof.holds(), "{:?}", proof.witness);
}
