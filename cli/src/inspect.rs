//! `tower-traffic inspect`

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    time::SystemTime,
};

use tower_traffic::{Exchange, StoreError};

use crate::{
    Outcome,
    args::Inspect,
    failure::Failure,
    grpc::GrpcStatus,
    json,
    output::{Output, complain},
    progress::Progress,
    show,
    source::{self, Source},
    table::Table,
    text,
    time::{began, rfc3339},
};

pub(crate) async fn run(args: &Inspect) -> Result<Outcome, Failure> {
    let recording = source::open(&args.location).await?;
    let mut source = Source::new(&recording, !args.no_redact);
    let mut output = Output::stdout();
    match args.show {
        Some(number) => show_one(args, number, &mut source, &mut output).await?,
        None => list(args, &mut source, &mut output).await?,
    }
    Ok(if source.damaged > 0 {
        Outcome::Damaged
    } else {
        Outcome::Good
    })
}

async fn show_one(
    args: &Inspect,
    number: u64,
    source: &mut Source,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut progress = Progress::new(true);
    let found = loop {
        let report = |error: &StoreError| progress.aside(|| report(error));
        match source.next(report).await? {
            Some(exchange) if source.count == number => break Some(exchange),
            Some(exchange) => progress.add(&exchange),
            None => break None,
        }
    };
    progress.finish();
    let Some(exchange) = found else {
        return Err(Failure::NoSuchNumber {
            number,
            count: source.count,
        });
    };
    if let Some(file) = &args.body {
        save_body(&exchange, file)?;
    }
    if args.json {
        output.json(&json::whole(number, &exchange))?;
    } else {
        let text = show::text(number, &exchange, output.is_colored, !args.no_redact);
        output.raw(&text)?;
    }
    output.flush()
}

/// Saves the response body in a new file, which only its owner can read.
fn save_body(exchange: &Exchange, path: &Path) -> Result<(), Failure> {
    let Ok(response) = &exchange.response else {
        return Err(Failure::Target {
            what: path.display().to_string(),
            reason: "the exchange has no response: nothing is saved".to_owned(),
        });
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let saved = options.open(path).and_then(|mut file| {
        let mut chunks = response.body.chunks();
        chunks.try_for_each(|chunk| file.write_all(chunk))
    });
    saved.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Failure::Target {
            what: path.display().to_string(),
            reason: "already exists: give another name".to_owned(),
        },
        _ => Failure::File {
            action: "write",
            path: path.to_owned(),
            source,
        },
    })
}

async fn list(args: &Inspect, source: &mut Source, output: &mut Output) -> Result<(), Failure> {
    let table = Table::new(output.width, output.is_colored);
    let is_terminal = output.width.is_some();
    // On a terminal the rows show the progress.
    let mut progress = Progress::new(!is_terminal);
    let mut sums = Sums::default();
    let limit = args.limit.unwrap_or(u64::MAX);
    while sums.count < limit {
        let report = |error: &StoreError| progress.aside(|| report(error));
        let Some(exchange) = source.next(report).await? else {
            break;
        };
        progress.add(&exchange);
        if !args.filter.matches(&exchange) {
            continue;
        }
        if args.json {
            output.json(&json::row(source.count, &exchange))?;
        } else {
            if sums.count == 0 {
                output.line(&table.head())?;
            }
            output.line(&table.row(source.count, &exchange))?;
        }
        sums.add(&exchange);
        // Rows of a slow source appear as they arrive.
        if is_terminal && sums.count.is_multiple_of(16) {
            output.flush()?;
        }
    }
    progress.finish();
    if !args.json {
        let is_stopped = sums.count >= limit;
        let summary = sums.summary(source, is_stopped);
        if is_terminal {
            output.line(&summary)?;
        } else if sums.count == 0 {
            complain(format_args!("{summary}"));
        }
    }
    output.flush()
}

/// Reports a damaged part.
fn report(error: &StoreError) {
    complain(format_args!("damaged: {error}"));
}

#[derive(Default)]
struct Sums {
    count: u64,
    sent: u64,
    received: u64,
    first: Option<SystemTime>,
    last: Option<SystemTime>,
    /// Exchanges without a response, with a 5xx status, or with a failure of gRPC.
    failed: u64,
}

impl Sums {
    fn add(&mut self, exchange: &Exchange) {
        self.count += 1;
        self.sent += exchange.request.body.len() as u64;
        let began = began(exchange);
        self.first = began
            .map(|time| self.first.map_or(time, |first| first.min(time)))
            .or(self.first);
        self.last = self.last.max(began);
        match &exchange.response {
            Ok(response) => {
                self.received += response.body.len() as u64;
                let is_failure = GrpcStatus::of(exchange).is_some_and(GrpcStatus::is_failure);
                self.failed += u64::from(is_failure || response.status.is_server_error());
            }
            Err(_) => self.failed += 1,
        }
    }

    /// Returns a summary, such as `3 of 1,000 exchanges, 2 failed, 1.2KiB sent, 12.3MiB received,
    /// from ... to ...`
    fn summary(&self, source: &Source, is_stopped: bool) -> String {
        let of = if self.count == source.count {
            text::counted(self.count, "exchange")
        } else if is_stopped {
            format!("the first {}", text::counted(self.count, "such exchange"))
        } else {
            let all = text::counted(source.count, "exchange");
            format!("{} of {all}", text::count(self.count))
        };
        let mut text = of;
        if self.count > 0 {
            let mut parts = vec![
                format!("{} failed", text::count(self.failed)),
                format!("{} sent", text::size(self.sent)),
                format!("{} received", text::size(self.received)),
            ];
            let day = |time| rfc3339(time, 0).replace('T', " ");
            if let (Some(first), Some(last)) = (self.first, self.last) {
                parts.push(format!("from {} to {}", day(first), day(last)));
            }
            for part in parts {
                text.push_str(", ");
                text.push_str(&part);
            }
        }
        if source.damaged > 0 {
            let parts = text::counted(source.damaged, "part");
            text.push_str("; ");
            text.push_str(&parts);
            text.push_str(" could not be read");
        }
        text
    }
}
