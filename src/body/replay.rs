use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::message::{HeaderList, RecordedBody};

/// A body that is recorded, live, or partly read: first the frames that were read, then the live
/// body, then the trailers.
pub(crate) struct ReplayBody<B: Body> {
    buffered: VecDeque<Bytes>,
    rest: Rest<B>,
    trailers: Option<HeaderMap>,
}

enum Rest<B: Body> {
    Nothing,
    // Boxed, because a body is moved after it is read ahead.
    Live(Pin<Box<B>>),
    Failed(B::Error),
}

// The only pinned part, the live body, is boxed.
impl<B: Body> Unpin for ReplayBody<B> {}

impl<B: Body> ReplayBody<B> {
    /// Wraps `body`, whose frames pass unchanged.
    pub(crate) fn live(body: B) -> Self {
        Self {
            buffered: VecDeque::new(),
            rest: Rest::Live(Box::pin(body)),
            trailers: None,
        }
    }

    /// Creates the body of a recorded message.
    pub(crate) fn stored(body: &RecordedBody) -> Self {
        Self {
            buffered: body.chunks().cloned().collect(),
            rest: Rest::Nothing,
            trailers: body.trailers.as_ref().map(HeaderList::to_map),
        }
    }

    /// Creates a body of `text`.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::stored(&RecordedBody::from(text))
    }
}

/// Creates an empty body.
impl<B: Body> Default for ReplayBody<B> {
    fn default() -> Self {
        Self::text("")
    }
}

/// The reason why a body could not be read completely in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadAheadError {
    /// The body is longer than the limit.
    TooLong,
    /// The body failed.
    Failed,
}

/// Reads a body in advance, up to `limit` bytes. The returned body repeats every frame, and then
/// continues or fails like the original body.
pub(crate) async fn read_ahead<B>(
    body: B,
    limit: usize,
) -> (Result<RecordedBody, ReadAheadError>, ReplayBody<B>)
where
    B: Body<Data = Bytes>,
{
    let mut body = Box::pin(body);
    let mut seen = RecordedBody::default();
    let mut len = 0;
    let (read, rest) = loop {
        // The hint may end the reading early, but is not trusted for anything else.
        if body.size_hint().lower() > (limit - len) as u64 {
            break (Err(ReadAheadError::TooLong), Rest::Live(body));
        }
        match body.frame().await {
            None => break (Ok(()), Rest::Nothing),
            Some(Err(error)) => break (Err(ReadAheadError::Failed), Rest::Failed(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    len += data.len();
                    seen.push(data);
                    if len > limit {
                        break (Err(ReadAheadError::TooLong), Rest::Live(body));
                    }
                }
                Err(frame) => seen.trailers = frame.trailers_ref().map(HeaderList::from),
            },
        }
    };
    let replay = ReplayBody {
        rest,
        ..ReplayBody::stored(&seen)
    };
    (read.map(|()| seen), replay)
}

impl<B: Body<Data = Bytes>> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(data) = self.buffered.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.rest {
            Rest::Live(body) => return body.as_mut().poll_frame(cx),
            Rest::Failed(_) => {
                if let Rest::Failed(error) = mem::replace(&mut self.rest, Rest::Nothing) {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Rest::Nothing => {}
        }
        Poll::Ready(
            self.trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.buffered.is_empty()
            && self.trailers.is_none()
            && match &self.rest {
                Rest::Nothing => true,
                Rest::Live(body) => body.is_end_stream(),
                Rest::Failed(_) => false,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let buffered: u64 = self.buffered.iter().map(|data| data.len() as u64).sum();
        let (lower, upper) = match &self.rest {
            Rest::Nothing => (0, Some(0)),
            Rest::Live(body) => (body.size_hint().lower(), body.size_hint().upper()),
            Rest::Failed(_) => (0, None),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(buffered + lower);
        // With an exact size HTTP/1 sends `Content-Length`, which excludes trailers.
        if let (Some(upper), None) = (upper, &self.trailers) {
            hint.set_upper(buffered + upper);
        }
        hint
    }
}

impl<B: Body> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buffered: usize = self.buffered.iter().map(Bytes::len).sum();
        f.debug_struct("ReplayBody")
            .field("buffered", &buffered)
            .field("has_trailers", &self.trailers.is_some())
            .finish_non_exhaustive()
    }
}
