//! The first page, and the API call.

use std::fmt::Write;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fapi_client::{Error, Session, SignInAgain};
use serde_json::Value;

use crate::app::App;
use crate::failure::Failure;
use crate::forgery::Token;
use crate::login::send_to_server;
use crate::pages::{HOME, button, escape};
use crate::{cookies, pages, seal};

/// `GET /`
pub(crate) async fn page(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    let token = Token::new(&app, &headers)?;
    if let Some(session) = app.session(&headers).await? {
        let body = logged_in(&app, &session, &token).await?;
        let page = pages::page(StatusCode::OK, "You are logged in", &body);
        return Ok(token.on(page));
    }
    let body = format!(
        "<p>Log in at your bank. You decide there what we may see; your password stays there.</p>\
         <nav>{}</nav>",
        button("/login", &token.value, "Log in", true)
    );
    let mut page = pages::page(StatusCode::OK, "Your accounts in one place", &body);
    if cookies::read(&headers, cookies::SESSION).is_some() {
        cookies::forget(&mut page, cookies::SESSION);
    }
    Ok(token.on(page))
}

async fn logged_in(app: &App, session: &Session, token: &Token) -> Result<String, Error> {
    let mut body = format!(
        "<p>You are <strong>{}</strong>.</p>\n<nav>",
        escape(session.subject().unwrap_or("somebody"))
    );
    if app.shared.api.is_some() {
        body += &button("/accounts", &token.value, "Show my accounts", true);
    }
    body += &button("/logout", &token.value, "Log out", false);
    body += &button(
        "/logout-everywhere",
        &token.value,
        "Log out everywhere",
        false,
    );
    body += "</nav>\n<h2>Where you are logged in</h2>\n<ul>\n";
    let mut sessions = sessions_of(app, session).await?;
    // This one first.
    sessions.sort_by_key(|other| (other.id() != session.id(), other.id().tag()));
    for other in sessions {
        let here = if other.id() == session.id() {
            "<strong>This browser</strong>"
        } else {
            "Another browser"
        };
        let scope = other.scope().ok().flatten().unwrap_or_default();
        let (scope, until) = (escape(&scope), until(&other));
        // Writing to a string does not fail. The tag is what the logs call the session.
        let _ = writeln!(
            body,
            "<li><span>{here} <code>{}</code></span><span>{scope}</span><span>{until}</span></li>",
            escape(&other.id().tag())
        );
    }
    Ok(body + "</ul>")
}

/// All sessions of the same user, this one among them.
pub(crate) async fn sessions_of(app: &App, session: &Session) -> Result<Vec<Session>, Error> {
    match session.subject() {
        Some(subject) => app.shared.client.sessions_of(subject).await,
        // Without `openid` nobody knows whose it is.
        None => Ok(vec![session.clone()]),
    }
}

fn until(session: &Session) -> String {
    let Ok(Some(expiry)) = session.expires_at() else {
        return String::new();
    };
    let left = expiry.seconds() - i64::try_from(seal::now()).unwrap_or(i64::MAX);
    match left {
        ..=0 => String::from("renewed at the next call"),
        1..60 => format!("good for {left} s"),
        _ => format!("good for {} min", left / 60),
    }
}

/// `POST /accounts`: calls the API for the user.
pub(crate) async fn call_api(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let session = app.session(&headers).await?;
    let session = session.ok_or(Error::SignInAgain(SignInAgain::LoggedOut))?;
    let Some(url) = &app.shared.api else {
        return Ok(pages::not_found().await);
    };
    // Token, proof, nonce, refresh: none of it is to be seen here.
    let called = session.get(url).header("accept", "application/json");
    let answer: Value = match called.send().await.and_then(|answer| answer.json()) {
        Ok(answer) => answer,
        // The API wants the user to prove more. The user has asked for the call, so the login begins.
        Err(Error::StepUp(wanted)) => {
            return send_to_server(session.step_up(&wanted), &headers).await;
        }
        Err(error) => return Err(error.into()),
    };
    let body = format!(
        "<p>This is what the API answered.</p><pre>{}</pre>{HOME}",
        escape(&format!("{answer:#}"))
    );
    Ok(pages::page(StatusCode::OK, "Your accounts", &body))
}
