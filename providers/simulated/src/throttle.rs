//! Request tokens: each action has a bucket, which empties with its calls and fills with time.
//!
//! Source: EC2 developer guide, "Request throttling for the Amazon EC2 API".

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// The buckets of each class of actions.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Describes with a filter, ids or pages.
    pub reads: Bucket,
    /// Describes with none of these.
    pub unfiltered: Bucket,
    /// All others.
    pub writes: Bucket,
}

/// Tokens that a bucket holds, and that it gets back a second.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Calls at once.
    pub size: f64,
    /// Calls a second.
    pub refill: f64,
}

impl Default for Limits {
    /// AWS's own.
    fn default() -> Self {
        Self {
            reads: Bucket { size: 100.0, refill: 20.0 },
            unfiltered: Bucket { size: 50.0, refill: 10.0 },
            writes: Bucket { size: 50.0, refill: 5.0 },
        }
    }
}

impl Limits {
    /// What is wrong with them, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let sound = |bucket: &Bucket| bucket.size >= 1.0 && bucket.refill > 0.0 && bucket.refill.is_finite();
        let all = [self.reads, self.unfiltered, self.writes];
        (!all.iter().all(sound))
            .then_some("needs a `size` of at least 1 and a `refill` above 0: no call would ever pass")
    }
}

/// What is left in the buckets of an account.
#[derive(Debug, Default)]
pub struct Buckets(BTreeMap<String, (f64, Instant)>);

impl Buckets {
    /// Takes a token; false where there is none.
    pub fn take(&mut self, limits: &Limits, action: &str, unfiltered: bool, now: Instant) -> bool {
        let bucket = match (action.starts_with("Describe"), unfiltered) {
            (false, _) => limits.writes,
            (true, false) => limits.reads,
            (true, true) => limits.unfiltered,
        };
        let key = if unfiltered { format!("{action} unfiltered") } else { action.to_owned() };
        let (left, filled) = self.0.entry(key).or_insert((bucket.size, now));
        *left = (*left + bucket.refill * now.duration_since(*filled).as_secs_f64()).min(bucket.size);
        *filled = now;
        let has = *left >= 1.0;
        if has {
            *left -= 1.0;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let (limits, mut buckets, start) = (Limits::default(), Buckets::default(), Instant::now());
        let mut take =
            |action: &str, seconds| buckets.take(&limits, action, false, start + Duration::from_secs(seconds));
        assert_eq!((0..60).filter(|_| take("CreateTags", 0)).count(), 50);
        assert!(take("DeleteTags", 0), "each action has its own");
        assert_eq!((0..60).filter(|_| take("CreateTags", 2)).count(), 10);
        assert_eq!((0..60).filter(|_| take("CreateTags", 1000)).count(), 50);
    }
}
