//! The callback: what the server sends back through the browser (RFC 6749 section 4.1.2, RFC 9207).
//!
//! Whoever sits before the browser can send anything here. So it is read once, nothing twice, and
//! believed in this order: `iss`, `state`, `error`, `code`.

use std::fmt;

use zeroize::Zeroizing;

use super::uri::Issuer;
use crate::error::{Denied, Endpoint, Error, OAuthError, Violation};
use crate::profile::CALLBACK_MAX_BYTES;
use crate::secret::{AuthorizationCode, State};

/// The callback as it came: the whole URL, its path and query, its query alone, or the body of a
/// posted form.
///
/// Hand over what arrived, not what a framework made of it: parameters that stand there twice are
/// seen only in the raw text.
#[derive(Clone)]
pub struct Callback(Zeroizing<String>);

impl From<&str> for Callback {
    fn from(raw: &str) -> Self {
        Self(Zeroizing::new(raw.to_owned()))
    }
}

impl From<String> for Callback {
    fn from(raw: String) -> Self {
        Self(Zeroizing::new(raw))
    }
}

impl From<&String> for Callback {
    fn from(raw: &String) -> Self {
        Self::from(raw.as_str())
    }
}

impl From<&url::Url> for Callback {
    fn from(url: &url::Url) -> Self {
        Self::from(url.as_str())
    }
}

impl From<&http::Uri> for Callback {
    fn from(uri: &http::Uri) -> Self {
        Self::from(uri.to_string())
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Callback(redacted)")
    }
}

/// The parameters of a callback, each at most once. Nothing here is believed yet.
#[derive(Default)]
pub(crate) struct Unchecked {
    iss: Option<String>,
    state: Option<State>,
    error: Option<String>,
    error_description: Option<String>,
    code: Option<AuthorizationCode>,
    /// The first parameter that has no business in a front channel.
    foreign: Option<&'static str>,
}

/// The parameters that mean something in a callback.
const PARAMETERS: [&str; 8] = [
    "iss",
    "state",
    "error",
    "error_description",
    "code",
    "response",
    "access_token",
    "id_token",
];

/// A login that is under way in the browser that the callback came through.
pub(crate) struct Candidate<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) state: &'a State,
}

/// What the server said, once `iss` and `state` hold.
pub(crate) enum Response {
    Code(AuthorizationCode),
    Denied(Denied),
}

/// Reads the callback.
///
/// # Errors
/// [`Violation::Callback`] and [`Violation::DuplicateParameter`].
pub(crate) fn read(callback: &Callback) -> Result<Unchecked, Violation> {
    let raw = callback.0.as_str();
    if raw.len() > CALLBACK_MAX_BYTES {
        return Err(Violation::Callback);
    }
    let mut read = Unchecked::default();
    let (query, fragment) = parts_of(raw);
    for pair in pairs(query) {
        let (name, value) = pair?;
        read.take(&name, &value)?;
    }
    for pair in pairs(fragment) {
        let (name, _) = pair?;
        read.refuse(&name);
    }
    Ok(read)
}

/// The query or form within what a program hands over, and the fragment. Nothing of ours comes in a
/// fragment: it is where a server that was tricked would put tokens.
fn parts_of(raw: &str) -> (&str, &str) {
    let (before, fragment) = raw.split_once('#').unwrap_or((raw, ""));
    let address = ["/", "?", "https://", "http://"]
        .iter()
        .any(|start| before.starts_with(start))
        || before
            .split(['=', '&'])
            .next()
            .is_some_and(|start| start.contains('?'));
    let query = match before.split_once('?') {
        Some((_, query)) if address => query,
        None if address => "",
        _ => before,
    };
    (query, fragment)
}

type Pair = (Zeroizing<String>, Zeroizing<String>);

/// The parameters of a query or a form, decoded.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = Result<Pair, Violation>> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name)?, decode(value)?))
    })
}

/// Form decoding that forgives nothing: a broken escape or broken UTF-8 is an error.
fn decode(text: &str) -> Result<Zeroizing<String>, Violation> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().and_then(hex).ok_or(Violation::Callback)?;
                let low = rest.next().and_then(hex).ok_or(Violation::Callback)?;
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes)
        .map(Zeroizing::new)
        .map_err(|_| Violation::Callback)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

impl Unchecked {
    /// R6749-dup: a parameter that is known stands there once.
    fn take(&mut self, name: &str, value: &Zeroizing<String>) -> Result<(), Violation> {
        fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), Violation> {
            match slot.replace(value) {
                None => Ok(()),
                Some(_) => Err(Violation::DuplicateParameter { name }),
            }
        }
        let text = || value.as_str().to_owned();
        match name {
            "iss" => once(&mut self.iss, "iss", text()),
            "state" => once(&mut self.state, "state", State::new(text())),
            "error" => once(&mut self.error, "error", text()),
            "error_description" => once(&mut self.error_description, "error_description", text()),
            "code" => once(&mut self.code, "code", AuthorizationCode::new(text())),
            "response" => once(&mut self.foreign, "response", "response"),
            "access_token" => once(&mut self.foreign, "access_token", "access_token"),
            "id_token" => once(&mut self.foreign, "id_token", "id_token"),
            _ => Ok(()),
        }
    }

    /// Whether this `state` came, compared in constant time.
    pub(crate) fn has_state(&self, sent: &State) -> bool {
        self.state.as_ref() == Some(sent)
    }

    /// A parameter in the fragment: `response_mode` is `query`, so none was asked for there.
    fn refuse(&mut self, name: &str) {
        let known = PARAMETERS.iter().find(|known| **known == name);
        self.foreign = self.foreign.or(known.copied());
    }

    /// Finds the login that this callback answers, among those of the browser that it came through.
    ///
    /// `iss` goes first: what another server says is not looked at (SP-5.3.3.2-5, ISS-2.4b), an
    /// error neither. `state` only chooses among the browser's own logins.
    ///
    /// # Errors
    /// [`Violation::NoSuchLogin`], [`Violation::MissingIssuer`], [`Violation::Issuer`],
    /// [`Violation::State`].
    pub(crate) fn choose(&self, candidates: &[Candidate<'_>]) -> Result<usize, Violation> {
        let first = candidates.first().ok_or(Violation::NoSuchLogin)?;
        let iss = self.iss.as_deref().ok_or(Violation::MissingIssuer)?;
        // Each is compared, in constant time, whatever the one before it gave.
        let mut chosen = None;
        for (at, candidate) in candidates.iter().enumerate() {
            if self.state.as_ref() == Some(candidate.state) {
                chosen = Some((at, candidate));
            }
        }
        let wrong = |expected: &Issuer| Violation::Issuer {
            expected: expected.as_str().to_owned(),
        };
        match chosen {
            // ISS-2.4a: compared as text. SEC-mix: with the issuer of this very login.
            Some((_, candidate)) if candidate.issuer.as_str() != iss => {
                Err(wrong(candidate.issuer))
            }
            Some((at, _)) => Ok(at),
            None if candidates.iter().any(|one| one.issuer.as_str() == iss) => {
                Err(Violation::State)
            }
            None => Err(wrong(first.issuer)),
        }
    }

    /// What the server says. Called for the login that [`Unchecked::choose`] found, and once.
    ///
    /// # Errors
    /// [`Violation::FrontChannel`] and [`Violation::MissingCode`].
    pub(crate) fn into_response(self) -> Result<Response, Violation> {
        if let Some(name) = self.foreign {
            return Err(Violation::FrontChannel { name });
        }
        if let Some(error) = self.error {
            let refusal = OAuthError::new(
                Endpoint::Authorization,
                None,
                &error,
                self.error_description,
            );
            return Ok(Response::Denied(if error == "access_denied" {
                Denied::AccessDenied(refusal)
            } else {
                Denied::Server(refusal)
            }));
        }
        match self.code {
            Some(code) if !code.reveal().is_empty() => Ok(Response::Code(code)),
            _ => Err(Violation::MissingCode),
        }
    }
}

impl From<Denied> for Response {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl Response {
    pub(crate) fn into_code(self) -> Result<AuthorizationCode, Error> {
        match self {
            Self::Code(code) => Ok(code),
            Self::Denied(denied) => Err(denied.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://as.example";

    fn check(raw: &str, logins: &[(&str, &str)]) -> Result<(usize, String), Error> {
        let issuers: Vec<(Issuer, State)> = logins
            .iter()
            .map(|(issuer, state)| (Issuer::new(*issuer).unwrap(), State::new(*state)))
            .collect();
        let candidates: Vec<Candidate<'_>> = issuers
            .iter()
            .map(|(issuer, state)| Candidate { issuer, state })
            .collect();
        let unchecked = read(&Callback::from(raw))?;
        let at = unchecked.choose(&candidates)?;
        let code = unchecked.into_response()?.into_code()?;
        Ok((at, code.reveal().to_owned()))
    }

    fn violation(raw: &str) -> Violation {
        match check(raw, &[(ISSUER, "s")]) {
            Err(Error::Violation(violation)) => violation,
            other => panic!("{raw}: {other:?}"),
        }
    }

    const GOOD: &str = "code=c&state=s&iss=https%3A%2F%2Fas.example";

    /// The same callback as a URL, a path, a query and a form.
    #[test]
    fn every_form_of_a_callback_is_read() {
        for raw in [
            GOOD.to_owned(),
            format!("?{GOOD}"),
            format!("/cb?{GOOD}"),
            format!("https://app.example/cb?{GOOD}"),
            format!("https://app.example/cb?{GOOD}#_=_"),
            format!("https://app.example/cb;tenant=1&x?{GOOD}"),
            format!("http://127.0.0.1:5/cb?x=1&{GOOD}&unknown=2"),
            format!("x=a?b&{GOOD}"),
            format!("/cb?x=a?b&{GOOD}"),
        ] {
            assert_eq!(
                check(&raw, &[(ISSUER, "s")]).unwrap(),
                (0, "c".to_owned()),
                "{raw}"
            );
        }
    }

    /// R6749-dup: a parameter that repeats is refused, even with the same value.
    #[test]
    fn duplicates_are_refused() {
        for name in [
            "code",
            "state",
            "iss",
            "error",
            "error_description",
            "response",
        ] {
            assert_eq!(
                violation(&format!("{GOOD}&{name}=1&{name}=1")),
                Violation::DuplicateParameter { name }
            );
        }
    }

    /// ISS-2.4a, ISS-2.4c, SP-5.3.3.2-5, OFTEN-2: the issuer is compared as text and may not be
    /// missing.
    #[test]
    fn the_issuer_is_compared_as_text() {
        assert_eq!(violation("code=c&state=s"), Violation::MissingIssuer);
        for iss in [
            "https://evil.example",
            "https://as.example/",
            "https://AS.example",
            "https://as.example:443",
            "https%3A%2F%2Fas.example%2F",
            "",
        ] {
            assert_eq!(
                violation(&format!("code=c&state=s&iss={iss}")),
                Violation::Issuer {
                    expected: ISSUER.to_owned()
                },
                "{iss}"
            );
        }
    }

    /// ISS-2.4b, R6749-4.1.2.1, ERR-14: a wrong `iss` or `state` hides the error and the code.
    #[test]
    fn iss_then_state_then_error_then_code() {
        let error = "error=access_denied";
        assert_eq!(violation(error), Violation::MissingIssuer);
        assert!(matches!(
            violation(&format!("{error}&iss=https://evil.example&state=x")),
            Violation::Issuer { .. }
        ));
        for state in ["", "&state=", "&state=t", "&state=ss"] {
            assert_eq!(
                violation(&format!("{error}&code=c&iss={ISSUER}{state}")),
                Violation::State
            );
        }
        let refused = check(&format!("{GOOD}&{error}"), &[(ISSUER, "s")]).unwrap_err();
        assert_eq!(refused.code(), "denied.access_denied");
        let refused = check(&format!("{GOOD}&error=server_error"), &[(ISSUER, "s")]).unwrap_err();
        assert_eq!(refused.code(), "denied.server");
    }

    /// SP-5.3.2.2-1, SP-5.3.3.2-1: tokens and signed responses that nobody asked for are refused.
    #[test]
    fn tokens_in_the_front_channel_are_refused() {
        for name in ["access_token", "id_token", "response"] {
            for raw in [format!("{GOOD}&{name}=x"), format!("/cb?{GOOD}#{name}=x")] {
                assert_eq!(violation(&raw), Violation::FrontChannel { name });
            }
        }
        for name in PARAMETERS {
            let raw = format!("/cb?{GOOD}#_=_&{name}=x");
            assert_eq!(violation(&raw), Violation::FrontChannel { name });
        }
        // What stands in a fragment is never an answer.
        assert_eq!(violation(&format!("/cb#{GOOD}")), Violation::MissingIssuer);
    }

    /// Neither `code` nor `error`, or an empty code.
    #[test]
    fn a_callback_without_code() {
        for raw in [
            format!("state=s&iss={ISSUER}"),
            format!("state=s&iss={ISSUER}&code="),
        ] {
            assert_eq!(violation(&raw), Violation::MissingCode);
        }
    }

    /// What can't be decoded, and what is too long.
    #[test]
    fn what_cannot_be_read() {
        let long = format!("{GOOD}&x={}", "y".repeat(CALLBACK_MAX_BYTES));
        for raw in [
            "code=%",
            "code=%4",
            "code=%zz",
            "code=%ff%fe",
            long.as_str(),
        ] {
            assert_eq!(violation(raw), Violation::Callback);
        }
    }

    /// SP-5.3.3.2-4, SEC-6.5: no login in this browser. Two tabs: `state` chooses. SEC-mix,
    /// BCP-4.4.2: the `iss` has to be that of the chosen login.
    #[test]
    fn a_browser_with_several_logins() {
        assert!(matches!(
            check(GOOD, &[]),
            Err(Error::Violation(Violation::NoSuchLogin))
        ));
        let two = [(ISSUER, "first"), (ISSUER, "s")];
        assert_eq!(check(GOOD, &two).unwrap().0, 1);
        let mixed = [("https://honest.example", "s"), (ISSUER, "t")];
        assert!(matches!(
            check(GOOD, &mixed),
            Err(Error::Violation(Violation::Issuer { expected })) if expected == "https://honest.example"
        ));
    }

    /// SEC-cred: neither the raw callback nor an error about it is shown.
    #[test]
    fn a_callback_is_not_shown() {
        assert_eq!(format!("{:?}", Callback::from(GOOD)), "Callback(redacted)");
    }
}
