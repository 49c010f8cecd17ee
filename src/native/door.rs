//! The listening socket and the connections that came through it.
//!
//! Everything lives in one future: no task is spawned, so that nothing is left behind when it is
//! dropped.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use super::page::Reply;
use super::request::{Asked, HEAD_MAX_BYTES, Refusal, Site, end_of_head};
use crate::error::NativeError;
use crate::future::BoxFuture;

/// The most connections at a time. Where there are more, the oldest goes: a browser's own says at once
/// what it wants, and those that say nothing shall not keep it out.
const CONNECTIONS: usize = 16;
/// How long a connection has to say what it wants, and again to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is read of what nobody asked for, so that the answer is not lost to a reset.
const DRAINED: usize = 64 * 1024;

/// Something that came through the door and has to be thought about.
pub(super) enum Event {
    /// A callback, not believed yet. Its connection waits for an answer.
    Callback(Caller),
    /// An answer of [`Door::redirect`] or the page at the end has gone out, or could not.
    Sent(Sent),
}

/// A connection that sent a callback.
pub(super) struct Caller {
    pub(super) callback: Zeroizing<String>,
    stream: TcpStream,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Redirect,
    Page,
    Nothing,
}

/// Where a connection got to.
enum Step {
    Read(TcpStream, Result<Asked, Refusal>),
    Written(Option<Sent>),
    Closed,
}

pub(super) struct Door<'a> {
    listener: TcpListener,
    site: &'a Site,
    connections: Vec<BoxFuture<'a, Step>>,
    patience: Duration,
    /// The page at the end, once it is known what stands on it.
    end: Option<Reply>,
}

impl<'a> Door<'a> {
    pub(super) const fn new(listener: TcpListener, site: &'a Site) -> Self {
        Self {
            listener,
            site,
            connections: Vec::new(),
            patience: PATIENCE,
            end: None,
        }
    }

    /// The next event. Dropped and called again, it goes on where it was.
    pub(super) async fn next(&mut self) -> Result<Event, NativeError> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, NativeError>> {
        loop {
            if let Some(event) = self.poll_connections(context) {
                return Poll::Ready(Ok(event));
            }
            match self.listener.poll_accept(context) {
                Poll::Ready(Ok((stream, _))) => {
                    if self.connections.len() >= CONNECTIONS {
                        drop(self.connections.remove(0));
                    }
                    let read = read(stream, self.site, self.patience);
                    self.connections.push(Box::pin(read));
                }
                Poll::Ready(Err(error)) if is_of_one_connection(error.kind()) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(NativeError::Accept(error.kind())));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_connections(&mut self, context: &mut Context<'_>) -> Option<Event> {
        let mut at = 0;
        while let Some(connection) = self.connections.get_mut(at) {
            let Poll::Ready(step) = Pin::new(connection).poll(context) else {
                at += 1;
                continue;
            };
            drop(self.connections.remove(at));
            match step {
                Step::Read(stream, Ok(Asked::Callback(callback))) if self.end.is_none() => {
                    return Some(Event::Callback(Caller { callback, stream }));
                }
                Step::Read(stream, asked) => self.answer_other(stream, &asked),
                Step::Written(Some(sent)) => return Some(Event::Sent(sent)),
                Step::Written(None) | Step::Closed => {}
            }
        }
        None
    }

    /// Answers what has no part in the login.
    fn answer_other(&mut self, stream: TcpStream, asked: &Result<Asked, Refusal>) {
        let (reply, sent) = match (asked, &self.end) {
            (Ok(Asked::End), Some(page)) => (page.clone(), Some(Sent::Page)),
            // NAT-7.3: a second callback finds nothing, and the end is nowhere before it is reached.
            (Ok(_), _) => (Reply::refusal(Refusal::Path), None),
            (Err(refusal), _) => (Reply::refusal(*refusal), None),
        };
        self.answer(stream, reply, sent);
    }

    fn answer(&mut self, stream: TcpStream, reply: Reply, sent: Option<Sent>) {
        let write = write(stream, reply, sent, self.patience);
        self.connections.push(Box::pin(write));
    }

    /// Answers a callback that does not count.
    pub(super) fn refuse(&mut self, caller: Caller, page: Reply) {
        self.answer(caller.stream, page, None);
    }

    /// The login is over: `page` says how, and is served from now on.
    pub(super) fn set_end(&mut self, page: Reply) {
        self.end = Some(page);
    }

    /// Sends the browser to the page at the end.
    pub(super) fn redirect(&mut self, caller: Caller) {
        let reply = Reply::redirect(self.site.end());
        self.answer(caller.stream, reply, Some(Sent::Redirect));
    }
}

/// Whether an error of `accept` says something about one connection only.
const fn is_of_one_connection(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn read(mut stream: TcpStream, site: &Site, patience: Duration) -> Step {
    match timeout(patience, head(&mut stream)).await {
        Ok(Ok(Some(head))) => {
            let asked = site.asked(&head);
            Step::Read(stream, asked)
        }
        Ok(Ok(None)) => Step::Read(stream, Err(Refusal::TooLarge)),
        Ok(Err(_)) | Err(_) => Step::Closed,
    }
}

/// The request line and the headers; `None` where they are too large.
async fn head(stream: &mut TcpStream) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Made at its full size: growing would leave copies of the code behind.
    let mut head = Zeroizing::new(Vec::with_capacity(HEAD_MAX_BYTES));
    let mut part = Zeroizing::new([0; 2048]);
    loop {
        let read = stream.read(part.as_mut()).await?;
        let part = part.get(..read).unwrap_or_default();
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head.len() + part.len() > HEAD_MAX_BYTES {
            return Ok(None);
        }
        head.extend_from_slice(part);
        if let Some(end) = end_of_head(&head) {
            head.truncate(end);
            return Ok(Some(head));
        }
    }
}

async fn write(
    mut stream: TcpStream,
    reply: Reply,
    sent: Option<Sent>,
    patience: Duration,
) -> Step {
    let written = timeout(patience, async {
        stream.write_all(reply.as_bytes()).await?;
        stream.shutdown().await
    })
    .await;
    match (sent, written) {
        (Some(sent), Ok(Ok(()))) => Step::Written(Some(sent)),
        (Some(_), _) => Step::Written(Some(Sent::Nothing)),
        (None, Ok(Ok(()))) => {
            let _ = timeout(patience, drain(&mut stream)).await;
            Step::Written(None)
        }
        (None, _) => Step::Closed,
    }
}

/// Reads what was sent beyond what was asked for: closed over unread bytes, a connection is reset, and
/// the answer may be lost with it.
async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut part = [0; 2048];
    let mut left = DRAINED;
    loop {
        let read = stream.read(&mut part).await?;
        part.zeroize();
        match left.checked_sub(read) {
            Some(rest) if read > 0 => left = rest,
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A connection that says nothing is closed when its time is over.
    #[tokio::test]
    async fn patience_ends() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let site = Site {
            host: address.to_string(),
            path: "/callback".to_owned(),
        };
        let mut door = Door::new(listener, &site);
        door.patience = Duration::from_millis(20);
        for begun in ["", "GET /callback?code=a HTTP/1.1\r\nHost: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begun.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let closed = async {
                stream.read_to_end(&mut answer).await.unwrap();
            };
            let mut closed = std::pin::pin!(closed);
            poll_fn(|context| {
                assert!(door.poll(context).is_pending());
                closed.as_mut().poll(context)
            })
            .await;
            assert_eq!(answer, b"");
            assert_eq!(door.connections.len(), 0);
        }
    }
}
