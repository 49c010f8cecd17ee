//! The parameters of a login, as they are pushed to the server (RFC 6749 section 4.1.1, OIDC Core
//! section 3.1.2.1, RFC 8707, RFC 9396).

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::authorization_details::AuthorizationDetail;
use super::claims_request::ClaimsRequest;
use super::form::Form;
use super::pkce;
use crate::error::ConfigError;
use crate::secret::{CodeVerifier, IdTokenHint, Nonce, State};

/// What the program asks of one login.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginParameters {
    pub(crate) scope: Option<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) acr_values: Vec<String>,
    pub(crate) claims: Option<ClaimsRequest>,
    pub(crate) prompt: Vec<Prompt>,
    pub(crate) login_hint: Option<String>,
    pub(crate) ui_locales: Vec<String>,
    pub(crate) id_token_hint: Option<IdTokenHint>,
    pub(crate) resources: Vec<String>,
    pub(crate) authorization_details: Vec<AuthorizationDetail>,
    pub(crate) nonce: Option<String>,
    pub(crate) extra: Vec<(String, String)>,
}

/// What the crate adds, fresh for each login.
pub(crate) struct Fresh<'a> {
    pub(crate) redirect_uri: &'a str,
    pub(crate) state: &'a State,
    pub(crate) nonce: Option<&'a Nonce>,
    pub(crate) verifier: &'a CodeVerifier,
    /// DPOP-10: the thumbprint of the key that the code will be bound to.
    pub(crate) dpop_jkt: Option<&'a str>,
}

/// The parameters that the crate itself sets, here and in client authentication.
const RESERVED: [&str; 26] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "scope",
    "max_age",
    "acr_values",
    "claims",
    "prompt",
    "login_hint",
    "ui_locales",
    "id_token_hint",
    "resource",
    "authorization_details",
    // PAR-2.1: never in a pushed request.
    "request_uri",
    "request",
    "client_assertion",
    "client_assertion_type",
    "client_secret",
    "code",
    "code_verifier",
];

impl LoginParameters {
    /// Whether an ID token is asked for.
    pub(crate) fn wants_id_token(&self) -> bool {
        self.scope
            .as_deref()
            .is_some_and(|scope| scope.split(' ').any(|word| word == "openid"))
    }

    /// The form to push, without client authentication.
    ///
    /// # Errors
    /// [`ConfigError`] for a parameter that the specifications don't allow.
    pub(crate) fn form(&self, fresh: &Fresh<'_>) -> Result<Form, ConfigError> {
        let claims = self
            .claims
            .as_ref()
            .map(|claims| claims.to_json().to_string());
        let mut form = Form::default()
            .field("response_type", "code")
            .field("redirect_uri", fresh.redirect_uri)
            .field("state", fresh.state.reveal())
            .field("code_challenge", &pkce::challenge(fresh.verifier))
            .field("code_challenge_method", pkce::METHOD)
            .optional("dpop_jkt", fresh.dpop_jkt)
            .optional("nonce", fresh.nonce.map(Nonce::reveal))
            .optional("scope", self.scope.as_deref())
            .optional(
                "max_age",
                self.max_age.map(|age| age.as_secs().to_string()).as_deref(),
            )
            .optional("acr_values", joined(&self.acr_values).as_deref())
            .optional("claims", claims.as_deref())
            .optional(
                "prompt",
                joined(
                    &self
                        .prompt
                        .iter()
                        .map(|prompt| prompt.name())
                        .collect::<Vec<_>>(),
                )
                .as_deref(),
            )
            .optional("login_hint", self.login_hint.as_deref())
            .optional("ui_locales", joined(&self.ui_locales).as_deref())
            .optional(
                "id_token_hint",
                self.id_token_hint.as_ref().map(IdTokenHint::expose),
            );
        form = form.and(target(&self.resources, &self.authorization_details));
        if let Some(name) = form.empty_field() {
            return Err(ConfigError::Parameter(name.to_owned()));
        }
        for (name, value) in &self.extra {
            if RESERVED.contains(&name.as_str()) {
                return Err(ConfigError::ReservedParameter(name.clone()));
            }
            form = form.extra(name, value)?;
        }
        Ok(form)
    }
}

/// RI-2, RAR-2: where the token is for and what it may do; for any request that asks for a token.
pub(crate) fn target(resources: &[String], details: &[AuthorizationDetail]) -> Form {
    let mut form = Form::default();
    for resource in resources {
        form = form.field("resource", resource);
    }
    if !details.is_empty() {
        let array = Value::Array(details.iter().map(AuthorizationDetail::to_json).collect());
        form = form.field("authorization_details", &array.to_string());
    }
    form
}

fn joined<T: AsRef<str>>(words: &[T]) -> Option<String> {
    if words.is_empty() {
        return None;
    }
    Some(
        words
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// Scope words of RFC 6749 section 3.3, single spaces between them.
pub(crate) fn scope(text: &str) -> Result<String, ConfigError> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let sound = |word: &&str| {
        word.bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    if words.is_empty() || !words.iter().all(sound) {
        return Err(ConfigError::Scope);
    }
    Ok(words.join(" "))
}

/// The words of several scopes, each once.
pub(crate) fn merged_scope<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut words: Vec<&str> = Vec::new();
    for word in scopes.into_iter().flat_map(str::split_ascii_whitespace) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    joined(&words)
}

/// RI-2: an absolute URI without fragment. Its text is kept, since servers compare it as text.
pub(crate) fn resource(text: &str) -> Result<String, ConfigError> {
    match Url::parse(text) {
        Ok(url) if url.fragment().is_none() => Ok(text.to_owned()),
        _ => Err(ConfigError::Resource),
    }
}

/// How the server should involve the user (OIDC Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// Show nothing: succeed at once or fail with `login_required` or the like.
    None,
    /// Authenticate the user anew.
    Login,
    /// Ask for consent.
    Consent,
    /// Let the user choose an account.
    SelectAccount,
    /// Let the user make an account.
    Create,
}

impl Prompt {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
            Self::Create => "create",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::authorization_details::check_details;
    use super::super::claims_request::ClaimRequest;
    use super::*;

    fn form(parameters: &LoginParameters) -> Result<Form, ConfigError> {
        parameters.form(&Fresh {
            redirect_uri: "https://app.example/cb",
            state: &State::new("s"),
            nonce: Some(&Nonce::new("n")),
            verifier: &CodeVerifier::new("v"),
            dpop_jkt: Some("jkt"),
        })
    }

    /// SP-5.3.3.2-1, SP-5.3.3.2-3, SP-5.3.2.2-6, PKCE-4.3, DPOP-10: what is always there.
    #[test]
    fn what_every_login_pushes() {
        assert_eq!(
            form(&LoginParameters::default()).unwrap().encode(),
            format!(
                "response_type=code&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=s&code_challenge={}&code_challenge_method=S256&dpop_jkt=jkt&nonce=n",
                pkce::challenge(&CodeVerifier::new("v"))
            )
        );
    }

    /// RAR-2, RI-2, OIDC-5.5: typed parameters are written as their specifications say.
    #[test]
    fn typed_parameters() {
        let parameters = LoginParameters {
            max_age: Some(Duration::from_secs(300)),
            prompt: vec![Prompt::Login, Prompt::Consent],
            claims: Some(
                ClaimsRequest::new()
                    .id_token("acr", ClaimRequest::essential().values(["a", "b"]))
                    .userinfo("email", ClaimRequest::voluntary()),
            ),
            resources: vec![
                resource("https://a.example/").unwrap(),
                resource("urn:b").unwrap(),
            ],
            authorization_details: vec![AuthorizationDetail::new("payment").with("amount", 5)],
            ..LoginParameters::default()
        };
        let encoded = form(&parameters).unwrap().encode();
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(encoded.as_bytes())
            .into_owned()
            .collect();
        let of = |name: &str| -> Vec<&str> {
            fields
                .iter()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
                .collect()
        };
        assert_eq!(of("max_age"), ["300"]);
        assert_eq!(of("prompt"), ["login consent"]);
        assert_eq!(of("resource"), ["https://a.example/", "urn:b"]);
        assert_eq!(
            serde_json::from_str::<Value>(of("claims")[0]).unwrap(),
            json!({"id_token": {"acr": {"essential": true, "values": ["a", "b"]}}, "userinfo": {"email": null}})
        );
        assert_eq!(
            serde_json::from_str::<Value>(of("authorization_details")[0]).unwrap(),
            json!([{"type": "payment", "amount": 5}])
        );
    }

    /// PAR-2.1, R6749-3.2: no parameter of ours comes in by the side door, and none twice.
    #[test]
    fn extra_parameters() {
        let with = |name: &str, value: &str| {
            form(&LoginParameters {
                extra: vec![(name.to_owned(), value.to_owned())],
                ..LoginParameters::default()
            })
        };
        for name in RESERVED {
            assert_eq!(
                with(name, "x").unwrap_err(),
                ConfigError::ReservedParameter(name.to_owned())
            );
        }
        assert_eq!(
            with("purpose", "").unwrap_err(),
            ConfigError::Parameter("purpose".to_owned())
        );
        assert!(with("purpose", "to test").unwrap().has("purpose"));
    }

    /// RI-2: a resource is absolute and has no fragment. RAR-2, RAR-10: a detail has a known type.
    #[test]
    fn targets_are_checked() {
        for bad in ["https://a.example/#f", "/a", ""] {
            assert_eq!(resource(bad), Err(ConfigError::Resource));
        }
        let known = ["payment".to_owned()];
        for kind in ["", "other"] {
            assert_eq!(
                check_details(&[AuthorizationDetail::new(kind)], Some(&known)),
                Err(ConfigError::AuthorizationDetail(kind.to_owned()))
            );
        }
        assert_eq!(
            check_details(&[AuthorizationDetail::new("any")], None),
            Ok(())
        );
    }

    /// SP-5.3.3.1-13: a scope is what the program names, in the characters that a scope has.
    #[test]
    fn scopes() {
        assert_eq!(
            scope(" openid  accounts "),
            Ok("openid accounts".to_owned())
        );
        for bad in ["", "  ", "a\"b", "a\\b", "ü"] {
            assert_eq!(scope(bad), Err(ConfigError::Scope));
        }
    }
}
