//! The way to the server's own logout, and back.

use serde_json::json;
use url::Url;

use super::super::end_session::{EndSession, Return, check_return, form, url};
use crate::error::{ConfigError, Violation};
use crate::protocol::authorization_response::Callback;
use crate::protocol::metadata::{self, ServerMetadata};
use crate::protocol::uri::Issuer;
use crate::secret::{IdTokenHint, State};

const BACK: &str = "https://app.example/bye?from=as";

fn server(endpoint: Option<&str>) -> ServerMetadata {
    let mut document = json!({"issuer": "https://as.example"});
    if let Some(endpoint) = endpoint {
        document["end_session_endpoint"] = endpoint.into();
    }
    let issuer = Issuer::new("https://as.example").unwrap();
    metadata::parse(&issuer, document.to_string().as_bytes()).unwrap()
}

fn bare() -> EndSession<'static> {
    EndSession {
        client_id: "client",
        id_token_hint: None,
        back: None,
        ui_locales: &[],
    }
}

fn pairs(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().into_owned().collect()
}

/// RPL-1: every parameter under its name, behind the endpoint's own query, and the same in the form.
#[test]
fn the_url_and_the_form_say_the_same() {
    let server = server(Some("https://as.example/logout?tenant=a%20b"));
    let (hint, state) = (IdTokenHint::new("a.b.c"), State::new("s&1"));
    let locales = ["de-CH".to_owned(), "fr".to_owned()];
    let request = EndSession {
        client_id: "the client",
        id_token_hint: Some(&hint),
        back: Some(Return {
            uri: BACK,
            state: Some(&state),
        }),
        ui_locales: &locales,
    };
    let sent = url(&server, &request).unwrap();
    let own = [
        ("id_token_hint", "a.b.c"),
        ("client_id", "the client"),
        ("post_logout_redirect_uri", BACK),
        ("state", "s&1"),
        ("ui_locales", "de-CH fr"),
    ];
    let mut all = vec![("tenant".to_owned(), "a b".to_owned())];
    all.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(pairs(&sent), all);
    assert!(
        sent.as_str()
            .starts_with("https://as.example/logout?tenant=a%20b&id_token_hint=a.b.c&"),
        "{sent}"
    );

    let form = form(&server, &request).unwrap();
    assert_eq!(form.fields().collect::<Vec<_>>(), own);
    assert_eq!(
        form.action().as_str(),
        "https://as.example/logout?tenant=a%20b"
    );
}

/// RPL-1: what there is no value for is left out.
#[test]
fn what_is_not_said_is_left_out() {
    let server = server(Some("https://as.example/logout"));
    assert_eq!(
        url(&server, &bare()).unwrap().as_str(),
        "https://as.example/logout?client_id=client"
    );
    let request = EndSession {
        back: Some(Return {
            uri: "http://127.0.0.1:4711/bye",
            state: None,
        }),
        ..bare()
    };
    let names: Vec<String> = pairs(&url(&server, &request).unwrap())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["client_id", "post_logout_redirect_uri"]);
}

/// RPL-2: a server without such an endpoint has no such logout.
#[test]
fn without_an_endpoint_there_is_no_url() {
    let missing = ConfigError::NoEndpoint("end_session_endpoint");
    assert_eq!(url(&server(None), &bare()), Err(missing.clone()));
    assert_eq!(form(&server(None), &bare()).unwrap_err(), missing);
}

/// RPL-3: the browser comes back to https, or to a loopback address.
#[test]
fn the_address_to_return_to_is_secure() {
    let server = server(Some("https://as.example/logout"));
    for uri in [
        "http://app.example/bye",
        "http://localhost/bye",
        "https://app.example/bye#x",
        "https://user@app.example/bye",
        "com.app:/bye",
        "javascript:alert(1)",
        "bye",
        "",
    ] {
        let request = EndSession {
            back: Some(Return { uri, state: None }),
            ..bare()
        };
        let refused = ConfigError::PostLogoutRedirectUri;
        assert_eq!(url(&server, &request), Err(refused.clone()), "{uri}");
        assert_eq!(form(&server, &request).unwrap_err(), refused, "{uri}");
    }
}

/// RPL-1, R6749-3.2: nothing twice, with the endpoint's own query, and nothing empty.
#[test]
fn nothing_stands_there_twice_or_empty() {
    let twice = server(Some("https://as.example/logout?client%5Fid=x"));
    let refused = |name: &str| ConfigError::Parameter(name.to_owned());
    assert_eq!(url(&twice, &bare()), Err(refused("client_id")));
    assert_eq!(form(&twice, &bare()).unwrap_err(), refused("client_id"));

    let server = server(Some("https://as.example/logout?state=x"));
    assert!(url(&server, &bare()).is_ok());
    let (hint, state) = (IdTokenHint::new(""), State::new(""));
    let blank = [String::new()];
    for (request, name) in [
        (
            EndSession {
                id_token_hint: Some(&hint),
                ..bare()
            },
            "id_token_hint",
        ),
        (
            EndSession {
                back: Some(Return {
                    uri: BACK,
                    state: Some(&state),
                }),
                ..bare()
            },
            "state",
        ),
        (
            EndSession {
                ui_locales: &blank,
                ..bare()
            },
            "ui_locales",
        ),
        (
            EndSession {
                client_id: "",
                ..bare()
            },
            "client_id",
        ),
    ] {
        assert_eq!(url(&server, &request), Err(refused(name)));
    }
}

/// RPL-4: the browser comes back with the `state` that it left with.
#[test]
fn the_state_comes_back() {
    let sent = State::new("s-1");
    let back = |callback: &str| check_return(&Callback::from(callback), &sent);
    assert_eq!(back("https://app.example/bye?from=as&state=s-1"), Ok(()));
    assert_eq!(back("state=s-1"), Ok(()));
    for other in [
        "https://app.example/bye",
        "https://app.example/bye?state=",
        "https://app.example/bye?state=s-2",
        "https://app.example/bye?state=s-1%20",
        "https://app.example/bye#state=s-1",
    ] {
        assert_eq!(back(other), Err(Violation::LogoutState), "{other}");
    }
    assert_eq!(
        back("/bye?state=s-1&state=s-1"),
        Err(Violation::DuplicateParameter { name: "state" })
    );
    assert_eq!(back("/bye?state=%GG"), Err(Violation::Callback));
    let long = format!("/bye?state=s-1&x={}", "x".repeat(64 * 1024));
    assert_eq!(back(&long), Err(Violation::Callback));
}

/// RPL-5, SEC-cred: the hint is in no `Debug`.
#[test]
fn the_hint_is_not_shown() {
    let server = server(Some("https://as.example/logout"));
    let hint = IdTokenHint::new("the-hint");
    let request = EndSession {
        id_token_hint: Some(&hint),
        ..bare()
    };
    let form = form(&server, &request).unwrap();
    for shown in [format!("{request:?}"), format!("{form:?}")] {
        assert!(!shown.contains("the-hint"), "{shown}");
    }
}
