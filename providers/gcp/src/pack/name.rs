//! Names of new firewall rules: ours to see, the same for the same content, and nobody else's.

use std::collections::BTreeSet;
use std::sync::Arc;

use rsgsync_core::name::Mark;
use sha2::{Digest, Sha256};

/// The longest name.
const LONGEST: usize = 63;

/// Hexadecimal digits of the hash behind the name.
const HASH: usize = 12;

/// `rsgsync-OWNER-CLUSTER-HASH`, cut where owner and cluster are long; none that is `taken`. Gives the same name for the same
/// mark, content and taken names.
pub(super) fn new_name(mark: Option<&Mark>, content: &[String], taken: &BTreeSet<Arc<str>>) -> Arc<str> {
    let whose = mark.map(|mark| format!("-{}-{}", mark.owner, mark.cluster)).unwrap_or_default();
    let prefix: String = format!("rsgsync{whose}").chars().take(LONGEST - HASH - 1).collect();
    let name = |turn: u32| -> Arc<str> { format!("{}-{}", prefix.trim_end_matches('-'), hash(content, turn)).into() };
    let mut turn = 0;
    loop {
        let name = name(turn);
        if !taken.contains(&name) {
            return name;
        }
        turn += 1;
    }
}

fn hash(content: &[String], turn: u32) -> String {
    let mut hasher = Sha256::new();
    for part in content {
        hasher.update(part);
        hasher.update([0]);
    }
    hasher.update(turn.to_be_bytes());
    let digits: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chars().take(HASH).collect()
}
