//! What every part of an inventory is read against, and the small values that several parts have.

use std::fmt::Display;
use std::path::Path;

use jiff::civil::Date;

use super::ProviderSpec;
use super::fields::Fields;
use super::index::Index;
use super::problem::Code;
use super::report::Report;
use super::tree::{Key, Node};
use crate::guard::Guard;
use crate::name::{ClusterName, NetworkName};
use crate::profile::{Catalog, Vocabulary};
use crate::rule::Cidr;
use crate::traffic::Traffic;

/// The surroundings of all parts.
pub(super) struct Context<'a> {
    pub report: &'a Report,
    /// What ships and the user's own.
    pub catalog: &'a Catalog,
    /// The user's own guards.
    pub guards: &'a [Guard],
    pub providers: &'a [ProviderSpec],
    pub today: Date,
    /// The content of a file that the inventory names.
    pub read_file: &'a dyn Fn(&Path) -> Result<String, String>,
    /// The folders of the files, by their number.
    pub folders: &'a [&'a Path],
    pub index: &'a Index<'a>,
}

impl<'a> Context<'a> {
    pub fn vocabulary(&self) -> &'a Vocabulary {
        self.catalog.vocabulary()
    }

    /// A path of the inventory, which is relative to the file that it stands in.
    pub fn resolve(&self, node: &Node, path: &str) -> std::path::PathBuf {
        self.folders.get(node.place.source).map_or_else(|| path.into(), |folder| folder.join(path))
    }

    /// A name that a key gives.
    pub fn name<T, E: Display>(&self, key: &Key, new: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match new(&key.text) {
            Ok(name) => Some(name),
            Err(error) => {
                self.report.add(key.place.error(Code::BadValue, error.to_string()));
                None
            }
        }
    }

    /// A network that some file defines.
    pub fn network(&self, node: &Node) -> Option<NetworkName> {
        let text = node.text(self.report)?;
        if !self.index.networks.contains_key(text) {
            if !self.index.partial {
                self.report.add(node.unknown("network", self.index.networks.keys().copied()));
            }
            return None;
        }
        NetworkName::new(text).ok()
    }

    /// A cluster that some file defines.
    pub fn cluster(&self, node: &Node) -> Option<ClusterName> {
        let text = node.text(self.report)?;
        if !self.index.clusters.contains_key(text) {
            if !self.index.partial {
                self.report.add(node.unknown("cluster", self.index.clusters.keys().copied()));
            }
            return None;
        }
        ClusterName::new(text).ok()
    }

    /// An address range; host bits are cut off, with a warning.
    pub fn cidr(&self, node: &Node) -> Option<Cidr> {
        let text = node.text(self.report)?;
        let Some(cidr) = Cidr::parse(text) else {
            let finding = node.place.error(Code::BadValue, format!("`{text}` is not an address range"));
            self.report.add(finding.help("write 10.0.0.0/8, 2001:db8::/32 or a single address"));
            return None;
        };
        self.warn_of_host_bits(node, text, cidr);
        Some(cidr)
    }

    /// Says that `text`, which became `cidr`, meant something else word for word.
    pub fn warn_of_host_bits(&self, node: &Node, text: &str, cidr: Cidr) {
        if !Cidr::is_canonical(text) {
            let address = text.split('/').next().unwrap_or_default();
            let message = format!("`{text}` has host bits: `{cidr}` is used");
            let help = format!("write `{cidr}` for the range, `{address}` for the one address");
            self.report.add(node.place.warning(Code::HostBits, message).help(help));
        }
    }

    pub fn cidrs(&self, node: &Node) -> Vec<Cidr> {
        node.items(self.report).iter().filter_map(|item| self.cidr(item)).collect()
    }

    /// Traffic in the notation `22/tcp`; `53/tcp+udp` gives two.
    pub fn traffic(&self, node: &Node) -> Vec<Traffic> {
        let Some(text) = node.word(self.report) else { return Vec::new() };
        Traffic::parse_list(text).unwrap_or_else(|error| {
            let help = "write `22/tcp`, `30000-32767/tcp+udp`, `icmp/8/0`, `esp` or `all`; ports are 0-65535";
            self.report.add(node.place.error(Code::BadValue, error.to_string()).help(help));
            Vec::new()
        })
    }

    /// A text that people read; never blank.
    pub fn prose(&self, node: &Node) -> Option<String> {
        let text = node.text(self.report)?.trim();
        if text.is_empty() {
            self.report.add(node.place.error(Code::BadValue, format!("{} says nothing", node.place.path.subject())));
            return None;
        }
        Some(text.to_owned())
    }

    /// The `why` that exceptions must have.
    pub fn why(&self, fields: &mut Fields<'_>) -> Option<String> {
        let help = "say in a few words why, for whoever reads the plan: `why: scraped from the office`";
        fields.require("why", help).and_then(|node| self.prose(node))
    }

    /// The last day; one that is past is a warning that tells the `effect`.
    pub fn until(&self, fields: &mut Fields<'_>, effect: &str) -> Option<Date> {
        let node = fields.get("until")?;
        let text = node.text(self.report)?;
        let date = Some(text).filter(|text| text.len() == 10).and_then(|text| text.parse::<Date>().ok());
        match date {
            None => {
                let finding = node.place.error(Code::BadValue, format!("`{text}` is not a day"));
                self.report.add(finding.help("write it as 2027-06-30"));
            }
            Some(date) if date < self.today => {
                self.report.add(node.place.warning(Code::Expired, format!("expired on {date}: {effect}")));
            }
            Some(_) => {}
        }
        date
    }
}
