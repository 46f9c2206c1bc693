//! Application default credentials, found on first use, and made anew when a token is refused that was taken before.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap};
use rsgsync_engine::{CloudError, ErrorKind, causes, last_cause};

use crate::error::final_error;

/// A machine that has no metadata server may let its packets vanish.
const TOKEN: Duration = Duration::from_secs(30);

const CHECK_CREDENTIALS: &str = "check what GOOGLE_APPLICATION_CREDENTIALS names, or log in with `gcloud auth \
                                 application-default login`; on a machine of Google Cloud, give it a service account";

const CHECK_ADDRESS: &str = "check that this machine reaches what gives tokens (HTTPS_PROXY, DNS, firewall)";

/// The credentials of one run.
#[derive(Debug, Default)]
pub(crate) struct Login(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    credentials: Option<Credentials>,
    /// How often they were made.
    made: u64,
    /// The service has taken a token of these.
    accepted: bool,
}

/// The headers that say who asks, and which project's quota it is on.
#[derive(Debug)]
pub(crate) struct Pass {
    pub headers: HeaderMap,
    /// Which credentials they are of.
    pub made: u64,
}

impl Login {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call needs to be let in.
    pub async fn pass(&self, network: &str) -> Result<Pass, CloudError> {
        let doing = || format!("looking for Google credentials for network `{network}`");
        let (credentials, made) =
            self.credentials().map_err(|error| final_error(doing(), causes(&error), CHECK_CREDENTIALS))?;
        match tokio::time::timeout(TOKEN, credentials.headers(Extensions::new())).await {
            Ok(Ok(CacheableResource::New { data: headers, .. })) => Ok(Pass { headers, made }),
            Ok(Ok(CacheableResource::NotModified)) => Ok(Pass { headers: HeaderMap::new(), made }),
            Ok(Err(error)) => {
                let again = error.is_transient() && (self.held().accepted || answered(&error));
                let kind = if again { ErrorKind::Transient } else { ErrorKind::Final };
                let reached = answered(&error) || asks_metadata(&error);
                let help = if reached { CHECK_CREDENTIALS } else { CHECK_ADDRESS };
                Err(CloudError { kind, ..final_error(doing(), why(&error), help) })
            }
            Err(_) => {
                let kind = if self.held().accepted { ErrorKind::Transient } else { ErrorKind::Final };
                let message = format!("no token in {} seconds", TOKEN.as_secs());
                Err(CloudError { kind, ..final_error(doing(), message, CHECK_CREDENTIALS) })
            }
        }
    }

    fn credentials(&self) -> Result<(Credentials, u64), google_cloud_auth::build_errors::Error> {
        let mut held = self.held();
        if let Some(credentials) = &held.credentials {
            return Ok((credentials.clone(), held.made));
        }
        let credentials = Builder::default().build()?;
        *held = Held { credentials: Some(credentials.clone()), made: held.made + 1, accepted: false };
        Ok((credentials, held.made))
    }

    /// The service has taken a token of these credentials.
    pub fn accepted(&self, pass: u64) {
        let mut held = self.held();
        held.accepted |= held.made == pass;
    }

    /// The service has refused a token of these credentials. True where it took one before, or where there are others by
    /// now: asking again makes sense.
    pub fn refused(&self, pass: u64) -> bool {
        let mut held = self.held();
        if held.made != pass {
            return true;
        }
        held.credentials = None;
        std::mem::take(&mut held.accepted)
    }
}

/// Why there is no token, without what the library guesses of the future.
fn why(error: &CredentialsError) -> String {
    if asks_metadata(error) {
        return format!(
            "there are none: GOOGLE_APPLICATION_CREDENTIALS is not set, gcloud has none, and no metadata server answers: {}",
            last_cause(error)
        );
    }
    causes(error).replace(" and future attempts will not succeed", "").replace(" but future attempts may succeed", "")
}

/// Whether it was the last resort that failed, a machine of Google Cloud's own account.
fn asks_metadata(error: &CredentialsError) -> bool {
    causes(error).contains("/computeMetadata/")
}

/// Whether whoever gives tokens has answered, if only to say that it can't now.
fn answered(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |&e| e.source());
    chain.all(|cause| cause.downcast_ref::<reqwest::Error>().is_none_or(reqwest::Error::is_status))
}
