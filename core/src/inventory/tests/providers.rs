//! Providers as the tests of inventories know them, here and in `core/tests`.

use super::{PlaceKind, ProviderSpec};

/// One whose groups have ids, one whose groups are but names, and the embedded one.
pub const PROVIDERS: [ProviderSpec; 3] = [
    ProviderSpec {
        word: "aws",
        keys: &[
            ("region", PlaceKind::Text),
            ("vpc", PlaceKind::TextOrTags),
            ("account", PlaceKind::Text),
            ("profile", PlaceKind::Text),
            ("assume_role", PlaceKind::Text),
        ],
        required: &["region"],
        most: &[("rules_per_group", 1000)],
        absent: None,
        groups_are_names: false,
        beside_rules: &[],
    },
    ProviderSpec {
        word: "gcp",
        keys: &[("project", PlaceKind::Text)],
        required: &["project"],
        most: &[],
        absent: None,
        groups_are_names: true,
        beside_rules: &[],
    },
    ProviderSpec {
        word: "simulated",
        keys: &[("state", PlaceKind::Path)],
        required: &["state"],
        most: &[],
        absent: None,
        groups_are_names: false,
        beside_rules: &[],
    },
];
