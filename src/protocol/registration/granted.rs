//! DCR-3.2.1: what the server registered, held against what was asked for.
//!
//! A member that the answer does not repeat stands as it was asked for. One that it repeats must be as
//! strong.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::error::Violation;
use crate::profile::Algorithm;

/// Members that are repeated as they were sent.
const SAME: [&str; 16] = [
    "token_endpoint_auth_method",
    "dpop_bound_access_tokens",
    "tls_client_certificate_bound_access_tokens",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "use_mtls_endpoint_aliases",
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
    "jwks_uri",
    "software_statement",
    "backchannel_logout_uri",
    "backchannel_logout_session_required",
    "application_type",
];

/// Algorithms. Ed25519 has two names.
const ALGORITHMS: [&str; 6] = [
    "token_endpoint_auth_signing_alg",
    "id_token_signed_response_alg",
    "request_object_signing_alg",
    "authorization_signed_response_alg",
    "introspection_signed_response_alg",
    "userinfo_signed_response_alg",
];

/// Lists that hold the same, in any order.
const SETS: [&str; 3] = [
    "redirect_uris",
    "response_types",
    "post_logout_redirect_uris",
];

/// Members that nobody asks for. With one of them, answers would come that nobody here can read.
const ENCRYPTION: [&str; 5] = [
    "id_token_encrypted_response_alg",
    "userinfo_encrypted_response_alg",
    "authorization_encrypted_response_alg",
    "introspection_encrypted_response_alg",
    "request_object_encryption_alg",
];

pub(super) fn refused(member: &str) -> Violation {
    Violation::Registration {
        member: member.to_owned(),
    }
}

/// # Errors
/// [`Violation::Registration`] for the first member that is not as strong as the one that was sent.
pub(super) fn compare(
    asked: &Map<String, Value>,
    said: &Map<String, Value>,
) -> Result<(), Violation> {
    let holds = |member: &str, holds: fn(Option<&Value>, &Value) -> bool| match said
        .get(member)
        .filter(|value| !value.is_null())
    {
        Some(value) if !holds(asked.get(member), value) => Err(refused(member)),
        _ => Ok(()),
    };
    for member in SAME {
        holds(member, same)?;
    }
    for member in ALGORITHMS {
        holds(member, same_algorithm)?;
    }
    for member in SETS {
        holds(member, same_set)?;
    }
    holds("grant_types", enough_grants)?;
    holds("response_modes", within)?;
    holds("jwks", same_keys)?;
    for member in ENCRYPTION {
        holds(member, |_, _| false)?;
    }
    Ok(())
}

fn same(asked: Option<&Value>, said: &Value) -> bool {
    match asked {
        Some(asked) => asked == said,
        // A default that says no is none that was added: a demand that nobody made, or an address.
        None => *said == Value::Bool(false),
    }
}

fn same_algorithm(asked: Option<&Value>, said: &Value) -> bool {
    let read = |value: &Value| value.as_str().and_then(Algorithm::from_name);
    match asked {
        Some(asked) => read(said).is_some() && read(asked) == read(said),
        // SP-5.4.1-1.2: a signature that was not asked for is one of FAPI 2.0 all the same.
        None => read(said).is_some(),
    }
}

fn texts(value: &Value) -> Option<BTreeSet<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn both<'a>(
    asked: Option<&'a Value>,
    said: &'a Value,
) -> Option<(BTreeSet<&'a str>, BTreeSet<&'a str>)> {
    let asked = match asked {
        Some(asked) => texts(asked)?,
        None => BTreeSet::new(),
    };
    Some((asked, texts(said)?))
}

fn same_set(asked: Option<&Value>, said: &Value) -> bool {
    both(asked, said).is_some_and(|(asked, said)| asked == said)
}

/// Ways to answer: some of those that were asked for.
fn within(asked: Option<&Value>, said: &Value) -> bool {
    both(asked, said)
        .is_some_and(|(asked, said)| said.is_subset(&asked) && said.is_empty() == asked.is_empty())
}

/// SP-5.3.2.1-2: no grant that was not asked for (`implicit`, `password`), and none of those missing
/// that the client works by. Whether there are refresh tokens is the server's choice.
fn enough_grants(asked: Option<&Value>, said: &Value) -> bool {
    const REFRESH: &str = "refresh_token";
    both(asked, said).is_some_and(|(mut asked, mut said)| {
        asked.remove(REFRESH);
        said.remove(REFRESH);
        asked == said
    })
}

/// The members that make a key the key that it is.
const MATERIAL: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];
/// The members that say what it is for. A server may leave them out.
const USE: [&str; 3] = ["kid", "use", "alg"];

/// The keys that were sent, each of them and no other. Whoever adds a key can be the client.
fn same_keys(asked: Option<&Value>, said: &Value) -> bool {
    let keys = |set: &'_ Value| set.get("keys").and_then(Value::as_array).cloned();
    let (Some(asked), Some(said)) = (asked.and_then(keys), keys(said)) else {
        return false;
    };
    let is = |asked: &Value, said: &Value| {
        said.is_object()
            && MATERIAL
                .iter()
                .all(|name| asked.get(name) == said.get(name))
            && USE.iter().all(|name| {
                said.get(name)
                    .is_none_or(|value| asked.get(name) == Some(value))
            })
    };
    asked.len() == said.len()
        && asked
            .iter()
            .all(|key| said.iter().any(|other| is(key, other)))
        && said
            .iter()
            .all(|key| asked.iter().any(|other| is(other, key)))
}
