//! `rsgsync profile list | show NAME`: the port profiles.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rsgsync_core::inventory::suggestion;
use rsgsync_core::profile::{Catalog, Condition, Profile, ProfileRow, Version, VersionRange, show};
use rsgsync_core::table::{Table, html_page, markdown};
use serde_json::Value;

use super::{Context, Exit, print};
use crate::args::{DEFAULT_INVENTORY, Format, ProfileCommand};
use crate::console::Notice;
use crate::failure::Failure;
use crate::load;

/// Prints profiles: those that ship, and those of the inventory where there is one.
pub fn run(context: &Context<'_>, command: &ProfileCommand) -> Result<Exit, Failure> {
    let catalog = catalog(context)?;
    let report = match command {
        ProfileCommand::List => list(&catalog, context.global.format),
        ProfileCommand::Show { name, rancher_version } => {
            let tables = find(&catalog, name, rancher_version.as_deref())?;
            match context.global.format {
                Format::Text | Format::Chat => text(&catalog, &tables),
                Format::Json => show::document(&tables).map(|document| format!("{document:#}\n")).unwrap_or_default(),
                Format::Markdown => sheet(&catalog, &tables, Table::to_markdown, |list| {
                    list.iter().fold(String::new(), |out, line| out + "- " + &markdown(line) + "\n")
                }),
                Format::Html => html_page(
                    name,
                    &sheet(&catalog, &tables, Table::to_html, |list| {
                        let items = list.iter().map(|line| format!("<li>{}</li>\n", rsgsync_core::table::html(line)));
                        format!("<ul>\n{}</ul>\n", items.collect::<String>())
                    }),
                ),
            }
        }
    };
    print(&report)?;
    Ok(Exit::Done)
}

/// Profiles are looked up while an inventory is being written, so that one of the default name need not be right yet.
fn catalog(context: &Context<'_>) -> Result<Catalog, Failure> {
    let inventory = &context.global.inventory;
    let named = *inventory != [PathBuf::from(DEFAULT_INVENTORY)];
    if !named && !Path::new(DEFAULT_INVENTORY).exists() {
        return Ok(Catalog::shipped());
    }
    match load::inventory(inventory, context.today) {
        Ok(parsed) => Ok(parsed.catalog),
        Err(failure) if named => Err(failure),
        Err(_) => {
            let message = format!("{DEFAULT_INVENTORY} has errors: profiles of its own are not shown");
            context.console.tell(&Notice::warning("profiles", message).help(Some("`rsgsync validate` lists them")));
            Ok(Catalog::shipped())
        }
    }
}

fn list(catalog: &Catalog, format: Format) -> String {
    let names = catalog.all_names().into_iter().map(|name| catalog.tables(name));
    let all: Vec<Vec<Profile>> = names.collect();
    if format == Format::Json {
        return format!("{:#}\n", Value::Array(all.iter().filter_map(|tables| show::entry(tables)).collect()));
    }
    let line = |tables: &Vec<Profile>| {
        let newest = tables.last()?;
        let versions: Vec<String> = show::merged(tables).iter().map(versions).filter(|text| !text.is_empty()).collect();
        let cells = [newest.kind.as_str().to_owned(), versions.join(", "), newest.title.clone()];
        Some((newest.name.to_string(), cells.into_iter().map(|cell| vec![cell]).collect()))
    };
    let table = Table {
        title: String::new(),
        corner: "name".to_owned(),
        columns: ["kind", "versions", "title"].map(str::to_owned).to_vec(),
        lines: all.iter().filter_map(line).collect(),
        notes: Vec::new(),
    };
    match format {
        Format::Markdown => table.to_markdown(),
        Format::Html => html_page("Port profiles", &table.to_html()),
        Format::Text | Format::Json | Format::Chat => table.to_text(),
    }
}

/// `rancher >=2.0 <2.6`; empty where the profile is for all versions.
fn versions(profile: &Profile) -> String {
    let range = profile.versions.to_string();
    if range.is_empty() { range } else { format!("{} {range}", profile.subject) }
}

fn find(catalog: &Catalog, name: &str, version: Option<&str>) -> Result<Vec<Profile>, Failure> {
    let (name, label) = name.split_once('@').map_or((name, None), |(bare, _)| (bare, Some(name)));
    let mut tables = catalog.tables(name);
    if tables.is_empty() {
        let help = suggestion(name, catalog.all_names()).unwrap_or_default();
        return Err(Failure::new(format!("there is no profile `{name}`"), help));
    }
    let ranges: Vec<String> = tables.iter().map(|table| format!("{} {}", table.label(), table.versions)).collect();
    let none = |what: &str| {
        let message = format!("profile `{name}` is not for {what}");
        Err(Failure::new(message, format!("there is {}", ranges.join(", "))))
    };
    if let Some(label) = label {
        tables.retain(|table| table.label() == label);
        if tables.is_empty() {
            return none(label);
        }
    }
    if let Some(text) = version {
        let Some(version) = Version::parse(text) else {
            return Err(Failure::new(format!("`{text}` is not a version"), "write it as 2.4 or 2.4.8"));
        };
        tables.retain(|table| table.versions.contains(version));
        for table in &mut tables {
            table.rows.retain(|row| row.versions.contains(version));
        }
        if tables.is_empty() {
            return none(&format!("version {text}"));
        }
    }
    Ok(tables)
}

/// Notes, add-ons, defaults and differences, as headed lists.
fn lists(catalog: &Catalog, profile: &Profile) -> Vec<(String, Vec<String>)> {
    let when = |condition: &Condition| {
        if condition.is_always() { String::new() } else { format!(" when {condition}") }
    };
    let compose = profile.compose.iter().map(|part| format!("{}{}", part.profile, when(&part.when)));
    let defaults = profile
        .defaults
        .iter()
        .map(|default| format!("{} = {}{} ({})", default.option, default.value, when(&default.when), default.source));
    let about = profile.about.iter().map(|(key, text)| format!("{}: {text}", key.replace('_', " ")));
    let fixes = profile.fixes.iter().map(|(option, value)| format!("{option} = {value}"));
    let host = profile.host_firewall.iter().map(|(program, lines)| format!("{program}: {}", lines.join(", ")));
    let mut lists: Vec<(String, Vec<String>)> = vec![
        ("Source".to_owned(), vec![profile.source.clone()]),
        ("About".to_owned(), about.collect()),
        ("Notes".to_owned(), profile.notes.clone()),
        ("Fixed".to_owned(), fixes.collect()),
        ("Assumed unless set".to_owned(), defaults.collect()),
        ("Add-ons".to_owned(), compose.collect()),
        ("On loopback only".to_owned(), profile.loopback.clone()),
        ("On the host's own firewall".to_owned(), host.collect()),
        ("See also".to_owned(), profile.see.iter().map(ToString::to_string).collect()),
    ];
    for other in profile.compare.iter().filter_map(|name| catalog.tables(name).pop()) {
        let (here, there) = (show::only_in(profile, &other), show::only_in(&other, profile));
        let lines = here.into_iter().map(|line| format!("only here: {line}"));
        let lines = lines.chain(there.into_iter().map(|line| format!("only there: {line}")));
        lists.push((format!("Compared with {}", other.label()), lines.collect()));
    }
    lists.retain(|(_, list)| !list.is_empty());
    lists
}

fn sheet(
    catalog: &Catalog,
    tables: &[Profile],
    table: impl Fn(&Table) -> String,
    list: impl Fn(&[String]) -> String,
) -> String {
    let mut out = String::new();
    for profile in &show::merged(tables) {
        out.push_str(&table(&show::table(profile)));
        for (title, lines) in lists(catalog, profile) {
            let _ = write!(out, "\n{title}:\n\n{}", list(&lines));
        }
        out.push('\n');
    }
    out
}

fn text(catalog: &Catalog, tables: &[Profile]) -> String {
    let mut out = String::new();
    for (index, profile) in show::merged(tables).iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let versions = versions(profile);
        let versions = if versions.is_empty() { String::new() } else { format!(" · {versions}") };
        let _ = writeln!(out, "{} · {}{versions}\n{}\n", profile.name, profile.kind.as_str(), profile.title);
        profile.rows.iter().for_each(|row| out.push_str(&row_lines(row)));
        for (title, lines) in lists(catalog, profile) {
            let _ = writeln!(out, "\n{title}");
            lines.iter().for_each(|line| {
                let _ = writeln!(out, "  {line}");
            });
        }
    }
    out
}

/// A row on a line, and below it why, when and from where.
fn row_lines(row: &ProfileRow) -> String {
    let ends = |ends: &[rsgsync_core::profile::Selector]| ends.iter().map(show::head).collect::<Vec<_>>().join(", ");
    let between = match (ends(&row.from), ends(&row.to)) {
        (from, to) if from.is_empty() && to.is_empty() => String::new(),
        (from, to) => format!("{from} → {to}"),
    };
    let mut out = format!("  {:<26} {:<22} {between}", row.id, show::traffic(row).join(", ")).trim_end().to_owned();
    out.push('\n');
    let mut below = vec![row.purpose.to_string()];
    if !row.condition.is_always() {
        below.push(format!("when {}", row.condition));
    }
    if row.required == "optional" {
        below.push("optional".to_owned());
    }
    if row.versions != VersionRange::default() {
        below.push(format!("versions {}", row.versions));
    }
    below.extend(row.from_role.iter().map(|role| format!("from nodes of the role {role}")));
    if row.forbid_public {
        below.push("never from public addresses".to_owned());
    }
    below.extend(row.evidence.clone());
    let _ = writeln!(out, "      {}", below.join(" · "));
    if let Some(note) = &row.note {
        let _ = writeln!(out, "      {note}");
    }
    out
}
