use std::{
    fmt::Display,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::message::BodyEnd;

/// Looks on while a body passes through a [`TeeBody`].
pub trait Tap {
    /// A frame of content passes.
    fn data(&mut self, data: &Bytes);

    /// The trailers pass.
    fn trailers(&mut self, trailers: &HeaderMap);

    /// The body has ended. Called exactly once, never with [`BodyEnd::Limit`], and with
    /// [`BodyEnd::Dropped`] from the body's drop: it must not panic.
    fn end(self, end: BodyEnd);
}

pin_project! {
    /// A body that passes every frame on at once and lets a [`Tap`] look at it.
    ///
    /// Trailers, `size_hint` and `is_end_stream` are those of the body inside.
    #[derive(Debug)]
    pub struct TeeBody<B, T>
    where
        T: Tap,
    {
        #[pin]
        inner: B,
        tap: Option<T>,
    }

    impl<B, T> PinnedDrop for TeeBody<B, T>
    where
        T: Tap,
    {
        fn drop(this: Pin<&mut Self>) {
            finish(this.project().tap, BodyEnd::Dropped);
        }
    }
}

fn finish<T: Tap>(tap: &mut Option<T>, end: BodyEnd) {
    if let Some(tap) = tap.take() {
        tap.end(end);
    }
}

/// Dropped only if the body inside panics: who reads it lets go then too, but did not go away.
struct OnPanic<'a, T: Tap>(&'a mut Option<T>);

impl<T: Tap> Drop for OnPanic<'_, T> {
    fn drop(&mut self) {
        finish(self.0, BodyEnd::Error("the body panicked".to_owned()));
    }
}

impl<B: Body, T: Tap> TeeBody<B, T> {
    /// Lets a tap look at a body; without one it just passes.
    #[inline]
    pub fn new(inner: B, mut tap: Option<T>) -> Self {
        // A body that is empty from the start may never be polled.
        if tap.is_some() && inner.is_end_stream() {
            finish(&mut tap, BodyEnd::Complete);
        }
        Self { inner, tap }
    }
}

/// Nothing, and nobody looks on: tower-http's layers that answer themselves ask for it.
impl<B: Default, T: Tap> Default for TeeBody<B, T> {
    fn default() -> Self {
        Self {
            inner: B::default(),
            tap: None,
        }
    }
}

impl<B, T> Body for TeeBody<B, T>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
    T: Tap,
{
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if this.tap.is_none() {
            // Nobody looks, and the frame need not pass through here.
            return this.inner.poll_frame(cx);
        }
        let on_panic = OnPanic(this.tap);
        let frame = this.inner.as_mut().poll_frame(cx);
        mem::forget(on_panic);
        let frame = ready!(frame);
        if let Some(tap) = this.tap {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        tap.data(data);
                    } else if let Some(trailers) = frame.trailers_ref() {
                        tap.trailers(trailers);
                    }
                    // Nothing comes after trailers. Who has them, or knows the length from the head,
                    // does not poll again to be told `None`.
                    if frame.is_trailers() || this.inner.is_end_stream() {
                        finish(this.tap, BodyEnd::Complete);
                    }
                }
                Some(Err(error)) => finish(this.tap, BodyEnd::Error(error.to_string())),
                None => finish(this.tap, BodyEnd::Complete),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
