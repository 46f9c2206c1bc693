//! What one run has learnt of its network: resources as they were planned with, and calls that have to be told apart.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsgsync_core::plan::StepId;
use sha2::{Digest, Sha256};

use crate::wire::Firewall;

/// The resources of the network, and the operations asked for.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Another one in each run: the service takes a request with an id that it knows for a repetition.
    run: [u64; 2],
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    listed: bool,
    resources: HashMap<String, Firewall>,
    /// How often an operation of a step has failed, or is known to be over.
    over: HashMap<StepId, u32>,
}

impl Session {
    pub fn new() -> Self {
        let luck = || RandomState::new().hash_one(std::process::id());
        Self { run: [luck(), luck()], known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is a single insertion: a panic elsewhere leaves the maps whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The project's resources as they were listed. A plan is built on what `planning` lists, or on the first list; what is
    /// listed while it is carried out may be what others wrote meanwhile, and changes nothing here.
    pub fn listed(&self, resources: &[Firewall], planning: bool) {
        let mut known = self.known();
        if planning || !known.listed {
            known.listed = true;
            known.resources = resources.iter().map(|r| (r.name.clone(), r.clone())).collect();
        }
    }

    /// A resource as a call of ours has left it.
    pub fn left(&self, resource: Firewall) {
        self.known().resources.insert(resource.name.clone(), resource);
    }

    /// A resource that is gone.
    pub fn gone(&self, name: &str) {
        self.known().resources.remove(name);
    }

    /// A resource as the plan knows it.
    pub fn resource(&self, name: &str) -> Option<Firewall> {
        self.known().resources.get(name).cloned()
    }

    /// The id of a step's request, a UUID: the same for every repetition, until its operation is over.
    pub fn request_id(&self, step: StepId) -> String {
        let over = self.known().over.get(&step).copied().unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [self.run[0], self.run[1], u64::from(step.0), u64::from(over)] {
            hash.update(part.to_be_bytes());
        }
        uuid(&hash.finalize())
    }

    /// A step's operation has failed: asking again is another request.
    pub fn over(&self, step: StepId) {
        *self.known().over.entry(step).or_default() += 1;
    }
}

/// A UUID that says of itself to be random (version 4), as Google asks for (AIP-155).
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().take(16).enumerate() {
        let byte = match at {
            6 => byte & 0x0F | 0x40,
            8 => byte & 0x3F | 0x80,
            _ => *byte,
        };
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn repetitions_have_one_id_and_other_requests_others() {
        let session = Session::new();
        let first = session.request_id(StepId(1));
        assert_eq!(session.request_id(StepId(1)), first);
        session.over(StepId(1));
        let ids =
            [first, session.request_id(StepId(1)), session.request_id(StepId(2)), Session::new().request_id(StepId(1))];
        assert_eq!(HashSet::from(ids.clone()).len(), 4, "{ids:?}");
    }

    #[test]
    fn what_others_write_while_a_plan_is_carried_out_is_not_what_it_was_made_for() {
        let named = |name: &str, id: &str| Firewall { name: name.to_owned(), id: id.to_owned(), ..Firewall::default() };
        let session = Session::new();
        session.listed(&[named("a", "1")], false);
        session.listed(&[named("a", "2"), named("b", "3")], false);
        assert_eq!(session.resource("a"), Some(named("a", "1")));
        assert_eq!(session.resource("b"), None);
        session.listed(&[named("b", "3")], true);
        assert_eq!((session.resource("a"), session.resource("b")), (None, Some(named("b", "3"))));
    }

    #[test]
    fn an_id_is_a_uuid() {
        let id = Session::new().request_id(StepId(7));
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()), "{id}");
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
