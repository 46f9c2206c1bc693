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
//! call: the first in the list; strangers, who write between two calls, don't count.
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
//! | `foreign` | yes | its own answer, but a stranger has written right before: `writes` says what |
//!
//! ```json
//! { "call": 3, "fault": "foreign", "writes": { "group": "nodes", "create": true, "revoke": [], "authorize": [
//!     { "direction": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22, "peer": { "cidr": "10.0.0.0/8" } }
//! ] } }
//! ```
//!
//! Beside the schedule:
//!
//! - `lag`: a change shows in reads only after so many further calls, of any kind. Calls that write see what is. What is
//!   hidden stands in the state file under `earlier`: the run after a kill reads what the killed one would have read.
//! - `seed`, `rate` and `kinds`: each call that the schedule spares is struck with that probability, by one of `kinds`
//!   (unless given: `throttle`, `error_500`, `timeout`, `lost_answer`). The same seed and calls give the same faults; the
//!   file gets the generator's next seed after each call, so that the next run goes on rather than begins again.

use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;
use crate::throttle::Limits;

/// A call of the simulated cloud, by EC2's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are EC2's, and documented there")]
pub enum Kind {
    DescribeSecurityGroups,
    DescribeSecurityGroupRules,
    DescribeNetworkInterfaces,
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
            Self::DescribeNetworkInterfaces => "DescribeNetworkInterfaces",
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
        use Kind::{DescribeNetworkInterfaces, DescribeSecurityGroupRules, DescribeSecurityGroups};
        matches!(self, DescribeSecurityGroups | DescribeSecurityGroupRules | DescribeNetworkInterfaces)
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
    /// A stranger writes right before the call, which is carried out.
    Foreign,
}

/// What goes wrong; see the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Faults {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Entry>,
    /// Further calls that pass before reads show a change.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lag: u64,
    /// Calls take tokens; without it there are no buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Limits>,
    /// The random generator's state; with it goes `rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The share of calls that are struck at random, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// What strikes at random; empty: what trying again helps against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Fault>,
}

/// What strikes at random unless `kinds` says otherwise: trying again helps.
const PASSING: &[Fault] = &[Fault::Throttle, Fault::Error500, Fault::Timeout, Fault::LostAnswer];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// For [`Fault::Foreign`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Foreign>,
}

impl Entry {
    fn is_due(&self, call: u64, kind: Kind, nth: u64) -> bool {
        match (self.call, self.kind) {
            (Some(from), _) => call >= from,
            (None, Some(of)) => of == kind && nth >= self.nth.unwrap_or(1),
            (None, None) => false,
        }
    }
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A fault that strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    pub fault: Fault,
    pub retry_after_ms: Option<u64>,
}

impl Faults {
    /// What is wrong, if anything: the place within `faults`, and the words.
    pub fn problem(&self) -> Option<(String, String)> {
        let Self { schedule, lag: _, throttle, seed, rate, kinds } = self;
        if let Some(problem) = throttle.as_ref().and_then(Limits::problem) {
            return Some(("throttle".to_owned(), problem.to_owned()));
        }
        let at_random = match (seed, rate) {
            (Some(_), Some(rate)) if !(0.0..=1.0).contains(rate) => Some(("rate", "is a share of the calls, 0 to 1")),
            (Some(_), None) => Some(("seed", "needs `rate`: how many of the calls are struck, 0 to 1")),
            (None, Some(_)) => Some(("rate", "needs `seed`")),
            (None, None) if !kinds.is_empty() => Some(("kinds", "goes with `seed` and `rate`")),
            _ if kinds.contains(&Fault::Foreign) => {
                Some(("kinds", "can't have `foreign`: only the schedule says what it writes"))
            }
            _ => None,
        };
        if let Some((field, problem)) = at_random {
            return Some((field.to_owned(), problem.to_owned()));
        }
        schedule.iter().enumerate().find_map(|(index, entry)| {
            let at = format!("schedule[{index}]");
            let problem = match entry {
                Entry { call: Some(_), kind: Some(_), .. } => "has both `call` and `kind`: one of them says which call",
                Entry { call: None, kind: None, .. } => "needs `call` or `kind`: which call goes wrong",
                Entry { call: Some(_), nth: Some(_), .. } => "has `nth`, which goes with `kind`",
                Entry { call: Some(0), .. } | Entry { nth: Some(0), .. } => "counts calls from 0; they start at 1",
                Entry { times: 0, .. } => "has `times` 0: it would never strike",
                Entry { fault: Fault::Foreign, writes: None, .. } => "needs `writes`: what the stranger does",
                Entry { fault: Fault::Foreign, times: 2.., .. } => "has `times`, but a stranger writes once",
                Entry { fault: Fault::Foreign, writes: Some(writes), .. } => {
                    let (field, problem) = writes.problem()?;
                    return Some((format!("{at}.writes.{field}"), problem));
                }
                Entry { writes: Some(_), .. } => "has `writes`, which goes with `foreign`",
                _ => return None,
            };
            Some((at, problem.to_owned()))
        })
    }

    /// What strangers write right before call number `call`, which is the `nth` of its kind; taken out of the schedule.
    pub fn take_foreign(&mut self, call: u64, kind: Kind, nth: u64) -> Vec<Foreign> {
        let due = self.schedule.extract_if(.., |entry| entry.fault == Fault::Foreign && entry.is_due(call, kind, nth));
        due.filter_map(|entry| entry.writes).collect()
    }

    /// Whether every call changes the file, because the generator goes on.
    pub fn is_random(&self) -> bool {
        self.seed.is_some()
    }

    /// What strikes call number `call`, which is the `nth` of its kind; an entry that has struck its times is taken out.
    pub fn strike(&mut self, call: u64, kind: Kind, nth: u64) -> Option<Strike> {
        // Drawn for every call, so that an entry of the schedule doesn't shift what comes after it.
        let drawn = self.draw();
        let due = |entry: &Entry| entry.fault != Fault::Foreign && entry.is_due(call, kind, nth);
        let Some(index) = self.schedule.iter().position(due) else {
            return drawn.map(|fault| Strike { fault, retry_after_ms: None });
        };
        let entry = &mut self.schedule[index];
        let strike = Strike { fault: entry.fault, retry_after_ms: entry.retry_after_ms };
        entry.times = entry.times.saturating_sub(1);
        if entry.times == 0 {
            self.schedule.remove(index);
        }
        Some(strike)
    }

    /// The fault that strikes the next call at random, if one does.
    fn draw(&mut self) -> Option<Fault> {
        let (Some(seed), Some(rate)) = (self.seed, self.rate) else { return None };
        let mut generator = fastrand::Rng::with_seed(seed);
        let strikes = generator.f64() < rate;
        let fault = generator.choice(if self.kinds.is_empty() { PASSING } else { &self.kinds }).copied();
        self.seed = Some(generator.get_seed());
        fault.filter(|_| strikes)
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
        assert_eq!(
            faults(serde_json::json!({ "schedule": [{ "fault": "kill" }] })).problem().map(|p| p.0).as_deref(),
            Some("schedule[0]")
        );
        let both = serde_json::json!({ "schedule": [{ "call": 1, "kind": "CreateTags", "fault": "kill" }] });
        assert!(faults(both).problem().is_some());
        let fine = serde_json::json!({ "schedule": [{ "kind": "CreateTags", "fault": "kill" }] });
        assert_eq!(faults(fine).problem(), None);
    }

    #[test]
    fn the_same_seed_strikes_the_same_calls() {
        let run = |seed: u64| {
            let mut faults = faults(serde_json::json!({ "seed": seed, "rate": 0.3 }));
            (1..=200).map(|call| faults.strike(call, Kind::CreateTags, call).map(|s| s.fault)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let struck = run(7).iter().flatten().count();
        assert!((30..=90).contains(&struck), "{struck} of 200 at a rate of 0.3");
    }

    #[test]
    fn the_next_run_goes_on_where_the_file_says() {
        let json = serde_json::json!({ "seed": 7, "rate": 0.5, "kinds": ["throttle", "kill"] });
        let mut whole = faults(json.clone());
        let of_whole: Vec<_> = (1..=20).map(|call| whole.strike(call, Kind::CreateTags, call)).collect();
        let mut first = faults(json);
        let mut in_two: Vec<_> = (1..=10).map(|call| first.strike(call, Kind::CreateTags, call)).collect();
        let mut second = faults(serde_json::to_value(&first).unwrap());
        in_two.extend((1..=10).map(|call| second.strike(call, Kind::CreateTags, call)));
        assert_eq!(in_two, of_whole);
    }

    #[test]
    fn half_a_random_fault_is_a_problem() {
        let place = |json| faults(json).problem().map(|(place, _)| place);
        assert_eq!(place(serde_json::json!({ "seed": 1 })).as_deref(), Some("seed"));
        assert_eq!(place(serde_json::json!({ "rate": 0.5 })).as_deref(), Some("rate"));
        assert_eq!(place(serde_json::json!({ "seed": 1, "rate": 2 })).as_deref(), Some("rate"));
        assert_eq!(place(serde_json::json!({ "kinds": ["kill"] })).as_deref(), Some("kinds"));
        assert_eq!(place(serde_json::json!({ "seed": 1, "rate": 1, "kinds": ["foreign"] })).as_deref(), Some("kinds"));
        assert_eq!(place(serde_json::json!({ "seed": 1, "rate": 0.1 })), None);
    }

    #[test]
    fn a_strangers_rule_is_checked_before_it_is_written() {
        let entry =
            |writes| faults(serde_json::json!({ "schedule": [{ "call": 1, "fault": "foreign", "writes": writes }] }));
        let rule = serde_json::json!({
            "direction": "ingress", "protocol": "tcp", "from_port": 9, "to_port": 1, "peer": { "cidr": "10.0.0.0/8" }
        });
        let place = entry(serde_json::json!({ "group": "a", "authorize": [rule] })).problem().map(|(place, _)| place);
        assert_eq!(place.as_deref(), Some("schedule[0].writes.authorize[0].to_port"));
        assert!(entry(serde_json::json!({ "group": "a" })).problem().is_some(), "nothing is done");
        assert_eq!(entry(serde_json::json!({ "group": "a", "delete": true })).problem(), None);
    }
}
