//! What needs no cloud that behaves; the rest is tested against the simulated one, in its own crate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use rsgsync_core::observed::{Observed, Scope};
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, Site};

use super::*;

/// A cloud that only counts.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Pack for Counting {
    fn dialect(&self) -> &Dialect {
        unreachable!("a run packs nothing")
    }

    fn pack(&self, _: &GroupChanges, _: &Site<'_>) -> Vec<Call> {
        unreachable!("a run packs nothing")
    }
}

#[async_trait::async_trait]
impl Cloud for Counting {
    async fn observe(&self, _: &Scope, _: &mut Atoms) -> Result<Observed, CloudError> {
        Ok(Observed::default())
    }

    async fn execute(&self, _: &Step, _: &Atoms) -> Result<Done, CloudError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Done::default())
    }

    fn made_elsewhere(&self, _: &str, _: &str) {}

    fn calls(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}

async fn run_one_step(cloud: &Counting, journal: &mut Journal) -> Outcome {
    let (network, owner) = (NetworkName::new("eu").unwrap(), Owner::new("platform").unwrap());
    let mut atoms = Atoms::new();
    let step = Step {
        id: StepId(1),
        network: network.clone(),
        group: atoms.intern("one"),
        direction: None,
        action: Action::CreateGroup,
        depends_on: Vec::new(),
        resource: None,
        adds: Vec::new(),
        removes: Vec::new(),
        group_marks: Vec::new(),
        group_unmarks: Vec::new(),
        description: None,
    };
    let (atoms, steps) = (&atoms, &[step]);
    let (account, elsewhere, settle) = (None, &BTreeMap::new(), Duration::ZERO);
    let run = Run { network: &network, owner: &owner, cloud, account, atoms, elsewhere, steps, settle };
    carry_out(&[run], Options::default(), journal, &(), &StopSignal::new()).await
}

#[tokio::test]
async fn no_call_is_made_that_the_journal_can_not_hold() {
    let cloud = Counting::default();
    let outcome = run_one_step(&cloud, &mut Journal::unwritable()).await;
    assert_eq!(cloud.0.load(Ordering::Relaxed), 0);
    assert!(matches!(outcome.stopped, Some(Stopped::Journal(_))));
    assert_eq!(outcome.skipped, [(StepId(1), Because::Stopped)]);

    assert!(run_one_step(&cloud, &mut Journal::in_memory(serde_json::Value::Null)).await.is_complete());
    assert_eq!(cloud.0.load(Ordering::Relaxed), 1);
}
