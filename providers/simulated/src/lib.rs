//! The embedded cloud: in memory or in a file, as strict as the strictest real one.
//!
//! It behaves like EC2 where EC2 is strict: batches are carried out whole or refused whole, a referenced group can't be
//! deleted, quotas hold, names and descriptions have EC2's alphabet. Every call is counted and logged (as a line each with
//! `RUST_LOG=rsgsync_simulated=debug`); faults are made on demand (see [`fault`]). A prefix list counts as one entry of a
//! quota, since nothing here knows how long it is.

mod execute;
pub mod fault;
mod foreign;
pub mod lag;
mod observe;
mod state;
mod store;
pub mod throttle;
mod translate;
pub mod world;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rsgsync_core::inventory::{PlaceKind, ProviderSpec};
use rsgsync_core::name::{GroupId, NetworkName};
use rsgsync_core::observed::{Limit, LimitSource, Limits, Observed, Scope};
use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, QuotaCount, Site, one_call_a_direction};
use rsgsync_core::plan::Step;
use rsgsync_core::rule::{Atoms, Rule, RulePeer};
use rsgsync_engine::{Attachments, Cloud, CloudError, Done, StopSignal};

pub use state::StateProblem;
pub use store::{Answer, CallRecord, Change, StateError};

use state::State;
use store::{About, Failure, Store};
use world::{Peer, Refusal, World};

/// The exit code of a process that `kill -9` ended, which is what the fault `kill` plays.
const KILLED: i32 = 137;

/// The word and keys under which it stands in the inventory; without `state` the cloud is in memory, and empty.
pub const SPEC: ProviderSpec = ProviderSpec {
    word: "simulated",
    keys: &[("state", PlaceKind::Path)],
    required: &[],
    most: &[],
    absent: None,
    groups_are_names: false,
    beside_rules: &["network ACLs", "routes", "other security groups of an interface", "host firewalls"],
};

/// One network of the embedded cloud.
#[derive(Debug)]
pub struct Simulated {
    network: NetworkName,
    dialect: Dialect,
    /// What the inventory says instead of what the cloud tells.
    configured: BTreeMap<String, u32>,
    store: Mutex<Store>,
    /// Ids of groups that were seen or made, by name, for steps that name a group which was not there when planned.
    ids: Mutex<HashMap<String, String>>,
    /// Who is told of a kill; `None`: it ends the process.
    killed: Option<StopSignal>,
}

impl Simulated {
    /// Opens the cloud in the state file at `path` (no file: an empty cloud), or a new one in memory.
    ///
    /// `quotas` are the inventory's: `rules_per_group`, `groups`, `rules`. Errors when the file is no valid state; nothing is
    /// changed then.
    pub fn open(path: Option<&Path>, network: NetworkName, quotas: BTreeMap<String, u32>) -> Result<Self, StateError> {
        let store = match path {
            Some(path) => Store::in_file(path)?,
            None => Store::in_memory(State::default()),
        };
        Ok(Self::new(store, network, quotas))
    }

    /// A cloud in memory with what a state file's `bytes` say.
    pub fn in_memory(bytes: &[u8], network: NetworkName) -> Result<Self, StateProblem> {
        Ok(Self::new(Store::in_memory(State::read(bytes)?), network, BTreeMap::new()))
    }

    fn new(store: Store, network: NetworkName, configured: BTreeMap<String, u32>) -> Self {
        let (store, ids) = (Mutex::new(store), Mutex::new(HashMap::new()));
        Self { network, dialect: dialect(), configured, store, ids, killed: None }
    }

    /// What the state file would hold now.
    pub fn state(&self) -> serde_json::Value {
        self.lock().state().to_json()
    }

    /// Lets a `kill` send `killed` instead of ending the process; from then on no call is answered, so that the caller can
    /// drop what it does and be as gone as a process.
    pub fn on_kill(&mut self, killed: StopSignal) {
        self.killed = Some(killed);
    }

    /// Notes every change of the groups from now on, for [`Simulated::changes`].
    pub fn note_changes(&self) {
        self.lock().note_changes();
    }

    /// Every change since [`Simulated::note_changes`], strangers' too; empty without it.
    pub fn changes(&self) -> Vec<Change> {
        self.lock().changes().to_vec()
    }

    /// Every call so far, in the order in which they reached the cloud.
    pub fn log(&self) -> Vec<CallRecord> {
        self.lock().log().to_vec()
    }

    // A panic elsewhere leaves a world that holds together: its operations are all or nothing.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call over the simulated wire.
    async fn call<T>(
        &self,
        about: About<'_>,
        body: impl FnOnce(&mut World) -> Result<T, Refusal>,
    ) -> Result<(T, String), Failure> {
        let latency = self.lock().latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if self.killed.as_ref().is_some_and(StopSignal::is_cancelled) {
            std::future::pending::<()>().await;
        }
        let answer = self.lock().call(&about, body);
        match (answer, &self.killed) {
            (Some(answer), _) => answer,
            (None, Some(killed)) => {
                killed.cancel();
                std::future::pending().await
            }
            (None, None) => std::process::exit(KILLED),
        }
    }

    fn error(&self, doing: &str, failure: Failure) -> CloudError {
        let doing = format!("{doing} of network `{}` (simulated)", self.network);
        match failure {
            Failure::Refused { refusal: Refusal { code, message }, request_id } => CloudError {
                kind: rsgsync_engine::ErrorKind::Final,
                doing,
                message: format!("{code}: {message}"),
                request_id,
                help: help(code).map(str::to_owned),
            },
            Failure::Other { kind, message, request_id } => CloudError { kind, doing, message, request_id, help: None },
        }
    }

    fn limits(&self) -> Limits {
        let quota = self.lock().state().world.quota;
        let limit = |key: &str, told: Option<u32>| match self.configured.get(key) {
            Some(stated) => Some(Limit { at_most: *stated, source: LimitSource::Configured }),
            None => told.map(|at_most| Limit { at_most, source: LimitSource::Read }),
        };
        Limits {
            rules_per_group: limit("rules_per_group", Some(quota.rules_per_group)),
            groups: limit("groups", Some(quota.groups)),
            rules: limit("rules", quota.rules),
            ..Limits::default()
        }
    }
}

fn dialect() -> Dialect {
    let default = world::default_egress();
    let default_rules = match default.peer {
        Peer::Cidr(cidr) => {
            vec![Rule { direction: default.direction, peer: RulePeer::Addresses(cidr), traffic: default.traffic }]
        }
        Peer::Group(_) | Peer::OtherAccount { .. } | Peer::PrefixList(_) => Vec::new(),
        Peer::AddressGroup(_) | Peer::ServiceAccount(_) => Vec::new(),
    };
    Dialect {
        references_match_both: true,
        default_rules,
        description_alphabet: Some(world::ALPHABET),
        description_length: world::LONGEST,
        marks_in_description: false,
        quota: QuotaCount::ByDirectionAndFamily,
        delete_cascades: false,
        updates_descriptions: true,
        groups_are_implicit: false,
    }
}

fn help(code: &str) -> Option<&'static str> {
    match code {
        "DependencyViolation" => Some("remove the rules that refer to the group first"),
        "RulesPerSecurityGroupLimitExceeded" | "SecurityGroupLimitExceeded" | "RulesLimitExceeded" => {
            Some("raise the quota in the state file, or ask for fewer")
        }
        "InvalidGroup.Duplicate" | "InvalidGroup.NotFound" => Some("the cloud has changed since the plan: plan again"),
        _ => None,
    }
}

impl Pack for Simulated {
    fn refuses_name(&self, name: &str) -> Option<String> {
        world::check_group_name(name).err().map(|refusal| refusal.message)
    }

    fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    fn pack(&self, changes: &GroupChanges, _at: &Site<'_>) -> Vec<Call> {
        one_call_a_direction(changes, &self.dialect)
    }
}

#[async_trait]
impl Cloud for Simulated {
    async fn observe(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        self.observe_groups(scope, atoms).await
    }

    async fn execute(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        self.execute_step(step, atoms).await
    }

    async fn attachments(&self, groups: &[GroupId]) -> Result<Option<Attachments>, CloudError> {
        self.count_interfaces(groups).await.map(Some)
    }

    fn made_elsewhere(&self, name: &str, id: &str) {
        self.ids().insert(name.to_owned(), id.to_owned());
    }

    fn calls(&self) -> BTreeMap<String, u64> {
        self.lock().counts().iter().map(|(kind, count)| (kind.as_str().to_owned(), *count)).collect()
    }
}
