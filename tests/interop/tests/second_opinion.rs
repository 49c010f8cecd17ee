//! What `fapi-client` signs and verifies, held against josekit, which does the same over OpenSSL.

use base64ct::{Base64UrlUnpadded, Encoding};
use fapi_client::{
    Client, ClientAuth, Error, HttpsTransport, JwtFault, JwtKind, KeySet, Session, Signer,
    SoftwareKey, Violation,
};
use fapi_interop::{Algorithm, ClientKey};
use fapi_testkit::{Alg, Endpoint, Registration, TestServer};
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jwk::alg::ed::EdCurve;
use josekit::jws::{self, ES256, EdDSA, JwsSigner, JwsVerifier, PS256};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};
use serde_json::{Value, json};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Ps256, Algorithm::EdDsa];

/// SP-5.4.1-1.2: what our keys sign, josekit verifies with the public half that we publish, and with
/// one bit changed it does not.
#[tokio::test]
async fn our_signatures_verify_there() {
    for algorithm in ALGORITHMS {
        let key = SoftwareKey::from_pem(ClientKey::generate(algorithm).pem()).unwrap();
        let verifier = verifier(&key.public_jwk().to_json());
        // Often enough that r or s begins with a zero byte in one of them.
        let rounds = if algorithm == Algorithm::Es256 {
            300
        } else {
            3
        };
        for round in 0..rounds {
            let input = signing_input(&key, round);
            let mut signature = key.sign(&input).await.unwrap().as_bytes().to_vec();
            verifier.verify(&input, &signature).unwrap();

            let other = signing_input(&key, round + 1);
            assert!(verifier.verify(&other, &signature).is_err());
            let last = signature.len() - 1;
            signature[last] ^= 1;
            assert!(verifier.verify(&input, &signature).is_err());
        }
    }
}

/// Keys that josekit made load from its JWKs, and what they sign it verifies.
#[tokio::test]
async fn their_jwks_load_here() {
    for algorithm in ALGORITHMS {
        let jwk = generate(algorithm);
        let key = SoftwareKey::from_jwk(&jwk.to_string()).unwrap();
        let input = signing_input(&key, 0);
        let signature = key.sign(&input).await.unwrap();
        let verifier = verifier(&public(&jwk));
        verifier.verify(&input, signature.as_bytes()).unwrap();
    }
}

/// Keys that OpenSSL made load from every form of PEM that it writes, and what they sign it verifies.
#[tokio::test]
async fn keys_of_openssl_load_here() {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let ec = EcKey::generate(&group).unwrap();
    let rsa = Rsa::generate(2048).unwrap();
    let sec1 = ec.private_key_to_pem().unwrap();
    let pkcs1 = rsa.private_key_to_pem().unwrap();
    let ec = PKey::from_ec_key(ec).unwrap();
    let rsa = PKey::from_rsa(rsa).unwrap();
    let ed = PKey::generate_ed25519().unwrap();
    for (theirs, pem) in [
        (&ec, sec1),
        (&ec, ec.private_key_to_pem_pkcs8().unwrap()),
        (&rsa, pkcs1),
        (&rsa, rsa.private_key_to_pem_pkcs8().unwrap()),
        (&ed, ed.private_key_to_pem_pkcs8().unwrap()),
    ] {
        let ours = SoftwareKey::from_pem(std::str::from_utf8(&pem).unwrap()).unwrap();
        let input = signing_input(&ours, 0);
        let signature = ours.sign(&input).await.unwrap();
        assert!(openssl_verifies(theirs, &input, signature.as_bytes()));
    }
}

/// CA-1, DPOP-4.2a: the assertions and proofs of a login verify under josekit, header and all.
#[tokio::test]
async fn our_assertions_and_proofs_verify_there() {
    for algorithm in ALGORITHMS {
        let server = TestServer::start().await;
        let key = SoftwareKey::from_pem(ClientKey::generate(algorithm).pem()).unwrap();
        let public = key.public_jwk().to_json();
        let client = client(&server, KeySet::new(key)).await;
        let session = log_in(&client, &server).await.unwrap();
        session.refresh().await.unwrap();

        let (mut assertions, mut proofs) = (0, 0);
        for request in server.requests() {
            if let Some(assertion) = request.assertion() {
                let verifier = verifier(&public);
                jws::deserialize_compact(&assertion.compact, &*verifier).unwrap();
                assertions += 1;
            }
            if let Some(proof) = request.proof() {
                let verifier = verifier(&proof.header["jwk"]);
                jws::deserialize_compact(&proof.compact, &*verifier).unwrap();
                proofs += 1;
            }
        }
        assert!(assertions >= 3 && proofs >= 3, "{assertions}, {proofs}");
    }
}

/// IDT-6, UI-5.3.2s: ID tokens and UserInfo that josekit signed are taken.
#[tokio::test]
async fn their_id_tokens_are_taken() {
    for algorithm in ALGORITHMS {
        let server = server(algorithm, |signature| signature).await;
        let client = client(&server, KeySet::new(SoftwareKey::generate_es256().unwrap())).await;

        let session = log_in(&client, &server).await.unwrap();

        assert_eq!(session.subject(), Some("alice"));
        assert_eq!(session.userinfo().await.unwrap().subject(), "alice");
    }
}

/// IDT-6: with one bit changed they are not, and nothing is done with the tokens that came along.
#[tokio::test]
async fn their_altered_id_tokens_are_refused() {
    for algorithm in ALGORITHMS {
        let server = server(algorithm, |mut signature| {
            signature[20] ^= 1;
            signature
        })
        .await;
        let client = client(&server, KeySet::new(SoftwareKey::generate_es256().unwrap())).await;

        let error = log_in(&client, &server).await.unwrap_err();

        assert_eq!(
            error.violation(),
            Some(&Violation::Jwt {
                kind: JwtKind::IdToken,
                fault: JwtFault::Signature,
            })
        );
        assert!(client.sessions_of("alice").await.unwrap().is_empty());
        assert_eq!(server.count(Endpoint::Token), 1);
        assert_eq!(server.count(Endpoint::UserInfo), 0);
        assert_eq!(server.count(Endpoint::Api), 0);
    }
}

/// A server that josekit signs for, and what becomes of its signatures on the way.
async fn server(
    algorithm: Algorithm,
    on_the_way: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
) -> TestServer {
    let jwk = generate(algorithm);
    let signer = signer(&jwk);
    let alg = match algorithm {
        Algorithm::Es256 => Alg::Es256,
        Algorithm::Ps256 => Alg::Ps256,
        Algorithm::EdDsa => Alg::EdDsa,
    };
    TestServer::builder()
        .signed_userinfo(true)
        .signing_key(public(&jwk), alg, move |input| {
            on_the_way(signer.sign(input).unwrap())
        })
        .start()
        .await
}

async fn client(server: &TestServer, keys: KeySet) -> Client {
    let redirect_uri = "https://app.example/callback";
    server.register(
        Registration::new("client-id")
            .jwks(keys.jwks())
            .redirect_uri(redirect_uri),
    );
    let https = HttpsTransport::builder()
        .only_root_certificates(server.ca_pem())
        .unwrap()
        .no_proxy()
        .build()
        .unwrap();
    Client::builder(server.issuer(), "client-id")
        .redirect_uri(redirect_uri)
        .authenticate_with(ClientAuth::private_key_jwt(keys))
        .transport(https)
        .build()
        .await
        .unwrap()
}

async fn log_in(client: &Client, server: &TestServer) -> Result<Session, Error> {
    let login = client.login().scope("openid").start().await.unwrap();
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    client.finish_login(login.transaction(), callback).await
}

fn signing_input(key: &SoftwareKey, round: u32) -> Vec<u8> {
    let header = json!({"alg": key.algorithm().name()});
    let payload = json!({"round": round});
    let [header, payload] =
        [header, payload].map(|part| Base64UrlUnpadded::encode_string(part.to_string().as_bytes()));
    format!("{header}.{payload}").into_bytes()
}

/// A private JWK made by josekit.
fn generate(algorithm: Algorithm) -> Jwk {
    let mut jwk = match algorithm {
        Algorithm::Es256 => Jwk::generate_ec_key(EcCurve::P256),
        Algorithm::Ps256 => Jwk::generate_rsa_key(2048),
        Algorithm::EdDsa => Jwk::generate_ed_key(EdCurve::Ed25519),
    }
    .unwrap();
    jwk.set_algorithm(algorithm.name());
    jwk.set_key_use("sig");
    jwk
}

fn public(jwk: &Jwk) -> Value {
    let public = jwk.to_public_key().unwrap();
    Value::Object(public.as_ref().clone())
}

fn openssl_verifies(key: &PKey<Private>, message: &[u8], signature: &[u8]) -> bool {
    let sha256 = MessageDigest::sha256();
    match key.id() {
        Id::EC => {
            let (r, s) = signature.split_at(32);
            let number = |bytes| BigNum::from_slice(bytes).unwrap();
            let signature = EcdsaSig::from_private_components(number(r), number(s)).unwrap();
            let digest = openssl::hash::hash(sha256, message).unwrap();
            signature.verify(&digest, &key.ec_key().unwrap()).unwrap()
        }
        Id::RSA => {
            let mut verifier = Verifier::new(sha256, key).unwrap();
            verifier.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            let salt = RsaPssSaltlen::DIGEST_LENGTH;
            verifier.set_rsa_pss_saltlen(salt).unwrap();
            verifier.verify_oneshot(signature, message).unwrap()
        }
        _ => Verifier::new_without_digest(key)
            .unwrap()
            .verify_oneshot(signature, message)
            .unwrap(),
    }
}

fn signer(jwk: &Jwk) -> Box<dyn JwsSigner> {
    match jwk.algorithm() {
        Some("ES256") => Box::new(ES256.signer_from_jwk(jwk).unwrap()),
        Some("PS256") => Box::new(PS256.signer_from_jwk(jwk).unwrap()),
        Some("EdDSA") => Box::new(EdDSA.signer_from_jwk(jwk).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// josekit's verifier for a public JWK, under the algorithm that its type has in FAPI 2.0.
fn verifier(jwk: &Value) -> Box<dyn JwsVerifier> {
    let jwk = Jwk::from_map(jwk.as_object().unwrap().clone()).unwrap();
    match jwk.key_type() {
        "EC" => Box::new(ES256.verifier_from_jwk(&jwk).unwrap()),
        "RSA" => Box::new(PS256.verifier_from_jwk(&jwk).unwrap()),
        "OKP" => Box::new(EdDSA.verifier_from_jwk(&jwk).unwrap()),
        other => panic!("{other}"),
    }
}
