//! A run that is killed at any of its calls, before or after the cloud has carried it out, leaves what the next one mends.

use rsgsync_simulated::Simulated;
use serde_json::{Value, json};

use crate::scenario::Scenario;
use crate::{End, each, network, play, run};

/// The same scenario with these faults only.
pub fn with_faults(scenario: &Scenario, faults: Value) -> Scenario {
    let mut state = scenario.state.clone();
    state["faults"] = faults;
    Scenario { state, wanted: scenario.wanted.clone() }
}

/// The calls of a run in which nothing goes wrong.
async fn calls(scenario: &Scenario) -> usize {
    let state = with_faults(scenario, json!({})).state;
    let cloud = Simulated::in_memory(state.to_string().as_bytes(), network()).unwrap();
    run(&cloud, scenario).await;
    cloud.log().len()
}

#[test]
fn a_kill_at_every_call_is_made_good_by_the_next_runs() {
    let (mut kills, mut in_sync) = (0_u64, 0_u64);
    let played = each(5, |scenario, runtime| {
        for call in 1..=runtime.block_on(calls(&scenario)) {
            for fault in ["kill_before", "kill"] {
                let schedule = json!({ "schedule": [{ "call": call, "fault": fault }] });
                let (end, runs) = runtime.block_on(play(&with_faults(&scenario, schedule)));
                assert!(runs > 1, "call {call} was not killed");
                kills += 1;
                in_sync += u64::from(matches!(end, End::InSync));
            }
        }
    });
    assert!(played < 5 || kills > 10 * played, "only {kills} kills");
    assert!(played < 5 || in_sync * 2 > kills, "most scenarios have room for a plan: {in_sync} of {kills}");
}
