//! DPoP: each request is signed with the key that its token is bound to (RFC 9449).

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};
use url::Url;

use crate::error::{KeyError, NonceFault};
use crate::jose::{base64url, jws, sha256};
use crate::keys::Signer;
use crate::profile::{Algorithm, DPOP_NONCE_MAX_CHARS};
use crate::secret::{AccessToken, SignedJwt};
use crate::time::Timestamp;

/// The header that carries a server's nonce.
pub(crate) const NONCE_HEADER: &str = "dpop-nonce";
/// The header that carries the proof.
pub(crate) const PROOF_HEADER: &str = "dpop";

/// A key that proofs are signed with, its header and thumbprint worked out once.
#[derive(Clone)]
pub(crate) struct ProofKey {
    signer: Arc<dyn Signer>,
    header: Arc<jws::EncodedHeader>,
    thumbprint: Arc<str>,
}

/// What one proof is about.
pub(crate) struct Proof<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    /// Fresh for each proof (DPOP-7.3).
    pub(crate) jti: &'a str,
    pub(crate) nonce: Option<&'a str>,
    /// The token that goes out beside the proof; there is none at the token endpoint (DPOP-ath).
    pub(crate) access_token: Option<&'a AccessToken>,
    pub(crate) now: Timestamp,
}

impl ProofKey {
    pub(crate) fn new(signer: Arc<dyn Signer>) -> Self {
        let public = signer.public_jwk();
        // DPOP-4.2a: the public key alone.
        let header = json!({
            "typ": "dpop+jwt",
            "alg": signer.algorithm().name(),
            "jwk": public.bare_json(),
        });
        let thumbprint = public.thumbprint().into();
        Self {
            header: Arc::new(jws::EncodedHeader::new(&header)),
            thumbprint,
            signer,
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.signer.algorithm()
    }

    /// The RFC 7638 thumbprint: `dpop_jkt` and `cnf.jkt`.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Signs one proof, good for one attempt.
    pub(crate) async fn prove(&self, proof: Proof<'_>) -> Result<SignedJwt, KeyError> {
        let mut claims = Map::new();
        claims.insert("jti".to_owned(), proof.jti.into());
        claims.insert("htm".to_owned(), proof.method.as_str().into());
        claims.insert("htu".to_owned(), htu(proof.url).into());
        claims.insert("iat".to_owned(), proof.now.seconds().into());
        if let Some(nonce) = proof.nonce {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        if let Some(token) = proof.access_token {
            let ath = base64url(&sha256(token.reveal().as_bytes()));
            claims.insert("ath".to_owned(), ath.into());
        }
        let input = self.header.signing_input(&Value::Object(claims));
        let signature = self.signer.sign(input.as_bytes()).await?;
        Ok(SignedJwt::new(jws::join(input, signature.as_bytes())))
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProofKey")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// DPOP-htu: the URL as it goes over the wire, without query and fragment.
fn htu(url: &Url) -> &str {
    &url[..url::Position::AfterPath]
}

/// The nonce of an answer. DPOP-8a, DPOP-8.1: one header of characters that a nonce may have.
pub(crate) fn nonce(headers: &HeaderMap) -> Result<String, NonceFault> {
    let mut values = headers.get_all(NONCE_HEADER).iter();
    let value = values.next().ok_or(NonceFault::Missing)?;
    if values.next().is_some() {
        return Err(NonceFault::Several);
    }
    let nqchar = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let bytes = value.as_bytes();
    if bytes.is_empty() || bytes.len() > DPOP_NONCE_MAX_CHARS || !bytes.iter().all(nqchar) {
        return Err(NonceFault::Malformed);
    }
    value
        .to_str()
        .map(str::to_owned)
        .map_err(|_| NonceFault::Malformed)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(text: &str) -> String {
        htu(&Url::parse(text).unwrap()).to_owned()
    }

    /// DPOP-htu, OFTEN-5: the URL on the wire, without query, fragment, default port or user.
    #[test]
    fn htu_is_what_is_called() {
        assert_eq!(
            of("https://API.Example:443/a?b=c#d"),
            "https://api.example/a"
        );
        assert_eq!(of("https://api.example"), "https://api.example/");
        assert_eq!(
            of("https://api.example:8443/a%20b/ü"),
            "https://api.example:8443/a%20b/%C3%BC"
        );
    }

    /// DPOP-8a, DPOP-8.1: none, two, a malformed one and one that is too long.
    #[test]
    fn nonces_that_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(nonce(&headers), Err(NonceFault::Missing));
        headers.append(NONCE_HEADER, HeaderValue::from_static("abc"));
        assert_eq!(nonce(&headers), Ok("abc".to_owned()));
        headers.append(NONCE_HEADER, HeaderValue::from_static("def"));
        assert_eq!(nonce(&headers), Err(NonceFault::Several));
        let long = "x".repeat(DPOP_NONCE_MAX_CHARS + 1);
        for bad in ["", "a b", "a\"b", "a\\b", long.as_str()] {
            let mut headers = HeaderMap::new();
            headers.insert(NONCE_HEADER, HeaderValue::from_str(bad).unwrap());
            assert_eq!(nonce(&headers), Err(NonceFault::Malformed), "{bad}");
        }
    }
}
