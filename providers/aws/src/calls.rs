//! Every HTTP request of the SDK is counted, under the name of its API action.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

/// What was sent so far; clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallLog(Arc<Log>);

#[derive(Debug, Default)]
struct Log {
    counts: Mutex<BTreeMap<String, u64>>,
    endpoint: Mutex<Option<String>>,
    answered: AtomicBool,
}

impl CallLog {
    /// Requests by action, repetitions included.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the last request went: `https://ec2.eu-west-1.amazonaws.com`.
    pub fn endpoint(&self) -> Option<String> {
        self.0.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether any request was ever answered.
    pub fn answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }
}

#[dyn_dispatch_hint]
impl Intercept for CallLog {
    fn name(&self) -> &'static str {
        "rsgsync::CallLog"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let action = config.load::<Metadata>().map_or("unknown", Metadata::name).to_owned();
        let uri = context.request().uri();
        let endpoint = match uri.split_once("://") {
            // A user and password in the URL are nobody's business.
            Some((scheme, rest)) => {
                let host = rest.split('/').next().unwrap_or_default();
                format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
            }
            None => uri.to_owned(),
        };
        tracing::info!(action, endpoint, "calling AWS");
        *self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(action).or_default() += 1;
        *self.0.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(endpoint);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        _context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.answered.store(true, Ordering::Relaxed);
        Ok(())
    }
}
