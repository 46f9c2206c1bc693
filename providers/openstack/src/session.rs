//! What one run has learnt of its network: ids of group names, and groups whose creation has no answer yet.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Group names and ids seen so far in the project.
#[derive(Debug, Default)]
pub(crate) struct Session(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<String, String>,
    names: HashMap<String, String>,
    asked_for: HashSet<String>,
}

impl Session {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is a single insertion: a panic elsewhere leaves the maps whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group of the project, which steps may call by its name.
    pub fn saw(&self, name: &str, id: &str) {
        let mut known = self.known();
        known.ids.insert(name.to_owned(), id.to_owned());
        known.names.insert(id.to_owned(), name.to_owned());
    }

    /// A group of another network, by what steps here call it; `id` may stand behind its project.
    pub fn saw_elsewhere(&self, name: &str, id: &str) {
        self.known().ids.insert(name.to_owned(), id.to_owned());
    }

    /// Whether this run has asked for a group of that name before: it may be there, though nobody said so.
    pub fn asks_again(&self, name: &str) -> bool {
        !self.known().asked_for.insert(name.to_owned())
    }

    pub fn id_of(&self, name: &str) -> Option<String> {
        self.known().ids.get(name).cloned()
    }

    /// How errors name the group: `` `prod-etcd` (3f0a…) ``.
    pub fn label(&self, id: &str) -> String {
        match self.known().names.get(id) {
            Some(name) => format!("`{name}` ({id})"),
            None => format!("`{id}`"),
        }
    }
}
