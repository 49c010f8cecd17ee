//! Our keys, algorithms and binding held against what the server publishes (META-11).
//!
//! Everything that is wrong is found at once, so that a program is put right once.

use super::metadata::ServerMetadata;
use crate::error::{Finding, Preflight, Rule, Severity};
use crate::profile::Algorithm;

/// What we come with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How the client authenticates, as metadata calls it.
    pub(crate) authentication: &'static str,
    /// The algorithm of the active client key, where a key authenticates.
    pub(crate) assertion: Option<Algorithm>,
    /// The algorithm of the DPoP keys; `None` where tokens are bound to the certificate.
    pub(crate) dpop: Option<Algorithm>,
    /// Whether users log in, or the client acts for itself alone.
    pub(crate) login: bool,
    /// The registered algorithm of ID tokens; `None` where any that FAPI allows will do.
    pub(crate) id_token: Option<Algorithm>,
    /// Whether a signed UserInfo is registered.
    pub(crate) signed_userinfo: bool,
}

/// Looks at every rule.
pub(crate) fn check(metadata: &ServerMetadata, settings: Settings) -> Preflight {
    let mut findings = Findings(Vec::new());
    endpoints(metadata, settings, &mut findings);
    client_authentication(metadata, settings, &mut findings);
    sender_constraint(metadata, settings, &mut findings);
    if settings.login {
        login(metadata, &mut findings);
        id_token(metadata, settings, &mut findings);
    }
    Preflight::new(findings.0)
}

struct Findings(Vec<Finding>);

impl Findings {
    fn broken(&mut self, rule: Rule, advice: impl Into<String>) {
        self.add(rule, Severity::Broken, advice);
    }

    fn unsure(&mut self, rule: Rule, advice: impl Into<String>) {
        self.add(rule, Severity::Unsure, advice);
    }

    fn add(&mut self, rule: Rule, severity: Severity, advice: impl Into<String>) {
        self.0.push(Finding::new(rule, severity, advice.into()));
    }
}

/// A list of a server's, short enough for a message.
fn shown(names: &[String]) -> String {
    let first: Vec<String> = names
        .iter()
        .take(12)
        .map(|name| name.chars().take(40).collect())
        .collect();
    format!("{first:?}")
}

fn endpoints(metadata: &ServerMetadata, settings: Settings, findings: &mut Findings) {
    let mut demand = |rule: Rule, member: &str, there: bool| {
        if !there {
            findings.broken(rule, format!("the server publishes no {member}"));
        }
    };
    demand(
        Rule::Endpoints,
        "token_endpoint",
        metadata.token_endpoint.is_some(),
    );
    if settings.login {
        demand(
            Rule::Endpoints,
            "authorization_endpoint",
            metadata.authorization_endpoint.is_some(),
        );
        demand(Rule::Endpoints, "jwks_uri", metadata.jwks_uri.is_some());
        // SP-5.3.2.2-2, SP-5.3.3.2-2
        demand(
            Rule::PushedAuthorizationRequests,
            "pushed_authorization_request_endpoint",
            metadata.pushed_authorization_request_endpoint.is_some(),
        );
        // JAR-9
        if metadata.flag("require_signed_request_object") == Some(true) {
            findings.broken(
                Rule::SignedRequestObject,
                "require_signed_request_object is true, and this client signs no request objects",
            );
        }
    }
    if let Some(grants) = metadata.list("grant_types_supported") {
        let wanted = if settings.login {
            "authorization_code"
        } else {
            "client_credentials"
        };
        if !grants.iter().any(|grant| grant == wanted) {
            findings.broken(
                Rule::GrantTypes,
                format!("grant_types_supported lacks {wanted}"),
            );
        }
    }
}

fn client_authentication(metadata: &ServerMetadata, settings: Settings, findings: &mut Findings) {
    // SP-5.3.2.1-6
    match metadata.list("token_endpoint_auth_methods_supported") {
        Some(methods) if methods.iter().any(|method| method == settings.authentication) => {}
        Some(methods) => findings.broken(
            Rule::ClientAuthentication,
            format!(
                "token_endpoint_auth_methods_supported lacks {}, it has {}",
                settings.authentication,
                shown(&methods)
            ),
        ),
        // META-6: an absent list means client_secret_basic.
        None => findings.broken(
            Rule::ClientAuthentication,
            "token_endpoint_auth_methods_supported is absent, which means client_secret_basic alone",
        ),
    }
    // CA-8
    let Some(assertion) = settings.assertion else {
        return;
    };
    match metadata.list("token_endpoint_auth_signing_alg_values_supported") {
        Some(algorithms) if !assertion.is_in(&algorithms) => findings.broken(
            Rule::ClientAssertionAlgorithm,
            format!(
                "the client key signs {}, and token_endpoint_auth_signing_alg_values_supported has {}; use a key of one of these that FAPI 2.0 allows",
                assertion,
                shown(&algorithms)
            ),
        ),
        Some(_) => {}
        None => findings.unsure(
            Rule::ClientAssertionAlgorithm,
            "token_endpoint_auth_signing_alg_values_supported is absent; the server may refuse the client key's algorithm",
        ),
    }
}

fn sender_constraint(metadata: &ServerMetadata, settings: Settings, findings: &mut Findings) {
    let Some(dpop) = settings.dpop else {
        // SP-5.3.2.1-4, MTLS-3.4
        if metadata.flag("tls_client_certificate_bound_access_tokens") != Some(true) {
            findings.broken(
                Rule::SenderConstraint,
                "tls_client_certificate_bound_access_tokens is not true: the server does not bind tokens to certificates; take certificate_bound_tokens away, and they are bound with DPoP",
            );
        }
        return;
    };
    // SP-5.3.2.1-4, DPOP-5.1
    match metadata.list("dpop_signing_alg_values_supported") {
        Some(algorithms) if !dpop.is_in(&algorithms) => findings.broken(
            Rule::SenderConstraint,
            format!(
                "DPoP keys sign {}, and dpop_signing_alg_values_supported has {}",
                dpop,
                shown(&algorithms)
            ),
        ),
        Some(_) => {}
        None => findings.broken(
            Rule::SenderConstraint,
            "dpop_signing_alg_values_supported is absent: the server does not bind tokens with DPoP",
        ),
    }
}

fn login(metadata: &ServerMetadata, findings: &mut Findings) {
    // SP-5.3.2.2-1
    match metadata.list("response_types_supported") {
        Some(types) if types.iter().any(|kind| kind == "code") => {}
        Some(types) => findings.broken(
            Rule::ResponseType,
            format!(
                "response_types_supported lacks code, it has {}",
                shown(&types)
            ),
        ),
        None => findings.unsure(
            Rule::ResponseType,
            "response_types_supported is absent; code is assumed",
        ),
    }
    // SP-5.3.2.2-5, OP-4: absent means no PKCE by RFC 8414, yet servers of FAPI 2.0 that have it leave
    // the member out; they are bound to check what is sent.
    match metadata.list("code_challenge_methods_supported") {
        Some(methods) if methods.iter().any(|method| method == "S256") => {}
        Some(methods) => findings.broken(
            Rule::CodeChallengeMethod,
            format!(
                "code_challenge_methods_supported lacks S256, it has {}",
                shown(&methods)
            ),
        ),
        None => findings.unsure(
            Rule::CodeChallengeMethod,
            "code_challenge_methods_supported is absent; S256 is sent all the same",
        ),
    }
    // SP-5.3.2.2-7: the response itself decides.
    if metadata.flag("authorization_response_iss_parameter_supported") != Some(true) {
        findings.unsure(
            Rule::IssuerParameter,
            "authorization_response_iss_parameter_supported is not true; a callback without iss will be refused",
        );
    }
}

fn id_token(metadata: &ServerMetadata, settings: Settings, findings: &mut Findings) {
    // SP-5.4.1-1.2, IDT-7
    if let Some(algorithms) = metadata.list("id_token_signing_alg_values_supported") {
        let fits = match settings.id_token {
            Some(algorithm) => algorithm.is_in(&algorithms),
            None => Algorithm::ALL.iter().any(|one| one.is_in(&algorithms)),
        };
        if !fits {
            findings.broken(
                Rule::IdTokenAlgorithm,
                format!(
                    "id_token_signing_alg_values_supported has {}, and FAPI 2.0 allows PS256, ES256 and EdDSA alone; register id_token_signed_response_alg",
                    shown(&algorithms)
                ),
            );
        }
    }
    if !settings.signed_userinfo {
        return;
    }
    if let Some(algorithms) = metadata.list("userinfo_signing_alg_values_supported")
        && !Algorithm::ALL.iter().any(|one| one.is_in(&algorithms))
    {
        findings.broken(
            Rule::UserInfoAlgorithm,
            format!(
                "userinfo_signing_alg_values_supported has {}, none of which FAPI 2.0 allows",
                shown(&algorithms)
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::uri::Issuer;
    use super::*;

    fn settings() -> Settings {
        Settings {
            authentication: "private_key_jwt",
            assertion: Some(Algorithm::Es256),
            dpop: Some(Algorithm::Es256),
            login: true,
            id_token: None,
            signed_userinfo: true,
        }
    }

    fn document() -> Value {
        json!({
            "issuer": "https://as.example",
            "authorization_endpoint": "https://as.example/a",
            "token_endpoint": "https://as.example/t",
            "pushed_authorization_request_endpoint": "https://as.example/p",
            "jwks_uri": "https://as.example/j",
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "PS256"],
            "dpop_signing_alg_values_supported": ["ES256"],
            "id_token_signing_alg_values_supported": ["PS256", "RS256"],
            "userinfo_signing_alg_values_supported": ["PS256"],
        })
    }

    fn report(document: &Value, settings: Settings) -> Vec<(Rule, Severity)> {
        let issuer = Issuer::new("https://as.example").unwrap();
        let metadata =
            super::super::metadata::parse(&issuer, document.to_string().as_bytes()).unwrap();
        check(&metadata, settings)
            .findings()
            .iter()
            .map(|finding| (finding.rule, finding.severity))
            .collect()
    }

    /// META-11: a server that fits gives no finding.
    #[test]
    fn a_good_server_passes() {
        assert_eq!(report(&document(), settings()), []);
    }

    /// META-11, SP-5.3.2.2-5, CA-8, DPOP-5.1, SP-5.4.1-1.2: each broken rule is named.
    #[test]
    fn each_broken_rule_is_named() {
        let cases = [
            ("token_endpoint", Value::Null, Rule::Endpoints),
            ("authorization_endpoint", Value::Null, Rule::Endpoints),
            ("jwks_uri", Value::Null, Rule::Endpoints),
            (
                "pushed_authorization_request_endpoint",
                Value::Null,
                Rule::PushedAuthorizationRequests,
            ),
            (
                "require_signed_request_object",
                json!(true),
                Rule::SignedRequestObject,
            ),
            (
                "grant_types_supported",
                json!(["implicit"]),
                Rule::GrantTypes,
            ),
            (
                "response_types_supported",
                json!(["id_token"]),
                Rule::ResponseType,
            ),
            (
                "code_challenge_methods_supported",
                json!(["plain"]),
                Rule::CodeChallengeMethod,
            ),
            (
                "token_endpoint_auth_methods_supported",
                json!(["client_secret_basic", "client_secret_jwt"]),
                Rule::ClientAuthentication,
            ),
            (
                "token_endpoint_auth_methods_supported",
                Value::Null,
                Rule::ClientAuthentication,
            ),
            (
                "token_endpoint_auth_signing_alg_values_supported",
                json!(["RS256"]),
                Rule::ClientAssertionAlgorithm,
            ),
            (
                "dpop_signing_alg_values_supported",
                json!(["RS256"]),
                Rule::SenderConstraint,
            ),
            (
                "dpop_signing_alg_values_supported",
                Value::Null,
                Rule::SenderConstraint,
            ),
            (
                "id_token_signing_alg_values_supported",
                json!(["RS256"]),
                Rule::IdTokenAlgorithm,
            ),
            (
                "userinfo_signing_alg_values_supported",
                json!(["RS256", "none"]),
                Rule::UserInfoAlgorithm,
            ),
        ];
        for (member, value, rule) in cases {
            let mut document = document();
            match value {
                Value::Null => document.as_object_mut().unwrap().remove(member),
                value => document
                    .as_object_mut()
                    .unwrap()
                    .insert(member.to_owned(), value),
            };
            assert_eq!(
                report(&document, settings()),
                [(rule, Severity::Broken)],
                "{member}"
            );
        }
    }

    /// META-11, OP-4: what the metadata does not say is a finding that lets the flow go on.
    #[test]
    fn silence_is_unsure() {
        for (member, rule) in [
            (
                "code_challenge_methods_supported",
                Rule::CodeChallengeMethod,
            ),
            (
                "authorization_response_iss_parameter_supported",
                Rule::IssuerParameter,
            ),
            ("response_types_supported", Rule::ResponseType),
            (
                "token_endpoint_auth_signing_alg_values_supported",
                Rule::ClientAssertionAlgorithm,
            ),
        ] {
            let mut document = document();
            document.as_object_mut().unwrap().remove(member);
            assert_eq!(report(&document, settings()), [(rule, Severity::Unsure)]);
        }
    }

    /// META-11: all that is wrong is found at once.
    #[test]
    fn everything_at_once() {
        let document = json!({"issuer": "https://as.example"});
        let found = report(&document, settings());
        let broken = found
            .iter()
            .filter(|(_, severity)| *severity == Severity::Broken)
            .count();
        assert_eq!(broken, 6);
    }

    /// MTLS-3.4, SP-5.3.2.1-4, SP-5.3.2.1-6: with a certificate the server has to know the way to authenticate,
    /// and to bind tokens to certificates; what keys alone need may be missing.
    #[test]
    fn a_client_with_a_certificate() {
        let settings = Settings {
            authentication: "tls_client_auth",
            assertion: None,
            dpop: None,
            ..settings()
        };
        let mut document = document();
        let constraint = (Rule::SenderConstraint, Severity::Broken);
        let authentication = (Rule::ClientAuthentication, Severity::Broken);
        assert_eq!(report(&document, settings), [authentication, constraint]);
        document["token_endpoint_auth_methods_supported"] =
            json!(["self_signed_tls_client_auth", "tls_client_auth"]);
        for not_true in [json!(false), json!("true"), json!(1)] {
            document["tls_client_certificate_bound_access_tokens"] = not_true;
            assert_eq!(report(&document, settings), [constraint]);
        }
        document["tls_client_certificate_bound_access_tokens"] = json!(true);
        assert_eq!(report(&document, settings), []);
        for unused in [
            "dpop_signing_alg_values_supported",
            "token_endpoint_auth_signing_alg_values_supported",
        ] {
            document.as_object_mut().unwrap().remove(unused);
        }
        assert_eq!(report(&document, settings), []);
    }

    /// IDT-7: a registered algorithm has to be one that the server has.
    #[test]
    fn the_registered_algorithm_counts() {
        let registered = Settings {
            id_token: Some(Algorithm::Es256),
            ..settings()
        };
        assert_eq!(
            report(&document(), registered),
            [(Rule::IdTokenAlgorithm, Severity::Broken)]
        );
    }
}
