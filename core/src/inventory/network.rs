//! Networks: where each is, in its provider's words, and how others see it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::context::Context;
use super::problem::Code;
use super::tree::{Key, Node};
use super::{Link, Network, PlaceKind, ProviderSpec};
use crate::name::NetworkName;

const LINKS: [(&str, Link); 3] = [("reference", Link::Reference), ("private", Link::Private), ("public", Link::Public)];
pub(super) const QUOTAS: [&str; 5] = ["rules_per_group", "groups", "rules", "resources", "addresses_per_resource"];

/// Reads `networks.NAME`.
pub(super) fn network(cx: &Context<'_>, key: &Key, node: &Node) -> Option<Network> {
    let name = cx.name(key, NetworkName::new);
    let mut fields = node.fields(cx.report)?;
    let mut places = Vec::new();
    for spec in cx.providers {
        if let Some(place) = fields.get(spec.word) {
            places.push((spec, place));
        }
    }
    places.sort_by_key(|(_, node)| node.place.start);
    let nat = fields.get("nat").map(|node| cx.cidrs(node)).unwrap_or_default();
    let words: Vec<&str> = places.iter().map(|(spec, _)| spec.word).collect();
    let links = fields.get("links").map(|node| links(cx, &words, node)).unwrap_or_default();
    fields.finish();

    let words: Vec<&str> = cx.providers.iter().filter(|spec| spec.absent.is_none()).map(|spec| spec.word).collect();
    let help = format!("write one of {}", words.join(", "));
    let ((spec, place), rest) = match places.split_first() {
        Some(split) => split,
        None => {
            cx.report.add(key.place.error(Code::Missing, "the network has no provider").help(help));
            return None;
        }
    };
    for (_, other) in rest {
        let finding = other.place.error(Code::Conflict, "the network has a second provider");
        cx.report.add(finding.also(&place.place, "first").help("make it two networks"));
    }
    if let Some(help) = spec.absent {
        let message = format!("this build of rsgsync has no provider `{}`", spec.word);
        cx.report.add(place.place.error(Code::BadValue, message).help(help));
        return None;
    }
    let (at, quotas) = provider_keys(cx, spec, place)?;
    Some(Network { name: name?, provider: spec.word, at, quotas, nat, links })
}

type ProviderKeys = (Map<String, Json>, BTreeMap<String, u32>);

fn provider_keys(cx: &Context<'_>, spec: &ProviderSpec, node: &Node) -> Option<ProviderKeys> {
    let mut fields = node.fields(cx.report)?;
    let mut at = Map::new();
    for (key, kind) in spec.keys {
        let value = if spec.required.contains(key) {
            fields.require(key, &format!("`{}` needs it", spec.word))
        } else {
            fields.get(key)
        };
        if let Some(value) = value.and_then(|value| place(cx, *kind, value)) {
            at.insert((*key).to_owned(), value);
        }
    }
    let mut quotas = BTreeMap::new();
    if let Some(mut fields) = fields.get("quotas").and_then(|node| node.fields(cx.report)) {
        for quota in QUOTAS {
            let Some(node) = fields.get(quota) else { continue };
            let Some(count) = node.count(cx.report) else { continue };
            if let Some((_, most)) = spec.most.iter().find(|(name, most)| *name == quota && count > *most) {
                let message = format!("`{quota}` is {most} at most on `{}`", spec.word);
                let finding = node.place.error(Code::BadValue, message);
                cx.report.add(finding.help(format!("leave it out, or write {most}")));
            }
            quotas.insert(quota.to_owned(), count);
        }
        fields.finish();
    }
    fields.finish();
    Some((at, quotas))
}

fn place(cx: &Context<'_>, kind: PlaceKind, node: &Node) -> Option<Json> {
    use super::tree::Value;
    match kind {
        PlaceKind::TextOrTags if matches!(node.value, Value::Map(_)) => tags(cx, node),
        PlaceKind::Text | PlaceKind::TextOrTags => cx.prose(node).map(Json::String),
        PlaceKind::Path => {
            let path = cx.prose(node)?;
            Some(Json::String(cx.resolve(node, &path).to_string_lossy().into_owned()))
        }
    }
}

fn tags(cx: &Context<'_>, node: &Node) -> Option<Json> {
    let mut fields = node.fields(cx.report)?;
    let tags = fields.require("tags", "write an id, or `{ tags: { Name: prod } }`");
    fields.finish();
    let tags = tags?;
    let entries = tags.named(cx.report);
    if entries.is_empty() {
        cx.report.add(tags.place.error(Code::BadValue, "without a tag everything would match"));
    }
    let texts = entries.iter().filter_map(|(key, node)| Some((key.text.clone(), node.text(cx.report)?.into())));
    Some(Json::Object(Map::from_iter([("tags".to_owned(), Json::Object(texts.collect()))])))
}

/// The links of a network whose provider has one of `words`.
fn links(cx: &Context<'_>, words: &[&str], node: &Node) -> BTreeMap<NetworkName, Link> {
    let mut links = BTreeMap::new();
    for (key, value) in node.named(cx.report) {
        let there = cx.index.networks.get(key.text.as_str());
        if there.is_none() && !cx.index.partial {
            cx.report.add(key.unknown("network", cx.index.networks.keys().copied()));
        }
        let Some(link) = value.choice(cx.report, "link", &LINKS) else { continue };
        let names = cx.providers.iter().find(|spec| spec.groups_are_names && words.contains(&spec.word));
        let help = "write `private` or `public`, and give its groups their addresses";
        if link == Link::Reference && there.is_some_and(|keys| !words.iter().any(|word| keys.contains(word))) {
            let message = format!("`{}` is another provider's: its groups can't be referred to", key.text);
            cx.report.add(value.place.error(Code::Conflict, message).help(help));
        } else if let Some(spec) = names.filter(|_| link == Link::Reference) {
            let message = format!("`{}` has no references to groups of another network", spec.word);
            cx.report.add(value.place.error(Code::Conflict, message).help(help));
        } else if let Ok(name) = NetworkName::new(&key.text) {
            links.insert(name, link);
        }
    }
    links
}
