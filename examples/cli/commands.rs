//! The commands.

use std::fs;
use std::time::Duration;

use fapi_client::{Client, Error, Registration, Session, Stores, native};
use http::Method;
use serde_json::{Value, json};

use crate::arguments::{Arguments, Command};
use crate::profile::{self, NAME, Profile, REDIRECT_URI};
use crate::say::{Failure, Say};

/// How long the end of the program waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(arguments: &Arguments, say: &Say) -> Result<(), Failure> {
    let folder = profile::folder(arguments)?;
    let mut profile = Profile::new(arguments, &folder)?;
    let stores = profile::stores(arguments, &profile, &folder).await?;
    if matches!(arguments.command, Command::Register) {
        register(arguments, &profile, &stores, say).await?;
        if let Some((id, _)) = profile.by_hand.take() {
            Say::meanwhile(format_args!(
                "{id}, which was registered by hand, is used no more."
            ));
        }
    } else {
        let client = profile::client(arguments, &profile, &stores).await?;
        let outcome = match &arguments.command {
            Command::Login => login(arguments, &client, say).await,
            Command::Call { method, url } => call(arguments, &client, method, url, say).await,
            Command::Logout => logout(&client, say).await,
            Command::Status | Command::Register => status(&client, say).await,
        };
        // A token that is being renewed beside the call is not to be lost with this process.
        client.settled(PATIENCE).await;
        outcome?;
    }
    if arguments.in_memory() {
        return Ok(());
    }
    profile.remember(&folder)
}

async fn register(
    arguments: &Arguments,
    profile: &Profile,
    stores: &Stores,
    say: &Say,
) -> Result<(), Failure> {
    if arguments.in_memory() {
        return Err(Failure::Usage(
            "a registration in memory would be lost at once",
        ));
    }
    if let Some(known) = Registration::load(stores, &profile.issuer, NAME).await? {
        let id = known.client_id();
        say.answer(
            format!("registered already, as {id}"),
            &json!({"client_id": id, "new": false}),
        );
        return Ok(());
    }
    let key = profile::own_key(stores, &profile.issuer).await?;
    let mut request = Client::register(&profile.issuer)
        .authenticate_with(key)
        .redirect_uri(REDIRECT_URI)
        .native()
        .client_name("FAPI on the command line")
        .transport(profile::transport(arguments)?);
    if let Some(scope) = &arguments.scope {
        request = request.scope(scope);
    }
    if let Some(file) = &arguments.initial_access_token {
        let token = fs::read_to_string(file).map_err(Failure::file(file))?;
        request = request.initial_access_token(token.trim());
    }
    let mut registration = request.send().await?;
    registration.save(stores, NAME).await?;
    let id = registration.client_id();
    say.answer(
        format!("registered, as {id}"),
        &json!({"client_id": id, "new": true}),
    );
    Ok(())
}

async fn login(arguments: &Arguments, client: &Client, say: &Say) -> Result<(), Failure> {
    let session = log_in(arguments, client).await?;
    say.answer(
        welcome(&session),
        &json!({"subject": session.subject(), "scope": session.scope().ok().flatten()}),
    );
    Ok(())
}

fn welcome(session: &Session) -> String {
    format!("Logged in as {}.", session.subject().unwrap_or("somebody"))
}

async fn log_in(arguments: &Arguments, client: &Client) -> Result<Session, Failure> {
    let scope = arguments.scope.as_deref().unwrap_or("openid");
    let mut login = native::log_in(client.login().scope(scope))
        .app_name("the command line")
        .time_limit(arguments.timeout)
        .on_url(|url| Say::meanwhile(format_args!("Log in at:\n\n  {url}\n")))
        .on_progress(|progress| match progress {
            native::Progress::BrowserStarted => Say::meanwhile("Your browser is open."),
            native::Progress::NoBrowser(_) => {
                Say::meanwhile("No browser could be started: open the address by hand.");
            }
            native::Progress::Waiting => {
                Say::meanwhile("Waiting for you to log in (Ctrl-C ends it) …");
            }
            native::Progress::Checking => Say::meanwhile("Checking …"),
            native::Progress::Refused(violation) => {
                Say::meanwhile(format_args!(
                    "Something that is not your login came: {violation}"
                ));
            }
            _ => {}
        })
        .until(async {
            // Without signals the login ends with its time.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        });
    if !arguments.browser {
        login = login.without_browser();
    }
    // One user a program: whoever was logged in before is not any more.
    let before = client.sessions().await?;
    let session = login.wait().await?;
    for old in before {
        end(old).await?;
    }
    Ok(session)
}

async fn the_session(client: &Client) -> Result<Session, Failure> {
    let mut sessions = client.sessions().await?;
    sessions.pop().ok_or(Failure::NotLoggedIn)
}

async fn call(
    arguments: &Arguments,
    client: &Client,
    method: &str,
    url: &str,
    say: &Say,
) -> Result<(), Failure> {
    let session = match the_session(client).await {
        // In memory there is never a session from before.
        Err(Failure::NotLoggedIn) if arguments.in_memory() => {
            let session = log_in(arguments, client).await?;
            Say::meanwhile(welcome(&session));
            session
        }
        session => session?,
    };
    let answered = send(arguments, &session, method, url, say).await;
    if arguments.in_memory() {
        // Nobody could end it later.
        end(session).await?;
    }
    answered
}

async fn send(
    arguments: &Arguments,
    session: &Session,
    method: &str,
    url: &str,
    say: &Say,
) -> Result<(), Failure> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| Failure::Usage("that is no HTTP method"))?;
    let mut request = session
        .request(method, url)
        .header("accept", "application/json, */*;q=0.1");
    if let Some(body) = &arguments.body {
        if serde_json::from_str::<Value>(body).is_ok() {
            request = request.header("content-type", "application/json");
        }
        request = request.body(body.clone());
    }
    let response = request.send().await?;
    let text = response.text()?;
    let body = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let status = response.status().as_u16();
    say.answer(text, &json!({"status": status, "body": body}));
    response.error_for_status()?;
    Ok(())
}

async fn status(client: &Client, say: &Say) -> Result<(), Failure> {
    let session = the_session(client).await?;
    let expires_at = session.expires_at()?.map(fapi_client::Timestamp::seconds);
    let scope = session.scope()?.unwrap_or_default();
    let who = session.subject().unwrap_or("somebody");
    say.answer(
        format!("{who} at {}, for {scope:?}", client.issuer()),
        &json!({
            "issuer": client.issuer().as_str(), "client_id": client.client_id(),
            "subject": session.subject(), "scope": scope, "expires_at": expires_at,
        }),
    );
    Ok(())
}

async fn logout(client: &Client, say: &Say) -> Result<(), Failure> {
    let sessions = client.sessions().await?;
    if sessions.is_empty() {
        return Err(Failure::NotLoggedIn);
    }
    for session in sessions {
        end(session).await?;
    }
    say.answer("Logged out.", &json!({"logged_out": true}));
    Ok(())
}

/// The session has ended here; the server is told again at the next login. Where the store did not take it,
/// it would be back at the next start: that is no logout.
async fn end(session: Session) -> Result<(), Failure> {
    match session.logout().await {
        Ok(()) => Ok(()),
        Err(error @ Error::Store(_)) => Err(error.into()),
        Err(error) => {
            Say::meanwhile(format_args!("The server could not be told yet: {error}"));
            Ok(())
        }
    }
}
