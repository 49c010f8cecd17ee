//! What is written down comes back as it was.

use serde_json::{Value, json};

use super::SessionRecord;
use crate::client::cell::Life;
use crate::error::{SignInAgain, StoreError};

/// A record with something in every field.
fn full() -> Value {
    let part = json!({ "scope": "accounts", "resources": ["https://api.example/"] });
    let granted = |part: &Value, generation: u64| {
        json!({
            "part": part,
            "access_token": format!("access-{generation}"),
            "issued_at": 1_800_000_000,
            "expires_at": 1_800_000_300,
            "scope": "openid accounts",
            "authorization_details": [{ "type": "payment", "amount": { "value": "1.00" } }],
            "generation": generation,
        })
    };
    json!({
        "id": "session-id",
        "key": { "thumbprint": "thumb", "source": { "Pem": "pem" } },
        "id_token": "id-token",
        "asked": {
            "scope": "openid accounts",
            "resources": ["https://api.example/"],
            "authorization_details": [{ "type": "payment" }],
        },
        "nonces": [
            { "origin": "https://as.example", "role": "AuthorizationServer", "nonce": "n1" },
            { "origin": "https://api.example", "role": "Resource", "nonce": "n2" },
        ],
        "life": { "Live": {
            "refresh_token": "refresh",
            "granted": [
                granted(&json!({ "scope": null, "resources": [] }), 3),
                granted(&part, 1),
            ],
            "answers": 4,
            "in_flight": true,
        } },
    })
}

fn ended() -> Value {
    let mut record = full();
    record["life"] = json!({ "Ended": {
        "cause": "LoggedOut",
        "unrevoked": [
            { "refresh_token": "one", "access_tokens": ["a", "b"] },
            { "refresh_token": null, "access_tokens": ["c"] },
        ],
    } });
    record
}

fn read(record: &Value) -> Result<SessionRecord, StoreError> {
    SessionRecord::read(record.to_string().as_bytes())
}

/// SES-1: every field survives, and nothing is written that is not read. The form stays what it
/// is, or a new version could not open what an old one wrote.
#[test]
fn every_field_survives() {
    let mut named = full();
    named["key"]["source"] = json!({ "Name": "dpop-x" });
    named["id_token"] = Value::Null;
    let mut shared = full();
    shared["key"]["source"] = json!("Shared");
    // MTLS-3
    let mut certificate = full();
    certificate["key"] = json!({ "thumbprint": null, "source": "Certificate" });
    certificate["life"]["Live"]["granted"][0]["certificate"] = json!("x5t");
    for record in [full(), ended(), named, shared, certificate] {
        let written = read(&record).unwrap().write().unwrap();
        let again: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(again, record);
        assert_eq!(written.capacity(), written.len(), "nothing was left behind");
    }
}

/// SES-1, RAR-7: an amount that a server granted as a number stays that number, to its last bit, however often
/// the record is read and written.
#[test]
fn numbers_survive() {
    let mut record = full();
    let number = "184463709151615744073709551615";
    let granted: Value = serde_json::from_str(number).unwrap();
    record["life"]["Live"]["granted"][0]["authorization_details"][0]["amount"] = granted.clone();
    let written = read(&record).unwrap().write().unwrap();
    let again: Value = serde_json::from_slice(&written).unwrap();
    let amount = &again["life"]["Live"]["granted"][0]["authorization_details"][0]["amount"];
    assert_eq!(*amount, granted);
    assert_eq!(granted.as_f64(), number.parse().ok());
}

/// What is restored is what was written: the note of a refresh that is under way, and the cause of an end.
#[test]
fn a_life_is_told_as_it_was() {
    let Life::Live(tokens) = read(&full()).unwrap().life() else {
        panic!("it lives");
    };
    assert!(tokens.is_in_flight());
    assert_eq!(tokens.answers(), 4);
    let record = read(&ended()).unwrap();
    assert!(record.has_ended());
    let Life::Ended { cause, unrevoked } = record.life() else {
        panic!("it has ended");
    };
    assert_eq!(cause, SignInAgain::LoggedOut);
    assert_eq!(unrevoked.len(), 2);
    assert_eq!(unrevoked[0].access_tokens.len(), 2);
}

/// What can be opened and not be understood is a typed error: nothing is guessed.
#[test]
fn what_is_no_session_is_refused() {
    let without = |name: &str| {
        let mut record = full();
        record.as_object_mut().unwrap().remove(name);
        record
    };
    let mut unknown = full();
    unknown["life"] = json!({ "Asleep": {} });
    let mut cause = ended();
    cause["life"]["Ended"]["cause"] = json!("Bored");
    let mut negative = full();
    negative["life"]["Live"]["answers"] = json!(-1);
    let rows = [
        without("id"),
        without("key"),
        without("asked"),
        without("nonces"),
        without("life"),
        unknown,
        cause,
        negative,
        json!([]),
        json!(null),
    ];
    for record in rows {
        assert_eq!(
            read(&record).err(),
            Some(StoreError::Malformed("it is no session")),
            "{record}"
        );
    }
    assert_eq!(
        SessionRecord::read(b"{").err(),
        Some(StoreError::Malformed("it is no session"))
    );
}

/// Details and an ID token that are none.
#[test]
fn parts_that_are_none_are_refused() {
    let mut details = full();
    details["id_token"] = Value::Null;
    details["asked"]["authorization_details"] = json!([{ "amount": 1 }]);
    let error = read(&details).unwrap().parts().err();
    let expected = StoreError::Malformed("its authorization details are none");
    assert_eq!(error, Some(expected));
    let error = read(&full()).unwrap().parts().err();
    assert_eq!(error, Some(StoreError::Malformed("its ID token is none")));
}
