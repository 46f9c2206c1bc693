//! `rsgsync init`: an inventory for what exists; one file a source.

mod groups;
#[cfg(feature = "kubernetes")]
mod kubeconfig;
mod terraform;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use rsgsync_core::adopt::write::{Remarks, yaml};
use rsgsync_core::adopt::{Adoption, Found, GroupEvidence, adopt};
use rsgsync_core::inventory::{Inventory, Network, NodeGroup, Source, parse};
use rsgsync_core::name::{ClusterName, NetworkName, Owner};
use rsgsync_core::observed::Observed;
use rsgsync_core::pack::Pack;
use rsgsync_core::profile::Catalog;
use rsgsync_core::rule::Atoms;

use super::{Context, Exit, print};
use crate::args::{InitArgs, InitCommand};
use crate::clouds::SPECS;
use crate::console::Notice;
use crate::failure::Failure;
use crate::file;
use crate::report::{count, escape_lines};

/// Writes an inventory for what exists.
pub async fn run(context: &Context<'_>, source: &InitCommand) -> Result<Exit, Failure> {
    match source {
        InitCommand::Groups(args) => groups::run(context, args).await,
        InitCommand::Terraform(args) => terraform::run(context, args),
        #[cfg(feature = "kubernetes")]
        InitCommand::Kubeconfig(args) => kubeconfig::run(context, args).await,
        #[cfg(not(feature = "kubernetes"))]
        InitCommand::Kubeconfig(_) => Err(Failure::new(
            "this build of rsgsync can't ask Kubernetes",
            "build it with Kubernetes: `cargo build`, or `--features kubernetes`",
        )),
    }
}

/// What all sources want checked before they read anything.
struct Asked {
    owner: Owner,
    cluster: Option<ClusterName>,
}

impl InitArgs {
    fn check(&self) -> Result<Asked, Failure> {
        let owner = Owner::new(&self.owner).map_err(|e| Failure::new(e.to_string(), "give another with --owner"))?;
        let cluster = self.cluster.as_deref().map(ClusterName::new).transpose();
        let cluster = cluster.map_err(|e| Failure::new(e.to_string(), "give another with --cluster"))?;
        if self.out != Path::new("-") && self.out.symlink_metadata().is_ok() {
            return Err(exists(&self.out));
        }
        Ok(Asked { owner, cluster })
    }
}

fn exists(path: &Path) -> Failure {
    let message = format!("{} is there already, and init never overwrites", path.display());
    Failure::new(message, "make another file with `--out FILE`, or look at it first with `--out -`")
}

/// A place as the inventory writes it, `aws: { region: eu-west-1 }`: as it was typed, and with its paths as they are seen
/// from `folder`.
fn network(place: &str, context: &Context<'_>, folder: &Path) -> Result<(Network, Network), Failure> {
    let text = place.trim();
    let text = if text.starts_with('{') { text.to_owned() } else { format!("{{ {text} }}") };
    let text = format!("version: 1\nnetworks:\n  place: {text}\n");
    let read = |folder: &Path| -> Result<Network, Failure> {
        let source =
            Source { path: "--network".to_owned(), folder: folder.to_owned(), bytes: text.clone().into_bytes() };
        let none = |_: &Path| Err("no file".to_owned());
        let parsed = parse(&[source], &Catalog::shipped(), SPECS, context.today, &none)?;
        let network = parsed.inventory.networks.into_iter().next().map(|(_, network)| network);
        let mut network =
            network.ok_or_else(|| Failure::new("--network names no place", "write PROVIDER: { KEY: VALUE }"))?;
        network.name = NetworkName::new(network.provider).unwrap_or(network.name);
        Ok(network)
    };
    Ok((read(Path::new(""))?, read(folder)?))
}

/// The folder that paths in the new file are relative to.
fn folder(out: &Path) -> &Path {
    out.parent().unwrap_or(Path::new(""))
}

/// Groups that were read, wherever from.
struct Read<'a> {
    network: Network,
    observed: &'a Observed,
    atoms: &'a Atoms,
    pack: &'a dyn Pack,
    only: &'a [String],
    /// By a group's id: what of it could be read in two ways.
    doubts: BTreeMap<String, String>,
}

/// Recognises groups, writes the inventory, and says what it says.
fn adopted(context: &Context<'_>, common: &InitArgs, asked: Asked, read: Read<'_>) -> Result<Exit, Failure> {
    let Read { network, observed, atoms, pack, only, doubts } = read;
    let found = Found {
        owner: asked.owner,
        network,
        observed,
        atoms,
        pack,
        catalog: &Catalog::shipped(),
        today: context.today,
        only: only.iter().cloned().collect(),
        profile: common.profile.clone(),
        cluster: asked.cluster,
    };
    let adoption = adopt(&found).map_err(|error| Failure::new(error.to_string(), error.help()))?;
    let (mut remarks, mut summary) = (adoption.remarks(), summary(&adoption));
    let words: BTreeSet<&str> = groups_of(&adoption).map(|group| group.security_group.as_str()).collect();
    for group in &observed.groups {
        let taken = words.contains(group.name.as_str()) || words.contains(group.id.as_str());
        if let Some(doubt) = doubts.get(group.id.as_str()).filter(|_| taken) {
            summary.push_str(&format!("in doubt: {}  {doubt}\n", group.name));
            remarks.head.push(format!("In doubt: {}: {doubt}.", group.name));
        }
    }
    finish(context, common, &adoption.inventory, &remarks, &summary)
}

fn groups_of(adoption: &Adoption) -> impl Iterator<Item = &NodeGroup> {
    adoption.inventory.clusters.values().flat_map(|cluster| cluster.groups.values())
}

/// Makes the file, or prints it; then says on stdout, or on stderr, what stands in it.
fn finish(
    context: &Context<'_>,
    common: &InitArgs,
    inventory: &Inventory,
    remarks: &Remarks,
    summary: &str,
) -> Result<Exit, Failure> {
    let text = yaml(inventory, remarks);
    check(context, &text, folder(&common.out))?;
    if common.out == Path::new("-") {
        context.console.tell(&Notice::info("summary", summary.trim_end()));
        print(&text)?;
        return Ok(Exit::Done);
    }
    file::make(&common.out, &text).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(&common.out),
        _ => Failure::new(format!("can't make {}: {error}", common.out.display()), "give another place with --out"),
    })?;
    let out = common.out.display();
    let made = format!(
        "made {out}: {}\n{summary}Next: read it, correct what was guessed, then `rsgsync plan --inventory {out}`.\n",
        count(inventory.clusters.len(), "cluster")
    );
    print(&escape_lines(&made))?;
    Ok(Exit::Done)
}

/// Nothing is written that `validate` would refuse.
fn check(context: &Context<'_>, text: &str, folder: &Path) -> Result<(), Failure> {
    let source =
        Source { path: "the new inventory".to_owned(), folder: folder.to_owned(), bytes: text.as_bytes().to_owned() };
    let none = |_: &Path| Err("no file".to_owned());
    parse(&[source], &Catalog::shipped(), SPECS, context.today, &none)?;
    Ok(())
}

/// What was found and why, in short.
fn summary(adoption: &Adoption) -> String {
    let mut out = String::new();
    for (name, cluster) in &adoption.inventory.clusters {
        let evidence = adoption.evidence.get(name).cloned().unwrap_or_default();
        let missing = match evidence.missing {
            0 => "nothing missing".to_owned(),
            n => format!("{} missing, which the next plan adds", count(n, "rule")),
        };
        out.push_str(&format!("{name}  {}  {missing}\n", cluster.profile.label()));
        for (group, node_group) in &cluster.groups {
            let of_group = evidence.groups.get(group).cloned().unwrap_or_default();
            let rows = of_group.open.len() + of_group.missing.len();
            out.push_str(&format!("  {group}  {}  ", node_group.security_group));
            out.push_str(&format!("{}  {} of {rows} rows open", node_group.roles.join(", "), of_group.open.len()));
            if !of_group.missing.is_empty() {
                out.push_str(&format!(", missing {}", of_group.missing.join(", ")));
            }
            let GroupEvidence { open: _, missing: _, unexplained, guarded, left_alone } = of_group;
            let said =
                [(unexplained, "that no row explains"), (guarded, "that a guard forbids"), (left_alone, "left alone")];
            for (rules, what) in said.into_iter().filter(|(rules, _)| *rules > 0) {
                out.push_str(&format!(", {} {what}", count(rules, "rule")));
            }
            out.push('\n');
        }
        for option in evidence.undecided.keys() {
            out.push_str(&format!("  not known: {option}\n"));
        }
    }
    for guarded in &adoption.guarded {
        let (cluster, group) = (&guarded.cluster, &guarded.group);
        let rule = format!("{} from {} into {cluster}/{group}", guarded.traffic, guarded.from);
        let goes =
            if guarded.ours { "; it carries our mark, and the next plan removes what no row asks for" } else { "" };
        out.push_str(&format!("not taken over: {rule}, which guard `{}` forbids{goes}\n", guarded.guard));
    }
    for (group, why) in &adoption.left_out {
        out.push_str(&format!("left out: {group}  {why}\n"));
    }
    out
}
