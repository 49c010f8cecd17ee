//! What comes to the program's logout endpoint, and what it answers.

use http::StatusCode;

use super::super::LogoutAnswer;
use super::super::backchannel::read;
use crate::error::{ConfigError, Error, JwtFault, JwtKind, LogoutRequestFault, Violation};

const FORM: &str = "application/x-www-form-urlencoded";

fn taken(content_type: &str, body: &[u8]) -> Result<String, LogoutRequestFault> {
    match read(Some(content_type), body) {
        Ok(token) => Ok(token.as_str().to_owned()),
        Err(Violation::LogoutRequest { fault }) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

/// BCL-10: a form, with one token and whatever else.
#[test]
fn a_form_with_one_token_is_read() {
    for media in [
        FORM,
        "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded ;charset=utf-8",
    ] {
        assert_eq!(taken(media, b"logout_token=a.b.c"), Ok("a.b.c".to_owned()));
    }
    for body in [
        "logout_token=a.b.c&x=1&x=2",
        "x&logout_token=a%2Eb.c",
        "%6Cogout_token=a.b.c",
        "&logout_token=a.b.c&",
    ] {
        assert_eq!(
            taken(FORM, body.as_bytes()),
            Ok("a.b.c".to_owned()),
            "{body}"
        );
    }
}

/// BCL-10: what is no such form, each with its reason.
#[test]
fn what_is_no_logout_request_is_refused() {
    use LogoutRequestFault as F;
    for media in [
        "application/json",
        "application/jwt",
        "multipart/form-data",
        "application/x-www-form-urlencodedx",
        "text/plain; application/x-www-form-urlencoded",
        "",
    ] {
        assert_eq!(
            taken(media, b"logout_token=a.b.c"),
            Err(F::MediaType),
            "{media}"
        );
    }
    assert_eq!(
        read(None, b"logout_token=a.b.c").unwrap_err(),
        Violation::LogoutRequest {
            fault: F::MediaType
        }
    );
    for (body, expected) in [
        (&b""[..], F::Missing),
        (b"logout_token", F::Missing),
        (b"logout_token=", F::Missing),
        (b"token=a.b.c", F::Missing),
        (b"Logout_Token=a.b.c", F::Missing),
        (b"{\"logout_token\":\"a.b.c\"}", F::Missing),
        (b"logout_token=a.b.c&logout_token=a.b.c", F::Duplicate),
        (b"logout_token=a.b.c&logout%5Ftoken=d.e.f", F::Duplicate),
        (b"logout_token=&logout_token=a.b.c", F::Duplicate),
        (b"logout_token=a.b.c&logout_token", F::Duplicate),
        (b"logout_token=%G0", F::Malformed),
        (b"logout_token=a.b.c&x=%4", F::Malformed),
        (b"logout_token=%FF", F::Malformed),
        (b"logout_token=\xff", F::Malformed),
    ] {
        let shown = String::from_utf8_lossy(body);
        assert_eq!(taken(FORM, body), Err(expected), "{shown}");
    }
}

/// BCL-10, K-16: the largest request that is read.
#[test]
fn a_request_has_a_largest_size() {
    let body = |size: usize| {
        let start = "logout_token=a.b.c&x=";
        format!("{start}{}", "x".repeat(size - start.len())).into_bytes()
    };
    let largest = crate::profile::LOGOUT_REQUEST_MAX_BYTES;
    assert_eq!(taken(FORM, &body(largest)), Ok("a.b.c".to_owned()));
    assert_eq!(
        taken(FORM, &body(largest + 1)),
        Err(LogoutRequestFault::TooLong)
    );
}

/// BCL-11: 200 or 400, never kept by a cache, and no word of what was wrong.
#[test]
fn the_answer_says_whether_and_not_why() {
    let outcome = |result: Result<(), Error>| LogoutAnswer::of(&result);
    let broken = [
        Violation::LogoutRequest {
            fault: LogoutRequestFault::Missing,
        },
        Violation::Jwt {
            kind: JwtKind::LogoutToken,
            fault: JwtFault::Signature,
        },
    ];
    for violation in broken {
        assert_eq!(outcome(Err(violation.into())), LogoutAnswer::Refused);
    }
    assert_eq!(outcome(Ok(())), LogoutAnswer::Done);
    assert_eq!(
        outcome(Err(ConfigError::NoRuntime.into())),
        LogoutAnswer::Failed
    );
    for (answer, status, body) in [
        (LogoutAnswer::Done, StatusCode::OK, ""),
        (
            LogoutAnswer::Refused,
            StatusCode::BAD_REQUEST,
            r#"{"error":"invalid_request"}"#,
        ),
        (
            LogoutAnswer::Failed,
            StatusCode::BAD_REQUEST,
            r#"{"error":"server_error"}"#,
        ),
    ] {
        let response = http::Response::from(answer);
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(
            response.headers().contains_key("content-type"),
            !body.is_empty()
        );
        assert_eq!(response.body(), body);
    }
}
