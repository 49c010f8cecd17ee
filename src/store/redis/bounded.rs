//! A stream whose answers end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read after the last command went out. A hundred records are read at once, so this
/// is far beyond what is honest.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Reads so much between two writes, and fails then: the library that reads answers has no limit.
pub(super) struct Bounded<S> {
    stream: S,
    left: usize,
}

impl<S> Bounded<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            left: ANSWER_MAX_BYTES,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            // A reset is what the library takes for the end of a connection.
            None => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.left = ANSWER_MAX_BYTES;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// An answer that does not end is cut off; a command begins the count anew.
    #[tokio::test]
    async fn an_answer_without_an_end_is_cut_off() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut ours = Bounded {
            stream: ours,
            left: 6,
        };
        let mut theirs = theirs;
        let mut four = [0; 4];
        theirs.write_all(b"0123456789").await.unwrap();
        ours.read_exact(&mut four).await.unwrap();
        let error = ours.read_exact(&mut four).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        ours.write_all(b"next").await.unwrap();
        assert_eq!(ours.left, ANSWER_MAX_BYTES);
    }
}
