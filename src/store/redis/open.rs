//! How a connection comes to stand: TCP, TLS, who we are, and whom we found.

use std::io;
use std::net::SocketAddr;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value, cmd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::answer::{self, Fault};
use super::bounded::Bounded;
use super::link::Live;
use super::settings::{Settings, not_loopback};
use crate::error::StoreError;
use crate::tls;

/// Makes a connection that is ready for commands. The caller limits the time that this may take.
pub(super) async fn open(settings: &Settings) -> Result<Live, StoreError> {
    let tcp = tcp(settings).await?;
    let live = match &settings.tls {
        None => drive(tcp).await?,
        Some(connector) => {
            let name = tls::server_name(&settings.place.host)?;
            let stream = connector.connect(name, tcp).await;
            drive(stream.map_err(|error| handshake_failed(&error))?).await?
        }
    };
    introduce(&live, settings).await?;
    Ok(live)
}

async fn tcp(settings: &Settings) -> Result<TcpStream, StoreError> {
    let place = &settings.place;
    let found = lookup_host((place.host.as_str(), place.port)).await;
    let found: Vec<SocketAddr> = found.map_err(|_| StoreError::Unavailable)?.collect();
    // A hosts file can send `localhost` anywhere.
    if settings.tls.is_none() && !found.iter().all(|address| address.ip().is_loopback()) {
        return Err(not_loopback());
    }
    for address in found {
        if let Ok(stream) = TcpStream::connect(address).await {
            // Commands are small and waited for.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(StoreError::Unavailable)
}

/// A certificate that is not taken does not become a better one; anything else may pass.
fn handshake_failed(error: &io::Error) -> StoreError {
    tls::lasting_reason(error).map_or(StoreError::Unavailable, |reason| {
        StoreError::Setting(format!("no TLS with the server: {reason}"))
    })
}

/// Hands the stream to the library, which does not say anything over it by itself.
async fn drive<S>(stream: S) -> Result<Live, StoreError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let silent = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let stream = Bounded::new(stream);
    let (connection, driver) = MultiplexedConnection::new_with_config(&silent, stream, config)
        .await
        .map_err(|_| StoreError::Unavailable)?;
    Ok(Live::new(connection, tokio::spawn(driver)))
}

async fn introduce(live: &Live, settings: &Settings) -> Result<(), StoreError> {
    let send = async |command: Cmd| live.send(&command, settings.connect_timeout).await;
    if let Some(credentials) = &settings.credentials {
        let mut auth = cmd("AUTH");
        auth.arg(&credentials.user)
            .arg(credentials.password.as_str());
        send(auth).await?;
    }
    if settings.database != 0 {
        let mut select = cmd("SELECT");
        select.arg(settings.database);
        send(select).await.map_err(|fault| match fault {
            Fault::Refused(StoreError::Setting(_)) => {
                let database = settings.database;
                StoreError::Setting(format!("the server has no database {database}"))
            }
            other => other.into(),
        })?;
    }
    let mut hello = cmd("HELLO");
    hello.arg(2);
    // A replica may be behind, and takes no writes.
    if role(send(hello).await?)? == "master" {
        Ok(())
    } else {
        Err(StoreError::Unavailable)
    }
}

/// What the server is, of the names and values with which it greets.
fn role(greeting: Value) -> Result<String, StoreError> {
    let mut values = answer::list(greeting)?.into_iter();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        if answer::text(name)? == "role" {
            return answer::text(value);
        }
    }
    Err(StoreError::Malformed("the server does not say what it is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The role is found by its name, and a greeting without one is refused.
    #[test]
    fn the_role_is_read() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let mut greeting = vec![text("proto"), Value::Int(2), text("role"), text("replica")];
        assert_eq!(role(Value::Array(greeting.clone())).unwrap(), "replica");
        greeting.truncate(3);
        assert_eq!(
            role(Value::Array(greeting)).unwrap_err(),
            StoreError::Malformed("the server does not say what it is")
        );
    }
}
