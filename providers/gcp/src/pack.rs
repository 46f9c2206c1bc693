//! Placeholder until the packer is there.

use rsgsync_core::pack::{Call, Dialect, GroupChanges, Pack, QuotaCount, Site};
use rsgsync_core::rule::{PeerKind, Rule};

use crate::connect::Gcp;
use crate::implied::implied;

pub(crate) fn dialect() -> Dialect {
    Dialect {
        references_match_both: true,
        default_rules: implied(),
        description_alphabet: None,
        description_length: 2048,
        marks_in_description: true,
        quota: QuotaCount::All,
        delete_cascades: false,
        updates_descriptions: false,
        groups_are_implicit: true,
    }
}

impl Pack for Gcp {
    fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    fn pack(&self, _changes: &GroupChanges, _at: &Site<'_>) -> Vec<Call> {
        Vec::new()
    }

    fn unsayable(&self, rule: &Rule, _group: &str, _peer: &str) -> Option<String> {
        crate::translate::unsayable(rule).map(|why| why.to_string())
    }

    fn reference(&self, group: &str) -> PeerKind {
        if crate::body::is_account(group) { PeerKind::ServiceAccount } else { PeerKind::Group }
    }
}
