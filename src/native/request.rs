//! What a connection to the loopback listener asks for. Whoever runs a page in the user's browser, and
//! any program on the device, can send anything here.

use zeroize::Zeroizing;

/// The largest request line and headers, in bytes.
pub(super) const HEAD_MAX_BYTES: usize = 16 * 1024;

/// What the listener answers to.
#[derive(Debug)]
pub(super) struct Site {
    /// The `Host` of a browser that was sent here: the address itself and the port.
    pub(super) host: String,
    /// The path of the redirect URI.
    pub(super) path: String,
}

impl Site {
    /// Where the browser ends up: an address without a code in it.
    pub(super) fn end(&self) -> &'static str {
        if self.path == "/done" {
            "/signed-in"
        } else {
            "/done"
        }
    }

    /// Reads a head, and says what it asks for.
    pub(super) fn asked(&self, head: &[u8]) -> Result<Asked, Refusal> {
        let head = Head::read(head).ok_or(Refusal::Malformed)?;
        // A name that an attacker made to point at 127.0.0.1 (DNS rebinding) shows here.
        if head.host != self.host {
            return Err(Refusal::Host);
        }
        if head.method != "GET" {
            return Err(Refusal::Method);
        }
        let path = head.target.split('?').next().unwrap_or_default();
        if path == self.path {
            Ok(Asked::Callback(Zeroizing::new(head.target.to_owned())))
        } else if head.target == self.end() {
            Ok(Asked::End)
        } else {
            Err(Refusal::Path)
        }
    }
}

/// What a request is after.
pub(super) enum Asked {
    /// The callback: its path and query, with the code in it.
    Callback(Zeroizing<String>),
    /// The page at the end.
    End,
}

/// Why a request is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed,
    TooLarge,
    Host,
    Method,
    Path,
}

impl Refusal {
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Host => "421 Misdirected Request",
            Self::Method => "405 Method Not Allowed",
            Self::Path => "404 Not Found",
        }
    }
}

/// Where the head ends in what has come so far.
pub(super) fn end_of_head(received: &[u8]) -> Option<usize> {
    received
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .map(|at| at + 4)
}

struct Head<'a> {
    method: &'a str,
    /// In origin form (RFC 9112 section 3.2.1).
    target: &'a str,
    host: &'a str,
}

impl<'a> Head<'a> {
    fn read(head: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let version = words.next()?;
        let sound = words.next().is_none()
            && matches!(version, "HTTP/1.1" | "HTTP/1.0")
            && target.starts_with('/')
            && target.bytes().all(|byte| byte.is_ascii_graphic());
        if !sound {
            return None;
        }
        let mut host = None;
        for line in lines {
            let (name, value) = line.split_once(':')?;
            // RFC 9112 section 5.1 and 5.2: a space here hides a header from one reader or the other.
            if name.is_empty() || name.contains([' ', '\t']) || line.contains(['\r', '\n', '\0']) {
                return None;
            }
            // RFC 9112 section 3.2: once.
            if name.eq_ignore_ascii_case("host") && host.replace(value.trim()).is_some() {
                return None;
            }
        }
        Some(Self {
            method,
            target,
            host: host?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site {
            host: "127.0.0.1:4711".to_owned(),
            path: "/callback".to_owned(),
        }
    }

    fn asked(head: &str) -> Result<Option<String>, Refusal> {
        site().asked(head.as_bytes()).map(|asked| match asked {
            Asked::Callback(target) => Some(target.as_str().to_owned()),
            Asked::End => None,
        })
    }

    /// NAT-7.3: one path, by GET, under our own address.
    #[test]
    fn what_counts_as_a_callback() {
        let target = "/callback?code=a%20b&state=c";
        for host in ["Host: 127.0.0.1:4711", "hOsT:127.0.0.1:4711 "] {
            let head = format!("GET {target} HTTP/1.1\r\nAccept: */*\r\n{host}\r\n\r\n");
            assert_eq!(asked(&head), Ok(Some(target.to_owned())));
        }
        assert_eq!(
            asked("GET /done HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n"),
            Ok(None)
        );
    }

    /// Heads that are no HTTP/1.1, or that two readers could read in two ways.
    #[test]
    fn what_can_not_be_read() {
        let host = "Host: 127.0.0.1:4711";
        for head in [
            String::new(),
            "GET /callback HTTP/1.1\r\n\r\n".to_owned(),
            format!("GET /callback\r\n{host}\r\n\r\n"),
            format!("GET  /callback HTTP/1.1\r\n{host}\r\n\r\n"),
            format!("GET /callback HTTP/1.1 x\r\n{host}\r\n\r\n"),
            format!("GET /callback HTTP/2.0\r\n{host}\r\n\r\n"),
            format!("GET http://127.0.0.1:4711/callback HTTP/1.1\r\n{host}\r\n\r\n"),
            format!("GET /callback?\u{e9} HTTP/1.1\r\n{host}\r\n\r\n"),
            "GET /callback HTTP/1.1\r\nHost : 127.0.0.1:4711\r\n\r\n".to_owned(),
            format!("GET /callback HTTP/1.1\r\n{host}\r\n folded\r\n\r\n"),
            format!("GET /callback HTTP/1.1\r\n{host}\r\n: x\r\n\r\n"),
            format!("GET /callback HTTP/1.1\r\n{host}\r\n{host}\r\n\r\n"),
            format!("GET /callback HTTP/1.1\n{host}\n\r\n\r\n"),
        ] {
            assert_eq!(asked(&head), Err(Refusal::Malformed), "{head:?}");
        }
        let bytes = b"GET /callback?\xff HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n";
        assert_eq!(site().asked(bytes).err(), Some(Refusal::Malformed));
    }

    /// The host is looked at first: another site's name learns nothing of the paths.
    #[test]
    fn what_is_none_of_ours() {
        let own = "127.0.0.1:4711";
        for (line, host, refusal) in [
            ("GET /callback", "evil.example:4711", Refusal::Host),
            ("GET /callback", "localhost:4711", Refusal::Host),
            ("GET /callback", "127.0.0.1", Refusal::Host),
            ("GET /callback", "127.0.0.1:4712", Refusal::Host),
            ("POST /callback", "evil.example", Refusal::Host),
            ("POST /callback", own, Refusal::Method),
            ("HEAD /callback", own, Refusal::Method),
            ("get /callback", own, Refusal::Method),
            ("GET /", own, Refusal::Path),
            ("GET /favicon.ico", own, Refusal::Path),
            ("GET /callback/", own, Refusal::Path),
            ("GET /Callback?code=a", own, Refusal::Path),
            ("GET /x/../callback?code=a", own, Refusal::Path),
            ("GET /done?code=a", own, Refusal::Path),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(asked(&head), Err(refusal), "{head:?}");
        }
    }

    /// The page at the end never has the path of the callback.
    #[test]
    fn the_end_is_elsewhere() {
        for path in ["/callback", "/done", "/signed-in"] {
            let site = Site {
                path: path.to_owned(),
                ..site()
            };
            assert_ne!(site.end(), path);
        }
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(end_of_head(b"GET / HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(end_of_head(b"a\r\n\r\nbody"), Some(5));
        assert_eq!(end_of_head(b""), None);
    }
}
