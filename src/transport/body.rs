//! What a request carries: bytes, or a stream that can be sent once.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Why a streaming body failed, in its maker's words. They go no further than the transport.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
///
/// It is an [`http_body::Body`], so that a transport can hand it to any HTTP library of that family.
pub enum RequestBody {
    /// Bytes, which can be sent again.
    Bytes(Bytes),
    /// A stream, which can be sent once.
    Stream(BodyStream),
}

impl RequestBody {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// Whether [`try_clone`](Self::try_clone) gives a copy.
    #[must_use]
    pub const fn is_replayable(&self) -> bool {
        matches!(self, Self::Bytes(_))
    }

    /// A copy that can be sent later; `None` for a stream. Copying costs nothing: the bytes are shared.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match self {
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for RequestBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<String> for RequestBody {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<BodyStream> for RequestBody {
    fn from(stream: BodyStream) -> Self {
        Self::Stream(stream)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "{} bytes", bytes.len()),
            Self::Stream(_) => formatter.write_str("stream"),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

/// A body that is made while it is sent: a file, an upload that is passed on. It can be sent once.
pub struct BodyStream {
    // The lock makes a body that is only `Send` shareable. Polling needs `&mut`, and so
    // no lock.
    inner: Mutex<Pin<Box<dyn ErasedBody>>>,
}

impl BodyStream {
    /// From any [`http_body::Body`] of bytes.
    ///
    /// A body that knows its length (by its `size_hint`) goes out with a `Content-Length`.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self {
            inner: Mutex::new(Box::pin(body)),
        }
    }

    fn inner(&mut self) -> Pin<&mut dyn ErasedBody> {
        self.inner
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
    }

    fn locked(&self) -> MutexGuard<'_, Pin<Box<dyn ErasedBody>>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BodyStream")
    }
}

impl Body for BodyStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().inner().poll(context)
    }

    fn is_end_stream(&self) -> bool {
        self.locked().ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.locked().size()
    }
}

/// A body whose type, and whose error's type, are forgotten.
trait ErasedBody: Send {
    fn poll(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;

    fn ended(&self) -> bool;

    fn size(&self) -> SizeHint;
}

impl<B> ErasedBody for B
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BodyError>,
{
    fn poll(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_frame(context)
            .map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn ended(&self) -> bool {
        self.is_end_stream()
    }

    fn size(&self) -> SizeHint {
        self.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Once(Option<Bytes>);

    impl Body for Once {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn read(body: RequestBody) -> Vec<u8> {
        let mut body = Box::pin(body);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
            all.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        all
    }

    #[test]
    fn bytes_can_be_copied_and_a_stream_can_not() {
        let bytes = RequestBody::from(b"abc".to_vec());
        assert!(bytes.is_replayable());
        assert_eq!(bytes.size_hint().exact(), Some(3));
        assert_eq!(read(bytes.try_clone().unwrap()), b"abc");
        assert_eq!(read(bytes), b"abc");

        let stream = RequestBody::from(BodyStream::new(Once(Some(Bytes::from_static(b"abc")))));
        assert!(!stream.is_replayable());
        assert!(stream.try_clone().is_none());
        assert_eq!(format!("{stream:?}"), "stream");
        assert_eq!(read(stream), b"abc");
    }

    #[test]
    fn the_empty_body_has_ended() {
        assert!(RequestBody::empty().is_end_stream());
        assert_eq!(RequestBody::default().size_hint().exact(), Some(0));
        assert_eq!(read(RequestBody::empty()), b"");
    }
}
