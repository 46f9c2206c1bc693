//! A port profile: a table of required ports for one way of running a cluster, as data.

mod catalog;
mod condition;
mod file;
mod resolve;
mod schema;
pub mod show;
mod vocabulary;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::flow::Reason;
use crate::rule::Cidr;
use crate::traffic::PortRange;

pub(crate) use catalog::PICKED_BY;
pub use catalog::{Catalog, PickError};
pub(crate) use file::{Draft, Words, read};
pub use schema::schema;
pub use vocabulary::{DerivedPeer, OptionKind, Vocabulary};

/// A product version, `2.4` or `2.4.3`; missing parts are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch.
    pub patch: u32,
}

impl Version {
    /// Reads `2.4`, `v2.4.3`; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let parts = text.strip_prefix('v').unwrap_or(text).split('.').map(number);
        let parts: Vec<u32> = parts.collect::<Option<_>>()?;
        match parts[..] {
            [major, minor] => Some(Self { major, minor, patch: 0 }),
            [major, minor, patch] => Some(Self { major, minor, patch }),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

/// The value of an option, in an inventory or a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OptionValue {
    /// `true` or `false`.
    Bool(bool),
    /// A word.
    Word(Arc<str>),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// A table of required ports for one way of running a cluster and one range of versions.
///
/// As [`Catalog::find`] gives it, the rows of its add-ons stand behind its own, and those of other versions are left out.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name, without version: `downstream-node-pools`.
    pub name: Arc<str>,
    /// The version that reasons show: `2.4` in `downstream-node-pools@2.4`; empty where the profile has no versions.
    pub version: String,
    /// Whether it ships with the program, rather than being the user's own.
    pub shipped: bool,
    /// One line for people.
    pub title: String,
    /// What kind of table it is.
    pub kind: ProfileKind,
    /// The product whose versions `versions` are; only where that is Rancher does `rancher_version` pick by them.
    pub subject: String,
    /// The product versions that it is for.
    pub versions: VersionRange,
    /// Where that range is from, for people.
    pub basis: Option<String>,
    /// Where the facts are from.
    pub source: String,
    /// Roles that its rows speak of.
    pub roles: Vec<Arc<str>>,
    /// Roles that a cluster of this profile must have a group for.
    pub needs: Vec<Arc<str>>,
    /// Options that the profile itself fixes, such as `provisioner: custom`.
    pub fixes: BTreeMap<Arc<str>, OptionValue>,
    /// Defaults of the product, for options that the user leaves out; of several for one option the first that holds.
    pub defaults: Vec<OptionDefault>,
    /// Add-ons, in their order, and when each joins.
    pub compose: Vec<Part>,
    /// Profiles that a reader may want instead.
    pub see: Vec<Arc<str>>,
    /// Profiles that it is compared with when it is shown.
    pub compare: Vec<Arc<str>>,
    /// Facts for people about what a tool creates or a distribution does: `provider`, `group_name`, `distro` …
    pub about: Vec<(&'static str, String)>,
    /// Notes for people.
    pub notes: Vec<String>,
    /// Notes below its From/To table.
    pub footnotes: Vec<Footnote>,
    /// Seed rows that the profile as a whole stands for.
    pub seed: Vec<String>,
    /// Ports that listen on loopback only: they never need a rule.
    pub loopback: Vec<String>,
    /// What a host firewall must let through, by its program.
    pub host_firewall: BTreeMap<String, Vec<String>>,
    /// How the rows become a host firewall's file.
    pub render: Option<Render>,
    /// The rows.
    pub rows: Vec<ProfileRow>,
}

impl Profile {
    /// The name with the version, as reasons show it: `downstream-node-pools@2.4`.
    pub fn label(&self) -> String {
        label(&self.name, &self.version)
    }

    /// The rows that a word names: an id, or `PROFILE/ID`; several where composed profiles share the id.
    pub fn rows_named<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a ProfileRow> {
        self.rows.iter().filter(move |row| row.is_named(word))
    }

    /// The row that a flow's reason speaks of.
    pub fn row_of(&self, reason: &Reason) -> Option<&ProfileRow> {
        self.rows.iter().find(|row| row.id == reason.row && row.label == reason.profile)
    }

    /// How a row is named among these: its id, `PROFILE/ID` where several have that id.
    pub fn word_for(&self, row: &ProfileRow) -> Arc<str> {
        let alike = self.rows.iter().filter(|other| other.id == row.id).count();
        if alike > 1 { format!("{}/{}", row.profile, row.id).into() } else { Arc::clone(&row.id) }
    }
}

fn label(name: &str, version: &str) -> String {
    if version.is_empty() { name.to_owned() } else { format!("{name}@{version}") }
}

/// An add-on of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The add-on's name.
    pub profile: Arc<str>,
    /// When it joins.
    pub when: Condition,
}

/// A note below a From/To table; it hangs on the rows whose `seed` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footnote {
    /// Its own id in the seed: `t08.n3`.
    pub seed: String,
    /// What it says.
    pub text: String,
    /// The line of the table that it is about, where that is not a cell.
    pub about: Option<Arc<str>>,
}

/// How rows become the file of a host firewall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Render {
    /// The firewall: `SuSEfirewall2`.
    pub target: String,
    /// Its file.
    pub file: String,
    /// The variable that lists TCP ports.
    pub tcp_variable: String,
    /// The variable that lists UDP ports.
    pub udp_variable: String,
    /// Between the ends of a range.
    pub range_separator: String,
    /// Between entries.
    pub list_separator: String,
    /// Other variables to set.
    pub extra: BTreeMap<String, String>,
    /// The command that puts it in force.
    pub apply: String,
}

/// What kind of table a profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProfileKind {
    /// What a cluster needs.
    Requirements,
    /// What a tool really creates.
    ProviderGroup,
    /// Ports without ends, to look up.
    Glossary,
    /// What to open on the host itself.
    HostFirewall,
    /// What a CNI needs; joins others.
    CniAddon,
    /// What a feature needs; joins others.
    Addon,
    /// What an operating system needs; joins others.
    OsAddon,
}

impl ProfileKind {
    /// Every kind with its word in profile files.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("requirements", Self::Requirements),
        ("provider-group", Self::ProviderGroup),
        ("glossary", Self::Glossary),
        ("host-firewall", Self::HostFirewall),
        ("cni-addon", Self::CniAddon),
        ("addon", Self::Addon),
        ("os-addon", Self::OsAddon),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// Whether a cluster may name it as its profile.
    pub fn is_for_clusters(self) -> bool {
        matches!(self, Self::Requirements | Self::ProviderGroup)
    }
}

/// Product versions, `>=2.0 <2.6`; empty: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionRange {
    /// The lowest, included.
    pub from: Option<Version>,
    /// The first that is no longer in it.
    pub below: Option<Version>,
}

impl VersionRange {
    /// Reads `>=2.0 <2.6`, either half alone, or nothing; `None` when it is no range.
    pub fn parse(text: &str) -> Option<Self> {
        let mut range = Self::default();
        for half in text.split_whitespace() {
            let (bound, version) = match (half.strip_prefix(">="), half.strip_prefix('<')) {
                (Some(version), _) => (&mut range.from, version),
                (None, version) => (&mut range.below, version?),
            };
            if bound.replace(Version::parse(version)?).is_some() {
                return None;
            }
        }
        Some(range)
    }

    /// Whether the newest versions of `whole` are in it.
    pub(crate) fn reaches_end_of(&self, whole: &Self) -> bool {
        self.below.is_none_or(|below| whole.below.is_some_and(|end| end <= below))
    }

    /// The versions that both have.
    pub fn and(&self, other: &Self) -> Self {
        Self { from: self.from.max(other.from), below: [self.below, other.below].into_iter().flatten().min() }
    }

    /// Whether the version is in it.
    pub fn contains(&self, version: Version) -> bool {
        self.from.is_none_or(|from| from <= version) && self.below.is_none_or(|below| version < below)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.below) {
            (None, None) => Ok(()),
            (Some(from), None) => write!(f, ">={from}"),
            (None, Some(below)) => write!(f, "<{below}"),
            (Some(from), Some(below)) => write!(f, ">={from} <{below}"),
        }
    }
}

/// The product's own default of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDefault {
    /// The option.
    pub option: Arc<str>,
    /// Its value.
    pub value: OptionValue,
    /// When that is the default; of the other options' defaults it sees those that stand before it.
    pub when: Condition,
    /// Where the documentation says so, for people: `K3s default`.
    pub source: String,
}

/// One row of a profile: who must reach whom, on what, when, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRow {
    /// Unique within the profile.
    pub id: Arc<str>,
    /// The name of the profile that it is of: an add-on's for the rows that an add-on brings.
    pub profile: Arc<str>,
    /// That profile's label, as reasons show it.
    pub label: Arc<str>,
    /// Whether it ships with the program, rather than standing in the user's own file.
    pub shipped: bool,
    /// The versions that it is for, within those of its profile.
    pub versions: VersionRange,
    /// Any of these; none in a glossary.
    pub from: Vec<Selector>,
    /// Any of these; none in a glossary.
    pub to: Vec<Selector>,
    /// Where `from` is a peer that is a cluster: only its groups of this role.
    pub from_role: Option<Arc<str>>,
    /// Protocol as the profile writes it: `tcp`, `udp`, `tcp+udp`, `icmp`, `ipip`, `all` …
    pub protocol: String,
    /// Ports; empty where the protocol has none.
    pub ports: Vec<Port>,
    /// When it is needed.
    pub condition: Condition,
    /// For people: the end that the source speaks of, `ingress`, `egress`, `both`, `local`.
    pub direction: Option<Direction>,
    /// For people: always, conditional or optional.
    pub required: String,
    /// Why.
    pub purpose: Arc<str>,
    /// The seed rows that it stands for.
    pub seed: Vec<String>,
    /// Where it is from, when the profile's source doesn't state it.
    pub evidence: Option<String>,
    /// Traffic on the node itself: no rule is needed unless the node is multihomed.
    pub local: bool,
    /// A public address range on this row is an error.
    pub forbid_public: bool,
    /// Its literal values are known to be out of date.
    pub deprecated_values: bool,
    /// Only meant for these: `host-firewall`, `security-group`; empty: for all.
    pub render: Vec<String>,
    /// For people.
    pub note: Option<String>,
}

impl ProfileRow {
    /// Whether an id or `PROFILE/ID` names it.
    pub fn is_named(&self, word: &str) -> bool {
        let in_profile = word.strip_prefix(&*self.profile).and_then(|rest| rest.strip_prefix('/'));
        in_profile.unwrap_or(word) == &*self.id
    }
}

/// The end of a row that its source speaks of; says nothing about what is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Where it arrives.
    Ingress,
    /// Where it leaves.
    Egress,
    /// Both.
    Both,
    /// Neither: it stays on the node.
    Local,
}

impl Direction {
    /// Every direction with its word.
    pub const WORDS: [(&'static str, Self); 4] =
        [("ingress", Self::Ingress), ("egress", Self::Egress), ("both", Self::Both), ("local", Self::Local)];
}

/// One end of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// Nodes that play a role.
    Role(Arc<str>),
    /// A named party.
    Peer(Arc<str>),
    /// A literal address range.
    Cidr(Cidr),
    /// A DNS name, which can't stand in a rule.
    Name(Arc<str>),
    /// A cluster network: `pod`, `service`, `cluster`.
    Net(Arc<str>),
    /// The same machine.
    SelfNode,
    /// The group that the row sits in.
    SelfGroup,
}

impl fmt::Display for Selector {
    /// As a profile file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => f.write_str(role),
            Self::Peer(peer) => write!(f, "peer:{peer}"),
            Self::Cidr(cidr) => write!(f, "cidr:{cidr}"),
            Self::Name(name) => write!(f, "fqdn:{name}"),
            Self::Net(net) => write!(f, "net:{net}"),
            Self::SelfNode => f.write_str("self:node"),
            Self::SelfGroup => f.write_str("self:group"),
        }
    }
}

/// A port of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// Known ports.
    Range(PortRange),
    /// A symbol (without `$`), given a value in the inventory.
    Symbol(Arc<str>),
    /// ICMP type and code; without a code every code.
    Icmp(u8, Option<u8>),
}

impl fmt::Display for Port {
    /// As a profile file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "{range}"),
            Self::Symbol(symbol) => write!(f, "${symbol}"),
            Self::Icmp(kind, Some(code)) => write!(f, "{kind}/{code}"),
            Self::Icmp(kind, None) => write!(f, "{kind}"),
        }
    }
}

/// When a row is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of them; empty: always.
    All(Vec<Condition>),
    /// Any of them.
    Any(Vec<Condition>),
    /// Not.
    Not(Box<Condition>),
    /// The option has one of these values.
    Is(Arc<str>, Vec<OptionValue>),
}

impl Condition {
    /// Always.
    pub fn always() -> Self {
        Self::All(Vec::new())
    }

    /// Whether it says nothing.
    pub fn is_always(&self) -> bool {
        matches!(self, Self::All(list) if list.iter().all(Self::is_always))
    }

    /// Both must hold.
    pub fn and(&self, other: &Self) -> Self {
        match (self.is_always(), other.is_always()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Self::All(vec![self.clone(), other.clone()]),
        }
    }

    /// The options that it speaks of, in its order, each once.
    pub fn options(&self) -> Vec<&Arc<str>> {
        let mut found = Vec::new();
        self.collect_options(&mut found);
        found
    }

    fn collect_options<'a>(&'a self, found: &mut Vec<&'a Arc<str>>) {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().for_each(|term| term.collect_options(found)),
            Self::Not(inner) => inner.collect_options(found),
            Self::Is(option, _) if found.contains(&option) => {}
            Self::Is(option, _) => found.push(option),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, inside: bool) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, list: &[Self], word: &str| {
            let brackets = inside && list.len() > 1;
            f.write_str(if brackets { "(" } else { "" })?;
            for (index, term) in list.iter().enumerate() {
                f.write_str(if index > 0 { word } else { "" })?;
                term.write(f, list.len() > 1)?;
            }
            f.write_str(if brackets { ")" } else { "" })
        };
        match self {
            Self::All(list) if list.is_empty() => f.write_str("always"),
            Self::All(list) => joined(f, list, " and "),
            Self::Any(list) => joined(f, list, " or "),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.write(f, true)
            }
            Self::Is(option, values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "{option} = {}", values.join(" | "))
            }
        }
    }
}

impl fmt::Display for Condition {
    /// `cni = canal | flannel and cni_backend = vxlan`; `always` where it says nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_as_sentences() {
        let is = |option: &str, values: &[&str]| {
            Condition::Is(option.into(), values.iter().map(|v| OptionValue::Word((*v).into())).collect())
        };
        let vxlan = Condition::All(vec![is("cni", &["canal", "flannel"]), is("cni_backend", &["vxlan"])]);
        assert_eq!(vxlan.to_string(), "cni = canal | flannel and cni_backend = vxlan");
        let either = Condition::Any(vec![vxlan, Condition::Not(Box::new(is("windows", &["true"])))]);
        assert_eq!(either.to_string(), "(cni = canal | flannel and cni_backend = vxlan) or not windows = true");
        assert_eq!(Condition::always().and(&Condition::always()).to_string(), "always");
        assert_eq!(either.options().len(), 3);
    }

    #[test]
    fn ranges_meet_and_know_their_newest() {
        let range = |text| VersionRange::parse(text).unwrap_or_default();
        assert_eq!(range(">=2.0 <2.6").and(&range(">=2.5")).to_string(), ">=2.5 <2.6");
        assert!(range(">=2.5").reaches_end_of(&range(">=2.0 <2.6")));
        assert!(range("").reaches_end_of(&range("")));
        assert!(!range("<2.5").reaches_end_of(&range(">=2.0 <2.6")));
        assert!(!range("<2.6").reaches_end_of(&range(">=2.0")));
    }

    #[test]
    fn a_version_is_two_or_three_numbers() {
        let read = |text| Version::parse(text).map(|version| version.to_string());
        for (text, version) in [("2.4", "2.4"), ("v2.4", "2.4"), ("2.4.8", "2.4.8"), ("2.10.0", "2.10")] {
            assert_eq!(read(text).as_deref(), Some(version));
        }
        for bad in ["", "v", "2", "2.", "2.4.8.1", "vv2.4", "+2.4", "2.4-rc1", "2.99999999999", "latest"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn version_ranges_read_back() {
        for text in ["", ">=2.0 <2.6", ">=2.6", "<1.22"] {
            assert_eq!(VersionRange::parse(text).map(|r| r.to_string()).as_deref(), Some(text));
        }
        for bad in ["2.4", ">2.4", ">=2.4 >=2.5", "<x"] {
            assert_eq!(VersionRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_upper_end_of_a_range_is_not_in_it() {
        let range = VersionRange::parse(">=2.0 <2.6").unwrap_or_default();
        for (text, inside) in [("2.0", true), ("2.5.9", true), ("2.6", false), ("1.9", false)] {
            assert_eq!(Version::parse(text).map(|v| range.contains(v)), Some(inside), "{text}");
        }
    }
}
