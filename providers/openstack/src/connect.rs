//! An OpenStack network of the inventory becomes a token and Neutron's address, on first use.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use http::Method;
use openstack_sdk::api::AsyncClient;
use openstack_sdk::auth::Auth;
use openstack_sdk::types::ServiceType;
use openstack_sdk::{AsyncOpenStack, OpenStackError};
use reqwest::Url;
use rsgsync_core::inventory::Network;
use rsgsync_core::observed::{Observed, Scope};
use rsgsync_core::pack::Dialect;
use rsgsync_core::plan::Step;
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Cloud, CloudError, Done, ErrorKind};
use tokio::sync::OnceCell;

use crate::api::{Answer, Call, CallLog, Neutron};
use crate::config::{Source, source};
use crate::error::{Refused, final_error, no_token, origin, unanswered};
use crate::place::Place;
use crate::session::Session;

/// One project of one region of one cloud.
///
/// Nothing is called, and no credentials are looked for, before the first [`Cloud::observe`] or [`Cloud::execute`].
#[derive(Debug)]
pub struct OpenStack {
    pub(crate) place: Place,
    pub(crate) dialect: Dialect,
    pub(crate) session: Session,
    calls: CallLog,
    neutron: OnceCell<Neutron>,
}

impl OpenStack {
    /// The network as the inventory has it: cloud, region and project, each from the inventory, else from where
    /// OpenStack's own clients take it (`clouds.yaml`, `OS_CLOUD`, the `OS_*` variables).
    ///
    /// Errors when a value has the wrong shape; the inventory's reader lets none through.
    pub fn connect(network: &Network) -> Result<Self, CloudError> {
        Ok(Self {
            place: Place::new(network)?,
            dialect: crate::pack::dialect(),
            session: Session::default(),
            calls: CallLog::default(),
            neutron: OnceCell::new(),
        })
    }

    /// Neutron, found on first use.
    pub(crate) async fn neutron(&self) -> Result<&Neutron, CloudError> {
        self.neutron.get_or_try_init(|| self.find_neutron()).await
    }

    pub(crate) async fn send(&self, doing: &str, call: &Call<'_>) -> Result<Answer, Refused> {
        let neutron = self.neutron().await.map_err(Refused::unanswered)?;
        neutron.send(&self.calls, doing, call).await
    }

    pub(crate) async fn follow(&self, doing: &str, call: &Call<'_>, link: &str) -> Result<Answer, Refused> {
        let neutron = self.neutron().await.map_err(Refused::unanswered)?;
        neutron.follow(&self.calls, doing, call, link).await
    }

    async fn find_neutron(&self) -> Result<Neutron, CloudError> {
        let source = source(&self.place)?;
        let doing = || format!("connecting to OpenStack for network `{}`", self.place.network);
        // The engine repeats calls; the SDK does so for an expired token only.
        let client = AsyncOpenStack::builder(&source.config).disable_auth_cache(true).connect().await;
        let client = match client {
            Ok(client) => client,
            Err(OpenStackError::Discovery { url, .. }) => return Err(no_keystone(doing(), &source, &url).await),
            Err(error) => return Err(no_token(doing(), &source.from, &error)),
        };
        let token = client.get_auth_info().map(|info| info.token);
        let Some(project) = token.as_ref().and_then(|token| token.project.clone()) else {
            return Err(final_error(
                doing(),
                format!("{} is not of a project", source.from),
                "write `project:` beside the network's `openstack:` keys, or `project_name` where the credentials are",
            ));
        };
        let (id, name) = (project.id.unwrap_or_default(), project.name.unwrap_or_default());
        if let Some(wanted) = self.place.project.as_ref().filter(|wanted| **wanted != id && **wanted != name) {
            return Err(final_error(
                doing(),
                format!("the inventory says project `{wanted}`, but {} is of project `{name}` ({id})", source.from),
                "use credentials of that project, or correct `project:`",
            ));
        }
        let region = region(&client, &source).map_err(|(message, help)| final_error(doing(), message, help))?;
        let endpoint = client.get_service_endpoint(&ServiceType::Network, None).await;
        let endpoint = endpoint.map_err(|error| {
            final_error(doing(), error.to_string(), "ask whoever runs this cloud where its Neutron is")
        })?;
        Ok(Neutron { base: base(endpoint.url().clone()), client, project: id, project_name: name, region })
    }
}

/// The region whose Neutron is called: the one that is named, else the only one of the catalog.
fn region(client: &AsyncOpenStack, source: &Source) -> Result<String, (String, String)> {
    let interface = source.config.interface.as_deref().unwrap_or("public");
    let catalog = client.get_token_catalog().unwrap_or_default();
    let services = catalog.iter().filter(|service| service.service_type == "network");
    let endpoints = services.flat_map(|service| &service.endpoints);
    let offered: BTreeSet<&str> =
        endpoints.filter(|e| e.interface == interface).filter_map(|e| e.region.as_deref()).collect();
    let list = offered.iter().map(|region| format!("`{region}`")).collect::<Vec<_>>().join(", ");
    match (source.config.region_name.as_deref(), offered.len()) {
        (Some(region), _) if offered.contains(region) => Ok(region.to_owned()),
        // An endpoint that the user wrote down counts whatever the catalog says.
        (region, _) if source.config.options.contains_key("network_endpoint_override") => {
            Ok(region.unwrap_or_default().to_owned())
        }
        (_, 0) => Err((
            format!("the catalog of {} has no {interface} endpoint for `network`", source.from),
            "check `interface:` there; `openstack catalog list` shows what there is".to_owned(),
        )),
        (Some(region), _) => Err((
            format!("there is no region `{region}`"),
            format!(
                "this cloud has Neutron in {list}: correct `region:` of the network, or `region_name` of {}",
                source.from
            ),
        )),
        (None, 1) => Ok(offered.first().copied().unwrap_or_default().to_owned()),
        (None, _) => Err((
            format!("{} names no region", source.from),
            format!("this cloud has Neutron in {list}: write `region:` beside the network's `openstack:` keys"),
        )),
    }
}

/// The catalog may name Neutron with or without its version.
fn base(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let path = if path.ends_with("/v2.0") { path.to_owned() } else { format!("{path}/v2.0") };
    url.set_path(&path);
    url.set_query(None);
    url
}

/// Keystone's version could not be found out; the SDK doesn't tell why, so its address is asked once more.
async fn no_keystone(doing: String, source: &Source, url: &str) -> CloudError {
    let client = match AsyncOpenStack::new_impl(&source.config, Auth::None) {
        Ok(client) => client,
        Err(error) => return no_token(doing, &source.from, &error),
    };
    match client.rest_async(http::Request::builder().method(Method::GET).uri(url), Vec::new()).await {
        Err(error) => unanswered(doing, &Method::GET, url, false, &error),
        Ok(answer) => {
            let status = answer.status().as_u16();
            let kind = if status >= 500 { ErrorKind::Transient } else { ErrorKind::Final };
            let message = format!("{} answers HTTP {status}, and not as Keystone does", origin(url));
            CloudError { kind, ..final_error(doing, message, format!("check `auth_url` of {}", source.from)) }
        }
    }
}

#[async_trait]
impl Cloud for OpenStack {
    async fn observe(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        self.observe_groups(scope, atoms).await
    }

    async fn execute(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        self.execute_step(step, atoms).await
    }

    fn made_elsewhere(&self, name: &str, id: &str) {
        self.session.saw_elsewhere(name, id);
    }

    fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.counts()
    }
}
