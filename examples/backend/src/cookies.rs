//! The cookies.
//!
//! All are named `__Host-…`: a browser takes such a cookie over https alone, for this host alone, so no
//! neighbour on another subdomain can plant one. None can be read by scripts.

use std::time::Duration;

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

/// Binds logins under way to the browser that began them (FAPI2-SP 5.3.3.2-4).
pub(crate) const LOGIN: &str = "__Host-login";
/// The session's id, sealed.
pub(crate) const SESSION: &str = "__Host-session";
/// What the hidden token of our forms is held against.
pub(crate) const FORGERY: &str = "__Host-csrf";
/// Binds a logout at the server to the browser that was sent there.
pub(crate) const LOGOUT: &str = "__Host-logout";

/// As long as a login may take.
pub(crate) const LOGIN_LIFE: Duration = Duration::from_secs(900);
/// A working day. The session itself may end sooner.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(8 * 3600);

/// The value of a cookie.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// Has the browser keep a cookie. `value` is base64url.
///
/// `SameSite=Lax` and not `Strict`: the callback comes from the server's site, and needs its cookie.
pub(crate) fn set(response: &mut Response, name: &str, value: &str, life: Duration) {
    let seconds = life.as_secs();
    let line = format!("{name}={value}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Lax");
    if let Ok(mut line) = HeaderValue::try_from(line) {
        line.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, line);
    }
}

/// Has the browser forget a cookie.
pub(crate) fn forget(response: &mut Response, name: &str) {
    set(response, name, "", Duration::ZERO);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-login=x=y"));
        headers.append(COOKIE, HeaderValue::from_static("b;__Host-session=z"));
        assert_eq!(read(&headers, LOGIN), Some("x=y"));
        assert_eq!(read(&headers, SESSION), Some("z"));
        assert_eq!(read(&headers, LOGOUT), None);
    }
}
