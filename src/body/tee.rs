//! `TeeBody`: shows the frames of a body to a `Tap`.

use std::{
    fmt::Display,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{message::BodyEnd, util::panic::OnPanic};

/// Observes a body that passes through a [`TeeBody`].
pub(crate) trait Tap {
    /// Called with each data frame.
    fn data(&mut self, data: &Bytes);

    /// Called with the trailers.
    fn trailers(&mut self, trailers: &HeaderMap);

    /// Called exactly once, when the body ends. `end` is never [`BodyEnd::Limit`]; if the body is
    /// dropped before its end, `end` is [`BodyEnd::Dropped`]. Must not panic.
    fn end(self, end: BodyEnd);
}

pin_project! {
    /// A body that passes every frame on at once and shows the frame to a [`Tap`].
    ///
    /// Trailers, `size_hint` and `is_end_stream` are those of the inner body.
    #[derive(Debug)]
    pub(crate) struct TeeBody<B, T>
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

impl<B: Body, T: Tap> TeeBody<B, T> {
    /// Wraps `inner`. Without a tap, the body passes unobserved.
    #[inline]
    pub(crate) fn new(inner: B, mut tap: Option<T>) -> Self {
        // A body that is empty from the start may never be polled.
        if tap.is_some() && inner.is_end_stream() {
            finish(&mut tap, BodyEnd::Complete);
        }
        Self { inner, tap }
    }
}

/// Creates a default body without a tap. tower-http's layers that answer on their own need it.
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
            // Without a tap, the frame need not be moved through here.
            return this.inner.poll_frame(cx);
        }
        // A panic drops the body too, but the reader is still there.
        let on_panic =
            OnPanic::new(|| finish(this.tap, BodyEnd::Error("the body panicked".to_owned())));
        let frame = this.inner.as_mut().poll_frame(cx);
        on_panic.disarm();
        let frame = ready!(frame);
        if let Some(tap) = this.tap {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        tap.data(data);
                    } else if let Some(trailers) = frame.trailers_ref() {
                        tap.trailers(trailers);
                    }
                    // Trailers are the last frame. A reader that has them, or that knows the
                    // length, stops before it polls `None`.
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

/// Defines a public body that hides a [`TeeBody`] with a private tap.
macro_rules! opaque_tee_body {
    ($(#[$meta:meta])* pub struct $name:ident<B>($tap:ty);) => {
        ::pin_project_lite::pin_project! {
            $(#[$meta])*
            pub struct $name<B> {
                #[pin]
                inner: $crate::body::TeeBody<B, $tap>,
            }
        }

        impl<B: ::http_body::Body> $name<B> {
            #[inline]
            pub(super) fn new(inner: B, tap: Option<$tap>) -> Self {
                Self {
                    inner: $crate::body::TeeBody::new(inner, tap),
                }
            }
        }

        /// The default body, unobserved.
        impl<B: Default> Default for $name<B> {
            fn default() -> Self {
                Self {
                    inner: $crate::body::TeeBody::default(),
                }
            }
        }

        impl<B> ::http_body::Body for $name<B>
        where
            B: ::http_body::Body<Data = ::bytes::Bytes>,
            B::Error: ::std::fmt::Display,
        {
            type Data = ::bytes::Bytes;
            type Error = B::Error;

            #[inline]
            fn poll_frame(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<Option<Result<::http_body::Frame<::bytes::Bytes>, B::Error>>> {
                self.project().inner.poll_frame(cx)
            }

            #[inline]
            fn is_end_stream(&self) -> bool {
                self.inner.is_end_stream()
            }

            #[inline]
            fn size_hint(&self) -> ::http_body::SizeHint {
                self.inner.size_hint()
            }
        }

        impl<B> ::std::fmt::Debug for $name<B> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use opaque_tee_body;

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    use super::*;

    /// A body of prepared frames that are always ready.
    #[derive(Default)]
    struct Frames {
        remaining: VecDeque<Result<Frame<Bytes>, String>>,
        hint: SizeHint,
        /// Whether `is_end_stream` is true after the last frame.
        knows_its_end: bool,
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = String;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
            Poll::Ready(self.remaining.pop_front())
        }

        fn is_end_stream(&self) -> bool {
            self.knows_its_end && self.remaining.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            self.hint
        }
    }

    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<BodyEnd>>>);

    impl Tap for Ends {
        fn data(&mut self, _: &Bytes) {}

        fn trailers(&mut self, _: &HeaderMap) {}

        fn end(self, end: BodyEnd) {
            self.0.lock().expect("no panic").push(end);
        }
    }

    #[test]
    fn size_hint_and_is_end_stream_are_those_of_the_inner_body() {
        let mut hint = SizeHint::new();
        hint.set_lower(3);
        hint.set_upper(10);
        for knows_its_end in [true, false] {
            let frames = Frames {
                hint,
                knows_its_end,
                ..Frames::default()
            };
            let body = TeeBody::new(frames, Some(Ends::default()));
            assert_eq!(body.is_end_stream(), knows_its_end);
            assert_eq!(body.size_hint().lower(), 3);
            assert_eq!(body.size_hint().upper(), Some(10));
        }
    }

    #[test]
    fn a_body_ends_exactly_once() {
        let data = |text: &'static str| Ok(Frame::data(Bytes::from(text)));
        let trailers = || Ok(Frame::trailers(HeaderMap::new()));
        let broken = || Err("broke".to_owned());
        let error = || BodyEnd::Error("broke".to_owned());
        let cases = [
            // polls, frames, knows its end, expected end
            (9, vec![data("x"), data("y")], false, BodyEnd::Complete),
            (9, vec![data("x"), data("y")], true, BodyEnd::Complete),
            (2, vec![data("x"), data("y")], true, BodyEnd::Complete),
            (2, vec![data("x"), data("y")], false, BodyEnd::Dropped),
            (1, vec![data("x"), data("y")], true, BodyEnd::Dropped),
            (0, vec![data("x")], true, BodyEnd::Dropped),
            (0, vec![], true, BodyEnd::Complete),
            (0, vec![], false, BodyEnd::Dropped),
            (9, vec![data("x"), broken()], false, error()),
            (2, vec![data("x"), broken()], true, error()),
            (9, vec![trailers()], false, BodyEnd::Complete),
            (1, vec![trailers()], true, BodyEnd::Complete),
        ];
        for (number, (polls, frames, knows_its_end, end)) in cases.into_iter().enumerate() {
            let ends = Ends::default();
            let frames = Frames {
                remaining: frames.into(),
                knows_its_end,
                ..Frames::default()
            };
            let mut body = TeeBody::new(frames, Some(ends.clone()));
            for _ in 0..polls {
                let _ = body.frame().now_or_never().expect("a frame is ready");
            }
            drop(body);
            assert_eq!(*ends.0.lock().expect("no panic"), [end], "case {number}");
        }
    }
}
