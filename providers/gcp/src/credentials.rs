//! Application default credentials, found on first use, and made anew when a token is refused that was taken before.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use http::{Extensions, HeaderMap};
use rsgsync_engine::{CloudError, ErrorKind};

use crate::error::{causes, final_error};

/// A machine that has no metadata server may let its packets vanish.
const TOKEN: Duration = Duration::from_secs(30);

const CHECK_CREDENTIALS: &str = "check what GOOGLE_APPLICATION_CREDENTIALS names, or log in with `gcloud auth \
                                 application-default login`; on a machine of Google Cloud, give it a service account";

/// The credentials of one run.
#[derive(Debug, Default)]
pub(crate) struct Login(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    credentials: Option<Credentials>,
    /// The service has taken a token of these.
    accepted: bool,
}

impl Login {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The headers that say who asks, and which project's quota it is on.
    pub async fn headers(&self, network: &str) -> Result<HeaderMap, CloudError> {
        let doing = || format!("looking for Google credentials for network `{network}`");
        let credentials =
            self.credentials().map_err(|error| final_error(doing(), causes(&error), CHECK_CREDENTIALS))?;
        match tokio::time::timeout(TOKEN, credentials.headers(Extensions::new())).await {
            Ok(Ok(CacheableResource::New { data, .. })) => Ok(data),
            Ok(Ok(CacheableResource::NotModified)) => Ok(HeaderMap::new()),
            Ok(Err(error)) => {
                let again = error.is_transient() && (self.held().accepted || answered(&error));
                let kind = if again { ErrorKind::Transient } else { ErrorKind::Final };
                Err(CloudError { kind, ..final_error(doing(), causes(&error), CHECK_CREDENTIALS) })
            }
            Err(_) => {
                let kind = if self.held().accepted { ErrorKind::Transient } else { ErrorKind::Final };
                let message = format!("no token in {} seconds", TOKEN.as_secs());
                Err(CloudError { kind, ..final_error(doing(), message, CHECK_CREDENTIALS) })
            }
        }
    }

    fn credentials(&self) -> Result<Credentials, google_cloud_auth::build_errors::Error> {
        let mut held = self.held();
        if let Some(credentials) = &held.credentials {
            return Ok(credentials.clone());
        }
        let made = Builder::default().build()?;
        *held = Held { credentials: Some(made.clone()), accepted: false };
        Ok(made)
    }

    /// The service has taken the token.
    pub fn accepted(&self) {
        self.held().accepted = true;
    }

    /// The service has refused the token. True where it took one of these credentials before: others are made, and asking
    /// again makes sense.
    pub fn refused(&self) -> bool {
        std::mem::take(&mut *self.held()).accepted
    }
}

/// Whether whoever gives tokens has answered, if only to say that it can't now.
fn answered(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |&e| e.source());
    chain.all(|cause| cause.downcast_ref::<reqwest::Error>().is_none_or(reqwest::Error::is_status))
}
