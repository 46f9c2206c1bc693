//! What drift found, as Prometheus reads it from a file.

use std::fmt::Write as _;

use rsgsync_core::document::Document;
use rsgsync_core::plan::NetworkPlan;

/// One run of `drift`.
pub struct Run<'a> {
    /// What was found.
    pub document: &'a Document,
    /// The networks, with the calls that reading each took.
    pub networks: &'a [NetworkPlan],
    /// Now, in seconds since 1970.
    pub now: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The file of the run before, where there is one.
    pub before: Option<&'a str>,
}

const LAST_SUCCESS: &str = "rsgsync_drift_last_success_timestamp_seconds";

/// The file's text.
pub fn metrics(run: &Run<'_>) -> String {
    let mut out = String::new();
    let owner = label(&run.document.owner);
    let all = format!("{{owner=\"{owner}\"}}");
    let mut family = |name: &str, help: &str, samples: Vec<(String, f64)>| {
        if !samples.is_empty() {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        }
        for (labels, value) in samples {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let by_network = |value: &dyn Fn(&NetworkPlan) -> f64| -> Vec<(String, f64)> {
        let samples = run.networks.iter().map(|network| {
            let name = label(network.network.name.as_str());
            (format!("{{owner=\"{owner}\",network=\"{name}\"}}"), value(network))
        });
        samples.collect()
    };
    let drift = |network: &NetworkPlan, kinds: &[&str]| {
        let of_network = run.document.drift.iter().flatten().filter(|entry| entry.network == network.network.name);
        number(of_network.filter(|entry| kinds.contains(&entry.kind.as_str())).count())
    };
    family(
        "rsgsync_drift_network_read",
        "Whether the network could be read: 1 or 0.",
        by_network(&|network| f64::from(u8::from(network.observed.is_ok()))),
    );
    family(
        "rsgsync_drift_groups",
        "Security groups that the inventory names.",
        by_network(&|network| number(network.groups.len())),
    );
    family(
        "rsgsync_drift_groups_missing",
        "Groups that the inventory names and the cloud does not have.",
        by_network(&|network| drift(network, &["group_missing"])),
    );
    family(
        "rsgsync_drift_rules_missing",
        "Rules that are required and not there.",
        by_network(&|network| drift(network, &["missing"])),
    );
    family(
        "rsgsync_drift_rules_unexpected",
        "Rules that are there and that nothing requires.",
        by_network(&|network| drift(network, &["unexpected"])),
    );
    family(
        "rsgsync_drift_groups_unexpected",
        "Groups of ours that the inventory no longer names, with --prune.",
        by_network(&|network| drift(network, &["group_unexpected"])),
    );
    family(
        "rsgsync_drift_api_calls",
        "API calls that reading took, repetitions included.",
        by_network(&|network| number(usize::try_from(network.calls).unwrap_or(usize::MAX))),
    );
    family("rsgsync_drift_duration_seconds", "How long the last run took.", vec![(all.clone(), run.seconds)]);
    family("rsgsync_drift_last_run_timestamp_seconds", "When the last run ended.", vec![(all.clone(), run.now)]);
    let complete = run.networks.iter().all(|network| network.observed.is_ok());
    let success = if complete { Some(run.now) } else { run.before.and_then(last_success) };
    family(
        LAST_SUCCESS,
        "When the last run ended that could read every network, drift or not.",
        success.map(|at| (all, at)).into_iter().collect(),
    );
    out
}

/// When the run before last succeeded, from its file.
fn last_success(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(LAST_SUCCESS))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A count; far below what a float can't hold.
#[allow(clippy::cast_precision_loss, reason = "counts of rules are small")]
fn number(count: usize) -> f64 {
    count as f64
}
