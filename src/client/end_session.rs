//! The browser's way through the server's own logout (OpenID Connect RP-Initiated Logout 1.0).

use std::fmt;

use url::Url;

use super::core::Core;
use crate::error::Error;
use crate::protocol::authorization_response::Callback;
use crate::protocol::id_token::IdToken;
use crate::protocol::logout::EndSessionForm;
use crate::protocol::logout::end_session::{self as logout, Return};
use crate::secret::{State, TransactionHandle};

/// Where to send the browser so that the user is signed out at the server as well.
///
/// Log the session out first ([`Session::logout`](crate::Session::logout)): it is over then, whatever
/// becomes of the browser.
pub struct EndSession {
    url: Url,
    form: EndSessionForm,
    state: Option<TransactionHandle>,
}

impl EndSession {
    /// The URL to send the browser to, with status 303. The ID token stands in it as a hint, as the
    /// specification has it: it names the user. [`form`](Self::form) keeps it out of the browser's
    /// history.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The same as a form to post. A browser leaves `SameSite=Lax` cookies out of a POST that comes from
    /// another site: a server that has such cookies does not see who is signed in, and
    /// [`url`](Self::url) serves better there.
    #[must_use]
    pub const fn form(&self) -> &EndSessionForm {
        &self.form
    }

    /// The `state` that the browser brings back, for a cookie as a login's; `None` where it does not
    /// come back. [`Client::logout_returned`](crate::Client::logout_returned) compares.
    #[must_use]
    pub const fn state(&self) -> Option<&TransactionHandle> {
        self.state.as_ref()
    }
}

/// Not the URL: it holds the ID token.
impl fmt::Debug for EndSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EndSession")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

pub(crate) fn end_session(
    core: &Core,
    id_token: Option<&IdToken>,
    back_to: Option<&str>,
    ui_locales: &[String],
) -> Result<EndSession, Error> {
    let metadata = core.metadata.last();
    let state = back_to.map(|_| State::random()).transpose()?;
    let request = logout::EndSession {
        client_id: &core.client_id,
        id_token_hint: id_token.map(IdToken::hint),
        back: back_to.map(|uri| Return {
            uri,
            state: state.as_ref(),
        }),
        ui_locales,
    };
    Ok(EndSession {
        url: logout::url(&metadata, &request)?,
        form: logout::form(&metadata, &request)?,
        state: state.map(|state| TransactionHandle::new(state.reveal())),
    })
}

pub(crate) fn returned(state: &TransactionHandle, callback: &Callback) -> Result<(), Error> {
    Ok(logout::check_return(callback, &State::new(state.expose()))?)
}
