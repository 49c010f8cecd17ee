//! The metadata of an authorization server (RFC 8414, OpenID Connect Discovery).

use serde_json::{Map, Value};
use url::Url;

use super::uri::{Issuer, https};
use crate::error::Violation;
use crate::jose::parse_object;

/// What an authorization server publishes about itself, checked.
///
/// The endpoints come from the document alone (SP-5.3.3.1-9). Members that this crate does not know
/// are kept: [`ServerMetadata::get`].
#[derive(Clone, Debug, PartialEq)]
pub struct ServerMetadata {
    issuer: Issuer,
    document: Map<String, Value>,
    pub(crate) authorization_endpoint: Option<Url>,
    pub(crate) token_endpoint: Option<Url>,
    pub(crate) pushed_authorization_request_endpoint: Option<Url>,
    pub(crate) jwks_uri: Option<Url>,
    pub(crate) userinfo_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    pub(crate) end_session_endpoint: Option<Url>,
    pub(crate) registration_endpoint: Option<Url>,
    /// Where a client that shows a certificate goes instead.
    pub(crate) aliases: Aliases,
}

/// MTLS-5a, MTLS-5b: `mtls_endpoint_aliases` of the endpoints that a client calls itself. Whatever else
/// stands there, the authorization endpoint before all, is not looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Aliases {
    pub(crate) token: Option<Url>,
    pub(crate) pushed_authorization_request: Option<Url>,
    pub(crate) userinfo: Option<Url>,
    pub(crate) revocation: Option<Url>,
    pub(crate) registration: Option<Url>,
}

impl ServerMetadata {
    /// The issuer, which the document names to the letter as the program does.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Any member of the document, known to this crate or not.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&Value> {
        self.document.get(member)
    }

    /// The whole document.
    #[must_use]
    pub const fn document(&self) -> &Map<String, Value> {
        &self.document
    }

    /// A list of strings; `None` where the document does not have it.
    pub(crate) fn list(&self, member: &str) -> Option<Vec<String>> {
        let values = self.document.get(member)?.as_array()?;
        Some(
            values
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        )
    }

    pub(crate) fn flag(&self, member: &str) -> Option<bool> {
        self.document.get(member)?.as_bool()
    }
}

/// Reads the document that was fetched for `issuer`.
///
/// # Errors
/// [`Violation::MetadataIssuer`] before anything else is read; then [`Violation::InsecureEndpoint`]
/// and [`Violation::MetadataMember`].
pub(crate) fn parse(issuer: &Issuer, body: &[u8]) -> Result<ServerMetadata, Violation> {
    let document = parse_object(body).map_err(|_| Violation::MetadataMember {
        member: String::new(),
    })?;
    // SP-5.3.3.1-11, META-4: compared as text, before any other member is used.
    let named = document.get("issuer").and_then(Value::as_str);
    if named != Some(issuer.as_str()) {
        return Err(Violation::MetadataIssuer {
            expected: issuer.as_str().to_owned(),
            received: named.unwrap_or_default().chars().take(200).collect(),
        });
    }
    for member in LISTS {
        list_of_texts(&document, member)?;
    }
    Ok(ServerMetadata {
        issuer: issuer.clone(),
        authorization_endpoint: endpoint(&document, "authorization_endpoint")?,
        token_endpoint: endpoint(&document, "token_endpoint")?,
        pushed_authorization_request_endpoint: endpoint(
            &document,
            "pushed_authorization_request_endpoint",
        )?,
        jwks_uri: endpoint(&document, "jwks_uri")?,
        userinfo_endpoint: endpoint(&document, "userinfo_endpoint")?,
        revocation_endpoint: endpoint(&document, "revocation_endpoint")?,
        end_session_endpoint: endpoint(&document, "end_session_endpoint")?,
        registration_endpoint: endpoint(&document, "registration_endpoint")?,
        aliases: aliases(&document)?,
        document,
    })
}

/// The lists that decisions rest on. One of another shape would be read as absent.
const LISTS: [&str; 9] = [
    "authorization_details_types_supported",
    "code_challenge_methods_supported",
    "dpop_signing_alg_values_supported",
    "grant_types_supported",
    "id_token_signing_alg_values_supported",
    "response_types_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "userinfo_signing_alg_values_supported",
];

fn list_of_texts(document: &Map<String, Value>, member: &str) -> Result<(), Violation> {
    let sound = match document.get(member) {
        None => true,
        Some(Value::Array(values)) => values.iter().all(Value::is_string),
        Some(_) => false,
    };
    if sound {
        Ok(())
    } else {
        Err(Violation::MetadataMember {
            member: member.to_owned(),
        })
    }
}

fn aliases(document: &Map<String, Value>) -> Result<Aliases, Violation> {
    let member = "mtls_endpoint_aliases";
    let Some(value) = document.get(member) else {
        return Ok(Aliases::default());
    };
    let Value::Object(aliases) = value else {
        return Err(Violation::MetadataMember {
            member: member.to_owned(),
        });
    };
    Ok(Aliases {
        token: endpoint(aliases, "token_endpoint")?,
        pushed_authorization_request: endpoint(aliases, "pushed_authorization_request_endpoint")?,
        userinfo: endpoint(aliases, "userinfo_endpoint")?,
        revocation: endpoint(aliases, "revocation_endpoint")?,
        registration: endpoint(aliases, "registration_endpoint")?,
    })
}

/// META-5, SP-5.2.1-1, SP-5.4.2-1: an endpoint is an https URL, or is not there.
fn endpoint(document: &Map<String, Value>, member: &str) -> Result<Option<Url>, Violation> {
    let Some(value) = document.get(member) else {
        return Ok(None);
    };
    let text = value.as_str().ok_or_else(|| Violation::MetadataMember {
        member: member.to_owned(),
    })?;
    match https(text) {
        Some(url) => Ok(Some(url)),
        None => Err(Violation::InsecureEndpoint {
            member: member.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        Issuer::new("https://as.example").unwrap()
    }

    /// SP-5.3.3.1-11, META-4: nothing is normalised, and the issuer is compared before all else.
    #[test]
    fn another_issuer_is_refused_first() {
        for received in [
            "https://as.example/",
            "https://AS.example",
            "https://as.example:443",
            "",
        ] {
            let body =
                format!(r#"{{"issuer":"{received}","token_endpoint":"http://as.example/t"}}"#);
            assert_eq!(
                parse(&issuer(), body.as_bytes()),
                Err(Violation::MetadataIssuer {
                    expected: "https://as.example".to_owned(),
                    received: received.to_owned()
                })
            );
        }
    }

    /// SP-5.2.1-1, SP-5.4.2-1, META-5, RPL-2: every endpoint is https.
    #[test]
    fn an_endpoint_without_tls_is_refused() {
        for member in [
            "authorization_endpoint",
            "token_endpoint",
            "pushed_authorization_request_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "revocation_endpoint",
            "end_session_endpoint",
            "registration_endpoint",
        ] {
            let body =
                format!(r#"{{"issuer":"https://as.example","{member}":"http://as.example/x"}}"#);
            assert_eq!(
                parse(&issuer(), body.as_bytes()),
                Err(Violation::InsecureEndpoint {
                    member: member.to_owned()
                })
            );
        }
    }

    /// MTLS-5a, MTLS-5b, SP-5.2.2.1-2: aliases are read for what a client calls, and https; the others are not
    /// looked at.
    #[test]
    fn aliases_of_what_a_client_calls() {
        let read = |aliases: &str| {
            let body =
                format!(r#"{{"issuer":"https://as.example","mtls_endpoint_aliases":{aliases}}}"#);
            parse(&issuer(), body.as_bytes()).map(|metadata| metadata.aliases)
        };
        let called = [
            "token_endpoint",
            "pushed_authorization_request_endpoint",
            "userinfo_endpoint",
            "revocation_endpoint",
        ];
        for member in called {
            assert_eq!(
                read(&format!(r#"{{"{member}":"http://mtls.example/x"}}"#)),
                Err(Violation::InsecureEndpoint {
                    member: member.to_owned()
                })
            );
            let one = read(&format!(r#"{{"{member}":"https://mtls.example/x"}}"#)).unwrap();
            let urls = [
                &one.token,
                &one.pushed_authorization_request,
                &one.userinfo,
                &one.revocation,
            ];
            for (name, url) in called.iter().zip(urls) {
                assert_eq!(url.is_some(), *name == member);
            }
        }
        let others =
            r#"{"authorization_endpoint":"http://evil.example/a","jwks_uri":7,"issuer":null}"#;
        assert_eq!(read(others), Ok(Aliases::default()));
        assert_eq!(read("{}"), Ok(Aliases::default()));
        for none in ["[]", "7", "null", r#""https://mtls.example""#] {
            assert_eq!(
                read(none),
                Err(Violation::MetadataMember {
                    member: "mtls_endpoint_aliases".to_owned()
                })
            );
        }
    }

    /// META-6: a list that is none is told, since it would count as absent.
    #[test]
    fn lists_are_lists_of_texts() {
        for member in LISTS {
            for value in [r#""S256""#, "7", r#"["S256",7]"#, "null"] {
                let body = format!(r#"{{"issuer":"https://as.example","{member}":{value}}}"#);
                assert_eq!(
                    parse(&issuer(), body.as_bytes()),
                    Err(Violation::MetadataMember {
                        member: member.to_owned()
                    })
                );
            }
        }
    }

    /// META-6: members that nobody here knows are kept, and lists that are absent stay absent.
    #[test]
    fn unknown_members_are_kept() {
        let body =
            br#"{"issuer":"https://as.example","x_bank":{"a":1},"scopes_supported":["a",1]}"#;
        let metadata = parse(&issuer(), body).unwrap();
        assert_eq!(metadata.get("x_bank").unwrap()["a"], 1);
        assert_eq!(metadata.list("scopes_supported").unwrap(), ["a"]);
        assert_eq!(metadata.list("acr_values_supported"), None);
    }
}
