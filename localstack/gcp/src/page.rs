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

/// The page that `query` asks for. A token is good for the question that it was given for, and no other.
pub(crate) fn cut(
    project: &mut Project,
    query: &BTreeMap<String, String>,
    path: &str,
    kind: &str,
    items: Vec<Object>,
) -> Result<Value, Refusal> {
    let asked = |name: &str| query.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let mut items = filtered(items, asked("filter"))?;
    let newest_first = match asked("orderBy") {
        None | Some("name") => false,
        Some("creationTimestamp desc") => true,
        Some(other) => return Err(Refusal::field("orderBy", other, "Must be 'name' or 'creationTimestamp desc'.")),
    };
    if newest_first {
        items.sort_by_key(|item| Reverse(age(item)));
    }
    let question = format!("{path} {:?} {newest_first}", asked("filter"));
    let token = asked("pageToken");
    let last = token.map(|token| project.pages.get(token).filter(|page| page.0 == question).cloned());
    if let Some(page) = last {
        let Some((_, last)) = page else {
            return Err(Refusal::field("pageToken", token.unwrap_or_default(), "The page token is invalid."));
        };
        let place = items.iter().position(|item| text::of(item, "name") == last);
        items = match place {
            Some(place) => items.split_off(place + 1),
            None => {
                items.into_iter().skip_while(|item| !newest_first && text::of(item, "name") <= last.as_str()).collect()
            }
        };
    }
    let size = asked("maxResults").and_then(|size| size.parse().ok()).unwrap_or(DEFAULT);
    if size > DEFAULT {
        return Err(Refusal::field("maxResults", &size.to_string(), "Must be between 0 and 500, inclusive."));
    }
    let size = if size == 0 { DEFAULT } else { size }.min(project.page_size);
    let more = items.len() > size;
    items.truncate(size);
    Ok(page(project, path, kind, question, items, more))
}

fn page(project: &mut Project, path: &str, kind: &str, question: String, items: Vec<Object>, more: bool) -> Value {
    let own = format!("projects/{}/global/{path}", project.id);
    let mut answer = json!({ "kind": kind, "id": own, "selfLink": text::link(&own) });
    if more && let Some(last) = items.last() {
        let token = text::random::<24>();
        answer["nextPageToken"] = token.clone().into();
        project.pages.insert(token, (question, text::of(last, "name").to_owned()));
    }
    if !items.is_empty() {
        answer["items"] = json!(items);
    }
    answer
}

fn age(item: &Object) -> String {
    let of = |field| text::of(item, field);
    format!("{}{}", of("creationTimestamp"), of("insertTime"))
}

fn filtered(items: Vec<Object>, filter: Option<&str>) -> Result<Vec<Object>, Refusal> {
    let Some(text) = filter else { return Ok(items) };
    let filter = Filter::read(text).ok_or_else(|| Refusal::field("filter", text, "Invalid list filter expression."))?;
    let takes = |item: &Object| filter.takes(&Value::Object(item.clone()));
    Ok(items.into_iter().filter(takes).collect())
}
