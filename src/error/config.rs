//! What is ours to fix, and the preflight's report.

use std::fmt;

use super::KeyError;

/// A setting, a key or a call that can't be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The issuer is no https URL without query and fragment.
    #[error(
        "the issuer {0:?} must be an https URL without query and fragment (RFC 8414 section 2)"
    )]
    Issuer(String),
    /// The client id is empty or has characters outside of printable ASCII.
    #[error("the client id must be printable ASCII and not empty (RFC 6749 appendix A.1)")]
    ClientId,
    /// No `authenticate_with`: FAPI 2.0 knows no public clients.
    #[error(
        "FAPI 2.0 knows no public clients: call authenticate_with on the builder (FAPI2-SP 5.3.2.1-3)"
    )]
    NoClientAuthentication,
    /// No redirect URI was given, and a login needs one.
    #[error("a login needs a redirect_uri: set it on the builder (FAPI2-SP 5.3.2.2-6)")]
    NoRedirectUri,
    /// The redirect URI is neither https nor http on a loopback address.
    #[error(
        "the redirect_uri must be https, or http on 127.0.0.1 or [::1], without fragment (FAPI2-SP 5.3.2.2-8)"
    )]
    RedirectUri,
    /// The address to return to after a logout is neither https nor http on a loopback address.
    #[error(
        "the post_logout_redirect_uri must be https, or http on 127.0.0.1 or [::1], without fragment (OIDC RP-Initiated Logout 3.1)"
    )]
    PostLogoutRedirectUri,
    /// A listener for callbacks was to stand elsewhere than on `127.0.0.1` or `[::1]`.
    #[error(
        "a listener for callbacks stands on 127.0.0.1 or [::1] alone, not on {0} (RFC 8252 section 8.3)"
    )]
    NotLoopback(std::net::IpAddr),
    /// The client's redirect URI is not where the listener stands.
    #[error(
        "the callback is waited for at {listener:?}, and the client's redirect_uri leads elsewhere: set it on the builder, with no port for one that the system chooses (RFC 8252 section 7.3)"
    )]
    OtherLoopback {
        /// Where the listener stands.
        listener: String,
    },
    /// A path for callbacks that a URL can't have, or one with a query.
    #[error(
        "the path {0:?} must begin with '/', be visible ASCII, and have no query and no fragment"
    )]
    CallbackPath(String),
    /// A URL of the API's is not https.
    #[error("{0:?} is not an https URL (FAPI2-SP 5.2.1-1)")]
    InsecureUrl(String),
    /// The token may not go to this origin.
    #[error(
        "the access token may not go to {0:?}: name the origin with api() on the builder (RFC 9700 section 4.9.1)"
    )]
    ForeignOrigin(String),
    /// A header that the crate itself sets.
    #[error("the header {0:?} is set by the client itself")]
    ReservedHeader(String),
    /// A header's name or value has characters that HTTP does not allow.
    #[error("the header {0:?} has characters that HTTP does not allow")]
    Header(String),
    /// A body could not be written as JSON or as a form.
    #[error("the request's body can't be written: {0}")]
    Body(String),
    /// A parameter of the login that the crate itself sets.
    #[error("the parameter {0:?} is set by the client itself")]
    ReservedParameter(String),
    /// A parameter that would stand there twice, or is empty.
    #[error("the parameter {0:?} would stand there twice or is empty (RFC 6749 section 3.2)")]
    Parameter(String),
    /// The nonce is longer than a server has to take.
    #[error("a nonce has at most 64 characters (FAPI2-SP 5.3.3.2-7)")]
    NonceTooLong,
    /// A `resource` that is no absolute URI, or has a fragment.
    #[error("a resource must be an absolute URI without fragment (RFC 8707 section 2)")]
    Resource,
    /// An authorization detail without `type`, or of a type that the server does not know.
    #[error(
        "an authorization detail needs a type that the server knows: {0:?} (RFC 9396 section 2)"
    )]
    AuthorizationDetail(String),
    /// A scope with characters that a scope can't have.
    #[error(
        "a scope is words of printable ASCII without quotes and backslashes (RFC 6749 section 3.3)"
    )]
    Scope,
    /// What `api()` was given is no origin.
    #[error("{0:?} must be an https origin, without path, query or user (RFC 9700 section 4.9.1)")]
    ApiOrigin(String),
    /// A client of a registry was given a transport, a clock, cryptography or stores of its own.
    #[error(
        "transport, clock, cryptography and stores are shared by all clients of a registry: set them on Clients::builder()"
    )]
    SharedParts,
    /// Two clients of a registry were given the same DPoP key: with it one server could use the tokens
    /// of the other (RFC 9449 section 11.4).
    #[error(
        "two servers would know the same DPoP key: give each client one of its own (FAPI2-SP 6.3)"
    )]
    SharedDpopKey,
    /// The DPoP key is one of those that authenticate the client. A key has one purpose, so that what it signed
    /// for one is never taken for the other.
    #[error(
        "the DPoP key also authenticates the client: give proofs a key of their own (FAPI2-SP 6.8)"
    )]
    DpopKeyPurpose,
    /// `max_age`, `acr_values` or essential claims without `openid`.
    #[error(
        "how the user authenticated shows in the ID token: ask for the scope openid (OIDC Core 3.1.2.1)"
    )]
    NeedsOpenId,
    /// UserInfo without a user: the login did not ask for an ID token.
    #[error(
        "UserInfo needs an ID token to be held against: ask for the scope openid (OIDC Core 5.3.2)"
    )]
    NoSubject,
    /// The server has no such endpoint.
    #[error("the server's metadata has no {0:?}")]
    NoEndpoint(&'static str),
    /// The server gave no `registration_client_uri` and `registration_access_token` with the client, or the
    /// client was deleted.
    #[error(
        "this client can't be managed: the server gave no registration_client_uri and token with it (RFC 7592 section 3)"
    )]
    Unmanaged,
    /// Two clients of a registry have the same issuer and client id.
    #[error("the registry has a client for {0:?} already (RFC 9207 section 4)")]
    DuplicateIssuer(String),
    /// The registry has no client for that issuer.
    #[error("the registry has no client for {0:?}")]
    UnknownIssuer(String),
    /// The server and our settings don't fit together. All that is wrong is in the report.
    #[error("the server's metadata and the client's settings don't fit together:\n{0}")]
    Preflight(Preflight),
    /// A key is not usable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The client shows a certificate, and the transport of the program's own can show none.
    #[error(
        "the transport can show no client certificate: implement Transport::with_client_certificate, or use the transport that comes with the crate (RFC 8705)"
    )]
    NoClientCertificates,
    /// `tls_client_auth` or tokens that are bound to a certificate, and no certificate.
    #[error(
        "{0} needs a certificate: give the builder one with client_certificate (RFC 8705 section 2)"
    )]
    NoCertificate(&'static str),
    /// `tls_client_auth` is registered with what the server looks for in the certificate, and nothing else is.
    #[error(
        "what the server looks for in the certificate (certificate_name) goes with tls_client_auth, and with it alone (RFC 8705 section 2.1.2)"
    )]
    CertificateName,
    /// A registered client is to authenticate in another way than it is registered for.
    #[error(
        "the client is registered for another way to authenticate: register it anew for this one (RFC 7591 section 2)"
    )]
    OtherAuthentication,
    /// Tokens are to be bound to a certificate and to a DPoP key.
    #[error(
        "tokens are bound to one thing: take dpop_keys and dpop_signer away, or certificate_bound_tokens (FAPI2-SP 5.3.3.1-1)"
    )]
    TwoBindings,
    /// The transport can't be built.
    #[error("the transport can't be built: {0}")]
    Transport(String),
    /// The server refused our times, and its clock differs from this device's by more than is made up for
    /// (10 minutes). Nothing is lost: set the clock and try again.
    #[error(
        "this device's clock differs from the server's by {seconds} s, more than is made up for: set it, then try again"
    )]
    Clock {
        /// How far the server's clock is ahead of this device's, in seconds; behind it, if negative.
        seconds: i64,
    },
    /// The call needs a tokio runtime and found none.
    #[error("this call needs a running tokio runtime")]
    NoRuntime,
}

impl ConfigError {
    /// A stable name for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Issuer(_) => "config.issuer",
            Self::ClientId => "config.client_id",
            Self::NoClientAuthentication => "config.no_client_authentication",
            Self::NoRedirectUri => "config.no_redirect_uri",
            Self::RedirectUri => "config.redirect_uri",
            Self::PostLogoutRedirectUri => "config.post_logout_redirect_uri",
            Self::NotLoopback(_) => "config.not_loopback",
            Self::OtherLoopback { .. } => "config.other_loopback",
            Self::CallbackPath(_) => "config.callback_path",
            Self::InsecureUrl(_) => "config.insecure_url",
            Self::ForeignOrigin(_) => "config.foreign_origin",
            Self::ReservedHeader(_) => "config.reserved_header",
            Self::Header(_) => "config.header",
            Self::Body(_) => "config.body",
            Self::ReservedParameter(_) => "config.reserved_parameter",
            Self::Parameter(_) => "config.parameter",
            Self::NonceTooLong => "config.nonce_too_long",
            Self::Resource => "config.resource",
            Self::AuthorizationDetail(_) => "config.authorization_detail",
            Self::Scope => "config.scope",
            Self::ApiOrigin(_) => "config.api_origin",
            Self::SharedParts => "config.shared_parts",
            Self::SharedDpopKey => "config.shared_dpop_key",
            Self::DpopKeyPurpose => "config.dpop_key_purpose",
            Self::NeedsOpenId => "config.needs_openid",
            Self::NoSubject => "config.no_subject",
            Self::NoEndpoint(_) => "config.no_endpoint",
            Self::Unmanaged => "config.unmanaged",
            Self::DuplicateIssuer(_) => "config.duplicate_issuer",
            Self::UnknownIssuer(_) => "config.unknown_issuer",
            Self::Preflight(_) => "config.preflight",
            Self::Key(error) => error.code(),
            Self::NoClientCertificates => "config.no_client_certificates",
            Self::NoCertificate(_) => "config.no_certificate",
            Self::CertificateName => "config.certificate_name",
            Self::OtherAuthentication => "config.other_authentication",
            Self::TwoBindings => "config.two_bindings",
            Self::Transport(_) => "config.transport",
            Self::Clock { .. } => "config.clock",
            Self::NoRuntime => "config.no_runtime",
        }
    }
}

/// How our keys, algorithms and binding stand against what the server publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    findings: Vec<Finding>,
}

impl Preflight {
    pub(crate) const fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    pub(crate) fn and(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// Every rule that was looked at and does not hold, or holds only by the server's silence.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings that forbid to go on.
    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity == Severity::Broken)
    }

    /// Whether nothing forbids to go on.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.broken().next().is_none()
    }
}

impl fmt::Display for Preflight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.findings.iter().enumerate() {
            if at > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "- {finding}")?;
        }
        Ok(())
    }
}

/// One rule that does not hold, or of which the metadata does not say that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Whether it forbids to go on.
    pub severity: Severity,
    /// What the server says, and what to do.
    pub advice: String,
}

impl Finding {
    pub(crate) const fn new(rule: Rule, severity: Severity, advice: String) -> Self {
        Self {
            rule,
            severity,
            advice,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Broken => "broken",
            Severity::Unsure => "unsure",
        };
        write!(
            formatter,
            "{severity}: {} ({})",
            self.advice,
            self.rule.clause()
        )
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Severity {
    /// The flow can't be kept safe, or the server would refuse it. `build()` fails.
    Broken,
    /// The metadata does not say. The flow itself checks it.
    Unsure,
}

/// The rules of the preflight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// `response_types_supported` has `code`.
    ResponseType,
    /// The server offers pushed authorization requests.
    PushedAuthorizationRequests,
    /// `code_challenge_methods_supported` has `S256`.
    CodeChallengeMethod,
    /// The server says that it sends `iss` in authorization responses.
    IssuerParameter,
    /// The server takes our way to authenticate.
    ClientAuthentication,
    /// The server takes the algorithm of our client key.
    ClientAssertionAlgorithm,
    /// The server binds tokens as we want them: with DPoP, under the algorithm of our DPoP keys, or to our
    /// certificate.
    SenderConstraint,
    /// The server signs ID tokens with an algorithm that FAPI 2.0 allows.
    IdTokenAlgorithm,
    /// The server signs UserInfo with an algorithm that FAPI 2.0 allows.
    UserInfoAlgorithm,
    /// The server has what is needed of `authorization_endpoint`, `token_endpoint` and `jwks_uri`.
    Endpoints,
    /// Our certificate is good now.
    Certificate,
    /// Our key signs, and its public half verifies what it signed.
    Key,
    /// The server offers the grants that the client uses.
    GrantTypes,
    /// The server takes requests that are pushed and not signed.
    SignedRequestObject,
}

impl Rule {
    /// The clause that the rule comes from.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::ResponseType => "FAPI2-SP 5.3.2.2-1",
            Self::PushedAuthorizationRequests => "FAPI2-SP 5.3.2.2-2",
            Self::CodeChallengeMethod => "FAPI2-SP 5.3.2.2-5",
            Self::IssuerParameter => "FAPI2-SP 5.3.2.2-7",
            Self::ClientAuthentication => "FAPI2-SP 5.3.2.1-6",
            Self::ClientAssertionAlgorithm | Self::IdTokenAlgorithm | Self::UserInfoAlgorithm => {
                "FAPI2-SP 5.4.1-1"
            }
            Self::SenderConstraint => "FAPI2-SP 5.3.2.1-4",
            Self::Endpoints => "RFC 8414 section 2",
            Self::Certificate => "RFC 8705 section 2",
            Self::Key => "FAPI2-SP 5.4.1",
            Self::GrantTypes => "FAPI2-SP 5.3.3.2-1",
            Self::SignedRequestObject => "RFC 9101 section 10.5",
        }
    }
}
