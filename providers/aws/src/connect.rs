//! An AWS network of the inventory becomes EC2 and STS clients, on first use.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use rsgsync_core::inventory::Network;
use rsgsync_core::name::GroupId;
use rsgsync_core::observed::{Observed, Scope};
use rsgsync_core::pack::Dialect;
use rsgsync_core::plan::Step;
use rsgsync_core::rule::Atoms;
use rsgsync_engine::{Attachments, Cloud, CloudError, Done};
use tokio::sync::OnceCell;

use crate::calls::CallLog;
use crate::error::{Asked, final_error};
use crate::place::Place;
use crate::session::Session;
use crate::vpc::Vpc;
use crate::whole::Whole;

/// Until a connection stands; a region's endpoint is at most a world away.
const CONNECT: Duration = Duration::from_secs(5);
/// Until a call is answered: a page of 1,000 groups takes EC2 some seconds.
const ANSWER: Duration = Duration::from_secs(30);

/// One VPC of one region, with the credentials of one account.
///
/// Nothing is called, and no credentials are looked for, before the first [`Cloud::observe`] or [`Cloud::execute`].
#[derive(Debug)]
pub struct Aws {
    pub(crate) place: Place,
    pub(crate) dialect: Dialect,
    pub(crate) session: Session,
    pub(crate) calls: CallLog,
    pub(crate) vpc: OnceCell<Vpc>,
    pub(crate) vpc_exists: OnceCell<Option<String>>,
    config: Option<SdkConfig>,
    clients: OnceCell<Clients>,
    account: OnceCell<()>,
}

/// What calls go through.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    pub ec2: aws_sdk_ec2::Client,
    pub sts: aws_sdk_sts::Client,
    pub region: String,
}

impl Aws {
    /// The network as the inventory has it: region, profile, role and endpoint, each from the inventory, else from where AWS's
    /// own tools take it (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` …).
    ///
    /// Errors when a value has the wrong shape; the inventory's reader lets none through.
    pub fn connect(network: &Network) -> Result<Self, CloudError> {
        Ok(Self::over(Place::new(network)?, None))
    }

    /// As [`Aws::connect`], with an SDK configuration that the caller made; its region gives way to the inventory's, and
    /// the inventory's `profile` and `assume_role` are ignored.
    pub fn with_config(network: &Network, config: SdkConfig) -> Result<Self, CloudError> {
        Ok(Self::over(Place::new(network)?, Some(config)))
    }

    fn over(place: Place, config: Option<SdkConfig>) -> Self {
        Self {
            place,
            dialect: crate::pack::dialect(),
            session: Session::default(),
            calls: CallLog::default(),
            vpc: OnceCell::new(),
            vpc_exists: OnceCell::new(),
            config,
            clients: OnceCell::new(),
            account: OnceCell::new(),
        }
    }

    /// The clients, made on first use; `account:` is checked before anything else is called through them.
    pub(crate) async fn clients(&self) -> Result<&Clients, CloudError> {
        let clients = self.clients.get_or_try_init(|| self.make_clients()).await?;
        if let Some(wanted) = &self.place.account {
            self.account.get_or_try_init(|| self.check_account(clients, wanted)).await?;
        }
        Ok(clients)
    }

    async fn make_clients(&self) -> Result<Clients, CloudError> {
        let config = match &self.config {
            Some(config) => match &self.place.region {
                Some(region) => config.to_builder().region(Region::new(region.clone())).build(),
                None => config.clone(),
            },
            None => load_config(&self.place).await,
        };
        let Some(region) = config.region().map(ToString::to_string) else {
            return Err(final_error(
                format!("connecting to AWS for network `{}`", self.place.network),
                "no region: the inventory names none, and neither do AWS_REGION, AWS_DEFAULT_REGION, the profile or the \
                 instance"
                    .to_owned(),
                "write `region:` beside the network's `aws:` keys, or set AWS_REGION",
            ));
        };
        // The engine repeats calls: it honours the cloud's wishes for the whole network, and journals what it does.
        let ec2 = aws_sdk_ec2::config::Builder::from(&config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .interceptor(self.calls.clone())
            .interceptor(Whole)
            .build();
        let sts = aws_sdk_sts::config::Builder::from(&config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts())
            .interceptor(self.calls.clone())
            .build();
        Ok(Clients { ec2: aws_sdk_ec2::Client::from_conf(ec2), sts: aws_sdk_sts::Client::from_conf(sts), region })
    }

    async fn check_account(&self, clients: &Clients, wanted: &str) -> Result<(), CloudError> {
        let doing = || format!("checking the account of network `{}`", self.place.network);
        let identity = clients.sts.get_caller_identity().send().await;
        let identity = identity.map_err(|e| self.failed(doing(), Asked::sts("GetCallerIdentity"), &e))?;
        let account = identity.account().unwrap_or_default();
        if account == wanted {
            return Ok(());
        }
        let who = identity.arn().unwrap_or("these credentials");
        Err(final_error(
            doing(),
            format!("the inventory says account {wanted}, but {who} is of account {account}"),
            "use credentials of that account (AWS_PROFILE, or `profile:` or `assume_role:` of the network), or correct \
             `account:`",
        ))
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ANSWER)
        .operation_timeout(ANSWER + CONNECT)
        .build()
}

async fn load_config(place: &Place) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts());
    if let Some(region) = &place.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &place.profile {
        // The SDK's chain asks the environment before the profile, and a stray AWS_ACCESS_KEY_ID would win over what the
        // inventory names.
        loader = loader.profile_name(profile).credentials_provider(profile_credentials(profile, place).await);
    }
    let config = loader.load().await;
    match &place.assume_role {
        None => config,
        Some(role) => {
            let provider = AssumeRoleProvider::builder(role).session_name("rsgsync").configure(&config).build().await;
            config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
        }
    }
}

async fn profile_credentials(profile: &str, place: &Place) -> impl ProvideCredentials + use<> {
    // A profile that assumes a role asks STS, which wants a region.
    let region = match &place.region {
        Some(region) => Some(Region::new(region.clone())),
        None => aws_config::default_provider::region::Builder::default().profile_name(profile).build().region().await,
    };
    ProfileFileCredentialsProvider::builder()
        .profile_name(profile)
        .configure(&ProviderConfig::without_region().with_region(region))
        .build()
}

#[async_trait]
impl Cloud for Aws {
    async fn observe(&self, scope: &Scope, atoms: &mut Atoms) -> Result<Observed, CloudError> {
        self.observe_groups(scope, atoms).await
    }

    async fn execute(&self, step: &Step, atoms: &Atoms) -> Result<Done, CloudError> {
        self.execute_step(step, atoms).await
    }

    async fn attachments(&self, groups: &[GroupId]) -> Result<Option<Attachments>, CloudError> {
        self.count_interfaces(groups).await.map(Some)
    }

    fn made_elsewhere(&self, name: &str, id: &str) {
        self.session.saw_elsewhere(name, id);
    }

    fn calls(&self) -> BTreeMap<String, u64> {
        self.calls.counts()
    }
}
