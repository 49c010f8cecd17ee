//! Refuses what another site made the browser send (FAPI2-SP 5.3.3.1-12).
//!
//! Without this, a page of an attacker could begin a login, log the user out, or call the API with the
//! cookies that the browser adds by itself. Two locks, each enough by itself:
//!
//! * the browser says which site a POST comes from (`Origin`, `Sec-Fetch-Site`), and no page can change
//!   what it says;
//! * a form of ours holds a token that belongs to a cookie of this browser's. Another site can read neither.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::failure::Failure;
use crate::{cookies, seal};

/// A form of ours is a token and nothing else.
const FORM_MAX_BYTES: usize = 4096;

/// The token for the forms of one page, and the cookie that it belongs to, where that one is new.
pub(crate) struct Token {
    pub(crate) value: String,
    new_cookie: Option<String>,
}

impl Token {
    /// A token for this browser.
    pub(crate) fn new(app: &App, headers: &HeaderMap) -> Result<Self, Failure> {
        let known = cookies::read(headers, cookies::FORGERY).filter(|value| !value.is_empty());
        let new_cookie = match known {
            Some(_) => None,
            None => Some(seal::random().ok_or(Failure::Randomness)?),
        };
        let cookie = known.or(new_cookie.as_deref()).unwrap_or_default();
        // Sealed anew for each page, so that it stands in no two pages alike.
        let seal = &app.shared.seal;
        let value = seal.close(cookies::FORGERY, cookie, cookies::SESSION_LIFE);
        Ok(Self {
            value: value.ok_or(Failure::Randomness)?,
            new_cookie,
        })
    }

    /// The page, with the cookie that its token belongs to.
    pub(crate) fn on(self, mut page: Response) -> Response {
        if let Some(cookie) = self.new_cookie {
            cookies::set(&mut page, cookies::FORGERY, &cookie, cookies::SESSION_LIFE);
        }
        page
    }
}

/// Lets a POST of our own pages through. Of any other nothing is done.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let checked = match from_us(&app, &parts.headers) {
        Err(failure) => Err(failure),
        Ok(()) => match to_bytes(body, FORM_MAX_BYTES).await {
            Err(_) => Err(Failure::Forged("no form of ours")),
            Ok(form) => token_fits(&app, &parts.headers, &form),
        },
    };
    match checked {
        Ok(()) => next.run(Request::from_parts(parts, ().into())).await,
        Err(failure) => failure.into_response(),
    }
}

fn from_us(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    // Every browser of today sends it with a POST. `null` is what hides where it comes from.
    if text(ORIGIN.as_str()) != Some(app.shared.base_url.origin().as_str()) {
        return Err(Failure::Forged("Origin"));
    }
    match text("sec-fetch-site") {
        None | Some("same-origin") => Ok(()),
        Some(_) => Err(Failure::Forged("Sec-Fetch-Site")),
    }
}

fn token_fits(app: &App, headers: &HeaderMap, form: &[u8]) -> Result<(), Failure> {
    let cookie = cookies::read(headers, cookies::FORGERY);
    let cookie = cookie.ok_or(Failure::Forged("no cookie"))?;
    let token = url::form_urlencoded::parse(form).find(|(name, _)| name == "token");
    let (_, token) = token.ok_or(Failure::Forged("no token"))?;
    // Who can't seal has no token to try, so the comparison gives nothing away.
    match app.shared.seal.open(cookies::FORGERY, &token) {
        Some(opened) if opened == cookie => Ok(()),
        _ => Err(Failure::Forged("token")),
    }
}
