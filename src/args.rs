//! The command line: every flag, defined once.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use rsgsync_core::plan::Shard;

use crate::complete;

/// Keeps cloud firewalls true: works out which ports every node group of a cluster needs, compares that with what the
/// cloud has, and repairs the difference without ever cutting a required connection.
#[derive(Debug, Parser)]
#[command(
    name = "rsgsync",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done, or nothing to do · 1 error or refusal · 2 changes pending (drift, plan --detailed-exitcode) · \
3 apply stopped part-way or unconfirmed, journal kept.

Start with `rsgsync plan --inventory examples/quickstart.yaml`: it needs no account."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Common to all commands.
    #[command(flatten)]
    pub global: Global,
}

impl Cli {
    /// Reads the command line; errors also where help is asked for.
    pub fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let mut cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        cli.global.names_inventory = matches.value_source("inventory") == Some(ValueSource::CommandLine);
        Ok(cli)
    }
}

/// The inventory that is read when none is named.
pub const DEFAULT_INVENTORY: &str = "cluster.yaml";

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The inventory: a YAML file, or a folder of them; may be given many times (files together are one inventory)
    #[arg(
        short,
        long = "inventory",
        global = true,
        env = "RSGSYNC_INVENTORY",
        value_name = "PATH",
        default_value = DEFAULT_INVENTORY
    )]
    pub inventory: Vec<PathBuf>,
    /// Whether `inventory` is from the command line, not from the environment or by default.
    #[arg(skip)]
    pub names_inventory: bool,
    /// How reports are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Colours: `auto` asks the terminal and NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Say less on stderr: no progress, no warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more on stderr: -v each call, -vv every detail (RUST_LOG overrides it)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// How stderr is written
    #[arg(long, global = true, value_enum, env = LOG_FORMAT, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// The variable that says how stderr is written.
pub const LOG_FORMAT: &str = "RSGSYNC_LOG_FORMAT";

/// How stderr is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For log collectors: a JSON object a line, errors too.
    Json,
}

/// How reports are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: stable and versioned.
    Json,
    /// For wikis and pull requests (plan, drift, matrix, profile).
    Markdown,
    /// A page by itself, in one file (plan, drift, matrix, profile).
    Html,
    /// One short paragraph for a chat room (drift).
    Chat,
}

impl Format {
    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Chat => "chat",
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would change, and the proof that it is safe; never writes
    ///
    /// Read it from below. `Proof` and `World` tell whether anything is cut, or opened to public addresses; above them stand
    /// rows that are not opened, with the word that they wait for; above those each group's rules, `+` added, `−` removed.
    #[command(after_help = "\
Examples:
  rsgsync plan --inventory examples/quickstart.yaml
  rsgsync plan --out plan.json
  rsgsync plan --format html > report.html")]
    Plan(PlanArgs),
    /// Make it so: add what is missing, then remove what nothing wants
    ///
    /// On a terminal the plan is shown and you are asked; elsewhere it goes ahead, protected by the guards, the proof and
    /// --max-removals. What was reviewed is applied by its digest (--expect) or as the file that `plan --out` saved. Every step
    /// is journaled before it is called; afterwards the cloud is read again and compared.
    #[command(after_help = "\
Examples:
  rsgsync apply --inventory examples/quickstart.yaml
  rsgsync apply plan.json
  rsgsync apply --add-only")]
    Apply(ApplyArgs),
    /// Compare only, for cron: exit code 0 in sync, 2 drift, 1 error; never writes
    ///
    /// Says nothing when all is in sync, unless to a terminal or with -v. A network that can't be read is an error, which
    /// wins over drift; the others are reported all the same.
    Drift(DriftArgs),
    /// Check a saved plan again, from nothing but what the file holds: exit code 1 when it is unsafe
    Prove(ProveArgs),
    /// Check an inventory offline, and tell what is doubtful about it
    ///
    /// Lints change no exit code: peers that nothing is about, exceptions without effect or about to end, SSH or very many ports
    /// open to every address.
    Validate(ValidateArgs),
    /// Write an inventory for what exists; never overwrites a file, and never writes to a cloud
    ///
    /// What was found, what was guessed from it and why stands in the file as comments, beside what only you can know. Correct
    /// it; then `rsgsync plan` shows what would change, which is nothing where the groups are right.
    #[command(
        subcommand,
        after_help = "\
Examples:
  rsgsync init groups --network 'aws: { region: eu-west-1, vpc: vpc-0a1b2c3d }'
  rsgsync init terraform terraform.tfstate
  rsgsync init kubeconfig --context prod"
    )]
    Init(InitCommand),
    /// Undo a run: bring back the rules that it took away, and remove those that it added
    ///
    /// Everything comes from the journal: no inventory is read. What others have changed since stays as it is and is
    /// listed. The plan is proved like any other and shown; without a terminal --yes is needed.
    Rollback(RollbackArgs),
    /// Remove what rsgsync owns: groups that it made, and its own rules in others
    ///
    /// Shows what is lost and asks; without a terminal --yes is needed. Do this before a cluster leaves the inventory: afterwards
    /// its marks are only told. Groups that others made, and what others need too, stay. Rules that others put into a group that
    /// goes are named, and go with it.
    Destroy(DestroyArgs),
    /// Tell whether a connection is allowed now and whether it is required, by which rules and why
    ///
    /// Looks at both ends: what leaves A's group, and what B's group lets in. It also says what it didn't look at. The exit
    /// code is 0 whatever the answer. A network that can't be read makes the answer `unknown`.
    #[command(after_help = "\
Examples:
  rsgsync explain --from prod/control --to prod/etcd --port 2379/tcp
  rsgsync explain --from 203.0.113.7 --to prod/control --port 6443/tcp --desired")]
    Explain(ExplainArgs),
    /// Show who must reach whom on what ports: the From/To table of your clusters
    Matrix(MatrixArgs),
    /// Look up the port profiles: what a Rancher, RKE, RKE2 or K3s cluster needs, when, why and from where
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Print the firewall of a node itself, from the same connections
    ///
    /// A host knows no groups: where the inventory doesn't have the `addresses` of a source, every address is let in, and a comment
    /// says so. Nothing is set: look at it, then copy it to the nodes.
    Render(RenderArgs),
    /// Print the JSON schema of inventories, by which editors complete and check them
    ///
    /// With the YAML language server, begin the inventory with `# yaml-language-server: $schema=inventory.schema.json`.
    Schema(SchemaArgs),
    /// Print the manual page, or write the pages of all commands
    Man(ManArgs),
    /// Print the completion script of a shell; it also completes names of the inventory
    ///
    /// bash: `source <(rsgsync completions bash)` in ~/.bashrc; zsh: the same in ~/.zshrc; fish: `rsgsync completions fish |
    /// source` in config.fish. Made anew at each start, it always fits the program.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `init`.
#[derive(Debug, Subcommand)]
pub enum InitCommand {
    /// From the security groups of an account: which of them look like which roles, by their rules
    ///
    /// Groups that let each other in are one cluster, and the profile that explains most of their rules is its. What no row
    /// of it explains is written under `rules`, so that nothing is lost when a group is taken over. Groups that look like no
    /// cluster's are listed and left out; name the groups of one cluster with --group to say that they are.
    #[command(after_help = "\
Examples:
  rsgsync init groups --network 'aws: { region: eu-west-1, vpc: vpc-0a1b2c3d }'
  rsgsync init groups --network 'openstack: { cloud: mycloud }' --group prod-etcd,prod-workers --out -
  rsgsync init groups --network 'simulated: { state: cloud.json }' --profile rke2 --cluster prod")]
    Groups(InitGroupsArgs),
    /// From a Terraform state file: its security groups and their rules; no cloud is called
    ///
    /// Reads the state itself (version 4: Terraform 0.12 and newer, OpenTofu), with the security groups of the providers aws
    /// and openstack and the firewalls of google. Where the network is comes from the state, unless --network says it.
    #[command(after_help = "\
Examples:
  rsgsync init terraform terraform.tfstate
  terraform state pull > state.json; rsgsync init terraform state.json --group prod-nodes")]
    Terraform(InitTerraformArgs),
    /// From a running cluster: its nodes, their roles and addresses, distribution, versions and CNI; only reads
    ///
    /// Three lists are asked for: nodes, and the daemon sets and deployments that tell CNI, ingress and Rancher. The rights that
    /// this needs are in examples/kubernetes/rsgsync-init.yaml. Which security groups the nodes have, no API server knows.
    #[command(after_help = "\
Examples:
  rsgsync init kubeconfig --context prod
  rsgsync init kubeconfig --kubeconfig rke2.yaml --network 'openstack: { cloud: mycloud }'")]
    Kubeconfig(InitKubeconfigArgs),
}

/// What every source has.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to make; `-` prints it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_INVENTORY)]
    pub out: PathBuf,
    /// Whose inventory it is: with the cluster's name the mark on all that it makes
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub owner: String,
    /// The cluster's name [default: what the groups' names begin with, or the context's]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// What runs on the nodes, `rsgsync profile list` shows the names [default: what fits best]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub profile: Option<String>,
}

/// `init groups`.
#[derive(Debug, Args)]
pub struct InitGroupsArgs {
    /// Where the groups are, as an inventory writes it: 'aws: { region: eu-west-1, vpc: vpc-1 }'
    #[arg(long, value_name = "PLACE")]
    pub network: String,
    /// Only this group, by name or id; may be repeated. All that are named are one cluster's, or those that its Rancher
    /// manages
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',')]
    pub groups: Vec<String>,
    /// What every source has.
    #[command(flatten)]
    pub common: InitArgs,
}

/// `init terraform`.
#[derive(Debug, Args)]
pub struct InitTerraformArgs {
    /// The state file
    #[arg(value_name = "STATE")]
    pub state: PathBuf,
    /// Where the groups are, as an inventory writes it, instead of what the state says
    #[arg(long, value_name = "PLACE")]
    pub network: Option<String>,
    /// Only this group, by name or id; may be repeated
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',')]
    pub groups: Vec<String>,
    /// What every source has.
    #[command(flatten)]
    pub common: InitArgs,
}

/// `init kubeconfig`.
#[derive(Debug, Args)]
pub struct InitKubeconfigArgs {
    /// The kubeconfig [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Its context [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Where the cluster's security groups are, as an inventory writes it [default: a simulated cloud, to be replaced]
    #[arg(long, value_name = "PLACE")]
    pub network: Option<String>,
    /// What every source has.
    #[command(flatten)]
    pub common: InitArgs,
}

/// Which groups, and what may happen to them.
#[derive(Debug, Args, Clone, Default)]
pub struct Selection {
    /// Only groups of this cluster get steps (what is desired still comes from the whole inventory); may be repeated
    #[arg(long = "cluster", value_name = "NAME", value_delimiter = ',', add = ArgValueCompleter::new(complete::clusters))]
    pub clusters: Vec<String>,
    /// Only groups of this part of the fleet get steps: INDEX/COUNT, counted from 0, as in `--shard $JOB_COMPLETION_INDEX/8`
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<Shard>,
    /// Remove redundant rules and bring descriptions up to date, too
    #[arg(long)]
    pub tidy: bool,
    /// Remove orphans, too: groups that we made, and our rules in others, that the inventory no longer names
    #[arg(long, conflicts_with_all = ["clusters", "shard"])]
    pub prune: bool,
    /// Of the pruned groups, let this one take others' rules along that refer to it, where the cloud does so (OpenStack); may
    /// be repeated
    #[arg(long, value_name = "GROUP", requires = "prune")]
    pub cascade: Vec<String>,
    /// Take exclusive groups over that carry another owner's mark
    #[arg(long)]
    pub take_over: bool,
}

fn shard(text: &str) -> Result<Shard, String> {
    Shard::parse(text).ok_or_else(|| "a shard is INDEX/COUNT, counted from 0: 0/4 to 3/4".to_owned())
}

/// What may change.
#[derive(Debug, Args, Clone, Default)]
pub struct Changes {
    /// Which groups.
    #[command(flatten)]
    pub selection: Selection,
    /// Plan no removal at all
    #[arg(long, conflicts_with_all = ["tidy", "prune"])]
    pub add_only: bool,
    /// Allow so many removals (without it: 10, a third of a group, and never a group's last rule)
    #[arg(long, value_name = "N")]
    pub max_removals: Option<usize>,
    /// Where a quota leaves no other way, flows of this row (ID or PROFILE@VERSION/ID) may be cut for a time; may be repeated
    #[arg(long, value_name = "ROW", add = ArgValueCompleter::new(complete::rows))]
    pub allow_gap: Vec<String>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What may change.
    #[command(flatten)]
    pub changes: Changes,
    /// Exit with 2 when something would change
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Save the plan as JSON, too
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `drift`.
#[derive(Debug, Args)]
pub struct DriftArgs {
    /// Which groups.
    #[command(flatten)]
    pub selection: Selection,
    /// Write what was found as Prometheus metrics, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Count the network interfaces that carry each group, and warn of groups that none carries: their rules protect
    /// nothing
    #[arg(long)]
    pub attachments: bool,
    /// Give up on a network that has not been read after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
}

/// `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan saved by `rsgsync plan --out FILE`: carries out its steps and no other, or refuses when the cloud has
    /// changed so that they would be others; reads no inventory
    #[arg(
        value_name = "PLAN",
        conflicts_with_all = ["clusters", "shard", "tidy", "prune", "cascade", "take_over", "add_only", "allow_gap"]
    )]
    pub plan: Option<PathBuf>,
    /// What may change.
    #[command(flatten)]
    pub changes: Changes,
    /// How to carry out.
    #[command(flatten)]
    pub running: Running,
    /// Apply only the plan with this digest (a prefix of at least 8 characters will do)
    #[arg(long, value_name = "DIGEST")]
    pub expect: Option<String>,
}

/// `destroy`.
#[derive(Debug, Args)]
pub struct DestroyArgs {
    /// Only what this cluster has; may be repeated
    #[arg(long = "cluster", value_name = "NAME", value_delimiter = ',', add = ArgValueCompleter::new(complete::clusters))]
    pub clusters: Vec<String>,
    /// Let this group take others' rules along that refer to it, where the cloud does so (OpenStack); may be repeated
    #[arg(long, value_name = "GROUP")]
    pub cascade: Vec<String>,
    /// How to carry out.
    #[command(flatten)]
    pub running: Running,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The journal of the run, whose path apply printed
    #[arg(value_name = "JOURNAL")]
    pub journal_of: PathBuf,
    /// Bring back rules that this guard forbids, too; may be repeated
    #[arg(long, value_name = "GUARD", value_delimiter = ',')]
    pub restore_guarded: Vec<String>,
    /// How to carry out.
    #[command(flatten)]
    pub running: Running,
}

/// How steps are carried out.
#[derive(Debug, Args)]
pub struct Running {
    /// Don't ask
    #[arg(short, long)]
    pub yes: bool,
    /// Where to write the journal [default: a new file in $XDG_STATE_HOME/rsgsync]
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Seconds between reading additions back and removals that depend on them [default: 5, simulated 0]
    #[arg(long, value_name = "SECONDS")]
    pub settle: Option<u64>,
    /// Calls at once, for each network
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Who opens the connection: CLUSTER/GROUP, a peer, or an address or range (10.1.2.3, 10.1.0.0/16)
    #[arg(long, value_name = "A", add = ArgValueCompleter::new(complete::ends))]
    pub from: String,
    /// Who is reached: the same
    #[arg(long, value_name = "B", add = ArgValueCompleter::new(complete::ends))]
    pub to: String,
    /// On what, as an inventory writes it: 2379/tcp, 30000-32767/tcp+udp, icmp/8/0, esp, all; allowed only where all of it is
    #[arg(long, value_name = "TRAFFIC")]
    pub port: String,
    /// Ask only what the clouds have, not what the inventory requires
    #[arg(long, conflicts_with = "desired")]
    pub observed: bool,
    /// Ask only what the inventory wants; no cloud is called
    #[arg(long)]
    pub desired: bool,
}

/// `matrix`.
#[derive(Debug, Args)]
pub struct MatrixArgs {
    /// Only this cluster; may be repeated
    #[arg(long = "cluster", value_name = "NAME", value_delimiter = ',', add = ArgValueCompleter::new(complete::clusters))]
    pub clusters: Vec<String>,
}

/// `profile`.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the profiles
    List,
    /// Show one: its rows, or its From/To table with notes (--format markdown, html)
    Show {
        /// The profile's name
        #[arg(add = ArgValueCompleter::new(complete::profiles))]
        name: String,
        /// Only the rows for this version of Rancher
        #[arg(long, value_name = "VERSION")]
        rancher_version: Option<String>,
    },
}

/// `prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// A plan saved by `rsgsync plan --out FILE`
    pub plan: PathBuf,
}

/// `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The program that runs on the node: SuSEfirewall2's file, firewalld's commands or a table of nftables
    #[arg(long, value_enum)]
    pub host: HostFirewall,
    /// Whose nodes: CLUSTER/GROUP
    #[arg(long, value_name = "GROUP", add = ArgValueCompleter::new(complete::groups))]
    pub group: String,
}

/// What runs on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HostFirewall {
    /// SuSEfirewall2.
    Suse,
    /// firewalld.
    Firewalld,
    /// nftables.
    Nftables,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The schema of files with port profiles instead
    #[arg(long)]
    pub profiles: bool,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page a command into this folder
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Fail on warnings, rows that are not opened, and expired entries, too
    #[arg(long)]
    pub strict: bool,
}
