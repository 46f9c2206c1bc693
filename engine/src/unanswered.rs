//! What it means that a call got no answer, and the causes of an error in words.

use std::error::Error;

use crate::cloud::{CloudError, ErrorKind};

/// How a call came to get no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// No request could be made of it.
    Unmade,
    /// Nobody took the connection.
    Unconnected,
    /// Time ran out.
    TimedOut,
    /// The connection broke.
    Broken,
}

/// A call that got no answer.
#[derive(Debug)]
pub struct Unanswered<'a> {
    /// What was being done.
    pub doing: String,
    /// Who was asked: `https://compute.googleapis.com`.
    pub at: &'a str,
    /// How it ended.
    pub how: Silence,
    /// The innermost cause.
    pub said: String,
    /// The call only reads.
    pub reads: bool,
    /// The service has answered calls before.
    pub answered: bool,
    /// What to do where waiting won't mend it.
    pub help: &'a str,
}

impl From<Unanswered<'_>> for CloudError {
    fn from(call: Unanswered<'_>) -> Self {
        let Unanswered { doing, at, how, said, reads, answered, help } = call;
        let unconnected = how == Silence::Unconnected;
        // What answered before will again; what never did is a wrong name, port or network. A connection that breaks was
        // taken by somebody.
        let never = unconnected || (reads && how == Silence::TimedOut);
        let hopeless = how == Silence::Unmade || (!answered && never);
        let kind = match (hopeless, unconnected) {
            (true, _) => ErrorKind::Final,
            (false, true) => ErrorKind::Transient,
            (false, false) => ErrorKind::Lost,
        };
        let message = match how {
            Silence::Unmade => format!("no request could be made to {at}: {said}"),
            Silence::Unconnected => format!("no connection to {at}: {said}"),
            Silence::TimedOut => format!("no answer in time from {at}"),
            Silence::Broken => format!("the connection to {at} broke: {said}"),
        };
        Self { kind, doing, message, request_id: None, help: (hopeless || !answered).then(|| help.to_owned()) }
    }
}

/// The error and its causes, the outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

/// The innermost cause: the outer ones often only say at which stage it happened.
pub fn last_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The error and its causes, each said once.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for text in chain(error).map(ToString::to_string) {
        if !said.iter().any(|s| s.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}
