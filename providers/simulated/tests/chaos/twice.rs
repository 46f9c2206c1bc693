//! Every step may be carried out twice: the second time changes nothing.

use rsgsync_core::plan::Action;
use rsgsync_engine::Cloud;
use rsgsync_simulated::Simulated;
use serde_json::json;

use crate::kills::with_faults;
use crate::packets::groups;
use crate::{each, network, planned};

#[test]
fn a_step_that_is_carried_out_again_changes_nothing() {
    let mut steps = 0_u64;
    let played = each(60, |scenario, runtime| {
        let scenario = with_faults(&scenario, json!({}));
        let cloud = Simulated::in_memory(scenario.state.to_string().as_bytes(), network()).unwrap();
        runtime.block_on(async {
            let Ok(plan) = planned(&cloud, &scenario).await else { return };
            let atoms = &plan.networks[0].atoms;
            for step in &plan.steps {
                cloud.execute(step, atoms).await.unwrap();
                let after: Vec<_> = groups(&cloud.state()).cloned().collect();
                let again = cloud.execute(step, atoms).await.unwrap_or_else(|e| panic!("{:?}: {e}", step.action));
                let tells = !matches!(step.action, Action::SetMarks | Action::UpdateDescriptions);
                assert!(again.already || !tells, "{:?} was already so", step.action);
                assert_eq!(groups(&cloud.state()).cloned().collect::<Vec<_>>(), after, "{:?}", step.action);
                steps += 1;
            }
        });
    });
    assert!(played < 20 || steps > 3 * played, "only {steps} steps");
}
