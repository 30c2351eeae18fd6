use std::{
    fmt,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::request::Parts;
use tower::Layer;

use super::{
    DebugDumpService, formatter::DEFAULT_MAX_BODY_BYTES, output::Output, printer::Printer,
};
use crate::{redact::Redact, util::filter::RequestFilter};

/// A layer that prints requests and responses (http4k: `PrintRequestAndResponse`).
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_traffic::DebugDump;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(DebugDump::stdout());
/// ```
///
/// The request and the response of a call are each printed as a block of lines that begins with a
/// time and the number of the call:
///
/// ```text
/// 2025-06-01T12:34:56.789Z #17 > POST /users?token=REDACTED HTTP/1.1
///     host: 127.0.0.1:3000
///     content-type: application/json
///
///     {"name":"bob"}
///
/// 2025-06-01T12:34:56.801Z #17 < HTTP/1.1 201 Created (12.3 ms)
///     content-type: application/json
///
///     {"id":1,"name":"bob"}
///
/// ```
///
/// # Time of printing
///
/// Messages pass unchanged and undelayed, frame by frame; the layer copies the beginning of their
/// bodies.
///
/// - A request is printed when its body ends, or when the response head arrives before that.
/// - A response is printed when its body ends.
/// - A call that fails, and a call whose client disconnects, end with a block that says so.
///
/// A call that hangs is therefore visible at once if the request body is empty or was read to its
/// end, otherwise when the call ends.
///
/// A thread of the printer formats the blocks and writes each in one piece. An output that is slow,
/// fails or hangs costs blocks, but never a request. Lost blocks are counted
/// ([`Printer::not_printed`]), and their number appears in the output.
///
/// # Content
///
/// - Text, recognized by content type and by content, is printed. Other content is summarized, or
///   printed as [hex](Self::hex). JSON can be [indented](Self::indent_json).
/// - Compressed content (gzip, deflate, br, zstd) is decoded with the feature `decompress`, and
///   summarized without it. At most [`max_body_bytes`](Self::max_body_bytes) of the decoded content
///   are printed, and no decoder inflates more than that or 1 MiB.
/// - Secrets are [redacted](Self::redact), as in recordings, also in truncated content. A function
///   that redacts responses is called with the copied part of the body. If there is such a
///   function, events are not printed, because the function needs the whole response.
/// - Control characters and others that change how text looks are escaped (`\x1b`, `\u{202e}`), and
///   so are bytes that are not UTF-8. Lines from the wire are indented, so that a message cannot
///   imitate a block.
/// - A request body that is still read when the response begins, as in a bidirectional stream, is
///   printed in a block of its own when the body ends.
/// - Durations start at the arrival of the request. The first duration is the time to the response
///   head. The time to the end of the body follows if it is longer by 1 ms or more.
///
/// # All settings
///
/// With every setting at its default:
///
/// ```
/// use std::time::Duration;
/// use tower_traffic::{DebugDump, Redact};
///
/// let dump = DebugDump::stderr()
///     // of this layer and the services that it makes:
///     .max_body_bytes(16 << 10)                   // printed of each body
///     .events(false)                              // an event stream is printed at its end
///     .filter(|_request| true)
///     // of the printer:
///     .enabled(true)
///     .indent_json(false)
///     .hex(false)                                 // binary content is summarized
///     .redact(Redact::default())
///     .max_buffered_bytes(16 << 20)               // in flight and queued
///     .drain_timeout(Duration::from_secs(5));
/// let printer = dump.printer();                   // to flush, and to switch it on and off
/// # let _ = printer;
/// ```
///
/// [`color`](Self::color) has no fixed default: it depends on the output.
///
/// Building the layer does no I/O, and neither building nor printing needs a runtime. Clones of the
/// layer and all their services share one printer. The settings of the printer are shared: set at
/// any time, they apply to all clones, services and handles. All other settings are copied with the
/// layer: a clone or service made before keeps its own.
///
/// # Shutdown
///
/// When the layer, its services, its handles and the calls in flight are all dropped, the last drop
/// waits until everything is printed, for [`drain_timeout`](Self::drain_timeout) at most.
/// `std::process::exit` runs no drops: call [`Printer::flush`] before it.
#[derive(Clone)]
#[must_use = "layers do nothing unless applied"]
pub struct DebugDump {
    printer: Printer,
    settings: Settings,
}

/// The settings of one service.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) max_body_bytes: usize,
    pub(super) prints_events: bool,
    pub(super) filter: Option<RequestFilter>,
}

impl DebugDump {
    /// Prints to a writer, for instance a file. Only the printer's thread uses the writer: it
    /// writes complete blocks, and then flushes the writer.
    ///
    /// ```
    /// use std::fs::File;
    /// use tower_traffic::DebugDump;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("traffic.txt");
    /// let dump = DebugDump::new(File::create(path)?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self::with_output(Output::Writer(Arc::new(Mutex::new(writer))))
    }

    /// Prints to the standard output.
    pub fn stdout() -> Self {
        Self::with_output(Output::Stdout)
    }

    /// Prints to the standard error.
    pub fn stderr() -> Self {
        Self::with_output(Output::Stderr)
    }

    /// Prints through `tracing`: each block is an event at level DEBUG with the target
    /// `tower_traffic::debug`, in the span of the call. Without a subscriber for that level,
    /// nothing is copied.
    pub fn tracing() -> Self {
        Self::with_output(Output::Tracing)
    }

    fn with_output(output: Output) -> Self {
        Self {
            printer: Printer::new(output),
            settings: Settings {
                max_body_bytes: DEFAULT_MAX_BODY_BYTES,
                prints_events: false,
                filter: None,
            },
        }
    }

    /// Sets whether to print, until [`Printer::enable`] changes it; `true` by default. A setting of
    /// the printer. While printing is disabled, messages pass as if the layer were absent.
    ///
    /// ```
    /// use tower_traffic::DebugDump;
    ///
    /// let dump = DebugDump::stdout().enabled(std::env::var_os("DEBUG").is_some());
    /// # let _ = dump;
    /// ```
    ///
    /// A disabled layer costs about 30 ns a request: it changes the types of both bodies, and so
    /// both messages are moved once more. Leave the layer out if printing is never enabled: an axum
    /// `Router` has the same type with the layer and without.
    ///
    /// ```
    /// use axum::Router;
    /// use tower_traffic::DebugDump;
    ///
    /// let mut app: Router = Router::new();
    /// if std::env::var_os("DEBUG").is_some() {
    ///     app = app.layer(DebugDump::stdout());
    /// }
    /// ```
    pub fn enabled(self, is_enabled: bool) -> Self {
        self.printer.enable(is_enabled);
        self
    }

    /// Prints at most `bytes` bytes of each body, and of each event; 16 KiB by default. A longer
    /// body passes unchanged, and its block ends with the number of bytes that are not printed.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_body_bytes = bytes;
        self
    }

    /// Sets whether to print server-sent events (`text/event-stream`) as they pass, each in a block
    /// of its own; `false` by default. A compressed stream is printed at its end.
    pub fn events(mut self, are_printed: bool) -> Self {
        self.settings.prints_events = are_printed;
        self
    }

    /// Prints only the calls for which `predicate` is true of the request.
    ///
    /// The predicate runs on the request path. A panic in it counts as `false`, and is logged once
    /// through `tracing`.
    pub fn filter(mut self, predicate: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.settings.filter = Some(RequestFilter::new(predicate));
        self
    }

    /// Sets whether to indent JSON by two spaces; `false` by default. A setting of the printer.
    /// Only white space between tokens changes; invalid JSON, and JSON nested deeper than 128, is
    /// printed unchanged.
    pub fn indent_json(self, is_indented: bool) -> Self {
        self.printer.set(|format| format.indents_json = is_indented);
        self
    }

    /// Sets whether to print binary content as hexadecimal numbers; `false` by default. A setting
    /// of the printer.
    pub fn hex(self, is_dumped: bool) -> Self {
        self.printer.set(|format| format.dumps_hex = is_dumped);
        self
    }

    /// Sets whether to print with color. A setting of the printer. By default the standard output
    /// and the standard error are colored if they are a terminal at the first call, unless
    /// `NO_COLOR` is set or `TERM` is `dumb`; a writer is not colored, and `tracing` never is.
    pub fn color(self, is_colored: bool) -> Self {
        self.printer.set(|format| format.color = Some(is_colored));
        self
    }

    /// Selects the secrets to redact before a message is printed; [`Redact::default`] by default. A
    /// setting of the printer.
    pub fn redact(self, redact: Redact) -> Self {
        self.printer.set(|format| format.redact = redact);
        self
    }

    /// Limits the memory for messages, in flight and queued, to `bytes` bytes; 16 MiB by default.
    /// All layers with this printer share the limit. Messages above the limit are counted and not
    /// printed. Bytes of an unfinished [event](Self::events) do not count toward the limit.
    pub fn max_buffered_bytes(self, bytes: usize) -> Self {
        self.printer.queue().set_max_bytes(bytes);
        self
    }

    /// Limits how long the drop of the last handle waits for the output; 5 s by default. A setting
    /// of the printer.
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        self.printer.queue().set_drain_timeout(timeout);
        self
    }

    /// Returns a handle to the printer.
    #[must_use]
    pub fn printer(&self) -> Printer {
        self.printer.clone()
    }
}

impl<S> Layer<S> for DebugDump {
    type Service = DebugDumpService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DebugDumpService::new(inner, self.printer(), self.settings.clone())
    }
}

impl fmt::Debug for DebugDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugDump")
            .field("printer", &self.printer)
            .field("max_body_bytes", &self.settings.max_body_bytes)
            .finish_non_exhaustive()
    }
}
