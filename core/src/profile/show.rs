//! A profile as people and programs read it: its From/To table with notes, its rows, and how it differs from others.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Condition, Profile, ProfileRow, Selector, VersionRange, Vocabulary};
use crate::table::Table;

/// Tables of one name that say the same, as one: the first of them, its versions reaching to the last's.
pub fn merged(tables: &[Profile]) -> Vec<Profile> {
    let mut merged: Vec<Profile> = Vec::new();
    for table in tables {
        match merged.last_mut() {
            Some(last) if last.versions.below == table.versions.from && same_rows(last, table) => {
                last.versions.below = table.versions.below;
            }
            _ => merged.push(table.clone()),
        }
    }
    merged
}

fn same_rows(a: &Profile, b: &Profile) -> bool {
    let plain = |row: &ProfileRow| ProfileRow { label: "".into(), ..row.clone() };
    a.rows.iter().map(plain).eq(b.rows.iter().map(plain))
}

/// The From/To table: every row in its cells, with a number for each note that it has.
///
/// A glossary's rows have no ends: they are listed with when and why.
pub fn table(profile: &Profile) -> Table {
    let versions = profile.versions.to_string();
    let title = if versions.is_empty() { profile.title.clone() } else { format!("{} ({versions})", profile.title) };
    let mut notes = Notes::of(profile);
    if profile.rows.iter().all(|row| row.from.is_empty()) {
        let lines = profile.rows.iter().map(|row| {
            let when = if row.condition.is_always() { String::new() } else { row.condition.to_string() };
            (traffic(row).join(", "), vec![vec![when], vec![row.purpose.to_string()]])
        });
        let columns = vec!["when".to_owned(), "purpose".to_owned()];
        return Table { title, corner: "ports".to_owned(), columns, lines: lines.collect(), notes: Vec::new() };
    }
    let ends = |pick: fn(&(Selector, Selector)) -> &Selector| -> Vec<Selector> {
        let pairs = profile.rows.iter().flat_map(pairs);
        let all: BTreeSet<Selector> = pairs.map(|pair| pick(&pair).clone()).collect();
        let mut all: Vec<Selector> = all.into_iter().collect();
        all.sort_by_key(rank);
        all
    };
    let (lines, columns) = (ends(|pair| &pair.0), ends(|pair| &pair.1));
    let mut cells = vec![vec![Vec::new(); columns.len()]; lines.len()];
    for row in &profile.rows {
        let marks = notes.marks(row);
        for (from, to) in pairs(row) {
            let at = lines.iter().position(|line| *line == from).zip(columns.iter().position(|column| *column == to));
            if let Some(cell) = at.and_then(|(line, column)| cells.get_mut(line)?.get_mut(column)) {
                cell.extend(traffic(row).into_iter().map(|text| format!("{text}{marks}")));
            }
        }
    }
    let heads = lines.iter().map(|line| format!("{}{}", head(line), notes.about(line)));
    let lines = heads.zip(cells).collect();
    let columns = columns.iter().map(head).collect();
    Table { title, corner: "From / To".to_owned(), columns, lines, notes: notes.texts }
}

/// The ends of a row's cells; traffic of a node to itself is in the cell of its own role.
fn pairs(row: &ProfileRow) -> Vec<(Selector, Selector)> {
    let mut pairs = Vec::new();
    for to in &row.to {
        for from in &row.from {
            pairs.push(match (from, to) {
                (Selector::SelfNode, to) => (to.clone(), to.clone()),
                (from, to) => (from.clone(), to.clone()),
            });
        }
    }
    pairs
}

/// Roles in the vocabulary's order, then peers in its order, then the rest.
fn rank(end: &Selector) -> (usize, usize) {
    let words = Vocabulary::shipped();
    let of = |list: &[Arc<str>], word: &Arc<str>| list.iter().position(|w| w == word).unwrap_or(list.len());
    match end {
        Selector::Role(role) => (0, of(&words.roles, role)),
        Selector::SelfGroup => (1, 0),
        Selector::SelfNode => (2, 0),
        Selector::Peer(peer) => (3, of(&words.peers, peer)),
        Selector::Net(net) => (4, of(&words.nets, net)),
        Selector::Cidr(_) => (5, 0),
        Selector::Name(_) => (6, 0),
    }
}

/// The word at the head of a line or column.
pub fn head(end: &Selector) -> String {
    match end {
        Selector::Role(word) | Selector::Peer(word) | Selector::Name(word) => word.to_string(),
        Selector::Cidr(range) => range.to_string(),
        Selector::Net(_) | Selector::SelfNode | Selector::SelfGroup => end.to_string(),
    }
}

/// `22/tcp`, `30000-32767/tcp+udp`, `$open_ports/tcp`, `icmp/8/0`, `esp`: one text a port.
pub fn traffic(row: &ProfileRow) -> Vec<String> {
    let icmp = |port: &super::Port| matches!(port, super::Port::Icmp(..));
    if row.ports.is_empty() {
        return vec![row.protocol.clone()];
    }
    let text = |port: &super::Port| {
        if icmp(port) { format!("{}/{port}", row.protocol) } else { format!("{port}/{}", row.protocol) }
    };
    row.ports.iter().map(text).collect()
}

/// The numbered notes of a table: the source's own, then one for each condition that none of those states.
struct Notes<'a> {
    profile: &'a Profile,
    texts: Vec<String>,
    /// The condition that a note of the source states: that of all rows which it hangs on, where they share one.
    stated: Vec<Option<&'a Condition>>,
}

impl<'a> Notes<'a> {
    fn of(profile: &'a Profile) -> Self {
        let stated: Vec<Option<&Condition>> = profile
            .footnotes
            .iter()
            .map(|note| {
                let mut rows = profile.rows.iter().filter(|row| row.seed.contains(&note.seed));
                let first = &rows.next()?.condition;
                (!first.is_always() && rows.all(|row| row.condition == *first)).then_some(first)
            })
            .collect();
        let texts = profile.footnotes.iter().zip(&stated).map(|(note, condition)| match condition {
            Some(condition) => format!("{} ({condition})", note.text),
            None => note.text.clone(),
        });
        Self { profile, texts: texts.collect(), stated }
    }

    /// ` (3) (7)` for a row; a note about a whole line stands at the line's head.
    fn marks(&mut self, row: &ProfileRow) -> String {
        let mut numbers: Vec<usize> = Vec::new();
        let mut told = row.condition.is_always();
        for (index, note) in self.profile.footnotes.iter().enumerate() {
            if row.seed.contains(&note.seed) {
                told |= self.stated.get(index).is_some_and(|stated| *stated == Some(&row.condition));
                numbers.extend(note.about.is_none().then_some(index + 1));
            }
        }
        let mut generated = Vec::new();
        if !told {
            generated.push(format!("when {}", row.condition));
        }
        let versions = row.versions.to_string();
        if !versions.is_empty() {
            generated.push(format!("versions {versions}"));
        }
        if let Some(role) = &row.from_role {
            generated.push(format!("from nodes of the role {role}"));
        }
        if row.deprecated_values {
            generated.extend(row.note.clone());
        }
        for text in generated {
            let found = self.texts.iter().position(|known| *known == text);
            numbers.push(found.unwrap_or(self.texts.len()) + 1);
            if found.is_none() {
                self.texts.push(text);
            }
        }
        numbers.iter().map(|number| format!(" ({number})")).collect()
    }

    /// The marks of a line's head.
    fn about(&self, line: &Selector) -> String {
        let notes = self.profile.footnotes.iter().enumerate();
        let of_line = notes.filter(|(_, note)| match (&note.about, line) {
            (Some(about), Selector::Role(role)) => about == role,
            _ => false,
        });
        of_line.map(|(index, _)| format!(" ({})", index + 1)).collect()
    }
}

/// The contract of `profile list --format json`: one profile without rows.
pub fn entry(tables: &[Profile]) -> Option<Value> {
    let newest = tables.last()?;
    let versions = tables.iter().map(|table| table.versions.to_string());
    let all: BTreeSet<String> = versions.filter(|text| !text.is_empty()).collect();
    Some(json!({
        "name": newest.name,
        "title": newest.title,
        "kind": newest.kind.as_str(),
        "source": newest.source,
        "subject": newest.subject,
        "versions": all.into_iter().collect::<Vec<_>>(),
        "for_clusters": newest.kind.is_for_clusters(),
    }))
}

/// The contract of `profile show NAME --format json`: every version's rows; rows that don't differ are one.
pub fn document(tables: &[Profile]) -> Option<Value> {
    let newest = tables.last()?;
    let mut rows: Vec<Value> = Vec::new();
    for table in &merged(tables) {
        rows.extend(table.rows.iter().map(|row| row_entry(row, &table.versions)));
    }
    let mut value = entry(tables)?;
    let condition =
        |condition: &Condition| if condition.is_always() { Value::Null } else { condition_entry(condition) };
    let parts = newest.compose.iter().map(|part| json!({ "profile": part.profile, "when": condition(&part.when) }));
    let defaults = newest.defaults.iter().map(|default| {
        json!({
            "option": default.option,
            "value": default.value.to_string(),
            "when": condition(&default.when),
            "source": default.source,
        })
    });
    let object = value.as_object_mut()?;
    object.insert("roles".to_owned(), json!(newest.roles));
    object.insert("compose".to_owned(), parts.collect());
    object.insert("defaults".to_owned(), defaults.collect());
    object.insert("notes".to_owned(), json!(newest.notes));
    object.insert("see".to_owned(), json!(newest.see));
    object.insert("loopback".to_owned(), json!(newest.loopback));
    object.insert("host_firewall".to_owned(), json!(newest.host_firewall));
    for (key, text) in &newest.about {
        object.insert((*key).to_owned(), json!(text));
    }
    object.insert("rows".to_owned(), Value::Array(rows));
    Some(value)
}

fn row_entry(row: &ProfileRow, of_profile: &VersionRange) -> Value {
    let texts = |ends: &[Selector]| ends.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "id": row.id,
        "versions": row.versions.and(of_profile).to_string(),
        "from": texts(&row.from),
        "to": texts(&row.to),
        "from_role": row.from_role,
        "protocol": row.protocol,
        "ports": row.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "condition": if row.condition.is_always() { Value::Null } else { condition_entry(&row.condition) },
        "required": row.required,
        "purpose": row.purpose,
        "seed": row.seed,
        "forbid_public": row.forbid_public,
        "local": row.local,
        "evidence": row.evidence,
        "note": row.note,
    })
}

/// A condition as a profile file writes it.
pub fn condition_entry(condition: &Condition) -> Value {
    let value = |value: &super::OptionValue| match value {
        super::OptionValue::Bool(value) => json!(value),
        super::OptionValue::Word(word) => json!(word),
    };
    match condition {
        Condition::Is(option, values) => match values.as_slice() {
            [one] => json!({ &**option: value(one) }),
            several => json!({ &**option: several.iter().map(value).collect::<Vec<_>>() }),
        },
        Condition::Not(inner) => json!({ "not": condition_entry(inner) }),
        Condition::Any(list) => json!({ "any": list.iter().map(condition_entry).collect::<Vec<_>>() }),
        Condition::All(list) => {
            let entries: Vec<Value> = list.iter().map(condition_entry).collect();
            let keys = entries.iter().filter_map(Value::as_object).flat_map(|object| object.keys());
            let keys: BTreeSet<&String> = keys.collect();
            if keys.len() == entries.len() {
                Value::Object(entries.iter().filter_map(Value::as_object).flat_map(Clone::clone).collect())
            } else {
                json!({ "all": entries })
            }
        }
    }
}

/// What one profile opens and another doesn't: ends and traffic of its rows, sorted; conditions apart.
pub fn only_in(profile: &Profile, other: &Profile) -> Vec<String> {
    let lines = |profile: &Profile| -> BTreeSet<String> {
        let of_row = |row: &ProfileRow| -> Vec<String> {
            let cells = pairs(row).into_iter().flat_map(|(from, to)| {
                traffic(row).into_iter().map(move |text| format!("{text} from {} to {}", head(&from), head(&to)))
            });
            cells.collect()
        };
        profile.rows.iter().flat_map(of_row).collect()
    };
    lines(profile).difference(&lines(other)).cloned().collect()
}
