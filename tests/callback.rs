//! The callback as a text from anybody: what is read, and in which order it is believed (spec sections
//! 1.4 and 4.8).

use fapi_client::{Callback, Client, Denied, Endpoint as At, Error, Login, Violation};
use fapi_testkit::{AuthorizationFault as Fault, Endpoint, Nonces, TestServer};

use crate::common;

async fn start() -> (TestServer, Client) {
    let server = TestServer::builder().nonces(Nonces::Off).start().await;
    let client = common::client(&server).await;
    (server, client)
}

/// Begins a login and lets the user approve it under a fault.
async fn answered(server: &TestServer, client: &Client, fault: Option<Fault>) -> (Login, String) {
    let login = common::begin(client).await;
    server.behave();
    if let Some(fault) = fault {
        server.misbehave(fault);
    }
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    (login, callback)
}

async fn finish(client: &Client, login: &Login, callback: impl Into<Callback>) -> Error {
    client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap_err()
}

/// SP-5.3.3.2-1, SP-5.3.3.2-5, SP-5.3.2.2-1, SP-5.3.2.2-7, SP-5.3.2.2-N4, ISS-2.4a, ISS-2.4b,
/// ISS-2.4c, R6749-dup, R6749-4.1.2.1, R6749-10.12, OFTEN-2, ERR-14: each wrong response has its
/// error, and no request follows.
#[tokio::test]
async fn a_wrong_response_stops_before_the_token_endpoint() {
    let (server, client) = start().await;
    let own = server.issuer().to_owned();
    let wrong_issuer = || Violation::Issuer {
        expected: own.clone(),
    };
    let twice = |name| Violation::DuplicateParameter { name };
    let foreign = |name| Violation::FrontChannel { name };
    let mut rows = vec![
        (Fault::WrongIssuer, wrong_issuer()),
        (Fault::MissingIssuer, Violation::MissingIssuer),
        (Fault::DuplicateIssuer, twice("iss")),
        (Fault::SecondIssuer, twice("iss")),
        (Fault::WrongState, Violation::State),
        (Fault::MissingState, Violation::State),
        (Fault::DuplicateState, twice("state")),
        (Fault::MissingCode, Violation::MissingCode),
        (Fault::EmptyCode, Violation::MissingCode),
        (Fault::DuplicateCode, twice("code")),
        (Fault::ExtraAccessToken, foreign("access_token")),
        (Fault::ExtraIdToken, foreign("id_token")),
        (Fault::ExtraResponse, foreign("response")),
        (
            Fault::ErrorWithoutIssuer("access_denied".to_owned()),
            Violation::MissingIssuer,
        ),
        (
            Fault::ErrorWithWrongIssuer("access_denied".to_owned()),
            wrong_issuer(),
        ),
        // A fragment is not where an answer was asked for.
        (Fault::Fragment, Violation::MissingIssuer),
    ];
    for issuer in [
        format!("{own}/"),
        format!("{own}?"),
        format!("{own}#"),
        format!(" {own}"),
        own.replacen("localhost", "LOCALHOST", 1),
        own.replacen("localhost", "%6cocalhost", 1),
        own.replacen("https", "http", 1),
        own.replacen("://", "%3A%2F%2F", 1),
        format!("{own}:443"),
        own.to_uppercase(),
        String::new(),
    ] {
        rows.push((Fault::Issuer(issuer), wrong_issuer()));
    }
    for (fault, expected) in rows {
        let (login, callback) = answered(&server, &client, Some(fault.clone())).await;
        server.forget_requests();
        let error = finish(&client, &login, callback).await;
        assert_eq!(error.violation(), Some(&expected), "{fault:?}");
        assert!(!error.retry_may_help());
        assert_eq!(server.requests().len(), 0);
    }
}

/// ISS-2.4b, R6749-4.1.2.1: the order is `iss`, `state`, what does not belong there, `error`, `code`.
/// Each row is wrong in all that follows as well.
#[tokio::test]
async fn iss_then_state_then_error_then_code() {
    let (server, client) = start().await;
    let own = server.issuer();
    let login = common::begin(&client).await;
    let state = server.requests_to(Endpoint::Par)[0]
        .form_value("state")
        .unwrap()
        .to_owned();
    let rest = "error=access_denied&error_description=please%20call%200900&code=&access_token=x";
    for (start, expected) in [
        ("", Violation::MissingIssuer),
        ("state=wrong&", Violation::MissingIssuer),
        (
            "state=wrong&iss=https%3A%2F%2Fevil.example&",
            Violation::Issuer {
                expected: own.to_owned(),
            },
        ),
        (&format!("state=wrong&iss={own}&"), Violation::State),
        (&format!("state=&iss={own}&"), Violation::State),
        (&format!("iss={own}&"), Violation::State),
        (&format!("state={state}x&iss={own}&"), Violation::State),
        (
            &format!("state={state}&iss={own}&"),
            Violation::FrontChannel {
                name: "access_token",
            },
        ),
    ] {
        let error = finish(&client, &login, format!("{start}{rest}")).await;
        assert_eq!(error.violation(), Some(&expected), "{start}");
        // ERR-14: what an unknown one wrote is not shown as the server's words.
        assert!(!format!("{error:?} {error}").contains("0900"));
    }
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// R6749-4.1.2.1, ERR-14: an error under the right `iss` and `state` is the server's, and ends the login;
/// `access_denied` is the user's own no. A code beside it is not redeemed.
#[tokio::test]
async fn an_error_of_the_server_ends_the_login() {
    let (server, client) = start().await;
    for (fault, code, word) in [
        (
            Fault::Error("access_denied".to_owned()),
            "denied.access_denied",
            "access_denied",
        ),
        (Fault::CodeAndError, "denied.access_denied", "access_denied"),
        (
            Fault::Error("server_error".to_owned()),
            "denied.server",
            "server_error",
        ),
        (
            Fault::Error("login_required".to_owned()),
            "denied.server",
            "login_required",
        ),
        (
            Fault::Error("ACCESS_DENIED".to_owned()),
            "denied.server",
            "unnamed_error",
        ),
    ] {
        let (login, callback) = answered(&server, &client, Some(fault)).await;
        let error = finish(&client, &login, callback.as_str()).await;
        assert_eq!(error.code(), code);
        let Error::Denied(denied) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(denied.oauth_error().error(), word);
        assert_eq!(denied.oauth_error().endpoint(), At::Authorization);
        assert_eq!(denied.oauth_error().status(), None);
        let again = finish(&client, &login, callback).await;
        assert_eq!(again.violation(), Some(&Violation::NoSuchLogin));
    }
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// The user says no.
#[tokio::test]
async fn the_user_refuses() {
    let (server, client) = start().await;
    let login = common::begin(&client).await;
    let callback = server.browser("alice").deny(login.url().as_str()).await;
    let error = finish(&client, &login, callback).await;
    assert!(matches!(error, Error::Denied(Denied::AccessDenied(_))));
    assert_eq!(server.count(Endpoint::Token), 0);
}

/// The same response is taken as a URL, as a path, as a query and as a form, in any order of its
/// parameters, and whatever unknown ones stand beside (R6749-5.1c).
#[tokio::test]
async fn every_form_of_a_callback_is_taken() {
    type Reshape = fn(&str, &str) -> Callback;
    let (server, client) = start().await;
    let shapes: [Reshape; 9] = [
        |url, _| url.into(),
        |url, _| (&url::Url::parse(url).unwrap()).into(),
        |url, _| (&url.parse::<http::Uri>().unwrap()).into(),
        |_, query| format!("/callback?{query}").into(),
        |_, query| format!("?{query}").into(),
        |_, query| query.into(),
        |_, query| format!("https://app.example/callback?{query}&session_state=a?b").into(),
        |url, _| format!("{url}#_=_").into(),
        |_, query| {
            let mut pairs: Vec<&str> = query.split('&').collect();
            pairs.reverse();
            format!("from=https://a.example/?x&{}&", pairs.join("&&")).into()
        },
    ];
    let expected = shapes.len();
    for reshape in shapes {
        let (login, url) = answered(&server, &client, None).await;
        let query = url.split_once('?').unwrap().1;
        let session = client
            .finish_login(login.transaction(), reshape(&url, query))
            .await
            .unwrap();
        assert_eq!(session.subject(), Some("alice"));
    }
    assert_eq!(server.count(Endpoint::Token), expected);
}

/// R6749-dup, SEC-cred: what can't be read, or could be read in two ways, uses nothing up, and neither
/// the callback nor an error about it shows what was in it.
#[tokio::test]
async fn what_cannot_be_read_uses_nothing_up() {
    let (server, client) = start().await;
    let (login, callback) = answered(&server, &client, None).await;
    let long = format!("{callback}&x={}", "y".repeat(32 * 1024));
    for (raw, expected) in [
        (long, Violation::Callback),
        (format!("{callback}%"), Violation::Callback),
        (format!("{callback}%f"), Violation::Callback),
        (format!("{callback}%zz"), Violation::Callback),
        (format!("{callback}&x=%ff"), Violation::Callback),
        (
            format!("{callback}&%63ode=other"),
            Violation::DuplicateParameter { name: "code" },
        ),
        (
            format!("{callback}&iss"),
            Violation::DuplicateParameter { name: "iss" },
        ),
        (
            format!("{callback}&error_description=a&error_description=b"),
            Violation::DuplicateParameter {
                name: "error_description",
            },
        ),
        (String::new(), Violation::MissingIssuer),
        (
            "https://app.example/callback".to_owned(),
            Violation::MissingIssuer,
        ),
    ] {
        let error = finish(&client, &login, raw).await;
        assert_eq!(error.violation(), Some(&expected));
        for secret in server.secrets_issued() {
            assert!(!format!("{error:?} {error}").contains(&secret));
        }
    }
    assert_eq!(
        format!("{:?}", Callback::from(callback.as_str())),
        "Callback(redacted)"
    );
    assert_eq!(server.count(Endpoint::Token), 0);
    client
        .finish_login(login.transaction(), callback)
        .await
        .unwrap();
}
