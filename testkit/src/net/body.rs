//! Bodies of answers, those that never end among them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

const CHUNK: Bytes = Bytes::from_static(&[b' '; 8192]);

/// What stands in the body of an answer.
#[derive(Clone, Debug)]
pub(crate) enum AnswerBody {
    Full(Bytes),
    /// That many bytes, without a `Content-Length`.
    Sized(u64),
    /// Bytes without end.
    Endless,
    /// A first piece, and then nothing more.
    Stalled(Bytes),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Self::Sized(0) => return Poll::Ready(None),
            Self::Full(bytes) => std::mem::take(bytes),
            Self::Sized(left) => {
                let now = CHUNK.slice(
                    ..usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(CHUNK.len()),
                );
                *left -= now.len() as u64;
                now
            }
            Self::Endless => CHUNK,
            Self::Stalled(first) if first.is_empty() => return Poll::Pending,
            Self::Stalled(first) => std::mem::take(first),
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Sized(left) => *left == 0,
            Self::Endless | Self::Stalled(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
