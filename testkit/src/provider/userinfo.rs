//! UserInfo, plain or signed (OpenID Connect Core section 5.3).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::access;
use crate::dpop::Role;
use crate::fault::UserInfoFault;
use crate::grants::Grant;
use crate::jose::{Draft, Signing};
use crate::misbehaviour::Document;
use crate::record::Request;
use crate::reply::{Refusal, Reply};
use crate::state::{State, lock};

use super::authorize::EVIL;

pub(crate) fn answer(state: &State, request: &Request) -> Result<Reply, Refusal> {
    let (token, grant) = access::check(state, request, Role::UserInfo)?;
    let has = |name: &str| token.scope.iter().any(|scope| scope == name);
    if !has("openid") {
        let reason = "UserInfo needs the scope `openid`";
        return Err(
            Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", reason)
                .under(token.binding.scheme()),
        );
    }
    let mut body = json!({"sub": grant.subject});
    if has("profile") {
        body["name"] = grant.subject.as_str().into();
    }
    if has("email") {
        body["email"] = format!("{}@example.com", grant.subject).into();
        body["email_verified"] = true.into();
    }
    let faults = state.userinfo_faults();
    let mut signed = state.config.signed_userinfo;
    let mut content_type = None;
    for fault in &faults {
        match fault {
            UserInfoFault::WrongSubject => body["sub"] = "mallory".into(),
            UserInfoFault::MissingSubject => {
                body.as_object_mut().map(|members| members.remove("sub"));
            }
            UserInfoFault::OtherForm => signed = !signed,
            UserInfoFault::ContentType(text) => content_type = Some(text.clone()),
            _ => {}
        }
    }
    state.mutate(Document::UserInfo, &mut body);
    let reply = match (signed, body) {
        (true, Value::Object(claims)) => {
            let jwt = sign(state, &grant, claims, &faults);
            Reply::new(StatusCode::OK, "application/jwt", jwt)
        }
        (_, body) => Reply::json(StatusCode::OK, &body),
    };
    Ok(match content_type {
        Some(text) => reply.content_type(&text),
        None => reply,
    })
}

/// UI-5.3.2s: with `iss` and `aud`.
fn sign(
    state: &State,
    grant: &Grant,
    claims: Map<String, Value>,
    faults: &[UserInfoFault],
) -> String {
    let key = state.active_key();
    let mut draft = Draft::new(&key, "JWT", claims);
    let mut claim = |name: &str, value: Value| drop(draft.claims.insert(name.to_owned(), value));
    claim("iss", state.issuer.as_str().into());
    claim("aud", grant.client_id.as_str().into());
    claim("iat", state.now().into());
    for fault in faults {
        let mut claim =
            |name: &str, value: Value| drop(draft.claims.insert(name.to_owned(), value));
        match fault {
            UserInfoFault::WrongIssuer => claim("iss", EVIL.into()),
            UserInfoFault::WrongAudience => claim("aud", "another-client".into()),
            UserInfoFault::Expired => claim("exp", (state.now() - 3600).into()),
            UserInfoFault::WithoutIssuerAndAudience => {
                draft.claims.remove("iss");
                draft.claims.remove("aud");
            }
            UserInfoFault::BadSignature => draft.signing = Signing::Flipped,
            UserInfoFault::None => {
                draft.header.insert("alg".to_owned(), "none".into());
                draft.signing = Signing::None;
            }
            UserInfoFault::Rs256 => {
                let kid = lock(&state.keys).publish_rs256();
                draft.header.insert("alg".to_owned(), "RS256".into());
                draft.header.insert("kid".to_owned(), kid);
                draft.signing = Signing::Rs256;
            }
            UserInfoFault::WrongSubject
            | UserInfoFault::MissingSubject
            | UserInfoFault::OtherForm
            | UserInfoFault::ContentType(_) => {}
        }
    }
    draft.finish(&key)
}
