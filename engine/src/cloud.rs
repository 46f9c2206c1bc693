//! The boundary to a cloud: observe, and carry a step out.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use rsgsync_core::name::GroupId;
use rsgsync_core::observed::{Limits, Observed, Scope, Usage};
use rsgsync_core::pack::Pack;
use rsgsync_core::plan::Step;
use rsgsync_core::rule::Atoms;

/// One network of one cloud.
#[async_trait]
pub trait Cloud: Pack + Send + Sync {
    /// Reads the groups of `scope` and their rules, in as few calls as the API allows.
    ///
    /// Every name in the answer is interned into `atoms`. Groups that don't exist are simply absent; a name that two groups
    /// have is an error that lists both.
    async fn observe(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError>;

    /// Carries one step out; safe to repeat: what is already there, or already gone, is success.
    ///
    /// Groups that a step names by name rather than by id were created by an earlier step of the same run, through this
    /// same value, which remembers their ids.
    async fn execute(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError>;

    /// Carries several steps out, as many as [`Pack::at_once`] says and none of which depends on another; an answer for each,
    /// in their order. As safe to repeat as [`Cloud::execute`], whatever part of them is.
    async fn execute_together(&self, steps: &[&Step], atoms: &Atoms) -> Vec<Result<Done, CloudError>> {
        let mut answers = Vec::with_capacity(steps.len());
        for step in steps {
            answers.push(self.execute(step, atoms).await);
        }
        answers
    }

    /// The quotas that groups share, and how much of them is used, where that is a call of its own: asked only for plans that
    /// make groups or add rules. `None`: [`Cloud::observe`] has told all that there is to know.
    async fn quotas(&self) -> Result<Option<(Limits, Usage)>, CloudError> {
        Ok(None)
    }

    /// How many network interfaces carry each of these groups; `None`: this cloud isn't asked.
    async fn attachments(&self, _groups: &[GroupId]) -> Result<Option<Attachments>, CloudError> {
        Ok(None)
    }

    /// A group of another network was made in this run: steps that refer to `name` mean it. `id` is as in
    /// [`Atoms`]: behind its account where that is another's.
    fn made_elsewhere(&self, name: &str, id: &str);

    /// Calls made so far, by the API's own name for each, repetitions included.
    fn calls(&self) -> BTreeMap<String, u64>;
}

/// How many network interfaces carry a group, by its id; a group that none carries is there, with 0.
pub type Attachments = BTreeMap<GroupId, u64>;

/// What a step's call brought about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// The new group's id, for `create_group`.
    pub group_id: Option<String>,
    /// The cloud's id of the (last) request.
    pub request_id: Option<String>,
    /// Some of it was already so.
    pub already: bool,
}

/// Why a call failed, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {}{}", message, request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
pub struct CloudError {
    /// What kind of failure, for the engine.
    pub kind: ErrorKind,
    /// What was being done, on which network and group: `reading security groups of eu-west-1`.
    pub doing: String,
    /// What the cloud answered, with its code: `UnauthorizedOperation: You are not …`.
    pub message: String,
    /// The cloud's id of the request.
    pub request_id: Option<String>,
    /// What to do next.
    pub help: Option<String>,
}

/// What the engine does about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The cloud asks to slow down, perhaps saying how long; try again.
    Throttled(Option<Duration>),
    /// 5xx, refused connection: surely or probably not carried out; try again.
    Transient,
    /// The answer was lost: it may have been carried out; executing again finds out.
    Lost,
    /// Trying again won't help.
    Final,
}
