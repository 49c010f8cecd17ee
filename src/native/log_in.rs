//! A whole login on the user's own device.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use url::Url;

use super::loopback::{OnProgress, TIME_LIMIT};
use super::{First, Loopback, Progress, first, open_browser};
use crate::client::{Login, LoginRequest, Session};
use crate::error::{Error, NativeError};
use crate::future::BoxFuture;

/// Logs a user in with the browser of this device: listens, begins the login, starts the browser, waits
/// for the callback, and finishes.
///
/// The client's redirect URI is the registered one on the loopback address, without a port where the
/// system is to choose it: `http://127.0.0.1/callback`.
pub fn log_in(request: LoginRequest) -> LogIn {
    LogIn {
        request,
        app_name: String::new(),
        time_limit: TIME_LIMIT,
        browser: true,
        on_url: None,
        on_progress: None,
        until: None,
    }
}

type OnUrl = Box<dyn FnOnce(&Url) + Send>;

/// A login on the user's own device, about to begin: [`log_in`].
#[must_use = "the login begins with wait()"]
pub struct LogIn {
    request: LoginRequest,
    app_name: String,
    time_limit: Duration,
    browser: bool,
    on_url: Option<OnUrl>,
    on_progress: Option<OnProgress>,
    until: Option<BoxFuture<'static, ()>>,
}

impl LogIn {
    /// What the user knows the program as: [`Loopback::app_name`].
    pub fn app_name(mut self, name: impl Into<String>) -> Self {
        self.app_name = name.into();
        self
    }

    /// How long the user may take: [`Loopback::time_limit`].
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Starts no browser: the program brings the URL to the user itself, by [`on_url`](Self::on_url).
    pub const fn without_browser(mut self) -> Self {
        self.browser = false;
        self
    }

    /// Hands over the URL of the login, before a browser is started. Print it: a user who sits at another
    /// machine (SSH) has no other way, and one whose browser did not start neither.
    pub fn on_url(mut self, show: impl FnOnce(&Url) + Send + 'static) -> Self {
        self.on_url = Some(Box::new(show));
        self
    }

    /// Tells how the login goes on.
    pub fn on_progress(mut self, tell: impl FnMut(Progress<'_>) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(tell));
        self
    }

    /// Calls the login off when this is ready, such as at Ctrl-C: [`Loopback::until`].
    pub fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.until = Some(Box::pin(stop));
        self
    }

    /// Logs the user in.
    ///
    /// # Errors
    /// As those of [`Loopback::bind_for`], [`LoginRequest::start`] and [`Loopback::wait`]. That no browser
    /// could be started is none: [`Progress::NoBrowser`] tells, and the user may open the URL by hand.
    pub async fn wait(mut self) -> Result<Session, Error> {
        let client = self.request.client();
        let loopback = Loopback::bind_for(&client).await?;
        let begin = loopback.aim(self.request)?.start();
        let login = unless(&mut self.until, begin).await?;
        if let Some(show) = self.on_url {
            show(login.url());
        }
        if self.browser {
            let started = browser(&login).await;
            if let Some(tell) = &mut self.on_progress {
                tell(match &started {
                    Ok(()) => Progress::BrowserStarted,
                    Err(error) => Progress::NoBrowser(error),
                });
            }
        }
        let mut loopback = loopback.app_name(self.app_name).time_limit(self.time_limit);
        if let Some(tell) = self.on_progress {
            loopback = loopback.on_progress(tell);
        }
        if let Some(stop) = self.until {
            loopback = loopback.until(stop);
        }
        loopback.wait(&client, &login).await
    }
}

impl fmt::Debug for LogIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogIn")
            .field("app_name", &self.app_name)
            .field("time_limit", &self.time_limit)
            .field("browser", &self.browser)
            .finish_non_exhaustive()
    }
}

/// Begins the login, unless it is called off.
async fn unless(
    until: &mut Option<BoxFuture<'static, ()>>,
    begin: impl Future<Output = Result<Login, Error>>,
) -> Result<Login, Error> {
    let Some(until) = until else {
        return begin.await;
    };
    match first(until, &mut pin!(begin)).await {
        First::This(()) => Err(NativeError::Cancelled.into()),
        First::That(login) => login,
    }
}

/// Starting a browser can take a moment, in which the thread would wait.
async fn browser(login: &Login) -> Result<(), NativeError> {
    let url = login.url().clone();
    tokio::task::spawn_blocking(move || open_browser(&url))
        .await
        .unwrap_or(Err(NativeError::NoBrowser))
}
