//! A project: its resources, and the operations that change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use serde_json::{Value, json};

use crate::error::Refusal;
use crate::operation::{Failure, Operation};
use crate::page::Next;
use crate::schema::Object;
use crate::text;

/// What a project holds, as it stands in paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Collection {
    Firewalls,
    Networks,
    Policies,
}

impl Collection {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Firewalls => "firewalls",
            Self::Networks => "networks",
            Self::Policies => "firewallPolicies",
        }
    }

    const fn metric(self) -> &'static str {
        match self {
            Self::Firewalls => "FIREWALLS",
            Self::Networks => "NETWORKS",
            Self::Policies => "NETWORK_FIREWALL_POLICIES",
        }
    }
}

/// What an operation does when it is done.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Put(Object),
    Remove,
    Fail(Failure),
}

/// A change that was accepted.
pub(crate) struct Change {
    pub(crate) collection: Collection,
    pub(crate) name: String,
    /// For example `insert`.
    pub(crate) operation: String,
    pub(crate) target_id: String,
    pub(crate) effect: Effect,
}

/// Every project that somebody asks for exists.
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) resources: BTreeMap<Collection, BTreeMap<String, Object>>,
    /// By zone.
    pub(crate) instances: BTreeMap<String, Vec<Object>>,
    /// By name.
    pub(crate) operations: BTreeMap<String, Operation>,
    /// The names of operations that aren't done.
    running: BTreeSet<String>,
    /// Which operation a request id made.
    pub(crate) requests: HashMap<String, String>,
    pub(crate) quotas: BTreeMap<String, u64>,
    /// By token.
    pub(crate) pages: HashMap<String, Next>,
    /// No page has more items.
    pub(crate) page_size: usize,
    /// Policies of the organisation, by network: they stand before the project's own.
    pub(crate) inherited: BTreeMap<String, Vec<Value>>,
    pub(crate) strict: bool,
}

impl Project {
    /// A project as Google makes one, with the network `default`.
    pub(crate) fn new(id: &str, strict: bool) -> Self {
        let quotas = [("FIREWALLS", 200), ("NETWORKS", 15), ("NETWORK_FIREWALL_POLICIES", 100)];
        let mut project = Self {
            id: id.to_owned(),
            resources: BTreeMap::new(),
            instances: BTreeMap::new(),
            operations: BTreeMap::new(),
            running: BTreeSet::new(),
            requests: HashMap::new(),
            quotas: quotas.map(|(metric, limit)| (metric.to_owned(), limit)).into(),
            pages: HashMap::new(),
            page_size: 500,
            inherited: BTreeMap::new(),
            strict,
        };
        let network = project.network(&json!({ "name": "default", "description": "Default network for the project" }));
        project.put(Collection::Networks, network);
        for rule in crate::firewall::of_a_default_network() {
            if let Ok(rule) = project.new_firewall(rule) {
                project.put(Collection::Firewalls, rule);
            }
        }
        project
    }

    /// `projects/P/global/firewalls/NAME`.
    pub(crate) fn resource(&self, collection: Collection, name: &str) -> String {
        format!("projects/{}/global/{}/{name}", self.id, collection.path())
    }

    /// The resource's address in answers: always Google's, wherever it was asked for.
    pub(crate) fn link(&self, collection: Collection, name: &str) -> String {
        text::link(&self.resource(collection, name))
    }

    /// The resource of this name or id.
    pub(crate) fn get(&self, collection: Collection, name: &str) -> Result<&Object, Refusal> {
        let all = self.resources.get(&collection);
        let by_id = || self.all(collection).find(|object| text::of(object, "id") == name);
        let is_id = name.starts_with(|first: char| first.is_ascii_digit());
        let found = all.and_then(|all| all.get(name)).or_else(|| is_id.then(by_id).flatten());
        found.ok_or_else(|| Refusal::not_found(&self.resource(collection, name)))
    }

    pub(crate) fn all(&self, collection: Collection) -> impl Iterator<Item = &Object> {
        self.resources.get(&collection).into_iter().flat_map(BTreeMap::values)
    }

    pub(crate) fn put(&mut self, collection: Collection, object: Object) {
        let name = text::of(&object, "name").to_owned();
        self.resources.entry(collection).or_default().insert(name, object);
    }

    pub(crate) fn remove(&mut self, collection: Collection, name: &str) {
        self.resources.entry(collection).or_default().remove(name);
    }

    /// Kind, id, time and address of a new resource, and what `fields` says besides.
    pub(crate) fn made(&self, collection: Collection, kind: &str, mut fields: Object) -> Object {
        let name = text::of(&fields, "name").to_owned();
        fields.insert("kind".to_owned(), kind.into());
        fields.insert("id".to_owned(), text::number().into());
        fields.insert("creationTimestamp".to_owned(), text::now().into());
        fields.insert("selfLink".to_owned(), self.link(collection, &name).into());
        fields
    }

    /// Errors where an operation is at work on the resource.
    pub(crate) fn idle(&self, collection: Collection, name: &str) -> Result<(), Refusal> {
        let busy = |operation: &Operation| operation.works_on(collection, name);
        match self.running().any(busy) {
            true => Err(Refusal::not_ready(&self.resource(collection, name))),
            false => Ok(()),
        }
    }

    /// Errors where the name is taken, or is about to be.
    pub(crate) fn vacant(&self, collection: Collection, name: &str) -> Result<(), Refusal> {
        let coming = |operation: &Operation| operation.works_on(collection, name);
        match self.get(collection, name).is_ok() || self.running().any(coming) {
            true => Err(Refusal::exists(&self.resource(collection, name))),
            false => Ok(()),
        }
    }

    /// How many resources there are, counting those that are about to be made.
    fn usage(&self, collection: Collection) -> u64 {
        let coming = self.running().filter(|operation| operation.makes(collection)).count();
        (self.all(collection).count() + coming) as u64
    }

    /// What making one resource more does: a full quota is found out only by the operation.
    pub(crate) fn within_quota(&self, collection: Collection, object: Object) -> Effect {
        let metric = collection.metric();
        match self.quotas.get(metric) {
            Some(limit) if self.usage(collection) >= *limit => Effect::Fail(Failure::quota(metric, *limit)),
            _ => Effect::Put(object),
        }
    }

    /// Starts the operation and returns it as it is answered.
    pub(crate) fn start(&mut self, operation: Operation) -> Value {
        let answer = operation.body(&self.id);
        self.running.insert(operation.name.clone());
        self.operations.insert(operation.name.clone(), operation);
        answer
    }

    fn running(&self) -> impl Iterator<Item = &Operation> {
        self.running.iter().filter_map(|name| self.operations.get(name))
    }

    /// Carries out what is due.
    pub(crate) fn settle(&mut self, now: Instant) {
        let due: Vec<String> =
            self.running().filter(|operation| operation.due(now)).map(|operation| operation.name.clone()).collect();
        for name in due {
            self.finish(&name);
        }
    }

    fn finish(&mut self, operation: &str) {
        self.running.remove(operation);
        let Some(operation) = self.operations.get_mut(operation) else { return };
        let change = (operation.collection, operation.target.clone());
        match operation.finish() {
            Some(Effect::Put(object)) => self.put(change.0, object),
            Some(Effect::Remove) => self.remove(change.0, &change.1),
            Some(Effect::Fail(_)) | None => {}
        }
    }

    /// An operation as somebody sees it who asks now.
    pub(crate) fn look(&mut self, operation: &str, now: Instant) -> Result<Value, Refusal> {
        if let Some(operation) = self.operations.get_mut(operation) {
            operation.seen();
        }
        self.settle(now);
        let missing = || Refusal::not_found(&format!("projects/{}/global/operations/{operation}", self.id));
        Ok(self.operations.get(operation).ok_or_else(missing)?.body(&self.id))
    }

    /// `projects.get`.
    pub(crate) fn body(&self) -> Value {
        let collections = [Collection::Firewalls, Collection::Networks, Collection::Policies];
        let quotas = collections.map(|collection| {
            let limit = self.quotas.get(collection.metric()).copied().unwrap_or_default();
            json!({ "metric": collection.metric(), "limit": limit as f64, "usage": self.usage(collection) as f64 })
        });
        json!({
            "kind": "compute#project",
            "id": text::hashed(&self.id).to_string(),
            "creationTimestamp": "2024-01-01T00:00:00.000-08:00",
            "name": self.id,
            "commonInstanceMetadata": { "kind": "compute#metadata", "fingerprint": "AAAAAAAAAAA=" },
            "quotas": quotas,
            "selfLink": text::link(&format!("projects/{}", self.id)),
            "defaultServiceAccount": format!("{}-compute@developer.gserviceaccount.com", text::hashed(&self.id)),
            "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
            "defaultNetworkTier": "PREMIUM",
            "vmDnsSetting": "ZONAL_ONLY",
            "cloudArmorTier": "CA_STANDARD",
        })
    }
}
