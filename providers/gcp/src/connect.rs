//! A Google Cloud network of the inventory becomes a connection, on first use.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rsgsync_core::inventory::Network;
use rsgsync_core::observed::{Observed, Scope};
use rsgsync_core::pack::{Call as Planned, Dialect, GroupChanges, Pack, Site};
use rsgsync_core::plan::Step;
use rsgsync_core::rule::{Atoms, PeerKind, Rule};
use rsgsync_engine::{Cloud, CloudError, Done};
use tokio::sync::OnceCell;

use crate::api::{Answer, Call, CallLog, Compute, Where};
use crate::error::Refused;
use crate::pack::{is_account, mixes, pack};
use crate::place::Place;
use crate::session::Session;
use crate::translate::unsayable;

/// One VPC network of one project.
///
/// Nothing is called, and no credentials are looked for, before the first [`Cloud::observe`] or [`Cloud::execute`].
#[derive(Debug)]
pub struct Gcp {
    pub(crate) place: Place,
    pub(crate) dialect: Dialect,
    pub(crate) session: Session,
    calls: CallLog,
    compute: OnceCell<Compute>,
}

impl Gcp {
    /// The network as the inventory has it; credentials are the application default ones.
    ///
    /// Errors when a value has the wrong shape; the inventory's reader lets none through.
    pub fn connect(network: &Network) -> Result<Self, CloudError> {
        Ok(Self {
            place: Place::new(network)?,
            dialect: crate::pack::dialect(),
            session: Session::new(),
            calls: CallLog::default(),
            compute: OnceCell::new(),
        })
    }

    pub(crate) async fn compute(&self) -> Result<&Compute, CloudError> {
        self.compute.get_or_try_init(|| async { Compute::find(&self.place.name) }).await
    }

    pub(crate) async fn send(&self, doing: &str, call: &Call<'_>) -> Result<Answer, Refused> {
        let compute = self.compute().await.map_err(Refused::unanswered)?;
        let place = Where { network: &self.place.name, project: &self.place.project, calls: &self.calls };
        compute.send(place, doing, call).await
    }
}

impl Pack for Gcp {
    fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    fn pack(&self, changes: &GroupChanges, at: &Site<'_>) -> Vec<Planned> {
        pack(changes, at, &self.dialect)
    }

    fn unsayable(&self, rule: &Rule, group: &str, peer: &str) -> Option<String> {
        let elsewhere = peer.contains('/').then(|| format!("`{peer}` is of another project: state its addresses"));
        let mixed = || if peer.is_empty() { None } else { mixes(group, peer) };
        unsayable(rule).map(|why| why.to_string()).or(elsewhere).or_else(mixed)
    }

    fn reference(&self, group: &str) -> PeerKind {
        if is_account(group) { PeerKind::ServiceAccount } else { PeerKind::Group }
    }

    fn refuses_name(&self, name: &str) -> Option<String> {
        refuses_name(name)
    }
}

/// Why no instance can have that tag; an account's address is Google's to judge.
fn refuses_name(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let legal = bytes.len() <= 63
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    (!legal && !is_account(name))
        .then(|| "a network tag has a-z, 0-9 and `-`, begins with a letter and has 63 characters at most".to_owned())
}

#[async_trait]
impl Cloud for Gcp {
    async fn observe(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        self.observe_groups(scope, atoms).await
    }

    async fn execute(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        self.execute_step(step, atoms).await
    }

    /// Groups are known by their names, here and elsewhere.
    fn made_elsewhere(&self, _name: &str, _id: &str) {}

    fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.counts()
    }
}
