//! The program sends the browser to the server's own logout (OpenID Connect RP-Initiated Logout 1.0).
//!
//! The session of the program has ended by then, whatever becomes of the browser on its way.

use url::{Url, form_urlencoded};

use crate::error::{ConfigError, Violation};
use crate::protocol::authorization_response::{Callback, read};
use crate::protocol::form::Form;
use crate::protocol::metadata::ServerMetadata;
use crate::protocol::uri::RedirectUri;
use crate::secret::{IdTokenHint, State};

/// What the server is told (section 2).
#[derive(Clone, Debug)]
pub(crate) struct EndSession<'a> {
    pub(crate) client_id: &'a str,
    /// The ID token of the session that ends. Without it a server has to ask the user first.
    pub(crate) id_token_hint: Option<&'a IdTokenHint>,
    pub(crate) back: Option<Return<'a>>,
    /// The user's languages, the preferred one first (BCP 47).
    pub(crate) ui_locales: &'a [String],
}

/// Where the browser comes back to. A `state` without an address would come back to nobody.
#[derive(Clone, Debug)]
pub(crate) struct Return<'a> {
    /// The registered `post_logout_redirect_uri`.
    pub(crate) uri: &'a str,
    pub(crate) state: Option<&'a State>,
}

/// A form for the server's logout, to be posted by the browser.
///
/// Preferred to the URL: the ID token that the server takes as a hint names the user, and in a URL it
/// would stand in the browser's history and in logs. The program writes a page with a form of the method
/// `post`, to [`action`](Self::action), with one hidden input for each of [`fields`](Self::fields), and
/// escapes the values as its templates do.
///
/// Its `Debug` shows the names of the fields and no value.
#[derive(Clone, Debug)]
pub struct EndSessionForm {
    action: Url,
    fields: Form,
}

impl EndSessionForm {
    /// The server's `end_session_endpoint`, its own query included.
    #[must_use]
    pub const fn action(&self) -> &Url {
        &self.action
    }

    /// Names and values. The value of `id_token_hint` belongs in no log.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.fields()
    }
}

/// The form to post.
///
/// # Errors
/// [`ConfigError::NoEndpoint`], [`ConfigError::PostLogoutRedirectUri`], [`ConfigError::Parameter`].
pub(crate) fn form(
    metadata: &ServerMetadata,
    request: &EndSession<'_>,
) -> Result<EndSessionForm, ConfigError> {
    let endpoint = metadata
        .end_session_endpoint
        .as_ref()
        .ok_or(ConfigError::NoEndpoint("end_session_endpoint"))?;
    if let Some(back) = &request.back {
        RedirectUri::new(back.uri).map_err(|_| ConfigError::PostLogoutRedirectUri)?;
    }
    let back = request.back.as_ref();
    let locales = request.ui_locales.join(" ");
    let fields = Form::default()
        .optional(
            "id_token_hint",
            request.id_token_hint.map(IdTokenHint::expose),
        )
        .field("client_id", request.client_id)
        .optional("post_logout_redirect_uri", back.map(|back| back.uri))
        .optional("state", back.and_then(|back| back.state).map(State::reveal))
        .optional(
            "ui_locales",
            (!request.ui_locales.is_empty()).then_some(locales.as_str()),
        );
    // R6749-3.2: none empty, and none twice, with what the endpoint's own query has.
    let query = endpoint.query().unwrap_or_default().as_bytes();
    let twice = form_urlencoded::parse(query)
        .map(|(name, _)| name.into_owned())
        .find(|name| fields.has(name));
    match twice.as_deref().or_else(|| fields.empty_field()) {
        Some(name) => Err(ConfigError::Parameter(name.to_owned())),
        None => Ok(EndSessionForm {
            action: endpoint.clone(),
            fields,
        }),
    }
}

/// The URL to send the browser to, behind the query that the endpoint itself has.
///
/// An `id_token_hint` stands in it in plain sight: the specification has it so, and no other token ever
/// goes there. Where that is too much, [`form`] posts the same.
///
/// # Errors
/// As [`form`].
pub(crate) fn url(metadata: &ServerMetadata, request: &EndSession<'_>) -> Result<Url, ConfigError> {
    let form = form(metadata, request)?;
    let mut url = form.action.clone();
    url.query_pairs_mut().extend_pairs(form.fields());
    Ok(url)
}

/// Whether the browser that comes back from the server's logout is the one that was sent there with this
/// `state`. What it brings is read as every callback is.
///
/// # Errors
/// [`Violation::LogoutState`]; [`Violation::Callback`] and [`Violation::DuplicateParameter`].
pub(crate) fn check_return(callback: &Callback, sent: &State) -> Result<(), Violation> {
    if read(callback)?.has_state(sent) {
        Ok(())
    } else {
        Err(Violation::LogoutState)
    }
}
