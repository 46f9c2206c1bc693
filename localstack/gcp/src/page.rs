//! One page of a list: filtered, ordered, cut, with a token for the next.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::Refusal;
use crate::filter::Filter;
use crate::project::Project;
use crate::schema::Object;
use crate::text;

const DEFAULT: usize = 500;

/// A question that a token goes on with.
pub(crate) struct Next {
    question: String,
    last: Key,
}

/// What items are ordered by: when they were made, newest first, if that is asked for; their names; and their zones.
type Key = (Reverse<String>, String, String);

/// The page that `query` asks for, and what its token goes on with. A token is good for its own question, and no other.
/// `path` is below the project's: `global/firewalls`.
pub(crate) fn cut(
    project: &Project,
    query: &BTreeMap<String, String>,
    path: &str,
    kind: &str,
    items: Vec<&Object>,
) -> Result<(Value, Option<(String, Next)>), Refusal> {
    let asked = |name: &str| query.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let newest_first = match asked("orderBy") {
        None | Some("name") => false,
        Some("creationTimestamp desc") => true,
        Some(other) => return Err(Refusal::field("orderBy", other, "Must be 'name' or 'creationTimestamp desc'.")),
    };
    let key = |item: &Object| {
        let age = if newest_first { text::of(item, "creationTimestamp") } else { "" };
        (Reverse(age.to_owned()), text::of(item, "name").to_owned(), text::of(item, "zone").to_owned())
    };
    let mut items = filtered(items, asked("filter"))?;
    items.sort_by_cached_key(|item| key(item));
    let question = format!("{path} {:?} {newest_first}", asked("filter"));
    if let Some(token) = asked("pageToken") {
        let next = project.pages.get(token).filter(|next| next.question == question);
        let next = next.ok_or_else(|| Refusal::field("pageToken", token, "The page token is invalid."))?;
        items.retain(|item| key(item) > next.last);
    }
    let size = asked("maxResults").and_then(|size| size.parse().ok()).unwrap_or(DEFAULT);
    if size > DEFAULT {
        return Err(Refusal::field("maxResults", &size.to_string(), "Must be between 0 and 500, inclusive."));
    }
    let size = if size == 0 { DEFAULT } else { size }.min(project.page_size);
    let more = items.len() > size;
    items.truncate(size);

    let own = format!("projects/{}/{path}", project.id);
    let mut answer = json!({ "kind": kind, "id": own, "selfLink": text::link(&own) });
    let last = items.last().filter(|_| more).map(|item| key(item));
    let next = last.map(|last| (text::random::<24>(), Next { question, last }));
    if let Some((token, _)) = &next {
        answer["nextPageToken"] = token.as_str().into();
    }
    if !items.is_empty() {
        answer["items"] = json!(items);
    }
    Ok((answer, next))
}

fn filtered<'a>(items: Vec<&'a Object>, filter: Option<&str>) -> Result<Vec<&'a Object>, Refusal> {
    let Some(text) = filter else { return Ok(items) };
    let filter = Filter::read(text).ok_or_else(|| Refusal::field("filter", text, "Invalid list filter expression."))?;
    Ok(items.into_iter().filter(|item| filter.takes(item)).collect())
}
