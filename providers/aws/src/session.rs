//! What one run has learnt of its network: ids of group names, and which groups it made.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsgsync_core::name::Owner;

/// Group names and ids seen so far in the network's VPC.
#[derive(Debug, Default)]
pub(crate) struct Session(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<String, String>,
    names: HashMap<String, String>,
    made: HashSet<String>,
    owner: Option<Owner>,
}

impl Session {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is a single insertion: a panic elsewhere leaves the maps whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group of the VPC.
    pub fn saw(&self, name: &str, id: &str) {
        let mut known = self.known();
        known.ids.insert(name.to_owned(), id.to_owned());
        known.names.insert(id.to_owned(), name.to_owned());
    }

    /// A group of another network, by what steps here call it; `id` may stand behind its account.
    pub fn saw_elsewhere(&self, name: &str, id: &str) {
        self.known().ids.insert(name.to_owned(), id.to_owned());
    }

    /// A group that this run created: EC2 may not know it everywhere for some seconds.
    pub fn made(&self, name: &str, id: &str) {
        self.saw(name, id);
        self.known().made.insert(id.to_owned());
    }

    /// The group is gone.
    pub fn deleted(&self, id: &str) {
        let mut known = self.known();
        if let Some(name) = known.names.remove(id) {
            known.ids.remove(&name);
        }
        known.made.remove(id);
    }

    pub fn id_of(&self, name: &str) -> Option<String> {
        self.known().ids.get(name).cloned()
    }

    /// Whether `message` names a group that this run created.
    pub fn made_any_in(&self, message: &str) -> bool {
        self.known().made.iter().any(|id| message.contains(id.as_str()))
    }

    /// How errors name the group: `` `prod-etcd` (sg-0f3a) ``.
    pub fn label(&self, id: &str) -> String {
        match self.known().names.get(id) {
            Some(name) => format!("`{name}` ({id})"),
            None => format!("`{id}`"),
        }
    }

    /// Whose marks are ours.
    pub fn set_owner(&self, owner: &Owner) {
        self.known().owner = Some(owner.clone());
    }

    pub fn owner(&self) -> Option<Owner> {
        self.known().owner.clone()
    }
}
