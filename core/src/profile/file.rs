//! A profile file's YAML becomes a [`Profile`], every word of it checked against the vocabulary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::condition::RawCondition;
use super::{
    Condition, OptionDefault, OptionValue, Port, Profile, ProfileKind, ProfileRow, Selector, Version, VersionRange,
    Vocabulary,
};
use crate::rule::Cidr;
use crate::traffic::{self, Protocol};

/// What is wrong with a profile file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not YAML, or not the shape of a profile: the reader's own words.
    #[error("{0}")]
    Shape(String),
    /// A mistake outside the rows.
    #[error("profile `{profile}`: {what}")]
    Head {
        /// The profile.
        profile: String,
        /// What is wrong.
        what: String,
    },
    /// A mistake in a row.
    #[error("profile `{profile}`, row `{row}`: {what}")]
    Row {
        /// The profile.
        profile: String,
        /// The row's id.
        row: String,
        /// What is wrong.
        what: String,
    },
}

/// A profile file. One file is one name and one range of versions; several files may share a name.
///
/// `version` is the short label that reasons show (`NAME@VERSION`), `versions` the range that picks the file, `fixes` what
/// the way of running a cluster decides by itself, `defaults` the product's own documented defaults.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    version: String,
    title: String,
    kind: ProfileKind,
    #[serde(default)]
    versions: String,
    source: String,
    roles: Vec<String>,
    #[serde(default)]
    fixes: BTreeMap<String, OptionValue>,
    #[serde(default)]
    defaults: Vec<FileDefault>,
    #[serde(default)]
    notes: Vec<String>,
    rows: Vec<FileRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDefault {
    option: String,
    value: OptionValue,
    when: Option<RawCondition>,
    source: String,
}

/// A row: a flow from any of `from` to any of `to`, whichever end the source speaks of.
///
/// Ends are a role, `peer:NAME`, `cidr:RANGE`, `fqdn:NAME`, `net:NAME`, `self:node` (the same machine) or `self:group` (the
/// group that the row sits in). Ports are `N`, `N-M`, `$SYMBOL`, for ICMP `TYPE` or `TYPE/CODE`. Without `condition` the row
/// is always open; `required` is for people only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    id: String,
    from: Vec<String>,
    to: Vec<String>,
    protocol: String,
    #[serde(default)]
    ports: Vec<String>,
    condition: Option<RawCondition>,
    required: Required,
    purpose: String,
    seed: Vec<String>,
    #[serde(default)]
    forbid_public: bool,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Required {
    Always,
    Conditional,
    Optional,
}

/// Reads one profile file; the first mistake in it is the error.
pub(super) fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Profile, ProfileError> {
    let file: File = serde_saphyr::from_str(text).map_err(|e| ProfileError::Shape(e.to_string()))?;
    let profile = file.name.clone();
    let head = |what: String| ProfileError::Head { profile: profile.clone(), what };

    let versions = VersionRange::parse(&file.versions)
        .ok_or_else(|| head(format!("`{}` is not a version range such as `>=2.0 <2.6`", file.versions)))?;
    if !file.version.is_empty() && !Version::parse(&file.version).is_some_and(|v| versions.contains(v)) {
        return Err(head(format!("version `{}` is not in `{versions}`", file.version)));
    }
    for role in &file.roles {
        vocabulary.check_row_role(role).map_err(head)?;
    }
    let mut fixes = BTreeMap::new();
    for (option, value) in file.fixes {
        vocabulary.check_option(&option, &value).map_err(head)?;
        fixes.insert(Arc::from(option), value);
    }
    let mut defaults = Vec::new();
    for FileDefault { option, value, when, source } in file.defaults {
        vocabulary.check_option(&option, &value).map_err(head)?;
        if defaults.iter().any(|d: &OptionDefault| *d.option == *option) {
            return Err(head(format!("option `{option}` has two defaults")));
        }
        let when = when.map_or(Ok(Condition::All(Vec::new())), |when| when.check(vocabulary)).map_err(head)?;
        defaults.push(OptionDefault { option: option.into(), value, when, source });
    }

    let mut ids = BTreeSet::new();
    let mut rows = Vec::with_capacity(file.rows.len());
    for row in file.rows {
        let id = row.id.clone();
        let wrong = |what: String| ProfileError::Row { profile: profile.clone(), row: id.clone(), what };
        if !ids.insert(id.clone()) {
            return Err(wrong("another row has this id".to_owned()));
        }
        rows.push(read_row(row, vocabulary).map_err(wrong)?);
    }
    Ok(Profile {
        name: file.name.into(),
        version: file.version,
        title: file.title,
        kind: file.kind,
        versions,
        source: file.source,
        roles: file.roles.into_iter().map(Arc::from).collect(),
        fixes,
        defaults,
        notes: file.notes,
        rows,
    })
}

fn read_row(row: FileRow, vocabulary: &Vocabulary) -> Result<ProfileRow, String> {
    let FileRow { id, from, to, protocol, ports, condition, required, purpose, seed, forbid_public, note } = row;
    let selectors = |words: Vec<String>| -> Result<Vec<Selector>, String> {
        if words.is_empty() {
            return Err("`from` and `to` need at least one word each".to_owned());
        }
        words.iter().map(|word| read_selector(word, vocabulary)).collect()
    };
    let (from, to) = (selectors(from)?, selectors(to)?);
    let ports = read_ports(&protocol, &ports)?;
    let local = from.contains(&Selector::SelfNode) || to.contains(&Selector::SelfNode);
    Ok(ProfileRow {
        id: id.into(),
        from,
        to,
        protocol,
        ports,
        condition: condition.map_or(Ok(Condition::All(Vec::new())), |c| c.check(vocabulary))?,
        required: match required {
            Required::Always => "always",
            Required::Conditional => "conditional",
            Required::Optional => "optional",
        }
        .to_owned(),
        purpose: purpose.into(),
        seed,
        local,
        forbid_public,
        note,
    })
}

fn read_selector(word: &str, vocabulary: &Vocabulary) -> Result<Selector, String> {
    let Some((kind, name)) = word.split_once(':') else {
        vocabulary.check_row_role(word)?;
        return Ok(Selector::Role(word.into()));
    };
    match (kind, name) {
        ("peer", peer) if vocabulary.peers.iter().any(|p| **p == *peer) => Ok(Selector::Peer(peer.into())),
        ("peer", peer) => Err(format!("`{peer}` is no peer of the vocabulary")),
        ("net", net) if vocabulary.nets.iter().any(|n| **n == *net) => Ok(Selector::Net(net.into())),
        ("net", net) => Err(format!("`{net}` is no cluster network of the vocabulary")),
        ("cidr", cidr) if Cidr::is_canonical(cidr) => {
            Cidr::parse(cidr).map(Selector::Cidr).ok_or_else(|| format!("`{cidr}` is no address range"))
        }
        ("cidr", cidr) => Err(format!("`{cidr}` is no address range without host bits")),
        ("fqdn", name) if !name.is_empty() => Ok(Selector::Name(name.into())),
        ("self", "node") => Ok(Selector::SelfNode),
        ("self", "group") => Ok(Selector::SelfGroup),
        _ => Err(format!("`{word}` selects nothing: write a role, `peer:`, `cidr:`, `fqdn:`, `net:` or `self:`")),
    }
}

fn read_ports(protocol: &str, ports: &[String]) -> Result<Vec<Port>, String> {
    let mut icmp = false;
    let mut with_ports = true;
    for word in protocol.split('+') {
        let known = Protocol::parse(word).ok_or_else(|| format!("`{word}` is no protocol"))?;
        icmp = known.is_icmp();
        with_ports &= known.has_ports();
    }
    match (with_ports, icmp, ports.is_empty()) {
        (true, _, true) => return Err(format!("{protocol} needs ports")),
        (false, false, false) => return Err(format!("{protocol} has no ports")),
        _ => {}
    }
    ports.iter().map(|text| read_port(text, icmp)).collect()
}

fn read_port(text: &str, icmp: bool) -> Result<Port, String> {
    if icmp {
        let byte = |s: &str| s.parse::<u8>().map_err(|_| format!("`{text}` is no ICMP type or `TYPE/CODE`"));
        return Ok(match text.split_once('/') {
            Some((kind, code)) => Port::Icmp(byte(kind)?, Some(byte(code)?)),
            None => Port::Icmp(byte(text)?, None),
        });
    }
    match text.strip_prefix('$') {
        Some(symbol) if !symbol.is_empty() => Ok(Port::Symbol(symbol.into())),
        _ => traffic::parse_ports(text).map(Port::Range).map_err(|e| e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::PortRange;

    const HEAD: &str = "name: p\ntitle: t\nkind: requirements\nsource: s\nroles: [etcd]\n";

    fn with_row(row: &str) -> Result<Profile, ProfileError> {
        parse(&format!("{HEAD}rows:\n  - {{ {row} }}\n"), Vocabulary::shipped())
    }

    fn wrong(row: &str) -> String {
        with_row(row).map_or_else(|e| e.to_string(), |_| "accepted".to_owned())
    }

    const TAIL: &str = "required: always, purpose: w, seed: []";

    #[test]
    fn every_kind_of_end_and_port_is_read() {
        let row = format!(
            "id: a, from: [etcd, 'peer:rke-cli', 'cidr:2001:db8::/32', 'fqdn:x.io', 'net:pod'], to: ['self:group'], \
             protocol: tcp+udp, ports: [53, '1-2', $open], {TAIL}"
        );
        let profile = with_row(&row).expect("the row is right");
        assert_eq!(
            profile.rows[0].from,
            [
                Selector::Role("etcd".into()),
                Selector::Peer("rke-cli".into()),
                Selector::Cidr(Cidr::parse("2001:db8::/32").expect("a range")),
                Selector::Name("x.io".into()),
                Selector::Net("pod".into()),
            ]
        );
        assert_eq!(
            profile.rows[0].ports,
            [
                Port::Range(PortRange::single(53)),
                Port::Range(PortRange::new(1, 2).expect("in order")),
                Port::Symbol("open".into())
            ]
        );
    }

    #[test]
    fn icmp_takes_type_and_code_and_esp_nothing() {
        let icmp = with_row(&format!("id: a, from: [etcd], to: [etcd], protocol: icmp, ports: [8/0], {TAIL}"));
        assert_eq!(icmp.expect("the row is right").rows[0].ports, [Port::Icmp(8, Some(0))]);
        assert!(with_row(&format!("id: a, from: [etcd], to: [etcd], protocol: esp, {TAIL}")).is_ok());
        assert_eq!(
            wrong(&format!("id: a, from: [etcd], to: [etcd], protocol: esp, ports: [1], {TAIL}")),
            "profile `p`, row `a`: esp has no ports"
        );
    }

    #[test]
    fn a_row_that_is_local_to_the_node_is_known_by_its_ends() {
        let row = with_row(&format!("id: a, from: ['self:node'], to: [etcd], protocol: tcp, ports: [1], {TAIL}"));
        assert!(row.expect("the row is right").rows[0].local);
    }

    #[test]
    fn unknown_words_are_errors() {
        for (row, message) in [
            ("id: a, from: [etc], to: [etcd], protocol: tcp, ports: [1]", "`etc` is no role"),
            ("id: a, from: ['peer:x'], to: [etcd], protocol: tcp, ports: [1]", "`x` is no peer of the vocabulary"),
            ("id: a, from: [etcd], to: [etcd], protocol: tpc, ports: [1]", "`tpc` is no protocol"),
            ("id: a, from: [etcd], to: [etcd], protocol: tcp, ports: [70000]", "port 70000 is above 65535"),
            ("id: a, from: [etcd], to: [etcd], protocol: tcp", "tcp needs ports"),
            ("id: a, from: [etcd], to: [], protocol: all", "`from` and `to` need at least one word each"),
            ("id: a, from: [etcd], to: [etcd], protocol: all, condition: { x: true }", "`x` is no option"),
            (
                "id: a, from: [etcd], to: [etcd], protocol: all, condition: { cni: [canal, x] }",
                "option `cni` is never `x`",
            ),
            (
                "id: a, from: [etcd], to: [etcd], protocol: all, condition: { windows: yes-please }",
                "option `windows` is never `yes-please`",
            ),
        ] {
            let got = wrong(&format!("{row}, {TAIL}"));
            assert!(got.ends_with(message), "{got}");
        }
        assert!(wrong(&format!("id: a, form: [etcd], to: [etcd], protocol: all, {TAIL}")).contains("form"));
    }

    #[test]
    fn two_rows_of_one_id_are_an_error() {
        let row = format!("{{ id: a, from: [etcd], to: [etcd], protocol: all, {TAIL} }}");
        let got = parse(&format!("{HEAD}rows: [{row}, {row}]\n"), Vocabulary::shipped()).map(|_| ());
        assert_eq!(got.map_err(|e| e.to_string()), Err("profile `p`, row `a`: another row has this id".to_owned()));
    }
}
