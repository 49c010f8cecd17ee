//! Requests as they come: found in the bytes, and not judged.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame;

pub(super) const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const ACK: u8 = 1;

/// A request as it came.
#[derive(Clone, Default)]
pub struct WireRequest {
    /// Under HTTP/1.1 the request line and the headers; under HTTP/2 empty, since they are compressed.
    pub head: String,
    /// Under HTTP/1.1 the body, as it was framed.
    pub body: Vec<u8>,
    /// Under HTTP/2 the stream that it came on.
    pub stream: Option<u32>,
}

impl WireRequest {
    /// The request line, such as `GET /path?query HTTP/1.1`.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The headers in their order, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (String, &str)> {
        self.head.lines().skip(1).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim()))
        })
    }

    /// The values of one header, in their order.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value)
            .collect()
    }
}

impl fmt::Debug for WireRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.line())
    }
}

/// Reads a request to its end: by `content-length`, by the last chunk, or no body.
pub(super) async fn http1_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<WireRequest> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await?);
    }
    let mut request = WireRequest {
        head: String::from_utf8_lossy(&bytes).into_owned(),
        ..WireRequest::default()
    };
    if request.header("transfer-encoding") == ["chunked"] {
        while !request.body.ends_with(b"0\r\n\r\n") {
            request.body.push(stream.read_u8().await?);
        }
    } else if let [length] = request.header("content-length")[..] {
        let length = length.parse().map_err(io::Error::other)?;
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body).await?;
    }
    Ok(request)
}

/// Reads frames up to the headers of the next request; settings and pings are acknowledged. Bodies are
/// not waited for.
pub(super) async fn http2_request<S>(stream: &mut S) -> io::Result<WireRequest>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        stream.read_exact(&mut payload).await?;
        match kind {
            HEADERS => {
                return Ok(WireRequest {
                    stream: Some(id),
                    ..WireRequest::default()
                });
            }
            SETTINGS if flags & ACK == 0 => {
                let answer = frame(SETTINGS, ACK, 0, &[]);
                stream.write_all(&answer).await?;
            }
            PING if flags & ACK == 0 => {
                let answer = frame(PING, ACK, 0, &payload);
                stream.write_all(&answer).await?;
            }
            _ => {}
        }
    }
}
