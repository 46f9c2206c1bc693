//! Instances: what a list of them shows. Only the control endpoint makes any.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Refusal;
use crate::firewall::check_name;
use crate::page;
use crate::project::Project;
use crate::schema::Object;
use crate::text;

/// Zones that every project has, with or without instances.
const ZONES: [&str; 3] = ["europe-west1-b", "europe-west1-c", "europe-west1-d"];

impl Project {
    /// An instance as a list shows it. Its interfaces are in the network `default` where they don't say, and may be in
    /// networks of other projects.
    pub(crate) fn instance(&self, zone: &str, mut fields: Object) -> Result<Object, Refusal> {
        check_name("zone", zone)?;
        check_name("resource.name", text::of(&fields, "name"))?;
        let interfaces = fields.get_mut("networkInterfaces").and_then(Value::as_array_mut);
        for (number, interface) in interfaces.into_iter().flatten().enumerate() {
            let network = interface["network"].as_str().unwrap_or("global/networks/default");
            interface["network"] = self.network_of_any_project(network)?.into();
            interface["name"] = format!("nic{number}").into();
            interface["kind"] = "compute#networkInterface".into();
        }
        let tags = fields.entry("tags").or_insert_with(|| json!({}));
        tags["fingerprint"] = "42WmSpB8rSM=".into();
        let zone = format!("projects/{}/zones/{zone}", self.id);
        let own = format!("{zone}/instances/{}", text::of(&fields, "name"));
        for (field, value) in [
            ("kind", "compute#instance".to_owned()),
            ("id", text::number()),
            ("creationTimestamp", text::now()),
            ("status", "RUNNING".to_owned()),
            ("zone", text::link(&zone)),
            ("selfLink", text::link(&own)),
        ] {
            fields.insert(field.to_owned(), value.into());
        }
        Ok(fields)
    }

    fn network_of_any_project(&self, address: &str) -> Result<String, Refusal> {
        let resource = text::unlink(address);
        match resource.split('/').collect::<Vec<_>>()[..] {
            ["projects", project, "global", "networks", _] if project != self.id => Ok(text::link(resource)),
            _ => self.network_link("resource.networkInterfaces.network", address),
        }
    }

    /// `instances.aggregatedList`: a page, by zone.
    pub(crate) fn instances_by_zone(&mut self, call: &Call<'_>) -> Result<Value, Refusal> {
        let all = self.instances.values().flatten().collect();
        let kind = "compute#instanceAggregatedList";
        let page = page::cut(self, &call.request.query, "aggregated/instances", kind, all);
        let mut page = self.paged(page)?;
        let zones = ZONES.into_iter().map(str::to_owned).chain(self.instances.keys().cloned());
        let mut scopes: BTreeMap<String, Vec<Value>> =
            zones.map(|zone| (format!("zones/{zone}"), Vec::new())).collect();
        for instance in page["items"].as_array().into_iter().flatten() {
            let (_, zone) = instance["zone"].as_str().and_then(|zone| zone.rsplit_once('/')).unwrap_or_default();
            scopes.entry(format!("zones/{zone}")).or_default().push(instance.clone());
        }
        let scopes = scopes.into_iter().map(|(scope, instances)| {
            let shown = if instances.is_empty() { nothing(&scope) } else { json!({ "instances": instances }) };
            (scope, shown)
        });
        page["items"] = Value::Object(scopes.collect());
        Ok(page)
    }
}

fn nothing(scope: &str) -> Value {
    json!({ "warning": {
        "code": "NO_RESULTS_ON_PAGE",
        "message": format!("There are no results for scope '{scope}' on this page."),
        "data": [{ "key": "scope", "value": scope }],
    } })
}
