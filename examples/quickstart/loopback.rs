//! A receiver for one callback on the loopback interface (RFC 8252 section 7.3), as small as it can be.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

const PAGE: &str = "<!doctype html><title>Done</title><p>You can close this window.</p>";
/// The longest request line and headers that are read.
const LIMIT: usize = 32 * 1024;

pub(crate) struct Loopback {
    listener: TcpListener,
    redirect_uri: Url,
}

impl Loopback {
    /// Listens where the redirect URI says. Port 0 lets the system choose.
    pub(crate) async fn bind(redirect_uri: &str) -> io::Result<Self> {
        let mut redirect_uri = Url::parse(redirect_uri).map_err(io::Error::other)?;
        let host = redirect_uri.host_str().unwrap_or_default().to_owned();
        let port = redirect_uri.port().unwrap_or(0);
        let listener = TcpListener::bind((host.trim_matches(['[', ']']), port)).await?;
        let port = listener.local_addr()?.port();
        redirect_uri
            .set_port(Some(port))
            .map_err(|()| io::Error::other("the redirect URI can't have a port"))?;
        Ok(Self {
            listener,
            redirect_uri,
        })
    }

    pub(crate) fn redirect_uri(&self) -> &str {
        self.redirect_uri.as_str()
    }

    /// Waits for the browser. Requests for anything but the callback (an icon, a connection made ahead
    /// of time) are answered and forgotten.
    pub(crate) async fn callback(self) -> io::Result<String> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let read = timeout(Duration::from_secs(5), self.serve(stream)).await;
            if let Ok(Ok(Some(callback))) = read {
                return Ok(callback);
            }
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<Option<String>> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).await?;
            if read == 0 || head.len() + read > LIMIT {
                return Ok(None);
            }
            head.extend_from_slice(&part[..read]);
        }
        let text = String::from_utf8_lossy(&head);
        let target = text
            .strip_prefix("GET ")
            .and_then(|rest| rest.split(' ').next())
            .filter(|target| {
                target.split('?').next() == Some(self.redirect_uri.path()) && target.contains('?')
            });
        let (status, body) = match target {
            Some(_) => ("200 OK", PAGE),
            None => ("404 Not Found", ""),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        Ok(target.map(str::to_owned))
    }
}
