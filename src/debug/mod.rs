//! `DebugDump`: prints messages as they pass.

mod block;
mod call;
mod escape;
mod functions;
mod hex;
mod message;
mod output;
mod printer;
mod queue;
mod service;
mod show;
mod style;

use std::{
    fmt,
    io::Write,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use http::request::Parts;
use tower::Layer;

use self::output::Output;
pub use self::{
    call::{RequestDump, ResponseDump},
    printer::Printer,
    service::{DebugDumpFuture, DebugDumpService},
};
use crate::{
    redact::Redact,
    util::{panic::Filter, time::FOREVER},
};

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
/// A request and its response are a block each, with the number of the call:
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
/// # When a block is printed
///
/// Messages pass unchanged and undelayed, frame by frame, while the beginning of their content is
/// copied. A request is printed when its body has ended, or the call has come to an answer before
/// that; a response when its body has ended. A call that failed, or whose caller went away, is
/// printed as such. So a call that hangs is seen at once if it has no content or that was read; if
/// nobody reads its content, it is seen when it ends.
///
/// Blocks are formatted and written by a thread of the printer's own, each in one piece. An output
/// that is slow, fails or hangs costs blocks, never a request: how many is counted
/// ([`Printer::not_printed`]) and said in the output.
///
/// # What is shown
///
/// - Text, by content type and by look; other content is summarised, or shown as
///   [hex](Self::hex). JSON can be [indented](Self::indent_json).
/// - What is compressed (gzip, deflate, br, zstd) is shown decoded with the feature `decompress`,
///   and summarised without. No more than the [limit](Self::capture_limit) is shown of it, and no
///   more than that or 1 MiB is inflated by any decoder.
/// - Secrets as in recordings: not at all ([`redact`](Self::redact)). Of a content that is cut at the
///   limit, what is shown is looked into. A function that redacts responses is given the part that is
///   kept; event by event nothing could be given to it, and then events are not shown.
/// - Control characters, and others that change how text looks, are escaped (`\x1b`, `\u{202e}`), and
///   so is what is not UTF-8. Lines from the wire are indented: nothing that is sent can pass for a
///   block.
/// - Durations are from the request's arrival: to the response's head, and to its end if that came 1 ms
///   later or more.
///
/// With everything that can be set, at its default:
///
/// ```
/// use std::{io::stderr, time::Duration};
/// use tower_traffic::{DebugDump, Redact};
///
/// let dump = DebugDump::stderr()
///     .enabled(true)
///     .capture_limit(16 << 10)                    // bytes kept and shown of each body
///     .indent_json(false)
///     .hex(false)                                 // binary content is summarised
///     .events(false)                              // an event stream is printed at its end
///     .redact(Redact::default())
///     .filter(|_request| true)
///     .queue_budget(16 << 20)                     // bytes held in all
///     .drain_deadline(Duration::from_secs(5));
/// let printer = dump.printer();                   // to flush, and to switch it on and off
/// # let _ = printer;
/// ```
///
/// Building the layer does no I/O and needs no runtime, and neither does printing. Clones of the layer
/// share one printer, and so do all services made by them.
///
/// # Where the printer ends
///
/// When the layer, its services, the handles and the calls under way are all gone, the last drop waits
/// until all is printed, at most for [`drain_deadline`](Self::drain_deadline).
/// `std::process::exit` drops nothing: before it, call [`Printer::flush`].
#[derive(Clone)]
pub struct DebugDump {
    config: Config,
    // Made when the layer is first used, so that the settings before it can still change.
    printer: Arc<OnceLock<Printer>>,
}

/// What a printer does, and how much of it.
#[derive(Clone)]
struct Config {
    output: Output,
    is_enabled: bool,
    show: Show,
    show_events: bool,
    color: Option<bool>,
    redact: Redact,
    filter: Option<Filter>,
    /// Bytes held at once.
    queue_budget: usize,
    drain_deadline: Duration,
}

/// What is shown of content.
#[derive(Clone, Copy, Debug)]
struct Show {
    /// Bytes kept of a body, and shown of it once it is decoded.
    limit: usize,
    indents_json: bool,
    dumps_hex: bool,
}

impl DebugDump {
    /// Prints to the standard output.
    pub fn stdout() -> Self {
        Self::new(Output::Stdout)
    }

    /// Prints to the standard error.
    pub fn stderr() -> Self {
        Self::new(Output::Stderr)
    }

    /// Prints to a writer: a file, for instance. It is written to on the printer's thread only, whole
    /// blocks at a time, and flushed after them.
    ///
    /// ```
    /// use std::fs::File;
    /// use tower_traffic::DebugDump;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("traffic.txt");
    /// let dump = DebugDump::to(File::create(path)?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self::new(Output::Writer(Arc::new(Mutex::new(writer))))
    }

    /// Prints through `tracing`: each block is an event at the level DEBUG with the target
    /// `tower_traffic::debug`, in the span that the call was made in. Where nobody listens at that
    /// level, nothing is kept.
    pub fn tracing() -> Self {
        Self::new(Output::Tracing)
    }

    fn new(output: Output) -> Self {
        Self {
            config: Config {
                output,
                is_enabled: true,
                show: Show {
                    limit: 16 << 10,
                    indents_json: false,
                    dumps_hex: false,
                },
                show_events: false,
                color: None,
                redact: Redact::default(),
                filter: None,
                queue_budget: 16 << 20,
                drain_deadline: Duration::from_secs(5),
            },
            printer: Arc::default(),
        }
    }

    /// Whether anything is printed before [`Printer::enable`] says otherwise; `true` by default.
    /// What is not printed passes as if the layer were not there.
    ///
    /// ```
    /// use tower_traffic::DebugDump;
    ///
    /// let dump = DebugDump::stdout().enabled(std::env::var_os("DEBUG").is_some());
    /// # let _ = dump;
    /// ```
    ///
    /// What is off costs a request some 30 ns: its body and the response's have another type, and so
    /// both messages are moved once more. Where it will never be switched on, leave it out: an axum
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
        self.set(|config| config.is_enabled = is_enabled)
    }

    /// Keeps and shows at most so many bytes of each body, and of each event; 16 KiB by default. A
    /// longer one passes whole, and the block says how much more there was.
    pub fn capture_limit(self, bytes: usize) -> Self {
        self.set(|config| config.show.limit = bytes)
    }

    /// Shows JSON indented by two spaces; `false` by default. Only white space between tokens
    /// changes; what is not valid, or nested deeper than 64, is shown as it is.
    pub fn indent_json(self, indents: bool) -> Self {
        self.set(|config| config.show.indents_json = indents)
    }

    /// Shows content that is no text as hexadecimal numbers; `false` by default.
    pub fn hex(self, dumps: bool) -> Self {
        self.set(|config| config.show.dumps_hex = dumps)
    }

    /// Shows server-sent events (`text/event-stream`) as they come, each as a block of its own;
    /// `false` by default. A stream that is compressed is shown at its end.
    pub fn events(self, shows: bool) -> Self {
        self.set(|config| config.show_events = shows)
    }

    /// Prints with colour, or without. By default that is decided when the first message is printed:
    /// with colour if the standard output or error is a terminal, unless `NO_COLOR` is set or `TERM`
    /// is `dumb`; without into a writer, and always without through `tracing`.
    pub fn color(self, is_colored: bool) -> Self {
        self.set(|config| config.color = Some(is_colored))
    }

    /// Which secrets are replaced before anything is printed; [`Redact::default`] if not said.
    pub fn redact(self, redact: Redact) -> Self {
        self.set(|config| config.redact = redact)
    }

    /// Prints only requests for which this is true, and their responses.
    ///
    /// It runs on the request path. If it panics, that counts as `false`, and is told once through
    /// `tracing`.
    pub fn filter(self, filter: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.set(|config| config.filter = Some(Filter::new(filter)))
    }

    /// Holds at most so many bytes in all, of messages under way and of those that wait to be printed;
    /// 16 MiB by default. What does not fit is not printed, and counted. The beginning of an
    /// [event](Self::events) that has not ended is not among them.
    pub fn queue_budget(self, bytes: usize) -> Self {
        self.set(|config| config.queue_budget = bytes)
    }

    /// How long the last drop waits for the output; 5 s by default.
    pub fn drain_deadline(self, deadline: Duration) -> Self {
        self.set(|config| config.drain_deadline = deadline.min(FOREVER))
    }

    /// A handle to this layer's printer. Ask for it when everything is set: a layer that is changed
    /// afterwards has a printer of its own.
    pub fn printer(&self) -> Printer {
        self.printer
            .get_or_init(|| Printer::new(self.config.clone()))
            .clone()
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self.printer = Arc::default();
        self
    }
}

impl<S> Layer<S> for DebugDump {
    type Service = DebugDumpService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DebugDumpService::new(inner, self.printer())
    }
}

impl fmt::Debug for DebugDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugDump")
            .field("show", &self.config.show)
            .field("printer", &self.printer.get())
            .finish_non_exhaustive()
    }
}
