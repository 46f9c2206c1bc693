//! Faults on demand: which call goes wrong, and how.
//!
//! They stand in the state file under `faults`:
//!
//! ```json
//! { "schedule": [
//!     { "call": 3, "fault": "throttle", "times": 2, "retry_after_ms": 500 },
//!     { "kind": "AuthorizeSecurityGroupIngress", "nth": 2, "fault": "lost_answer" }
//! ] }
//! ```
//!
//! `call` counts every call from 1, anew each time that the cloud is opened (each run of rsgsync); `kind` and `nth` count
//! the calls of one kind in the same way, `nth` being 1 unless given. An entry strikes the first call that has come that
//! far, then goes on striking calls that match until it has struck `times` times (1 unless given); then it is taken out
//! of the schedule, in the state file too, so that a run after a kill is not killed again. At most one entry strikes a
//! call: the first in the list.
//!
//! | fault | carried out | what the caller sees |
//! | --- | --- | --- |
//! | `throttle` | no | `RequestLimitExceeded`, asked to wait `retry_after_ms` where that is given |
//! | `error_500` | no | `InternalError` |
//! | `denied` | no | `UnauthorizedOperation`, which trying again does not help |
//! | `timeout` | no | no answer |
//! | `lost_answer` | yes | no answer |
//! | `kill_before` | no | the process ends with exit code 137 |
//! | `kill` | yes | the process ends with exit code 137 before the answer |

use serde::{Deserialize, Serialize};

/// A call of the simulated cloud, by EC2's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are EC2's, and documented there")]
pub enum Kind {
    DescribeSecurityGroups,
    DescribeSecurityGroupRules,
    CreateSecurityGroup,
    AuthorizeSecurityGroupIngress,
    AuthorizeSecurityGroupEgress,
    RevokeSecurityGroupIngress,
    RevokeSecurityGroupEgress,
    UpdateSecurityGroupRuleDescriptionsIngress,
    UpdateSecurityGroupRuleDescriptionsEgress,
    CreateTags,
    DeleteTags,
    DeleteSecurityGroup,
}

impl Kind {
    /// EC2's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DescribeSecurityGroups => "DescribeSecurityGroups",
            Self::DescribeSecurityGroupRules => "DescribeSecurityGroupRules",
            Self::CreateSecurityGroup => "CreateSecurityGroup",
            Self::AuthorizeSecurityGroupIngress => "AuthorizeSecurityGroupIngress",
            Self::AuthorizeSecurityGroupEgress => "AuthorizeSecurityGroupEgress",
            Self::RevokeSecurityGroupIngress => "RevokeSecurityGroupIngress",
            Self::RevokeSecurityGroupEgress => "RevokeSecurityGroupEgress",
            Self::UpdateSecurityGroupRuleDescriptionsIngress => "UpdateSecurityGroupRuleDescriptionsIngress",
            Self::UpdateSecurityGroupRuleDescriptionsEgress => "UpdateSecurityGroupRuleDescriptionsEgress",
            Self::CreateTags => "CreateTags",
            Self::DeleteTags => "DeleteTags",
            Self::DeleteSecurityGroup => "DeleteSecurityGroup",
        }
    }

    /// Whether it changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Self::DescribeSecurityGroups | Self::DescribeSecurityGroupRules)
    }
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Refused: too many requests.
    Throttle,
    /// Refused: the cloud's own error.
    #[serde(rename = "error_500")]
    Error500,
    /// Refused: this caller may not do that.
    Denied,
    /// Not carried out, and no answer.
    Timeout,
    /// Carried out, and no answer.
    LostAnswer,
    /// The process ends before the call is carried out.
    KillBefore,
    /// The process ends after the call is carried out.
    Kill,
}

/// What goes wrong; see the module.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Faults {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    pub fault: Fault,
    #[serde(default = "once")]
    pub times: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

fn once() -> u32 {
    1
}

/// A fault that strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    pub fault: Fault,
    pub retry_after_ms: Option<u64>,
}

impl Faults {
    /// What is wrong with the entry at `index`, if anything.
    pub fn problem(&self) -> Option<(usize, &'static str)> {
        self.schedule.iter().enumerate().find_map(|(index, entry)| {
            let problem = match entry {
                Entry { call: Some(_), kind: Some(_), .. } => "has both `call` and `kind`: one of them says which call",
                Entry { call: None, kind: None, .. } => "needs `call` or `kind`: which call goes wrong",
                Entry { call: Some(_), nth: Some(_), .. } => "has `nth`, which goes with `kind`",
                Entry { call: Some(0), .. } | Entry { nth: Some(0), .. } => "counts calls from 0; they start at 1",
                Entry { times: 0, .. } => "has `times` 0: it would never strike",
                _ => return None,
            };
            Some((index, problem))
        })
    }

    /// What strikes call number `call`, which is the `nth` of its kind; an entry that has struck its times is taken out.
    pub fn strike(&mut self, call: u64, kind: Kind, nth: u64) -> Option<Strike> {
        let due = |entry: &Entry| match (entry.call, entry.kind) {
            (Some(from), _) => call >= from,
            (None, Some(of)) => of == kind && nth >= entry.nth.unwrap_or(1),
            (None, None) => false,
        };
        let index = self.schedule.iter().position(due)?;
        let entry = &mut self.schedule[index];
        let strike = Strike { fault: entry.fault, retry_after_ms: entry.retry_after_ms };
        entry.times = entry.times.saturating_sub(1);
        if entry.times == 0 {
            self.schedule.remove(index);
        }
        Some(strike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: serde_json::Value) -> Faults {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_entry_strikes_as_often_as_it_says_and_is_gone() {
        let mut faults = faults(serde_json::json!({ "schedule": [{ "call": 2, "fault": "throttle", "times": 2 }] }));
        let struck = |faults: &mut Faults, call| faults.strike(call, Kind::CreateTags, 1).is_some();
        assert!(!struck(&mut faults, 1));
        assert!(struck(&mut faults, 2));
        assert!(struck(&mut faults, 3));
        assert!(!struck(&mut faults, 4));
        assert_eq!(faults, Faults::default());
    }

    #[test]
    fn a_kind_is_counted_by_itself() {
        let mut faults =
            faults(serde_json::json!({ "schedule": [{ "kind": "CreateTags", "nth": 2, "fault": "kill" }] }));
        assert_eq!(faults.strike(1, Kind::DeleteTags, 5), None);
        assert_eq!(faults.strike(2, Kind::CreateTags, 1), None);
        assert_eq!(faults.strike(3, Kind::CreateTags, 2).map(|s| s.fault), Some(Fault::Kill));
    }

    #[test]
    fn an_entry_without_a_call_is_a_problem() {
        assert_eq!(faults(serde_json::json!({ "schedule": [{ "fault": "kill" }] })).problem().map(|p| p.0), Some(0));
        let both = serde_json::json!({ "schedule": [{ "call": 1, "kind": "CreateTags", "fault": "kill" }] });
        assert!(faults(both).problem().is_some());
        let fine = serde_json::json!({ "schedule": [{ "kind": "CreateTags", "fault": "kill" }] });
        assert_eq!(faults(fine).problem(), None);
    }
}
