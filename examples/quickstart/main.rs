//! A complete FAPI 2.0 login, API calls and a refresh, with each step printed.
//!
//! Without arguments it starts the servers of `fapi-testkit` in this process and plays the user as
//! well: `cargo run --example quickstart`.
//!
//! With `--issuer` it runs against any FAPI 2.0 server, and the user logs in with a browser:
//!
//! ```text
//! cargo run --example quickstart -- --issuer https://as.example --client-id my-client --key key.pem \
//!     [--api https://api.example/accounts] [--scope "openid accounts"] [--ca ca.pem] \
//!     [--redirect-uri http://127.0.0.1:0/callback]
//! ```

mod loopback;
mod options;
mod watch;

use std::error::Error;

use fapi_client::{
    Client, ClientAuth, HttpsTransport, KeySet, Login, RequestBody, Session, SoftwareKey,
    Transport, TransportRequest,
};
use fapi_testkit::{Registration, TestServer};
use loopback::Loopback;
use options::Options;
use serde_json::Value;
use watch::Watch;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    match Options::from_arguments()? {
        Some(options) => against(options).await,
        None => in_process().await,
    }
}

/// Everything in this process: the servers, the client, and the user.
async fn in_process() -> Outcome<()> {
    step("Test servers");
    let server = TestServer::start().await;
    println!("  authorization server {}", server.issuer());
    println!("  API                  {}", server.api());

    let keys = KeySet::new(SoftwareKey::generate_es256()?);
    let redirect_uri = "https://app.example/callback";
    server.register(
        Registration::new("quickstart")
            .jwks(keys.jwks())
            .redirect_uri(redirect_uri),
    );
    let https = HttpsTransport::builder()
        .only_root_certificates(server.ca_pem())?
        .no_proxy()
        .build()?;
    let watch = Watch::new(https);

    step("Client: metadata read, preflight passed");
    let client = Client::builder(server.issuer(), "quickstart")
        .redirect_uri(redirect_uri)
        .authenticate_with(ClientAuth::private_key_jwt(keys))
        .api(server.api())
        .transport(watch.clone())
        .build()
        .await?;

    let login = begin(&client, "openid accounts").await?;
    step("The user logs in and agrees (played by the testkit)");
    let callback = server.browser("alice").approve(login.url().as_str()).await;
    let api = Api {
        url: format!("{}/accounts", server.api()),
        thief: true,
    };
    finish(&client, &login, &callback, Some(&api), &watch).await
}

/// An API to call.
struct Api {
    url: String,
    /// Whether to show what a thief makes of the request: at our own servers alone.
    thief: bool,
}

/// A real server, and a user with a browser.
async fn against(options: Options) -> Outcome<()> {
    let key = SoftwareKey::from_pem(&std::fs::read_to_string(&options.key)?)?;
    let mut https = HttpsTransport::builder();
    if let Some(ca) = &options.ca {
        https = https.add_root_certificates(std::fs::read(ca)?)?;
    }
    let watch = Watch::new(https.build()?);
    let loopback = Loopback::bind(&options.redirect_uri).await?;

    step("Client: metadata read, preflight passed");
    let mut builder = Client::builder(&options.issuer, &options.client_id)
        .redirect_uri(loopback.redirect_uri())
        .authenticate_with(ClientAuth::private_key_jwt(key))
        .transport(watch.clone());
    if let Some(api) = &options.api {
        builder = builder.api(url::Url::parse(api)?.origin().ascii_serialization());
    }
    let client = builder.build().await?;

    let login = begin(&client, &options.scope).await?;
    step("Open this in a browser and log in");
    println!("  {}", login.url());
    println!("  waiting at {}", loopback.redirect_uri());
    let callback = loopback.callback().await?;
    let api = options.api.map(|url| Api { url, thief: false });
    finish(&client, &login, &callback, api.as_ref(), &watch).await
}

/// The parameters are pushed; the browser carries two.
async fn begin(client: &Client, scope: &str) -> Outcome<Login> {
    step("Pushed authorization request");
    let login = client.login().scope(scope).start().await?;
    let names: Vec<_> = login.url().query_pairs().map(|(name, _)| name).collect();
    println!("  proven: the browser carries {names:?} and nothing else");
    Ok(login)
}

/// From the callback on.
async fn finish(
    client: &Client,
    login: &Login,
    callback: &str,
    api: Option<&Api>,
    watch: &Watch,
) -> Outcome<()> {
    step("Callback: iss and state checked, code redeemed, ID token verified");
    let session = client.finish_login(login.transaction(), callback).await?;
    println!("  subject        {}", session.subject().unwrap_or("(none)"));
    println!("  scope          {}", session.scope()?.unwrap_or_default());
    println!(
        "  key thumbprint {}",
        session.key_thumbprint().unwrap_or("(none)")
    );

    match client.finish_login(login.transaction(), callback).await {
        Err(error) => println!(
            "  proven: the same callback again is refused: {}",
            error.code()
        ),
        Ok(_) => return Err("a callback was taken twice".into()),
    }

    if let Some(api) = api {
        call(&session, &api.url).await?;
        if api.thief {
            steal(&api.url, watch).await?;
        }
    }
    if client.metadata().get("userinfo_endpoint").is_some() && session.subject().is_some() {
        step("UserInfo");
        let info = session.userinfo().await?;
        println!("  proven: it is about {}, as the ID token", info.subject());
    }

    step("Refresh");
    session.refresh().await?;
    if let Some(api) = api {
        session.get(&api.url).send().await?.error_for_status()?;
        println!("  proven: the new token works at the API");
    }

    step("Logout");
    session.logout().await?;
    println!("  proven: {}", ended(&session).await?);
    println!("\nDone. Every request carried a fresh proof; no token ever went out without one.");
    Ok(())
}

/// An API call.
async fn call(session: &Session, url: &str) -> Outcome<()> {
    step("API call");
    let response = session
        .get(url)
        .header("accept", "application/json")
        .send()
        .await?;
    let body: Value = response.json()?;
    if let Some(bound_to) = body["cnf"]["jkt"].as_str() {
        if Some(bound_to) != session.key_thumbprint() {
            return Err("the token is bound to another key".into());
        }
        println!("  proven: cnf.jkt of the token is our key");
    }
    Ok(())
}

/// What a thief makes of the request that went out last.
async fn steal(url: &str, watch: &Watch) -> Outcome<()> {
    step("A thief who read that request");
    let stolen = watch.last_authorization().ok_or("no request was seen")?;
    let token = stolen.token.strip_prefix("DPoP ").ok_or("no DPoP token")?;
    for (attempt, authorization, proof) in [
        ("the token as Bearer", format!("Bearer {token}"), None),
        ("the token without a proof", stolen.token.clone(), None),
        (
            "the whole request replayed",
            stolen.token.clone(),
            Some(stolen.proof.as_str()),
        ),
    ] {
        let mut request = http::Request::get(url).header("authorization", authorization);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        let status = watch
            .send_as_thief(request.body(RequestBody::empty())?)
            .await?;
        if status.is_success() {
            return Err(format!("{attempt}: the API took it").into());
        }
        println!("  proven: {attempt} is refused with {status}");
    }
    Ok(())
}

async fn ended(session: &Session) -> Outcome<String> {
    match session.refresh().await {
        Err(error) => Ok(format!("the session is over: {}", error.code())),
        Ok(()) => Err("the session went on after logout".into()),
    }
}

fn step(title: &str) {
    println!("\n{title}");
}

impl Watch {
    async fn send_as_thief(
        &self,
        request: http::Request<RequestBody>,
    ) -> Outcome<http::StatusCode> {
        let limit = std::time::Duration::from_secs(10);
        let request = TransportRequest::new(request, 1 << 20, limit);
        Ok(self.unwatched().send(request).await?.status())
    }
}
