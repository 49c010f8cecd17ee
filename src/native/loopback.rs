//! The listener for one callback.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tracing::Instrument;
use url::{Host, Url};

use super::door::{Caller, Door, Event, Sent};
use super::page::Pages;
use super::request::Site;
use super::{First, first};
use crate::client::{Client, Login, LoginRequest, Session};
use crate::error::{ConfigError, Error, NativeError, Violation};
use crate::future::BoxFuture;

/// How long the user may take, unless the program says otherwise.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long the browser has to fetch the last page.
const FAREWELL: Duration = Duration::from_secs(5);
/// The most callbacks that wait while one is checked.
const QUEUE: usize = 16;

/// How a login goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A browser was started. Whether the user sees it is not known.
    BrowserStarted,
    /// No browser could be started: the user has to open the URL by hand.
    NoBrowser(&'a NativeError),
    /// The callback is waited for.
    Waiting,
    /// A callback came, and is being checked.
    Checking,
    /// The callback did not count. It used nothing up, and the wait goes on.
    Refused(&'a Violation),
}

pub(super) type OnProgress = Box<dyn FnMut(Progress<'_>) + Send>;

/// A listener for one callback, on the loopback interface of the user's own device (RFC 8252 section
/// 7.3).
///
/// It keeps its port from the moment it is bound, and gives it up when it is dropped or has waited.
///
/// ```no_run
/// use fapi_client::native::Loopback;
///
/// # async fn flow(client: &fapi_client::Client) -> Result<(), fapi_client::Error> {
/// let loopback = Loopback::bind_for(client).await?;
/// let login = loopback.aim(client.login().scope("openid accounts"))?.start().await?;
/// println!("Log in at {}", login.url());
/// let session = loopback.wait(client, &login).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "the callback is waited for with wait()"]
pub struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
    site: Site,
    pages: Pages,
    time_limit: Duration,
    on_progress: Option<OnProgress>,
    until: Option<BoxFuture<'static, ()>>,
}

impl Loopback {
    /// Listens on `127.0.0.1`, or on `[::1]` where there is no such thing, at a port that the system
    /// chooses, for the path `/callback`.
    ///
    /// For a client that is built afterwards, with [`redirect_uri`](Self::redirect_uri). Where the client
    /// is there already it is [`bind_for`](Self::bind_for).
    ///
    /// # Errors
    /// [`NativeError::Listen`]; [`ConfigError::NoRuntime`] outside of a tokio runtime.
    pub async fn bind() -> Result<Self, Error> {
        match Self::bind_on(Ipv4Addr::LOCALHOST.into(), 0).await {
            Err(Error::Native(_)) => Self::bind_on(Ipv6Addr::LOCALHOST.into(), 0).await,
            bound => bound,
        }
    }

    /// Listens where the client's redirect URI says: at its address and path, and at its port where it
    /// names one, else at one that the system chooses.
    ///
    /// # Errors
    /// [`ConfigError::OtherLoopback`] where the client has no redirect URI on a loopback address; else as
    /// those of [`bind`](Self::bind).
    pub async fn bind_for(client: &Client) -> Result<Self, Error> {
        let redirect_uri = client.loopback_redirect();
        let found = redirect_uri.and_then(|url| Some((ip_of(&url)?, url)));
        let (ip, url) = found.ok_or_else(|| ConfigError::OtherLoopback {
            listener: "http://127.0.0.1/callback".to_owned(),
        })?;
        let bound = Self::bind_on(ip, url.port().unwrap_or(0)).await?;
        Ok(bound.path(url.path())?)
    }

    /// Listens at that address and port; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`ConfigError::NotLoopback`] for any address but `127.0.0.1` and `::1`; else as those of
    /// [`bind`](Self::bind).
    pub async fn bind_on(address: IpAddr, port: u16) -> Result<Self, Error> {
        // NAT-7.3: what listens elsewhere can be reached from elsewhere.
        if address != Ipv4Addr::LOCALHOST && address != Ipv6Addr::LOCALHOST {
            return Err(ConfigError::NotLoopback(address).into());
        }
        if Handle::try_current().is_err() {
            return Err(ConfigError::NoRuntime.into());
        }
        let asked = SocketAddr::new(address, port);
        let failed = |error: io::Error| NativeError::Listen {
            address: asked,
            kind: error.kind(),
        };
        let listener = TcpListener::bind(asked).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            site: Site {
                host: host_of(address),
                path: "/callback".to_owned(),
            },
            pages: Pages::default(),
            time_limit: TIME_LIMIT,
            on_progress: None,
            until: None,
        })
    }

    /// Another path than `/callback`: the one that is registered.
    ///
    /// # Errors
    /// [`ConfigError::CallbackPath`] for what is no path as it stands in a URL.
    pub fn path(mut self, path: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(&format!("http://{}{path}", self.site.host)).ok();
        let plain = url.is_some_and(|url| {
            path.starts_with('/')
                && url.path() == path
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !plain {
            return Err(ConfigError::CallbackPath(path.to_owned()));
        }
        path.clone_into(&mut self.site.path);
        Ok(self)
    }

    /// What the user knows the program as. It stands on the pages that the browser shows.
    pub fn app_name(mut self, name: impl Into<String>) -> Self {
        self.pages.app_name = name.into();
        self
    }

    /// How long the user may take: 5 minutes otherwise. A callback that came in time is seen through to
    /// its end.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Tells how the login goes on.
    pub fn on_progress(mut self, tell: impl FnMut(Progress<'_>) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(tell));
        self
    }

    /// Calls the login off when this is ready, such as at Ctrl-C, with [`NativeError::Cancelled`]. A
    /// callback that came before is seen through to its end.
    pub fn until(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.until = Some(Box::pin(stop));
        self
    }

    /// The address and port that it listens on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The redirect URI: `http://127.0.0.1:PORT/callback`. The address is a number, never a name
    /// (RFC 8252 section 8.3).
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("http://{}{}", self.site.host, self.site.path)
    }

    /// Lets a login end here: the port of the client's redirect URI becomes this one. Nothing else of it
    /// changes, so a server that has it registered takes it (RFC 8252 section 7.3).
    ///
    /// # Errors
    /// [`ConfigError::OtherLoopback`] where the client's redirect URI has another address, another path or
    /// a port of its own.
    pub fn aim(&self, request: LoginRequest) -> Result<LoginRequest, ConfigError> {
        let registered = request.client().loopback_redirect();
        let here = registered
            .filter(|url| ip_of(url) == Some(self.address.ip()) && url.path() == self.site.path);
        here.and_then(|_| request.with_port(self.address.port()))
            .ok_or_else(|| ConfigError::OtherLoopback {
                listener: self.redirect_uri(),
            })
    }

    /// Waits for the callback of a login, finishes it, and shows the user how it ended.
    ///
    /// # Errors
    /// [`NativeError::TimedOut`], [`NativeError::Cancelled`], [`NativeError::Accept`];
    /// [`Error::Denied`] when the user or the server said no; else as those of
    /// [`Client::finish_login`].
    pub async fn wait(self, client: &Client, login: &Login) -> Result<Session, Error> {
        let span = tracing::info_span!("fapi.loopback", port = self.address.port());
        self.waited(client, login).instrument(span).await
    }

    async fn waited(self, client: &Client, login: &Login) -> Result<Session, Error> {
        let Self {
            listener,
            site,
            pages,
            time_limit,
            until,
            on_progress,
            ..
        } = self;
        let mut wait = Wait {
            door: Door::new(listener, &site),
            pages: &pages,
            queue: VecDeque::new(),
            refused: None,
            on_progress,
        };
        let over = over(time_limit, until);
        let (caller, outcome) = wait.outcome(client, login, over).await?;
        // NAT-7.3: after this the listener is gone.
        wait.farewell(caller, &outcome).await;
        outcome
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Loopback")
            .field("address", &self.address)
            .field("path", &self.site.path)
            .finish_non_exhaustive()
    }
}

/// Why nobody waits any longer.
enum Over {
    Time,
    Stopped,
}

async fn over(limit: Duration, until: Option<BoxFuture<'static, ()>>) -> Over {
    let mut until = until.unwrap_or_else(|| Box::pin(pending()));
    match first(&mut until, &mut pin!(sleep(limit))).await {
        First::This(()) => Over::Stopped,
        First::That(()) => Over::Time,
    }
}

struct Wait<'a> {
    door: Door<'a>,
    pages: &'a Pages,
    /// Callbacks that came while another was being checked.
    queue: VecDeque<Caller>,
    refused: Option<Box<Violation>>,
    on_progress: Option<OnProgress>,
}

impl Wait<'_> {
    fn tell(&mut self, progress: Progress<'_>) {
        if let Some(tell) = &mut self.on_progress {
            tell(progress);
        }
    }

    /// The callback that counted, and what came of it.
    async fn outcome(
        &mut self,
        client: &Client,
        login: &Login,
        over: impl Future<Output = Over>,
    ) -> Result<(Caller, Result<Session, Error>), NativeError> {
        let mut over = pin!(over);
        self.tell(Progress::Waiting);
        loop {
            let next = first(&mut over, &mut pin!(self.caller())).await;
            let caller = match next {
                First::That(caller) => caller?,
                First::This(Over::Stopped) => return Err(NativeError::Cancelled),
                First::This(Over::Time) => {
                    let refused = self.refused.take();
                    return Err(NativeError::TimedOut { refused });
                }
            };
            self.tell(Progress::Checking);
            let outcome = self.finished(client, login, &caller).await;
            match outcome {
                // ERR-14: a forged callback uses nothing up, and its sender sees no success.
                Err(Error::Violation(violation)) if used_nothing_up(&violation) => {
                    tracing::warn!(code = violation.code(), "a callback did not count");
                    self.tell(Progress::Refused(&violation));
                    self.door.refuse(caller, self.pages.stray(violation.code()));
                    self.refused = Some(Box::new(violation));
                }
                outcome => return Ok((caller, outcome)),
            }
        }
    }

    /// The next callback.
    async fn caller(&mut self) -> Result<Caller, NativeError> {
        if let Some(caller) = self.queue.pop_front() {
            return Ok(caller);
        }
        loop {
            if let Event::Callback(caller) = self.door.next().await? {
                return Ok(caller);
            }
        }
    }

    /// Finishes the login. Others are let in meanwhile, and wait.
    async fn finished(
        &mut self,
        client: &Client,
        login: &Login,
        caller: &Caller,
    ) -> Result<Session, Error> {
        let finish = client.finish_login(login.transaction(), caller.callback.as_str());
        let mut finish = pin!(finish);
        loop {
            match first(&mut finish, &mut pin!(self.door.next())).await {
                First::This(outcome) => return outcome,
                First::That(Ok(Event::Callback(other))) if self.queue.len() < QUEUE => {
                    self.queue.push_back(other);
                }
                First::That(Ok(_)) => {}
                // A code that is being redeemed is not dropped for a listener that broke.
                First::That(Err(_)) => return finish.await,
            }
        }
    }

    /// Lets the browser see how it ended, for as long as that takes within reason.
    async fn farewell(&mut self, caller: Caller, outcome: &Result<Session, Error>) {
        self.door.set_end(self.pages.end(outcome));
        let mut awaited = 1_usize;
        for other in std::mem::take(&mut self.queue) {
            // The same callback again is the same browser: a reload, or a second click.
            if other.callback == caller.callback {
                awaited += 1;
                self.door.redirect(other);
            } else {
                let code = Violation::NoSuchLogin.code();
                self.door.refuse(other, self.pages.stray(code));
            }
        }
        self.door.redirect(caller);
        let seen = async {
            while awaited > 0 {
                match self.door.next().await {
                    Ok(Event::Sent(Sent::Page | Sent::Nothing)) => awaited -= 1,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        };
        if timeout(FAREWELL, seen).await.is_err() {
            tracing::info!("the browser did not fetch the last page");
        }
    }
}

/// Whether a callback was refused before anything was taken: it can't be read, or `iss` or `state` are
/// not those of the login.
const fn used_nothing_up(violation: &Violation) -> bool {
    matches!(
        violation,
        Violation::Callback
            | Violation::DuplicateParameter { .. }
            | Violation::MissingIssuer
            | Violation::Issuer { .. }
            | Violation::State
    )
}

fn ip_of(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// As a browser writes it into `Host`: without the port where it is that of http.
fn host_of(address: SocketAddr) -> String {
    match (address.ip(), address.port()) {
        (IpAddr::V4(ip), 80) => ip.to_string(),
        (IpAddr::V6(ip), 80) => format!("[{ip}]"),
        _ => address.to_string(),
    }
}
