//! `rsgsync drift`: for cron.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use rsgsync_core::document::{AttachmentEntry, Document, checksum, drift};
use rsgsync_core::name::GroupId;
use rsgsync_core::plan::{GroupStatus, Plan};
use rsgsync_engine::{CloudError, Patience, StopSignal};

use super::{Context, Exit, documented, print};
use crate::args::{Changes, DriftArgs, Format};
use crate::console::Notice;
use crate::failure::Failure;
use crate::file::{Readers, save};
use crate::pipeline::{Opened, make_plan, observe_within, open, plan_options, too_slow};
use crate::report::brief::{drift_chat, drift_markdown};
use crate::report::html::{Report, page};
use crate::report::metrics::{Run, metrics};

/// Compares and reports; never writes to a cloud.
pub async fn run(context: &Context<'_>, args: &DriftArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let wish = context.wish()?;
    let options = plan_options(&wish, &Changes { selection: args.selection.clone(), ..Changes::default() })?;
    wish.refuse_guarded()?;
    let opened = open(&wish, &options)?;
    let within = Duration::from_secs(args.timeout);
    let readings = observe_within(&wish, &opened, false, &context.screen(), Some(within)).await;
    let errors = readings.errors();
    let plan = make_plan(&wish, &opened, readings, &options)?;
    let mut document = documented(&plan, &wish.guards);
    document.drift = Some(drift(&plan));
    let mut errors = errors;
    if args.attachments {
        let (found, failed) = attachments(context, &plan, &opened, within).await;
        document.attachments = Some(found);
        errors.extend(failed);
    }
    document.checksum = checksum(&document);
    if let Some(file) = &args.metrics {
        write_metrics(file, &plan, &document, began)?;
    }
    let in_sync = errors.is_empty() && plan.in_sync();
    let silent = in_sync && context.global.verbose == 0 && !std::io::stdout().is_terminal();
    match context.global.format {
        Format::Json => context.print_plan(&plan, &document)?,
        Format::Html => print(&page(&Report { inventory: &wish.inventory, plan: &plan, document: &document }))?,
        _ if silent => {}
        Format::Markdown => print(&drift_markdown(&document))?,
        Format::Chat => print(&drift_chat(&document))?,
        Format::Text => context.print_plan(&plan, &document)?,
    }
    for entry in document.attachments.iter().flatten().filter(|entry| entry.interfaces == 0) {
        let AttachmentEntry { network, security_group, id, .. } = entry;
        let message = format!("no network interface carries `{security_group}` ({id}) of network `{network}`");
        let help = Some("its rules protect nothing: give it to the nodes");
        context.console.tell(&Notice::warning("attachments", message).help(help).with("network", network.as_str()));
    }
    if !errors.is_empty() {
        return Err(Failure::Cloud(errors));
    }
    Ok(if in_sync { Exit::Done } else { Exit::Changes })
}

/// How many interfaces carry each group that a plan names, of all clouds that can be asked.
async fn attachments(
    context: &Context<'_>,
    plan: &Plan,
    opened: &[Opened],
    within: Duration,
) -> (Vec<AttachmentEntry>, Vec<CloudError>) {
    let (mut found, mut errors, screen) = (Vec::new(), Vec::new(), context.screen());
    let asked = plan.networks.iter().filter_map(|network| {
        let opened = opened.iter().find(|opened| opened.network.name == network.network.name)?;
        let here = network.groups.iter().filter(|group| group.status != GroupStatus::Skipped);
        let groups = here.filter_map(|group| network.observed_group(group.atom));
        let ids: Vec<GroupId> = groups.map(|group| group.id.clone()).collect();
        (!ids.is_empty()).then_some((network, opened, ids))
    });
    for (network, opened, ids) in asked {
        let name = &network.network.name;
        let (cloud, patience, stop) = (opened.cloud.as_ref(), Patience::default(), StopSignal::new());
        let counted = rsgsync_engine::attachments(name, cloud, &ids, patience, &screen, &stop);
        match tokio::time::timeout(within, counted).await.unwrap_or_else(|_| Err(too_slow(name, within))) {
            Ok(None) => {
                let message = format!("interfaces of network `{name}` are not counted: its cloud can't be asked");
                context.console.tell(&Notice::warning("attachments", message).with("network", name.as_str()));
            }
            Ok(Some(counts)) => found.extend(counts.into_iter().map(|(id, interfaces)| {
                let observed = network.observed.iter().flat_map(|observed| &observed.groups);
                let named = observed.into_iter().find(|group| group.id == id).map(|group| group.name.to_string());
                let (network, security_group) = (name.clone(), named.unwrap_or_default());
                AttachmentEntry { network, security_group, id: id.to_string(), interfaces }
            })),
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

fn write_metrics(file: &Path, plan: &Plan, document: &Document, began: Instant) -> Result<(), Failure> {
    let before = std::fs::read_to_string(file).ok();
    let text = metrics(&Run {
        document,
        networks: &plan.networks,
        now: jiff::Timestamp::now().as_duration().as_secs_f64(),
        seconds: began.elapsed().as_secs_f64(),
        before: before.as_deref(),
    });
    save(file, &text, Readers::All).map_err(|error| {
        Failure::new(format!("can't write metrics to {}: {error}", file.display()), "choose another --metrics FILE")
    })
}
