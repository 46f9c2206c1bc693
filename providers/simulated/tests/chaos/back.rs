//! A rollback brings back exactly what was there, also after a run that was killed half-way.

use std::collections::BTreeSet;

use rsgsync_core::document::{Saved, document};
use rsgsync_core::guard::GuardsInForce;
use rsgsync_core::plan::{NetworkInput, Plan, all_of, rollback, rollback_scopes};
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{StopSignal, observe};
use rsgsync_simulated::Simulated;
use serde_json::{Value, json};

use crate::kills::with_faults;
use crate::packets::{groups, name, open};
use crate::scenario::Scenario;
use crate::{End, carried, each, inventory, network, patient, planned};

/// The plan as its journal holds it.
fn saved(plan: &Plan) -> Saved {
    let document = document(plan, &GuardsInForce::default(), "a test");
    Saved::from_value(serde_json::to_value(document).unwrap()).unwrap()
}

async fn rolled_back(cloud: &Simulated, saved: &Saved) -> Plan {
    let (begun, network) = (all_of(saved), network());
    let scope = &rollback_scopes(saved, &begun)[&network];
    let mut atoms = Atoms::new();
    let observed = observe(&network, cloud, scope, &mut atoms, patient().patience, &(), &StopSignal::new()).await;
    let here = inventory().networks[&network].clone();
    let input = NetworkInput { network: here, observed: Ok(observed.unwrap()), pack: cloud, calls: 1 };
    rollback(saved, &begun, vec![(input, atoms)], &GuardsInForce::default()).unwrap_or_else(|e| panic!("{e:?}"))
}

fn names(state: &Value) -> BTreeSet<&str> {
    groups(state).map(name).collect()
}

/// Plans, carries out until the call at which the run is killed, rolls back, and compares. Gives how many calls planning and
/// the whole run took; `None`: there was nothing to do.
async fn there_and_back(state: &Value, scenario: &Scenario, kill: Option<usize>) -> Option<(usize, usize)> {
    let mut first = in_memory(state);
    let killed = StopSignal::new();
    first.on_kill(killed.clone());
    let plan = planned(&first, scenario).await.ok()?;
    let read = first.log().len();
    let ended = tokio::select! {
        biased;
        () = killed.cancelled() => None,
        end = carried(&first, &plan) => Some(end),
    };
    assert_eq!(ended.is_none(), kill.is_some(), "{kill:?}");
    let second = in_memory(&first.state());
    let saved = saved(&plan);
    let back = rolled_back(&second, &saved).await;
    assert!(back.proof.holds(), "{:?}", back.proof.witness);
    if !back.steps.is_empty() {
        assert!(matches!(carried(&second, &back).await, End::Done));
    }
    let (was, is) = (state, second.state());
    assert_eq!(open(&is), open(was), "killed at {kill:?}");
    assert_eq!(names(&is), names(was), "killed at {kill:?}");
    assert!(rolled_back(&second, &saved).await.steps.is_empty(), "a second rollback has nothing to do");
    Some((read, first.log().len()))
}

fn in_memory(state: &Value) -> Simulated {
    Simulated::in_memory(state.to_string().as_bytes(), network()).unwrap()
}

#[test]
fn what_was_there_is_there_again_by_set_of_packets() {
    let mut runs = 0_u64;
    let played = each(12, |scenario, runtime| {
        let scenario = with_faults(&scenario, json!({}));
        // As the cloud itself writes it, references spelled as in what comes after.
        let state = in_memory(&scenario.state).state();
        let Some((read, calls)) = runtime.block_on(there_and_back(&state, &scenario, None)) else { return };
        runs += 1;
        for call in read + 1..=calls {
            let mut state = state.clone();
            state["faults"] = json!({ "schedule": [{ "call": call, "fault": "kill" }] });
            runtime.block_on(there_and_back(&state, &scenario, Some(call))).unwrap();
            runs += 1;
        }
    });
    assert!(played < 10 || runs > 2 * played, "only {runs} runs");
}
