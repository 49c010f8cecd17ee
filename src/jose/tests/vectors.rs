//! The examples of the RFCs.

use serde_json::{Value, json};

use super::{key_file, providers, with};
use crate::error::{JwtFault, KeyError};
use crate::jose::{JwkSet, Jws, PrivateKey, PublicJwk, base64url, from_base64url};
use crate::profile::Algorithm;

const RFC7515_A3: &str = "eyJhbGciOiJFUzI1NiJ9\
    .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
    .DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn rfc7515_a3_key() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    })
}

/// SP-5.4.1-1.2, JWT-3.3: the ES256 example of RFC 7515 appendix A.3 verifies; changed by a bit it
/// does not.
#[test]
fn rfc7515_es256() {
    let key = PublicJwk::from_json(&with(rfc7515_a3_key(), "d", Value::Null)).unwrap();
    for (name, crypto) in providers() {
        let jws = Jws::parse(RFC7515_A3).unwrap();
        assert_eq!(jws.algorithm(), Algorithm::Es256);
        assert_eq!(jws.unverified_claims().text("iss"), Ok(Some("joe")));
        assert_eq!(jws.verify_with(&crypto, &key), Ok(()), "{name}");

        let mut signature = from_base64url(RFC7515_A3.rsplit('.').next().unwrap()).unwrap();
        signature[63] ^= 1;
        let input = RFC7515_A3.rsplit_once('.').unwrap().0;
        let forged = format!("{input}.{}", base64url(&signature));
        let forged = Jws::parse(&forged).unwrap();
        assert_eq!(
            forged.verify_with(&crypto, &key),
            Err(JwtFault::Signature),
            "{name}"
        );
    }
}

/// CA-7: the private key of RFC 7515 appendix A.3 loads as a JWK, and what it signs verifies.
#[test]
fn rfc7515_es256_key_signs() {
    for (name, crypto) in providers() {
        let key = PrivateKey::from_jwk(&crypto, &rfc7515_a3_key().to_string()).unwrap();
        let signature = key.sign(b"message").unwrap();
        assert!(
            key.public().verify(&crypto, b"message", &signature),
            "{name}"
        );
    }
}

/// SP-5.4.3: the set of RFC 7517 appendix A.1 is read; its keys are for encryption and for RS256,
/// so that none of them verifies anything here.
#[test]
fn rfc7517_set() {
    let rsa: Value = serde_json::from_str(key_file!("rfc7517-a2-rsa.json")).unwrap();
    let set = json!({"keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "use": "enc",
            "kid": "1",
        },
        {"kty": "RSA", "n": rsa["n"], "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"},
    ]});
    let set = JwkSet::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.len(), 2);
    assert!(set.candidates(Some("1"), Algorithm::Es256).is_empty());
    assert!(
        set.candidates(Some("2011-04-29"), Algorithm::Ps256)
            .is_empty()
    );
}

/// JWT-3.1: the private RSA key of RFC 7517 appendix A.2 is for RS256 and is refused as it stands;
/// without that member it signs PS256.
#[test]
fn rfc7517_private_key() {
    let text = key_file!("rfc7517-a2-rsa.json");
    let jwk: Value = serde_json::from_str(text).unwrap();
    let free = with(jwk, "alg", Value::Null).to_string();
    for (name, crypto) in providers() {
        assert_eq!(
            PrivateKey::from_jwk(&crypto, text).unwrap_err(),
            KeyError::Unsupported("a key for another algorithm than its type has here")
        );
        let key = PrivateKey::from_jwk(&crypto, &free).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Ps256);
        assert_eq!(key.public().key_id(), Some("2011-04-29"));
        let signature = key.sign(b"message").unwrap();
        assert!(
            key.public().verify(&crypto, b"message", &signature),
            "{name}"
        );
    }
}

/// SP-5.4.2-3: the thumbprint of RFC 7638 section 3.1, whatever else the key says.
#[test]
fn rfc7638_thumbprint() {
    let rsa: Value = serde_json::from_str(key_file!("rfc7517-a2-rsa.json")).unwrap();
    let key =
        json!({"kty": "RSA", "n": rsa["n"], "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
    let key = PublicJwk::from_json(&key).unwrap();
    assert_eq!(
        key.thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    assert_eq!(key.key_id(), Some("2011-04-29"));
}

/// SP-5.4.1-N: the Ed25519 key of RFC 8037 appendix A: what it signs (A.4), that it verifies (A.5),
/// and its thumbprint (A.3).
#[test]
fn rfc8037_ed25519() {
    let jwk = json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvp\
        Ar_MuM0KAg";
    for (name, crypto) in providers() {
        let key = PrivateKey::from_jwk(&crypto, &jwk.to_string()).unwrap();
        assert_eq!(
            key.public().thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        let ours = key.sign(input).unwrap();
        assert_eq!(base64url(&ours), signature, "{name}");
        assert!(key.public().verify(&crypto, input, &ours), "{name}");
    }
}

/// DPOP-10: the proofs of RFC 9449 figures 2 and 14 verify with the key in their own header, whose
/// thumbprint is the `jkt` of figure 6.
#[test]
fn rfc9449_proofs() {
    const HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6\
        Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVF\
        RsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";
    let token_request = "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc\
        2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igi\
        MLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let resource_request = "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly\
        9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIe\
        U8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPP\
        ToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let header: Value = serde_json::from_slice(&from_base64url(HEADER).unwrap()).unwrap();
    let key = PublicJwk::from_json(&header["jwk"]).unwrap();
    assert_eq!(
        key.thumbprint(),
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    );
    assert_eq!(key.bare_json(), header["jwk"]);
    for (name, crypto) in providers() {
        for rest in [token_request, resource_request] {
            let proof = format!("{HEADER}.{rest}");
            let proof = Jws::parse(&proof).unwrap();
            assert_eq!(proof.typ(), Some("dpop+jwt"));
            assert_eq!(proof.verify_with(&crypto, &key), Ok(()), "{name}");
        }
    }
}

/// CA-9, JWT-3.4: what OpenSSL signs verifies; the same key's signature of another kind (RSA with
/// PKCS#1 v1.5, a salt that is too short, ECDSA in DER) does not.
#[test]
fn openssl_signatures() {
    let signatures: Value = serde_json::from_str(key_file!("openssl-signatures.json")).unwrap();
    let message = signatures["message"].as_str().unwrap().as_bytes();
    let signature = |name: &str| from_base64url(signatures[name].as_str().unwrap()).unwrap();
    let rsa = PublicJwk::from_pem(key_file!("rsa2048-public.pem")).unwrap();
    let ec = PublicJwk::from_pem(key_file!("es256-public.pem")).unwrap();
    let ed25519 = PublicJwk::from_pem(key_file!("ed25519-public.pem")).unwrap();
    let raw = crate::jose::private::raw_ecdsa(&signature("ES256 in DER")).unwrap();
    for (name, crypto) in providers() {
        assert!(rsa.verify(&crypto, message, &signature("PS256")), "{name}");
        assert!(
            !rsa.verify(
                &crypto,
                message,
                &signature("PS256 with a salt of 20 bytes")
            ),
            "{name}"
        );
        assert!(!rsa.verify(&crypto, message, &signature("RS256")), "{name}");
        assert!(ec.verify(&crypto, message, &raw), "{name}");
        assert!(
            !ec.verify(&crypto, message, &signature("ES256 in DER")),
            "{name}"
        );
        assert!(
            ed25519.verify(&crypto, message, &signature("EdDSA")),
            "{name}"
        );
    }
}
