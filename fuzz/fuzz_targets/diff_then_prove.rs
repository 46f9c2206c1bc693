//! A small network and a wish become a plan: the proof holds, every order of its steps keeps to what brute force says,
//! and afterwards nothing is left to do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsgsync_core::flow::Flows;
use rsgsync_core::guard::{GuardsInForce, judge};
use rsgsync_core::plan::{Plan, PlanError, plan};
use rsgsync_fuzz::cloud::Scene;
use rsgsync_fuzz::journey::save;
use rsgsync_fuzz::network::{Small, inventory};

fuzz_target!(|small: Small| {
    let mut scene = Scene::new(&small);
    let today = jiff::civil::date(2026, 11, 26);
    let refused = !judge(&scene.desired, inventory(), today).refused.is_empty();
    let guards = if refused { GuardsInForce::default() } else { GuardsInForce::of(&scene.desired, inventory(), today) };
    match plan_of(&scene, &guards) {
        Err(errors) => scene.check_refusal(&errors),
        Ok(plan) => {
            assert!(plan.proof.holds(), "{:?}", plan.proof.witness);
            if !refused {
                save(&plan, &guards);
            }
            scene.carry_out(&plan);
            let again = plan_of(&scene, &guards).expect("what was planned once can be planned again");
            assert!(again.in_sync(), "{:?}", again.steps);
        }
    }
});

fn plan_of(scene: &Scene<'_>, guards: &GuardsInForce) -> Result<Plan, Vec<PlanError>> {
    plan(inventory(), &Flows::default(), scene.desired.clone(), vec![scene.input()], guards, &scene.options)
}
