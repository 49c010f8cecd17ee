//! The login button, and the callback.

use axum::extract::{RawQuery, State};
use axum::http::header::REFERRER_POLICY;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use fapi_client::{Error, LoginRequest, Violation};

use crate::app::App;
use crate::failure::Failure;
use crate::{cookies, pages};

/// `POST /login`: the parameters go to the server directly, the browser gets a URL with two of them.
pub(crate) async fn begin(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    let login = app.shared.client.login().scope(&app.shared.scope);
    send_to_server(login, &headers).await
}

/// Pushes a login and sends the browser to the server.
pub(crate) async fn send_to_server(
    mut login: LoginRequest,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    // A second tab joins the first: both logins stand under the cookie that the browser has.
    if let Some(cookie) = cookies::read(headers, cookies::LOGIN) {
        login = login.in_browser(cookie);
    }
    let login = login.start().await?;
    // 303 and never 307, which would have the browser post our form to the server.
    let mut response = pages::see_other(login.url().as_str());
    let transaction = login.transaction().expose();
    cookies::set(
        &mut response,
        cookies::LOGIN,
        transaction,
        cookies::LOGIN_LIFE,
    );
    Ok(response)
}

/// `GET /callback`: the browser is back. All checks are the client's; the query goes there as it came.
pub(crate) async fn finish(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match log_in(&app, &query.unwrap_or_default(), &headers).await {
        Ok(response) => response,
        Err(failure) => {
            let mut response = failure.into_response();
            // The address of this page holds what the server sent: it goes nowhere from here.
            let none = HeaderValue::from_static("no-referrer");
            response.headers_mut().insert(REFERRER_POLICY, none);
            response
        }
    }
}

async fn log_in(app: &App, query: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    let shared = &app.shared;
    let cookie = cookies::read(headers, cookies::LOGIN);
    let cookie = cookie.ok_or(Error::Violation(Violation::NoSuchLogin))?;
    let session = shared.client.finish_login(cookie, query).await?;

    // Session fixation: whatever session cookie the browser came with, it leaves with a new one.
    let sealed = shared.seal.close(
        cookies::SESSION,
        session.id().as_str(),
        cookies::SESSION_LIFE,
    );
    let Some(sealed) = sealed else {
        // A session that no browser can have is given back.
        drop(session.logout().await);
        return Err(Failure::Randomness);
    };
    // The session that the browser had before has no cookie now, so it ends.
    if let Ok(Some(former)) = app.session(headers).await
        && let Err(error) = former.logout().await
    {
        tracing::warn!(code = error.code(), "the former session was not revoked");
    }
    // Always to our own first page: a target out of the request would be an open redirector
    // (FAPI2-SP 5.3.3.1-4).
    let mut response = pages::see_other("/");
    cookies::set(
        &mut response,
        cookies::SESSION,
        &sealed,
        cookies::SESSION_LIFE,
    );
    // The login cookie stays for its quarter of an hour: a second tab may need it.
    Ok(response)
}
