//! Who asks: the service account that the server makes up, its key, and the tokens that it gets for it.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};

use crate::text;

const EMAIL: &str = "tester@demo.iam.gserviceaccount.com";
const LIFETIME: u64 = 3600;
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A key, made anew at each start, and every token that was issued. Without the key, no token is the account's own.
#[derive(Default)]
pub(crate) struct Credentials {
    key: Option<RsaKeyPair>,
    key_id: String,
    tokens: HashMap<String, Token>,
}

struct Token {
    email: String,
    end: SystemTime,
}

/// What a request's credentials are.
#[derive(Debug, PartialEq)]
pub(crate) enum Caller {
    /// None.
    Nobody,
    /// A token that isn't ours.
    Unknown,
    /// A token of ours that is over.
    Expired,
    /// A valid token, or a token that the account signed itself.
    Known(String),
}

impl Credentials {
    pub(crate) fn with_a_key() -> Result<Self, Unspecified> {
        let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
        Ok(Self { key: Some(key), key_id: text::random::<20>(), tokens: HashMap::new() })
    }

    /// The key file of the service account. `origin` is where this server listens.
    pub(crate) fn key_file(&self, origin: &str) -> Result<Value, Unspecified> {
        let der: Pkcs8V1Der<'_> = self.key.as_ref().ok_or(Unspecified)?.as_der()?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        Ok(json!({
            "type": "service_account",
            "project_id": "demo",
            "private_key_id": self.key_id,
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")),
            "client_email": EMAIL,
            "client_id": "100000000000000000001",
            "auth_uri": format!("{origin}/auth"),
            "token_uri": format!("{origin}/token"),
            "universe_domain": "googleapis.com",
        }))
    }

    /// What is said at a token endpoint. `lifetime` is in seconds.
    pub(crate) fn token(&mut self, form: &HashMap<String, String>, lifetime: Option<u64>) -> (StatusCode, Value) {
        let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let email = match given("grant_type") {
            JWT_BEARER => match self.claims(given("assertion")) {
                Ok(claims) if claims["iss"] != EMAIL => {
                    return refused("invalid_grant", "Invalid grant: account not found");
                }
                Ok(claims) if claims["scope"].as_str().is_none_or(str::is_empty) => {
                    return refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.");
                }
                Ok(_) => EMAIL,
                Err(why) => return refused("invalid_grant", why),
            },
            "refresh_token" if !given("refresh_token").is_empty() => "user@example.com",
            TOKEN_EXCHANGE if !given("subject_token").is_empty() => "principal@example.com",
            TOKEN_EXCHANGE | "refresh_token" => return refused("invalid_grant", "Bad Request"),
            other => return refused("unsupported_grant_type", &format!("Invalid grant_type: {other}")),
        };
        let lifetime = lifetime.unwrap_or(LIFETIME);
        let token = self.issue(email, lifetime);
        let mut answer = json!({ "access_token": token, "expires_in": lifetime, "token_type": "Bearer" });
        if given("grant_type") == TOKEN_EXCHANGE {
            answer["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:access_token");
        }
        (StatusCode::OK, answer)
    }

    /// `serviceAccounts.generateAccessToken` of the IAM credentials API.
    pub(crate) fn impersonated(&mut self, email: &str) -> Value {
        let token = self.issue(email, LIFETIME);
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(LIFETIME as i64);
        json!({ "accessToken": token, "expireTime": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() })
    }

    fn issue(&mut self, email: &str, lifetime: u64) -> String {
        let token = format!("ya29.{}", text::random::<32>());
        let end = SystemTime::now() + Duration::from_secs(lifetime);
        self.tokens.insert(token.clone(), Token { email: email.to_owned(), end });
        token
    }

    /// The token is over. One that the key signed itself can't be taken back: the next may be the same, letter for letter.
    pub(crate) fn expire(&mut self, authorization: Option<&str>) {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if let Some(token) = self.tokens.get_mut(token) {
            token.end = SystemTime::UNIX_EPOCH;
        }
    }

    pub(crate) fn caller(&self, authorization: Option<&str>) -> Caller {
        let Some(token) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Caller::Nobody;
        };
        match self.tokens.get(token) {
            Some(token) if token.end > SystemTime::now() => Caller::Known(token.email.clone()),
            Some(_) => Caller::Expired,
            None => match self.claims(token) {
                Ok(claims) if claims["iss"] == EMAIL && claims["sub"] == EMAIL && is_for_compute(&claims) => {
                    Caller::Known(EMAIL.to_owned())
                }
                _ => Caller::Unknown,
            },
        }
    }

    /// What a token says that the account's key signed and that holds now.
    fn claims(&self, token: &str) -> Result<Value, &'static str> {
        let malformed = "Invalid JWT: Failed to decode";
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (_, claims) = signed.split_once('.').ok_or(malformed)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed);
        let key = self.key.as_ref().ok_or("Invalid JWT Signature.")?;
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        public.verify(signed.as_bytes(), &decode(signature)?).map_err(|_| "Invalid JWT Signature.")?;
        let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| malformed)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let (start, end) = (claims["iat"].as_u64().unwrap_or(u64::MAX), claims["exp"].as_u64().unwrap_or_default());
        if start > now + 60 || end <= now || end - start > LIFETIME + 60 {
            return Err("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.");
        }
        Ok(claims)
    }
}

/// A token that an account signs itself says what it is for by scopes or by the address of the service.
fn is_for_compute(claims: &Value) -> bool {
    let mut scopes = claims["scope"].as_str().unwrap_or_default().split(' ');
    let root = "https://www.googleapis.com/auth/";
    scopes.any(|scope| scope.strip_prefix(root).is_some_and(|scope| ["cloud-platform", "compute"].contains(&scope)))
        || claims["aud"] == "https://compute.googleapis.com/"
}

fn refused(error: &str, description: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({ "error": error, "error_description": description }))
}
