//! A Google Cloud network of the inventory becomes a connection, on first use.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use rsgsync_core::inventory::Network;
use rsgsync_core::name::GroupId;
use rsgsync_core::observed::{Observed, Scope};
use rsgsync_core::pack::{Call as Planned, Dialect, GroupChanges, Pack, Site};
use rsgsync_core::plan::Step;
use rsgsync_core::rule::{Atoms, PeerKind, Rule};
use rsgsync_engine::{Attachments, Cloud, CloudError, Done};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::api::{Answer, Call, CallLog, Compute, Where};
use crate::error::{NOT_COMPUTE, Refused, final_error};
use crate::pack::{is_account, mixes, pack};
use crate::place::Place;
use crate::session::Session;
use crate::translate::unsayable;
use crate::wire::Page;

/// Items a page: the most that the API gives.
const PAGE: &str = "500";

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

    /// Every page of a list.
    pub(crate) async fn pages<T>(&self, doing: &str, call: &Call<'_>) -> Result<Vec<T>, CloudError>
    where
        T: DeserializeOwned + Default,
    {
        let first = call.clone().query("maxResults", PAGE);
        let (mut found, mut tokens) = (Vec::new(), BTreeSet::new());
        let mut token = String::new();
        loop {
            let call = first.clone();
            let call = if token.is_empty() { call } else { call.query("pageToken", &token) };
            let page: Page<T> = self.send(doing, &call).await?.read(doing)?;
            found.push(page.items);
            match page.next_page_token.filter(|next| !next.is_empty()) {
                None => return Ok(found),
                Some(next) if tokens.insert(next.clone()) => token = next,
                Some(_) => {
                    return Err(final_error(doing.to_owned(), "the same page comes again and again", NOT_COMPUTE));
                }
            }
        }
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

    async fn attachments(&self, groups: &[GroupId]) -> Result<Option<Attachments>, CloudError> {
        self.count_interfaces(groups).await.map(Some)
    }

    /// Groups are known by their names, here and elsewhere.
    fn made_elsewhere(&self, _name: &str, _id: &str) {}

    fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.counts()
    }
}
