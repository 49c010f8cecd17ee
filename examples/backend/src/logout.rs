//! Log out: here, everywhere, and when the server tells of it.

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use fapi_client::{Error, LogoutAnswer, Session};

use crate::app::App;
use crate::failure::Failure;
use crate::{cookies, home, pages};

/// `POST /logout`: this browser's session.
pub(crate) async fn here(State(app): State<App>, headers: HeaderMap) -> Result<Response, Failure> {
    let session = app.session(&headers).await?;
    let ending = session.clone().into_iter().collect();
    end(&app, ending, session.as_ref()).await
}

/// `POST /logout-everywhere`: all sessions of this user.
pub(crate) async fn everywhere(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let session = app.session(&headers).await?;
    let ending = match &session {
        Some(session) => home::sessions_of(&app, session).await?,
        None => Vec::new(),
    };
    end(&app, ending, session.as_ref()).await
}

async fn end(app: &App, ending: Vec<Session>, own: Option<&Session>) -> Result<Response, Failure> {
    for session in ending {
        match session.logout().await {
            Ok(()) => {}
            // Other replicas may not know. The user should.
            Err(error @ Error::Store(_)) => return Err(error.into()),
            // It is over here. The server is told again later, by itself.
            Err(error) => tracing::warn!(code = error.code(), "a session was not revoked"),
        }
    }
    let back = app.shared.base_url.page("/signed-out");
    let at_server = own.map(|own| own.end_session(Some(&back), &[]));
    let mut response = match &at_server {
        // The user may still be signed in at the server. A redirect and no form (`leave.form()`), which
        // would keep the ID token out of the browser's history: with a POST from another site a browser
        // leaves out the server's cookies, if they are `SameSite=Lax`, and the user would stay signed in.
        Some(Ok(leave)) => pages::see_other(leave.url().as_str()),
        // The server has no logout of its own, or there was nothing to end.
        Some(Err(_)) | None => pages::see_other("/"),
    };
    cookies::forget(&mut response, cookies::SESSION);
    if let Some(Ok(leave)) = &at_server
        && let Some(state) = leave.state()
    {
        let (name, life) = (cookies::LOGOUT, cookies::LOGIN_LIFE);
        cookies::set(&mut response, name, state.expose(), life);
    }
    Ok(response)
}

/// `GET /signed-out`: the browser is back from the server's logout. Nothing is left to do but to look whether
/// it is the one that we sent there.
pub(crate) async fn returned(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut response = pages::see_other("/");
    if let Some(state) = cookies::read(&headers, cookies::LOGOUT) {
        let query = query.unwrap_or_default();
        match app.shared.client.logout_returned(state, query) {
            Ok(()) => cookies::forget(&mut response, cookies::LOGOUT),
            Err(error) => tracing::warn!(code = error.code(), "another browser came back"),
        }
    }
    response
}

/// `POST /backchannel-logout`: the server says that a user has logged out there. The token in the request is
/// proof of that, so no guard stands before this route.
pub(crate) async fn told_by_server(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let outcome = app
        .shared
        .client
        .backchannel_logout(content_type, &body)
        .await;
    if let Err(error) = &outcome {
        tracing::warn!(code = error.code(), "a back-channel logout was refused");
    }
    LogoutAnswer::of(&outcome).into_response().map(Body::from)
}
