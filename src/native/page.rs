//! What the user sees in the browser: pages that load nothing, run nothing and are kept nowhere.

use base64ct::{Base64, Encoding};

use super::request::Refusal;
use crate::error::{Denied, Error};
use crate::jose::sha256;

const STYLE: &str = "\
:root{color-scheme:light dark;--back:#f4f5f7;--card:#fff;--text:#1d2129;--soft:#5b6472;--good:#12805c;--bad:#b3261e}\
@media(prefers-color-scheme:dark){:root{--back:#14161a;--card:#1f2329;--text:#eceff4;--soft:#a3adba;--good:#4cc38a;--bad:#ff8a80}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);color:var(--text);font:1rem/1.55 system-ui,sans-serif}\
main{width:100%;max-width:27rem;padding:2.5rem 2rem;border-radius:1rem;background:var(--card);box-shadow:0 1px 2px #0002,0 8px 32px #0001;text-align:center;overflow-wrap:anywhere}\
svg{width:3.5rem;height:3.5rem;fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}\
.good svg{stroke:var(--good)}\
.bad svg{stroke:var(--bad)}\
h1{margin:1rem 0 .5rem;font-size:1.35rem;line-height:1.3}\
p{margin:.5rem 0;color:var(--soft)}\
small{display:block;margin-top:1.5rem;color:var(--soft)}";

const TICK: &str = r#"<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="m8 12.5 2.8 2.8L16.2 9"/></svg>"#;
const CROSS: &str = r#"<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="M12 7.5v5.5M12 16.4v.1"/></svg>"#;

/// An answer, ready to be written.
#[derive(Clone)]
pub(super) struct Reply(String);

impl Reply {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The code leaves the address bar, and the history with it.
    pub(super) fn redirect(location: &str) -> Self {
        Self::new("303 See Other", &format!("Location: {location}\r\n"), "")
    }

    pub(super) fn refusal(refusal: Refusal) -> Self {
        let allow = match refusal {
            Refusal::Method => "Allow: GET\r\n",
            _ => "",
        };
        Self::new(refusal.status(), allow, "")
    }

    fn page(status: &str, page: &str) -> Self {
        Self::new(status, "Content-Type: text/html; charset=utf-8\r\n", page)
    }

    fn new(status: &str, further: &str, body: &str) -> Self {
        Self(format!(
            "HTTP/1.1 {status}\r\n\
             {further}\
             Content-Length: {}\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
             Cache-Control: no-store\r\n\
             Referrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\n\
             X-Frame-Options: DENY\r\n\
             Connection: close\r\n\
             \r\n{body}",
            body.len(),
            Base64::encode_string(&sha256(STYLE.as_bytes())),
        ))
    }
}

/// The pages of one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    /// What the user knows the program as; empty where it gave no name.
    pub(super) app_name: String,
}

impl Pages {
    /// How the login ended.
    pub(super) fn end<T>(&self, outcome: &Result<T, Error>) -> Reply {
        let app = self.app();
        let page = match outcome {
            Ok(_) => self.good(
                "You are signed in",
                &format!("You can close this window and go back to {app}."),
            ),
            Err(error) => {
                let (title, text) = explained(error, &app);
                self.bad(title, &text, error.code())
            }
        };
        Reply::page("200 OK", &page)
    }

    /// For a callback that belongs to no login that is under way here.
    pub(super) fn stray(&self, code: &'static str) -> Reply {
        let app = self.app();
        let text = format!(
            "Nothing was done, and nothing is lost. If you are signing in to {app} right now, finish it in the window that {app} opened; it is still waiting. If not, close this window."
        );
        let page = self.bad("This link does not belong to your sign-in", &text, code);
        Reply::page("400 Bad Request", &page)
    }

    fn app(&self) -> String {
        if self.app_name.is_empty() {
            "the program".to_owned()
        } else {
            escaped(&self.app_name)
        }
    }

    fn good(&self, title: &str, text: &str) -> String {
        self.html("good", TICK, title, &format!("<p>{text}</p>"))
    }

    fn bad(&self, title: &str, text: &str, code: &'static str) -> String {
        let body = format!("<p>{text}</p><small>For support: {code}</small>");
        self.html("bad", CROSS, title, &body)
    }

    /// `title` and `body` are our own words, with the program's name escaped in them.
    fn html(&self, class: &str, sign: &str, title: &str, body: &str) -> String {
        let name = if self.app_name.is_empty() {
            String::new()
        } else {
            format!(" &middot; {}", escaped(&self.app_name))
        };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\"><title>{title}{name}</title><style>{STYLE}</style></head><body><main class=\"{class}\">{sign}<h1>{title}</h1>{body}</main></body></html>"
        )
    }
}

/// What happened and what to do, in plain words. What a server wrote is not among them.
fn explained(error: &Error, app: &str) -> (&'static str, String) {
    let again = format!("go back to {app} and sign in again");
    match error {
        Error::Denied(Denied::AccessDenied(_)) => (
            "You did not agree",
            format!("Nothing was shared with {app}. If that was a mistake, {again}."),
        ),
        Error::Denied(_) => (
            "The sign-in was refused",
            format!(
                "Your provider did not let {app} in. Close this window and {again}; if it is refused again, tell the people who make {app}."
            ),
        ),
        Error::Transport(_) => (
            "Your provider could not be reached",
            format!("You were not signed in. Check your connection, then {again}."),
        ),
        Error::Violation(_) => (
            "The sign-in was stopped",
            format!(
                "Your provider's answer broke a rule that keeps you safe, so {app} did not take it. You were not signed in. Close this window and {again}; if it happens again, tell the people who make {app}."
            ),
        ),
        _ => (
            "You were not signed in",
            format!(
                "Something failed on this device. Close this window and look at {app}, which says what; then sign in again."
            ),
        ),
    }
}

/// Text that a page can hold anywhere.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_become_markup() {
        assert_eq!(
            escaped("<b> & \"it's\"\r\n"),
            "&lt;b&gt; &amp; &quot;it&#39;s&quot;  "
        );
    }

    /// The page has no other style than the one whose hash the policy names, and no script.
    #[test]
    fn a_page_is_one_style_and_no_script() {
        let pages = Pages {
            app_name: "Bank".to_owned(),
        };
        let Reply(reply) = pages.end(&Ok(()));
        assert_eq!(reply.matches("<style").count(), 1);
        for none in [
            "<script", " style=", "http:", "https:", "url(", " on", "src=",
        ] {
            let body = reply.split_once("\r\n\r\n").unwrap().1;
            let body = body.replace(STYLE, "");
            assert!(!body.contains(none), "{none}");
        }
    }
}
