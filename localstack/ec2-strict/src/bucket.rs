//! Request tokens: each action has a bucket, which empties with its calls and fills with time.
//!
//! Source: EC2 developer guide, "Request throttling for the Amazon EC2 API".

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// The buckets of each class of actions.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Describes with a filter, ids or pages.
    reads: Bucket,
    /// Describes with none of these.
    unfiltered: Bucket,
    writes: Bucket,
}

/// Tokens that a bucket holds, and that it gets back a second.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Bucket {
    size: f64,
    refill: f64,
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

/// What is left in the buckets of an account.
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<String, (f64, Instant)>);

impl Buckets {
    /// Takes a token; false where there is none.
    pub(crate) fn take(&mut self, limits: &Limits, action: &str, unfiltered: bool, now: Instant) -> bool {
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
