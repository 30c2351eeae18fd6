//! The list of exchanges: one line each, in columns of fixed width.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use anstyle::{AnsiColor, Style};
use tower_traffic::Exchange;

use crate::{
    args::EndKind,
    grpc::GrpcStatus,
    text,
    time::{began, rfc3339, took},
};

/// Minimum terminal width for all columns.
const MIN_WIDTH: usize = 110;
/// Minimum width of a shortened URI.
const MIN_URI_WIDTH: usize = 16;

pub(crate) struct Table {
    width: Option<usize>,
    is_narrow: bool,
    is_colored: bool,
}

impl Table {
    pub(crate) fn new(width: Option<usize>, is_colored: bool) -> Self {
        Self {
            width,
            is_narrow: width.is_some_and(|width| width < MIN_WIDTH),
            is_colored,
        }
    }

    pub(crate) fn head(&self) -> String {
        if self.is_narrow {
            format!(
                "{:>5} {:8} {:7} {:6} {:>7} {:>6} {:5} {}",
                "#", "TIME", "METHOD", "CODE", "SIZE", "TOOK", "ENDED", "URI"
            )
        } else {
            format!(
                "{:>7}  {:24}  {:7}  {:6}  {:>7}  {:>8}  {:>6}  {:>6}  {:5}  {}",
                "#", "TIME", "METHOD", "STATUS", "SENT", "RECEIVED", "HEAD", "END", "ENDED", "URI"
            )
        }
    }

    pub(crate) fn row(&self, number: u64, exchange: &Exchange) -> String {
        let response = exchange.response.as_ref().ok();
        let code = response.map(|response| response.status.as_u16());
        let grpc = GrpcStatus::of(exchange).filter(|_| code == Some(200));
        let mut status = code.map_or("-".to_owned(), |code| code.to_string());
        match grpc {
            Some(GrpcStatus::Code(grpc)) => {
                let _ = write!(status, "/{grpc}");
            }
            Some(GrpcStatus::Missing) => status.push_str("/-"),
            None => {}
        }
        let sent = text::size(exchange.request.body.len() as u64);
        let received = response.map(|response| text::size(response.body.len() as u64));
        let received = received.unwrap_or_else(|| "-".to_owned());
        let shown = |time: Option<Duration>| time.map_or("-".to_owned(), text::duration);
        let (to_head, to_end) = took(exchange);
        let (head, end) = (shown(to_head), shown(to_end));
        let began = began(exchange);
        let ended = EndKind::of(exchange);
        let is_failure = grpc.is_some_and(GrpcStatus::is_failure);
        let (status_on, off) = self.style(status_style(code, is_failure));
        let (ended_on, ended_off) = self.style(ended_style(ended));
        let ended = ended.name();
        let method = exchange.request.method.as_str();
        let mut row = String::with_capacity(160);
        // Writing to a string cannot fail.
        if self.is_narrow {
            let time = began.map_or("-".to_owned(), clock);
            let _ = write!(
                row,
                "{number:>5} {time:8} {method:7} {status_on}{status:6}{off} {received:>7} {end:>6} \
                 {ended_on}{ended:5}{ended_off} "
            );
        } else {
            let time = began.map_or("-".to_owned(), |began| rfc3339(began, 3));
            let _ = write!(
                row,
                "{number:>7}  {time:24}  {method:7}  {status_on}{status:6}{off}  {sent:>7}  \
                 {received:>8}  {head:>6}  {end:>6}  {ended_on}{ended:5}{ended_off}  "
            );
        }
        // Styles have no width.
        let styles = [status_on, off, ended_on, ended_off];
        let printed = row.len() - styles.iter().map(String::len).sum::<usize>();
        let uri = text::ascii(&exchange.request.uri.to_string());
        match self.width {
            Some(width) => {
                let room = width.saturating_sub(printed).max(MIN_URI_WIDTH);
                row.push_str(&text::shortened(&uri, room));
            }
            None => row.push_str(&uri),
        }
        row
    }

    fn style(&self, style: Style) -> (String, String) {
        if self.is_colored {
            (style.render().to_string(), style.render_reset().to_string())
        } else {
            (String::new(), String::new())
        }
    }
}

/// Formats a time of day as `23:59:59`.
fn clock(time: SystemTime) -> String {
    let text = rfc3339(time, 0);
    text.get(11..19).unwrap_or_default().to_owned()
}

fn status_style(code: Option<u16>, is_failure: bool) -> Style {
    match code {
        _ if is_failure => AnsiColor::Red.on_default(),
        Some(200..=299) => AnsiColor::Green.on_default(),
        Some(300..=399) => AnsiColor::Cyan.on_default(),
        Some(400..=499) => AnsiColor::Yellow.on_default(),
        Some(500..) => AnsiColor::Red.on_default(),
        _ => Style::new(),
    }
}

fn ended_style(ended: EndKind) -> Style {
    match ended {
        EndKind::Error => AnsiColor::Red.on_default(),
        EndKind::Complete => Style::new(),
        EndKind::Limit | EndKind::ClientGone => AnsiColor::Yellow.on_default(),
    }
}
