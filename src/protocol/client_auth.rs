//! Client authentication with `private_key_jwt` (RFC 7523 section 2.2, OIDC Core section 9).

use serde_json::json;

use super::form::Form;
use super::metadata::ServerMetadata;
use crate::crypto::Crypto;
use crate::error::{Error, KeyError};
use crate::jose::jws;
use crate::keys::{KeySet, Signer};
use crate::profile::{ASSERTION_LIFE, Algorithm};
use crate::time::Timestamp;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How the client proves who it is. FAPI 2.0 knows no public clients and no shared secrets
/// (SP-5.3.3.1-2).
#[derive(Clone, Debug)]
pub struct ClientAuth {
    keys: KeySet,
    typed: bool,
}

impl ClientAuth {
    /// `private_key_jwt`: the active key of the set signs an assertion for every attempt.
    #[must_use]
    pub fn private_key_jwt(keys: impl Into<KeySet>) -> Self {
        Self {
            keys: keys.into(),
            typed: false,
        }
    }

    /// Says in the assertion's header that it is one (`typ` `client-authentication+jwt`,
    /// draft-ietf-oauth-rfc7523bis). For servers that are known to take it; others may refuse it,
    /// so it is off unless called (CA-5).
    #[must_use]
    pub const fn with_explicit_type(mut self) -> Self {
        self.typed = true;
        self
    }

    pub(crate) const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// The fields that authenticate one attempt. `jti` is fresh for each (CA-6).
    pub(crate) async fn fields(
        &self,
        crypto: &Crypto,
        metadata: &ServerMetadata,
        client_id: &str,
        jti: &str,
        now: Timestamp,
    ) -> Result<Form, Error> {
        let key = self.keys.active();
        // A key that became active while the client runs has signed nothing yet.
        key.prove_once(crypto).await?;
        let header = json!({
            "alg": algorithm_name(key.signer.algorithm(), metadata),
            "kid": key.kid,
            "typ": if self.typed { "client-authentication+jwt" } else { "JWT" },
        });
        // SP-5.3.3.1-5, SEC-aud: the issuer as a string, and never anything that came from metadata
        // as an endpoint: a malicious server could name another's endpoint there.
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": metadata.issuer().as_str(),
            "jti": jti,
            "iat": now.seconds(),
            "exp": now.plus(ASSERTION_LIFE).seconds(),
        });
        let assertion = sign(&*key.signer, &header, &claims).await?;
        Ok(Form::default()
            .field("client_id", client_id)
            .field("client_assertion_type", ASSERTION_TYPE)
            .field("client_assertion", &assertion))
    }
}

fn algorithm_name(algorithm: Algorithm, metadata: &ServerMetadata) -> &'static str {
    let listed = metadata.list("token_endpoint_auth_signing_alg_values_supported");
    algorithm.name_among(&listed.unwrap_or_default())
}

async fn sign(
    signer: &dyn Signer,
    header: &serde_json::Value,
    claims: &serde_json::Value,
) -> Result<String, KeyError> {
    let input = jws::signing_input(header, claims);
    let signature = signer.sign(input.as_bytes()).await?;
    Ok(jws::join(input, signature.as_bytes()))
}
