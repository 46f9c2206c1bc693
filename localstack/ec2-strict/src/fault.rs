//! What goes wrong on demand: which calls it hits, and what happens then.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// A fault, as `POST /control/faults` takes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fault {
    /// Only calls of this account.
    account: Option<String>,
    /// Only calls of this action.
    action: Option<String>,
    /// The first of those calls that is hit, from 1.
    #[serde(default = "once")]
    nth: u32,
    /// So many calls are hit.
    #[serde(default = "once")]
    times: u32,
    then: Then,
}

fn once() -> u32 {
    1
}

/// What happens to a call that is hit.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Then {
    /// Refused.
    Error { status: u16, code: Option<String>, message: Option<String>, retry_after: Option<u64> },
    /// Refused with `RequestLimitExceeded`.
    Throttle { retry_after: Option<u64> },
    /// The connection is reset, and nothing is done.
    Reset,
    /// Nothing is done, and no answer comes.
    Hang,
    /// Carried out, and the connection is reset instead of an answer.
    Lose,
    /// Carried out, and the connection ends in the middle of the answer.
    Half,
    /// Carried out, and half of the answer is missing, though HTTP says that it is whole.
    Garble,
    /// Carried out after a while.
    Delay { milliseconds: u64 },
    /// Before it is carried out, somebody else makes this call: its parameters, form-encoded.
    WriteBefore(String),
    /// After it was carried out.
    WriteAfter(String),
}

/// All that happens to one call.
#[derive(Default)]
pub(crate) struct Hits(Vec<Then>);

/// The faults that hit a call; those that are used up are taken out of the list.
pub(crate) fn take(faults: &mut Vec<Fault>, account: &str, action: &str) -> Hits {
    let is = |wanted: &Option<String>, given: &str| wanted.as_deref().is_none_or(|wanted| wanted == given);
    let mut hits = Vec::new();
    for fault in faults.iter_mut().filter(|fault| is(&fault.account, account) && is(&fault.action, action)) {
        if fault.nth > 1 {
            fault.nth -= 1;
        } else if fault.times > 0 {
            fault.times -= 1;
            hits.push(fault.then.clone());
        }
    }
    faults.retain(|fault| fault.times > 0);
    Hits(hits)
}

impl Fault {
    pub(crate) fn is_of(&self, account: Option<&str>) -> bool {
        account.is_none() || self.account.as_deref() == account
    }
}

impl Hits {
    pub(crate) fn any(&self, is: fn(&Then) -> bool) -> bool {
        self.0.iter().any(is)
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.0.iter().find_map(|then| match then {
            Then::Error { status, code, message, retry_after } => {
                let message = message.as_deref().unwrap_or("An internal error has occurred");
                let refusal = Refusal::new(code.as_deref().unwrap_or("Unavailable"), message);
                let status = StatusCode::from_u16(*status).unwrap_or(refusal.status);
                Some(Refusal { status, retry_after: *retry_after, ..refusal })
            }
            Then::Throttle { retry_after } => Some(Refusal::throttled(*retry_after)),
            _ => None,
        })
    }

    pub(crate) fn milliseconds(&self) -> u64 {
        let delay = |then: &Then| if let Then::Delay { milliseconds } = then { Some(*milliseconds) } else { None };
        self.0.iter().find_map(delay).unwrap_or_default()
    }

    pub(crate) fn writes_before(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|then| if let Then::WriteBefore(form) = then { Some(form) } else { None })
    }

    pub(crate) fn writes_after(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|then| if let Then::WriteAfter(form) = then { Some(form) } else { None })
    }
}
