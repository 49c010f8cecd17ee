//! HTML, and the headers that keep a browser from doing more than it should with it.

use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::settings::origin_of;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6676;--line:#d9dee6;--paper:#fff;--ground:#f3f5f8;--main:#1b5cce}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#9aa5b5;--line:#333c4a;--paper:#1b212b;--ground:#12161d;--main:#4d8dff}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif;display:grid;place-items:start center;padding:8vh 1rem 2rem}\
main{width:100%;max-width:36rem;background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:2rem}\
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25}\
h2{margin:2rem 0 .5rem;font-size:1rem}\
p{margin:.5rem 0;color:var(--soft)}\
strong{color:var(--ink)}\
ul{margin:0;padding:0;list-style:none;border-top:1px solid var(--line)}\
li{display:flex;flex-wrap:wrap;gap:0 1rem;justify-content:space-between;padding:.6rem 0;border-bottom:1px solid var(--line);color:var(--soft)}\
nav{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}\
button,a.button{display:inline-block;padding:.55rem 1.1rem;border:1px solid var(--line);border-radius:8px;background:transparent;color:var(--ink);font:inherit;text-decoration:none;cursor:pointer}\
button.main,a.main{background:var(--main);border-color:var(--main);color:#fff}\
pre{margin:1rem 0 0;padding:1rem;border:1px solid var(--line);border-radius:8px;background:var(--ground);white-space:pre-wrap;overflow-wrap:anywhere;font-size:.875rem}\
code{overflow-wrap:anywhere}";

static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| Base64::encode_string(&Sha256::digest(STYLE)));

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A page. Its title and its body are HTML already: what is not ours goes through [`escape`] first.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n\
         <body><main>\n<h1>{title}</h1>\n{body}\n</main></body>\n</html>\n"
    );
    (status, Html(html)).into_response()
}

/// Text, as HTML shows it. Whatever a server, an API or a browser wrote goes through here.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A button that posts to one of our own paths.
pub(crate) fn button(path: &str, token: &str, label: &str, main: bool) -> String {
    let class = if main { " class=\"main\"" } else { "" };
    format!(
        "<form method=\"post\" action=\"{path}\">\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <button{class}>{label}</button></form>\n"
    )
}

/// The way back to the first page.
pub(crate) const HOME: &str =
    "<nav><a class=\"button main\" href=\"/\">Back to the start</a></nav>";

/// Sends the browser on, always with GET (status 303), so that nothing that was posted goes along.
pub(crate) fn see_other(url: &str) -> Response {
    let Ok(mut location) = HeaderValue::from_str(url) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    location.set_sensitive(true);
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

pub(crate) async fn not_found() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "There is nothing here",
        &format!("<p>This address leads nowhere.</p>{HOME}"),
    )
}

/// Puts the headers on every answer that does not have its own.
pub(crate) async fn security_headers(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    if let Ok(policy) = HeaderValue::try_from(content_security_policy(&app)) {
        set(CONTENT_SECURITY_POLICY, policy);
    }
    // Pages show personal data, and redirects hold secrets for one use.
    set(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: with it browsers write `Origin: null` on our own forms.
    set(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    set(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// No script, no picture, no frame; the one style sheet by its hash.
///
/// `form-action` names the server too: the buttons for login and logout are forms of ours that are answered
/// with a redirect to it, and Chromium holds redirects against this list as well. Where the server sends the browser on to
/// yet another host (a bank's own login), that host has to be named here as well.
fn content_security_policy(app: &App) -> String {
    let metadata = app.shared.client.metadata();
    let mut targets = vec![String::from("'self'")];
    for endpoint in ["authorization_endpoint", "end_session_endpoint"] {
        let url = metadata.get(endpoint).and_then(|url| url.as_str());
        let origin = url.and_then(origin_of);
        targets.extend(origin.filter(|origin| !targets.contains(origin)));
    }
    format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action {}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH,
        targets.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(
            escape("<script>alert('a&b')</script>\""),
            "&lt;script&gt;alert(&#39;a&amp;b&#39;)&lt;/script&gt;&quot;"
        );
    }
}
