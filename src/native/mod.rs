//! Logins on the user's own device: command lines and desktop programs (RFC 8252; feature `loopback`).
//!
//! The user logs in with the browser that they know, and the browser brings the answer back to a port
//! of `127.0.0.1` that is open for this one login.
//!
//! ```no_run
//! use fapi_client::{Client, ClientAuth, SoftwareKey, native};
//!
//! # async fn flow(pem: &str) -> Result<(), fapi_client::Error> {
//! let client = Client::builder("https://as.bank.example", "client-id")
//!     .redirect_uri("http://127.0.0.1/callback") // as it is registered: no port, so any counts
//!     .authenticate_with(ClientAuth::private_key_jwt(SoftwareKey::from_pem(pem)?))
//!     .build().await?;
//!
//! let session = native::log_in(client.login().scope("openid accounts"))
//!     .app_name("Bank on the command line")
//!     .on_url(|url| eprintln!("Log in at {url}")) // for those who sit at another machine
//!     .wait().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`log_in`] does it all. [`Loopback`] is the listener by itself, for programs that show the URL in a
//! manner of their own.
//!
//! # What is kept for you
//!
//! * The socket stands on `127.0.0.1` or `[::1]`, never on a name, and never on another address
//!   (RFC 8252 sections 7.3 and 8.3). It is open for as long as the login is waited for.
//! * One path, by `GET`, under its own address in `Host`: a page that points a name of its own at
//!   `127.0.0.1` gets nothing. Icons, connections made ahead of time, slow and endless requests don't
//!   end the login.
//! * `iss` and `state` are checked before anything else in a callback is believed. One that does not hold
//!   uses nothing up: its sender sees that, and the login is waited for further.
//! * The browser shows success once the login has succeeded: the code was redeemed and the ID token
//!   checked. The code is out of its address bar by then.
//! * The pages load nothing, run nothing, and repeat nothing that came from outside.
//! * That time is over ([`NativeError::TimedOut`](crate::NativeError::TimedOut)), that the user refused
//!   ([`Denied::AccessDenied`](crate::Denied::AccessDenied)) and that the program called it off
//!   ([`NativeError::Cancelled`](crate::NativeError::Cancelled)) are errors of their own. A future that is
//!   dropped leaves nothing behind.

mod browser;
mod door;
mod log_in;
mod loopback;
mod page;
mod request;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

pub use browser::open_browser;
pub use log_in::{LogIn, log_in};
pub use loopback::{Loopback, Progress};

/// What was ready first.
enum First<A, B> {
    This(A),
    That(B),
}

/// Waits for the first of two. The other stays where it is.
async fn first<A, B>(
    this: &mut (impl Future<Output = A> + Unpin),
    that: &mut (impl Future<Output = B> + Unpin),
) -> First<A, B> {
    poll_fn(|context| {
        if let Poll::Ready(ready) = Pin::new(&mut *this).poll(context) {
            return Poll::Ready(First::This(ready));
        }
        Pin::new(&mut *that).poll(context).map(First::That)
    })
    .await
}
