//! YAML text becomes a tree in which every node knows where it stands.

use std::collections::{HashMap, HashSet};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

use super::problem::Code;
use super::report::{Finding, Path, Place, Report};

/// A node: its value and its place. A mapping or list stands where its key does.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Empty,
    Text(String),
    Bool(bool),
    /// A number, as written: `2.10` stays `2.10`.
    Number(String),
    List(Vec<Node>),
    /// In the order of the file; no key stands twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub text: String,
    pub place: Place,
    /// It stands in braces without colon and value: what becomes of `two` in `{ why: one, two }`.
    pub alone: bool,
}

impl Node {
    /// Takes over what stands under a second key of the same name, where both are mappings, so that its names are known.
    fn join(&mut self, second: Self) {
        match (&mut self.value, second.value) {
            (first @ Value::Empty, second) => *first = second,
            (Value::Map(first), Value::Map(second)) => {
                let known: HashSet<String> = first.iter().map(|(key, _)| key.text.clone()).collect();
                first.extend(second.into_iter().filter(|(key, _)| !known.contains(&key.text)));
            }
            _ => {}
        }
    }

    /// Whether both say the same; the order of a mapping's keys says nothing.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Empty, Value::Empty) => true,
            (Value::Text(a), Value::Text(b)) | (Value::Number(a), Value::Number(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Value::Map(a), Value::Map(b)) => {
                let theirs: HashMap<&str, &Node> = b.iter().map(|(key, node)| (key.text.as_str(), node)).collect();
                a.len() == b.len() && a.iter().all(|(key, a)| theirs.get(key.text.as_str()).is_some_and(|b| a.same(b)))
            }
            _ => false,
        }
    }
}

/// Levels of nesting; an inventory has less than ten.
const MAX_DEPTH: usize = 24;
/// Nodes that aliases may add; a bomb asks for billions.
const MAX_REPLAYED: usize = 200_000;

/// The options: what a large company may write is accepted, what only an attack looks like isn't.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: 5_000_000,
            max_events: 10_000_000,
            max_aliases: MAX_REPLAYED,
            max_merge_keys: MAX_REPLAYED,
            // One anchor used by every cluster is good style; what aliases grow to is limited below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        // Told apart in `Builder::map`, which goes on and shows both places.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// Reads one file; `None` when it is no YAML, which is then reported. `name` is for messages.
pub(crate) fn read(report: &Report, name: &str, bytes: &[u8]) -> Option<Node> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let source = report.add_text(name, &String::from_utf8_lossy(bytes));
            let start = error.valid_up_to();
            let place = Place { source, start, end: start + '\u{fffd}'.len_utf8(), path: Path::default() };
            let finding = place.error(Code::Syntax, "this is not UTF-8 text");
            report.add(finding.help("save the file as UTF-8; is it an inventory at all?"));
            return None;
        }
    };
    let source = report.add_text(name, text);
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()) {
        Ok(Spanned { value: Raw::Empty, .. }) => {
            let place = Place { source, ..Place::default() };
            report.add(place.error(Code::Syntax, "the file is empty").help("an inventory starts with `version: 1`"));
            None
        }
        Ok(root) => {
            let builder = Builder { report, source, text };
            let top = Place { source, ..Place::default() };
            Some(builder.node(root, &top, Path::default()))
        }
        Err(error) => {
            report.add(syntax_error(&error, source, text));
            None
        }
    }
}

fn syntax_error(error: &Error, source: usize, text: &str) -> Finding {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let (start, end) = extent(&location, text);
    // The parser often points between two characters; one of them is underlined.
    let end = end.max(text[start..].chars().next().map_or(start, |c| start + c.len_utf8()));
    let place = Place { source, start, end, path: Path::default() };
    let too_much = |message: &str| place.error(Code::TooMuch, message);
    let bomb = || too_much("aliases make the file grow too much").help("write out what the aliases stand for");
    let deep = || too_much("nested too deeply").help(format!("an inventory has at most {MAX_DEPTH} levels"));
    match innermost(error) {
        // The limit on `[` and `{` is the parser's own and comes as a text.
        e if UserMessageFormatter.format_message(e).contains("recursion limit") => deep(),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => deep(),
        Error::Budget { .. } if matches!(error, Error::AliasError { .. }) => bomb(),
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } | BudgetBreach::MergeKeys { .. } => bomb(),
            _ => too_much("the file is too large").help("split it: `--inventory` may be given many times"),
        },
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasExpansionLimitExceeded { .. } => bomb(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            place.error(Code::Syntax, "this alias stands inside what it stands for")
        }
        Error::UnknownAnchor { .. } => place
            .error(Code::Syntax, "no anchor of that name stands above this alias")
            .help("define it with `&name` first, or quote the text if it is not meant as an alias"),
        Error::MultipleDocuments { .. } => place
            .error(Code::Syntax, "a second YAML document starts here")
            .help("give each document its own file: `--inventory` may be given many times"),
        Error::ExternalMessage { msg, .. } if msg.contains("tab") && indenting_tab(text, start).is_some() => {
            let tab = indenting_tab(text, start).unwrap_or(start);
            Place { start: tab, end: tab + 1, ..place }
                .error(Code::Syntax, "a tab stands in the indentation")
                .help("YAML indents with spaces: write them instead")
        }
        other => place
            .error(Code::Syntax, format!("not YAML: {}", UserMessageFormatter.format_message(other)))
            .help("look at quotes, brackets and indentation just before this place; is the file an inventory at all?"),
    }
}

/// The first tab before the text of a line, in the line of `start` or the next that has text.
fn indenting_tab(text: &str, start: usize) -> Option<usize> {
    let mut at = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let lines = text[at..].split_inclusive('\n').map(|line| {
        let begins = at;
        at += line.len();
        (begins, line)
    });
    lines.filter(|(_, line)| !line.trim().is_empty()).take(2).find_map(|(begins, line)| {
        let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
        line[..blank].find('\t').map(|tab| begins + tab)
    })
}

fn innermost(error: &Error) -> &Error {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => innermost(error),
        other => other,
    }
}

/// Bytes of the text that a location means; at the text's end where it means none.
fn extent(location: &Location, text: &str) -> (usize, usize) {
    let span = location.span();
    let byte = |chars: u64| {
        let nth = usize::try_from(chars).ok().and_then(|n| text.char_indices().nth(n));
        nth.map_or(text.len(), |(at, _)| at)
    };
    let bytes = span.byte_offset().zip(span.byte_len());
    let exact = bytes.and_then(|(at, len)| {
        let range = usize::try_from(at).ok()?..usize::try_from(at.checked_add(len)?).ok()?;
        text.get(range.clone()).map(|_| (range.start, range.end))
    });
    exact.unwrap_or_else(|| {
        let start = byte(span.offset());
        (start, start)
    })
}

/// What the parser gives, before it has places and paths.
#[derive(Debug)]
enum Raw {
    Empty,
    Text(String),
    Bool(bool),
    /// Its text is that of its place.
    Number,
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Gives places and paths to what the parser gave.
struct Builder<'a> {
    report: &'a Report,
    source: usize,
    text: &'a str,
}

impl Builder<'_> {
    /// `above`: where the key of the node stands, or else the list around it.
    fn node(&self, raw: Spanned<Raw>, above: &Place, path: Path) -> Node {
        let Spanned { value, defined, .. } = raw;
        let (start, end) = extent(&defined, self.text);
        let place = Place { source: self.source, start, end, path: path.clone() };
        let container = Place { path: path.clone(), ..above.clone() };
        match value {
            Raw::Empty => Node { place: if start == end { container } else { place }, value: Value::Empty },
            Raw::Text(text) => Node { place, value: Value::Text(text) },
            Raw::Bool(value) => Node { place, value: Value::Bool(value) },
            Raw::Number => Node { value: Value::Number(self.text[start..end].to_owned()), place },
            Raw::List(items) => {
                let items = items.into_iter().enumerate().map(|(i, item)| {
                    let start = first_place(&item);
                    let (start, end) = extent(&start, self.text);
                    let above = Place { start, end, ..container.clone() };
                    self.node(item, &above, path.item(i))
                });
                Node { value: Value::List(items.collect()), place: container }
            }
            Raw::Map(entries) => Node { value: Value::Map(self.map(entries, &path)), place: container },
        }
    }

    fn map(&self, entries: Vec<(Spanned<Raw>, Spanned<Raw>)>, path: &Path) -> Vec<(Key, Node)> {
        let mut firsts: HashMap<String, usize> = HashMap::with_capacity(entries.len());
        let mut joined: HashSet<usize> = HashSet::new();
        let mut map: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let (start, end) = extent(&first_place(&key), self.text);
            let place = Place { source: self.source, start, end, path: path.clone() };
            let text = match key.value {
                Raw::Text(text) => text,
                Raw::Bool(_) | Raw::Number => self.text[start..end].to_owned(),
                Raw::Empty | Raw::List(_) | Raw::Map(_) => {
                    let finding = place.error(Code::WrongType, "a key must be a text");
                    self.report.add(finding.help("write `key: value`, with a space after the colon"));
                    continue;
                }
            };
            let place = Place { path: path.key(&text), ..place };
            let alone = matches!(value.value, Raw::Empty) && self.text[end..].trim_start().starts_with([',', '}']);
            let node = self.node(value, &place, place.path.clone());
            let index = *firsts.entry(text.clone()).or_insert(map.len());
            let Some((first, of_first)) = map.get_mut(index) else {
                map.push((Key { text, place, alone }, node));
                continue;
            };
            let finding = place.error(Code::DuplicateKey, format!("the key `{text}` stands here twice"));
            let sections = matches!((&of_first.value, &node.value), (Value::Map(_), Value::Map(_)));
            let help = if sections { "put what is below both under one of them" } else { "remove one of the two" };
            self.report.add(finding.also(&first.place, "first").help(help));
            // Once: what stands there many times over takes no more than its length.
            if joined.insert(index) {
                of_first.join(node);
            }
        }
        map
    }
}

/// Where to point at something that may span lines: at a mapping's first key, a list's bracket.
fn first_place(raw: &Spanned<Raw>) -> Location {
    match &raw.value {
        Raw::Map(entries) => entries.first().map_or(raw.defined, |(key, _)| first_place(key)),
        _ => raw.defined,
    }
}
