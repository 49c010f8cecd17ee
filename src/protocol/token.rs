//! The token endpoint (RFC 6749 sections 4.1.3, 4.4, 5 and 6).

use http::StatusCode;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::answer::Answer;
use super::form::Form;
use super::uri::RedirectUri;
use crate::error::{Error, Violation};
use crate::secret::{AccessToken, AuthorizationCode, CodeVerifier, RefreshToken};
use crate::time::Timestamp;

/// R6749-4.1.3: redeems a code. Both secrets are taken by value: they serve once.
#[allow(
    clippy::needless_pass_by_value,
    reason = "a code is redeemed once (SEC-6.4)"
)]
pub(crate) fn redeem_code(
    code: AuthorizationCode,
    verifier: CodeVerifier,
    redirect_uri: &RedirectUri,
) -> Form {
    Form::default()
        .field("grant_type", "authorization_code")
        .field("code", code.reveal())
        .field("redirect_uri", redirect_uri.as_str())
        .field("code_verifier", verifier.reveal())
}

/// R6749-6: renews the access token. No scope is sent, so that none wider than the granted one is.
pub(crate) fn refresh(token: &RefreshToken) -> Form {
    Form::default()
        .field("grant_type", "refresh_token")
        .field("refresh_token", token.reveal())
}

/// SP-5.3.2.1-N2: a token for the client itself.
pub(crate) fn client_credentials(scope: Option<&str>) -> Form {
    Form::default()
        .field("grant_type", "client_credentials")
        .optional("scope", scope)
}

/// What the token endpoint gave.
pub(crate) struct TokenResponse {
    pub(crate) access_token: AccessToken,
    /// Counted from the moment the request went out, so that it errs on the early side.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) refresh_token: Option<RefreshToken>,
    /// The granted scope; `None` means as asked (R6749-5.1c).
    pub(crate) scope: Option<String>,
    pub(crate) id_token: Option<Zeroizing<String>>,
    pub(crate) authorization_details: Option<Vec<Value>>,
    /// The thumbprint of the certificate that the token is bound to.
    pub(crate) certificate: Option<String>,
}

/// Reads the server's answer to any grant. `certificate`: the thumbprint of the one that was shown, where
/// tokens are bound to that and not to the key of a proof.
///
/// # Errors
/// [`Violation::TokenTypeDowngrade`] for a token that is not bound as it was asked for, which is wiped first.
pub(crate) fn response(
    mut answer: Answer,
    sent_at: Timestamp,
    certificate: Option<&str>,
) -> Result<TokenResponse, Error> {
    let body = answer.json(StatusCode::OK);
    answer.wipe();
    let mut body = body?;
    let response = read(&answer, &mut body, sent_at, certificate);
    // What was not taken out is wiped with the rest.
    body.values_mut().for_each(wipe);
    response
}

fn read(
    answer: &Answer,
    body: &mut Map<String, Value>,
    sent_at: Timestamp,
    certificate: Option<&str>,
) -> Result<TokenResponse, Error> {
    // DPOP-5b, R6749-5.1a: first of all, and in any letter case. R6750-2.1: Bearer only where a certificate
    // binds the token.
    let bound = if certificate.is_some() {
        "Bearer"
    } else {
        "DPoP"
    };
    match body.get("token_type") {
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case(bound) => {}
        _ => return Err(Violation::TokenTypeDowngrade.into()),
    }
    let access_token = AccessToken::new(
        take_text(answer, body, "access_token")?.ok_or_else(|| answer.malformed("access_token"))?,
    );
    let expires_at = match body.get("expires_in") {
        // R6749-5.1b: it may be missing.
        None | Some(Value::Null) => None,
        Some(value) => Some(
            sent_at
                .plus_seconds(whole_seconds(value).ok_or_else(|| answer.malformed("expires_in"))?),
        ),
    };
    let authorization_details = match body.remove("authorization_details") {
        None | Some(Value::Null) => None,
        Some(Value::Array(details)) => Some(details),
        Some(_) => return Err(answer.malformed("authorization_details").into()),
    };
    Ok(TokenResponse {
        expires_at,
        refresh_token: take_text(answer, body, "refresh_token")?.map(RefreshToken::new),
        scope: take_text(answer, body, "scope")?,
        id_token: take_text(answer, body, "id_token")?.map(Zeroizing::new),
        authorization_details,
        certificate: certificate.map(str::to_owned),
        access_token,
    })
}

/// A member that is a string of visible characters, as it may stand in a header (no header can be
/// injected with it), or is not there.
fn take_text(
    answer: &Answer,
    body: &mut Map<String, Value>,
    member: &str,
) -> Result<Option<String>, Violation> {
    match body.remove(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(mut text)) => {
            let visible =
                |byte: u8| matches!(byte, 0x21..=0x7e) || (member == "scope" && byte == b' ');
            let scope_may_be_empty = member == "scope";
            if text.bytes().all(visible) && (scope_may_be_empty || !text.is_empty()) {
                Ok(Some(text))
            } else {
                text.zeroize();
                Err(answer.malformed(member))
            }
        }
        Some(_) => Err(answer.malformed(member)),
    }
}

/// R6749-5.1b: a number of seconds, whole in value and not negative.
fn whole_seconds(value: &Value) -> Option<i64> {
    if let Some(seconds) = value.as_u64() {
        return Some(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
    let text = value.as_number()?.to_string();
    let (whole, fraction) = text.split_once('.')?;
    if fraction.bytes().all(|digit| digit == b'0') {
        whole.parse().ok().filter(|seconds| *seconds >= 0)
    } else {
        None
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::error::Endpoint;

    fn read(body: &Value) -> Result<TokenResponse, Error> {
        read_bound(body, None)
    }

    fn read_bound(body: &Value, certificate: Option<&str>) -> Result<TokenResponse, Error> {
        let response = http::Response::builder()
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap();
        super::response(
            Answer::new(Endpoint::Token, response),
            Timestamp::from_seconds(1000),
            certificate,
        )
    }

    /// MTLS-3, R6750-2.1, R6749-5.1a: Bearer where a certificate was shown to bind the token to, in any letter
    /// case, and nothing else; the token is known by that certificate.
    #[test]
    fn bearer_is_for_certificates() {
        let body = |kind: &str| json!({"access_token": "at", "token_type": kind});
        for kind in ["Bearer", "bearer", "BEARER"] {
            let response = read_bound(&body(kind), Some("x5t")).unwrap();
            assert_eq!(response.certificate.as_deref(), Some("x5t"));
        }
        for kind in ["DPoP", "dpop", "Bearer ", "N_A", ""] {
            let error = read_bound(&body(kind), Some("x5t")).err().unwrap();
            assert_eq!(error.violation(), Some(&Violation::TokenTypeDowngrade));
        }
        let dpop = read(&body("DPoP")).unwrap();
        assert_eq!(dpop.certificate, None);
    }

    fn refusal(body: &Value) -> Violation {
        match read(body) {
            Err(Error::Violation(violation)) => violation,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("taken: {body}"),
        }
    }

    /// DPOP-5b, R6749-5.1a, OFTEN-6: DPoP in any letter case, and nothing else.
    #[test]
    fn the_token_type_decides() {
        for kind in ["DPoP", "dpop", "dPoP", "DPOP"] {
            assert!(read(&json!({"access_token": "at", "token_type": kind})).is_ok());
        }
        for kind in ["Bearer", "bearer", "N_A", "DPoP ", ""] {
            assert_eq!(
                refusal(&json!({"access_token": "at", "token_type": kind})),
                Violation::TokenTypeDowngrade
            );
        }
        for odd in [
            json!({"access_token": "at"}),
            json!({"access_token": "at", "token_type": 7}),
        ] {
            assert_eq!(refusal(&odd), Violation::TokenTypeDowngrade);
        }
    }

    /// R6749-5.1b, OFTEN-16: `expires_in` may be missing; where it is there it is a number of
    /// seconds.
    #[test]
    fn expires_in_is_optional_and_a_number() {
        let at = |value: Value| {
            let mut body = json!({"access_token": "at", "token_type": "DPoP"});
            body["expires_in"] = value;
            read(&body).map(|response| response.expires_at.map(Timestamp::seconds))
        };
        let none = read(&json!({"access_token": "at", "token_type": "DPoP"})).unwrap();
        assert_eq!(none.expires_at, None);
        assert_eq!(at(json!(60)).unwrap(), Some(1060));
        assert_eq!(at(json!(60.0)).unwrap(), Some(1060));
        assert_eq!(at(json!(u64::MAX)).unwrap(), Some(i64::MAX));
        for bad in [
            json!("60"),
            json!(-1),
            json!(1.5),
            json!([60]),
            json!(1e300),
        ] {
            let mut body = json!({"access_token": "at", "token_type": "DPoP"});
            body["expires_in"] = bad;
            assert_eq!(
                refusal(&body),
                Violation::Answer {
                    endpoint: Endpoint::Token,
                    member: "expires_in".to_owned()
                }
            );
        }
    }

    /// SP-5.3.3.1-6, R6749-5.1c: a refresh token is kept byte for byte, unknown members are ignored.
    #[test]
    fn members_are_taken_as_they_are() {
        let token = "a.b~c/d+e=%41|x";
        let response = read(&json!({
            "access_token": "at", "token_type": "DPoP", "refresh_token": token, "scope": "a b",
            "odd": {"x": 1},
        }))
        .unwrap();
        assert_eq!(response.refresh_token.unwrap().reveal(), token);
        assert_eq!(response.scope.unwrap(), "a b");
    }

    /// R6749-5.1c: a token that could break out of a header is refused.
    #[test]
    fn tokens_with_odd_characters_are_refused() {
        for (member, value) in [
            ("access_token", json!("a\r\nX: y")),
            ("access_token", json!("a b")),
            ("access_token", json!("")),
            ("access_token", json!("ü")),
            ("access_token", json!(7)),
            ("refresh_token", json!("a\nb")),
            ("refresh_token", json!("")),
            ("scope", json!("a\"\u{7}")),
            ("scope", json!(["a"])),
            ("authorization_details", json!({})),
        ] {
            let mut body = json!({"access_token": "at", "token_type": "DPoP"});
            body[member] = value;
            assert_eq!(
                refusal(&body),
                Violation::Answer {
                    endpoint: Endpoint::Token,
                    member: member.to_owned()
                }
            );
        }
    }

    /// R6749-4.1.3, R6749-6: what goes out, and that a refresh asks for no scope of its own.
    #[test]
    fn forms() {
        let redirect_uri = RedirectUri::new("https://app.example/cb?x=1").unwrap();
        let form = redeem_code(
            AuthorizationCode::new("c"),
            CodeVerifier::new("v"),
            &redirect_uri,
        );
        assert_eq!(
            form.encode(),
            "grant_type=authorization_code&code=c&redirect_uri=https%3A%2F%2Fapp.example%2Fcb%3Fx%3D1&code_verifier=v"
        );
        assert_eq!(
            refresh(&RefreshToken::new("r")).encode(),
            "grant_type=refresh_token&refresh_token=r"
        );
        assert_eq!(
            client_credentials(Some("s")).encode(),
            "grant_type=client_credentials&scope=s"
        );
    }
}
