//! An OpenStack network of the inventory becomes a token and Neutron's address, on first use.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use openstack_sdk::api::AsyncClient;
use openstack_sdk::auth::Auth;
use openstack_sdk::{AsyncOpenStack, OpenStackError};
use reqwest::Url;
use rsgsync_core::inventory::Network;
use rsgsync_core::name::GroupId;
use rsgsync_core::observed::{Limits, Observed, Scope, Usage};
use rsgsync_core::pack::Dialect;
use rsgsync_core::plan::{Action, Step};
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Attachments, Cloud, CloudError, Done, ErrorKind};
use tokio::sync::OnceCell;

use crate::api::{Answer, Call, CallLog, Neutron};
use crate::config::{Source, source};
use crate::error::{Refused, final_error, no_token, origin, unanswered};
use crate::observe::usage;
use crate::place::Place;
use crate::session::Session;

/// Until a call is answered: a list of thousands of groups, or 100 new rules, take a busy Neutron that long.
const ANSWER: Duration = Duration::from_secs(60);

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
        // A linker drops what nothing refers to, and the SDK finds ways to log in by looking at what is linked.
        std::hint::black_box(&openstack_sdk_auth_applicationcredential::ANCHOR);
        let mut builder = AsyncOpenStack::builder(&source.config).disable_auth_cache(true);
        if !source.config.options.contains_key("api_timeout") {
            builder = builder.http_timeout(ANSWER);
        }
        let client = builder.connect().await;
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
        let services = client.get_token_catalog().into_iter().flatten().filter(|s| s.service_type == "network");
        let endpoints = services.flat_map(|service| service.endpoints).filter(|e| e.interface == source.interface);
        let offered = endpoints.map(|e| (e.region.unwrap_or_default(), e.url)).collect();
        let found = endpoint(&offered, &source);
        let (region, url) = found.map_err(|(message, help)| final_error(doing(), message, help))?;
        let base = base(&url).ok_or_else(|| {
            final_error(doing(), format!("`{url}` is no address"), "ask whoever runs this cloud where its Neutron is")
        })?;
        Ok(Neutron { base, client, project: id, project_name: name, region })
    }
}

/// Region and address of Neutron: of the region that is named, else of the only one of the catalog, which has the addresses
/// `offered`; or what is wrong, and what to do.
fn endpoint(offered: &BTreeMap<String, String>, source: &Source) -> Result<(String, String), (String, String)> {
    let Source { config, interface, from } = source;
    let wanted = config.region_name.as_deref();
    // An address that the user wrote down counts whatever the catalog says.
    if let Some(url) = config.options.get("network_endpoint_override").and_then(|url| url.clone().into_string().ok()) {
        return Ok((wanted.unwrap_or_default().to_owned(), url));
    }
    let list = || offered.keys().map(|region| format!("`{region}`")).collect::<Vec<_>>().join(", ");
    let found = match wanted {
        Some(region) => offered.get_key_value(region),
        None if offered.len() == 1 => offered.first_key_value(),
        None => None,
    };
    match (found, wanted) {
        (Some((region, url)), _) => Ok((region.clone(), url.clone())),
        (None, _) if offered.is_empty() => Err((
            format!("the catalog of {from} has no {interface} endpoint for `network`"),
            "check `interface:` there; `openstack catalog list` shows what there is".to_owned(),
        )),
        (None, Some(region)) => Err((
            format!("there is no region `{region}`"),
            format!(
                "this cloud has Neutron in {}: correct `region:` of the network, or `region_name` of {from}",
                list()
            ),
        )),
        (None, None) => Err((
            format!("{from} names no region"),
            format!("this cloud has Neutron in {}: write `region:` beside the network's `openstack:` keys", list()),
        )),
    }
}

/// The catalog may name Neutron with or without its version.
fn base(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    let path = url.path().trim_end_matches('/');
    let path = if path.ends_with("/v2.0") { path.to_owned() } else { format!("{path}/v2.0") };
    url.set_path(&path);
    url.set_query(None);
    Some(url)
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

    async fn execute_together(&self, steps: &[&Step], atoms: &Atoms) -> Vec<Result<Done, CloudError>> {
        if steps.iter().all(|step| step.action == Action::CreateGroup) {
            return self.create_groups(steps, atoms).await;
        }
        let mut answers = Vec::with_capacity(steps.len());
        for step in steps {
            answers.push(self.execute_step(step, atoms).await);
        }
        answers
    }

    async fn quotas(&self) -> Result<Option<(Limits, Usage)>, CloudError> {
        Ok(self.read_quotas().await?.map(|quotas| (self.limits(Some(quotas)), usage(quotas))))
    }

    async fn attachments(&self, groups: &[GroupId]) -> Result<Option<Attachments>, CloudError> {
        self.count_ports(groups).await.map(Some)
    }

    fn made_elsewhere(&self, name: &str, id: &str) {
        self.session.saw_elsewhere(name, id);
    }

    fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.counts()
    }
}
