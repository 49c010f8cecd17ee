//! What `build()` and `preflight()` find before the first login.

use std::sync::Arc;

use fapi_client::{
    Algorithm, BoxFuture, Client, ClientAuth, ConfigError, Error, KeyError, KeySet, PublicJwk,
    Rule, Severity, Signature, Signer, SoftwareKey,
};
use fapi_testkit::{Endpoint, MetadataFault, TestServer};
use serde_json::{Value, json};

use crate::common::{self, CLIENT_ID};

fn without(member: &str) -> MetadataFault {
    MetadataFault::Without(member.to_owned())
}

fn set(member: &str, value: Value) -> MetadataFault {
    MetadataFault::Set(member.to_owned(), value)
}

/// META-11: a server that fits leaves nothing to say.
#[tokio::test]
async fn a_server_that_fits_gives_no_finding() {
    let server = TestServer::start().await;
    let report = common::builder(&server).preflight().await.unwrap();
    assert!(report.passed());
    assert_eq!(common::rules(&report), []);
    assert_eq!(server.requests().len(), 1);
}

/// META-11, META-5, SP-5.3.2.2-1, SP-5.3.2.2-2, SP-5.3.2.2-5, SP-5.3.2.2-7, SP-5.3.2.1-4, SP-5.3.2.1-5,
/// SP-5.3.2.1-6, CA-8, OP-4: each member that is missing or wrong is a finding of its own name, and
/// stops `build()` where the flow could not be kept safe.
#[tokio::test]
async fn each_member_has_its_finding() {
    use Severity::{Broken, Unsure};
    let auth = "token_endpoint_auth_methods_supported";
    let algorithms = "token_endpoint_auth_signing_alg_values_supported";
    let dpop = "dpop_signing_alg_values_supported";
    let pkce = "code_challenge_methods_supported";
    let iss = "authorization_response_iss_parameter_supported";
    let par = "pushed_authorization_request_endpoint";
    let signing = "id_token_signing_alg_values_supported";
    let rows = [
        (without("token_endpoint"), Rule::Endpoints, Broken),
        (without("authorization_endpoint"), Rule::Endpoints, Broken),
        (without("jwks_uri"), Rule::Endpoints, Broken),
        (without(par), Rule::PushedAuthorizationRequests, Broken),
        (
            set("grant_types_supported", json!(["refresh_token"])),
            Rule::GrantTypes,
            Broken,
        ),
        (
            set(
                "response_types_supported",
                json!(["code id_token", "token"]),
            ),
            Rule::ResponseType,
            Broken,
        ),
        (
            without("response_types_supported"),
            Rule::ResponseType,
            Unsure,
        ),
        (
            set(pkce, json!(["plain"])),
            Rule::CodeChallengeMethod,
            Broken,
        ),
        (set(pkce, json!([])), Rule::CodeChallengeMethod, Broken),
        (
            set(pkce, json!(["s256"])),
            Rule::CodeChallengeMethod,
            Broken,
        ),
        (without(pkce), Rule::CodeChallengeMethod, Unsure),
        (without(iss), Rule::IssuerParameter, Unsure),
        (set(iss, json!(false)), Rule::IssuerParameter, Unsure),
        (set(iss, json!("true")), Rule::IssuerParameter, Unsure),
        (
            set(
                auth,
                json!(["client_secret_basic", "client_secret_jwt", "none"]),
            ),
            Rule::ClientAuthentication,
            Broken,
        ),
        (set(auth, json!([])), Rule::ClientAuthentication, Broken),
        (without(auth), Rule::ClientAuthentication, Broken),
        (
            set(algorithms, json!(["RS256", "PS384"])),
            Rule::ClientAssertionAlgorithm,
            Broken,
        ),
        // The profile allows it, yet our key is none of that kind.
        (
            set(algorithms, json!(["PS256"])),
            Rule::ClientAssertionAlgorithm,
            Broken,
        ),
        (without(algorithms), Rule::ClientAssertionAlgorithm, Unsure),
        (set(dpop, json!(["RS256"])), Rule::SenderConstraint, Broken),
        (set(dpop, json!([])), Rule::SenderConstraint, Broken),
        (without(dpop), Rule::SenderConstraint, Broken),
        (
            set(signing, json!(["RS256", "none"])),
            Rule::IdTokenAlgorithm,
            Broken,
        ),
    ];
    let server = TestServer::start().await;
    for (fault, rule, severity) in rows {
        server.behave();
        server.forget_requests();
        server.misbehave(fault.clone());
        let report = common::builder(&server).preflight().await.unwrap();
        assert_eq!(common::rules(&report), [(rule, severity)], "{fault:?}");
        assert_eq!(report.passed(), severity == Unsure);
        assert!(report.to_string().contains(rule.clause()), "{report}");
        match common::builder(&server).build().await {
            Ok(client) if severity == Unsure => assert_eq!(client.client_id(), CLIENT_ID),
            Err(error) if severity == Broken => assert_eq!(
                common::config(&error),
                Some(&ConfigError::Preflight(report))
            ),
            other => panic!("{fault:?}: {other:?}"),
        }
        assert_eq!(
            server.requests().len(),
            2,
            "the metadata, twice, and no more"
        );
    }
}

/// META-11: everything that is wrong is told at once, the same by `preflight()` and by the error of
/// `build()`.
#[tokio::test]
async fn everything_is_told_at_once() {
    let server = TestServer::start().await;
    server.mutate_metadata(|document| {
        *document = json!({
            "issuer": document["issuer"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "userinfo_signing_alg_values_supported": ["none"],
        });
    });
    let key = SoftwareKey::generate_es256().unwrap();
    let keys = KeySet::new(Odd::new(&key, |_, _| vec![0; 64]));
    let builder = || common::builder_with(&server, keys.clone()).signed_userinfo();
    let report = builder().preflight().await.unwrap();
    let mut broken: Vec<Rule> = report.broken().map(|finding| finding.rule).collect();
    broken.sort_by_key(|rule| format!("{rule:?}"));
    assert_eq!(
        broken,
        [
            Rule::ClientAuthentication,
            Rule::Endpoints,
            Rule::Endpoints,
            Rule::Endpoints,
            Rule::IdTokenAlgorithm,
            Rule::Key,
            Rule::PushedAuthorizationRequests,
            Rule::SenderConstraint,
            Rule::UserInfoAlgorithm,
        ]
    );
    assert_eq!(report.findings().len(), broken.len() + 4);
    let error = builder().build().await.unwrap_err();
    assert_eq!(
        common::config(&error),
        Some(&ConfigError::Preflight(report))
    );
    assert_eq!(error.code(), "config.preflight");
    assert!(!error.retry_may_help());
}

/// META-11: a client that acts for itself alone needs no login endpoints, but the grant it uses.
#[tokio::test]
async fn a_service_needs_less() {
    let server = TestServer::start().await;
    let keys = common::register(&server);
    let builder = || {
        Client::builder(server.issuer(), CLIENT_ID)
            .authenticate_with(ClientAuth::private_key_jwt(keys.clone()))
            .transport(common::https(&server))
    };
    for member in [
        "authorization_endpoint",
        "pushed_authorization_request_endpoint",
        "jwks_uri",
        "code_challenge_methods_supported",
        "response_types_supported",
        "id_token_signing_alg_values_supported",
    ] {
        server.misbehave(without(member));
    }
    let report = builder().preflight().await.unwrap();
    assert_eq!(common::rules(&report), []);
    let client = builder().build().await.unwrap();
    // SP-5.3.2.2-6: and it starts no login, since it has nowhere to come back to.
    let error = client.login().start().await.unwrap_err();
    assert_eq!(common::config(&error), Some(&ConfigError::NoRedirectUri));
    assert_eq!(server.count(Endpoint::Par), 0);

    server.misbehave(set("grant_types_supported", json!(["authorization_code"])));
    let report = builder().preflight().await.unwrap();
    assert_eq!(
        common::rules(&report),
        [(Rule::GrantTypes, Severity::Broken)]
    );
}

/// IDT-7: the algorithm that was registered for ID tokens is one that the server has.
#[tokio::test]
async fn the_registered_algorithm_is_one_of_the_servers() {
    let server = TestServer::start().await;
    let builder = |algorithm| common::builder(&server).id_token_signed_with(algorithm);
    assert!(
        builder(Algorithm::Es256)
            .preflight()
            .await
            .unwrap()
            .passed()
    );
    for algorithm in [Algorithm::Ps256, Algorithm::EdDsa] {
        let report = builder(algorithm).preflight().await.unwrap();
        assert_eq!(
            common::rules(&report),
            [(Rule::IdTokenAlgorithm, Severity::Broken)]
        );
    }
}

/// How a signer answers, from its key and the message.
type Answer = fn(&[u8], &[u8]) -> Vec<u8>;

/// A signer that answers with something else than its signature.
struct Odd {
    key: SoftwareKey,
    public: PublicJwk,
    answer: Answer,
}

impl Odd {
    fn new(key: &SoftwareKey, answer: Answer) -> Self {
        Self {
            key: key.clone(),
            public: key.public_jwk().clone(),
            answer,
        }
    }
}

impl Signer for Odd {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async move {
            let signature = self.key.sign(message).await?;
            let answer = (self.answer)(message, signature.as_bytes());
            Ok(Signature::from_raw(answer))
        })
    }
}

/// A signer that fails.
struct Failing(PublicJwk, KeyError);

impl Signer for Failing {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        &self.0
    }

    fn sign<'a>(&'a self, _: &'a [u8]) -> BoxFuture<'a, Result<Signature, KeyError>> {
        Box::pin(async { Err(self.1.clone()) })
    }
}

fn der(_: &[u8], raw: &[u8]) -> Vec<u8> {
    let signature = p256::ecdsa::Signature::from_slice(raw).unwrap();
    signature.to_der().as_bytes().to_vec()
}

/// CA-9: a signer that answers in DER, with noise, with another key's signature or not at all is found
/// by `build()`, not by the first user's login.
#[tokio::test]
async fn a_signer_that_does_not_sign_is_found_by_build() {
    let server = TestServer::start().await;
    let key = SoftwareKey::generate_es256().unwrap();
    let other = SoftwareKey::generate_es256().unwrap();
    let mut stranger = Odd::new(&key, |_, raw| raw.to_vec());
    stranger.public = other.public_jwk().clone();
    let malformed = KeyError::Signature {
        algorithm: Algorithm::Es256,
    };
    let refused = KeyError::Refused("no such alias".to_owned());
    let public = key.public_jwk().clone();
    let rows: [(KeySet, KeyError); 7] = [
        (KeySet::new(Odd::new(&key, der)), malformed.clone()),
        (
            KeySet::new(Odd::new(&key, |_, _| Vec::new())),
            malformed.clone(),
        ),
        (
            KeySet::new(Odd::new(&key, |_, raw| raw[..63].to_vec())),
            malformed,
        ),
        (
            KeySet::new(Odd::new(&key, |_, _| vec![0x5a; 64])),
            KeyError::Mismatch,
        ),
        (
            KeySet::new(Odd::new(&key, |_, _| vec![0; 64])),
            KeyError::Mismatch,
        ),
        (KeySet::new(stranger), KeyError::Mismatch),
        (
            KeySet::new(Arc::new(Failing(public.clone(), refused.clone()))),
            refused,
        ),
    ];
    for (keys, expected) in rows {
        server.forget_requests();
        let report = common::builder_with(&server, keys.clone())
            .preflight()
            .await
            .unwrap();
        assert_eq!(common::rules(&report), [(Rule::Key, Severity::Broken)]);
        let advice = &report.findings()[0].advice;
        assert!(advice.contains(&expected.to_string()), "{advice}");
        let error = common::builder_with(&server, keys)
            .build()
            .await
            .unwrap_err();
        assert_eq!(common::findings(&error), [(Rule::Key, Severity::Broken)]);
        assert_eq!(
            server.requests().len(),
            2,
            "the metadata, twice, and no more"
        );
    }
    // One that can't be reached says nothing about the key: try again.
    let keys = KeySet::new(Failing(public, KeyError::Unavailable));
    let error = common::builder_with(&server, keys)
        .build()
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Key(KeyError::Unavailable)),
        "{error:?}"
    );
    assert!(error.retry_may_help());
}
