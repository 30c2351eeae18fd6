//! `tower-traffic convert`

use std::{collections::HashSet, sync::Arc};

use tower_traffic::{Exchange, Matching, StoreError, store::MatchKey};

use crate::{
    Outcome,
    args::Convert,
    failure::Failure,
    output::{Output, complain},
    progress::Progress,
    source::{self, Source},
    target::Target,
    text,
};

/// Limits of a batch: exchanges, and bytes of their bodies.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

pub(crate) async fn run(args: Convert) -> Result<Outcome, Failure> {
    let recording = source::open(&args.from).await?;
    let target = Target::new(&args.to, args.format, args.force, args.shared).await?;
    let mut source = Source::new(&recording, !args.no_redact);
    let mut lost = target.format.is_cache().then(Lost::default);
    // Dropping the target removes its incomplete files.
    tokio::select! {
        result = copy(&mut source, &target, &mut lost) => result?,
        Ok(()) = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    }
    for note in source::notes(&recording).await? {
        complain(format_args!("note: {note}"));
    }
    let kept = match &lost {
        Some(lost) => lost.kept.len() as u64,
        None => source.count,
    };
    if let Some(lost) = lost {
        lost.tell();
    }
    if kept == 0 {
        complain(format_args!(
            "the recording has no exchanges: nothing is written"
        ));
    } else {
        target.finish().await?;
    }
    let mut output = Output::stdout();
    if output.width.is_some() && kept > 0 {
        let exchanges = text::counted(kept, "exchange");
        output.line(&format!("{exchanges} written"))?;
        output.flush()?;
    }
    Ok(if source.damaged > 0 {
        Outcome::Damaged
    } else {
        Outcome::Good
    })
}

async fn copy(
    source: &mut Source,
    target: &Target,
    lost: &mut Option<Lost>,
) -> Result<(), Failure> {
    let mut progress = Progress::new(true);
    let mut batch = Vec::new();
    let mut bytes = 0;
    loop {
        let report = |error: &StoreError| {
            progress.aside(|| complain(format_args!("damaged, left out: {error}")));
        };
        let Some(exchange) = source.next(report).await? else {
            break;
        };
        progress.add(&exchange);
        if let Some(lost) = lost {
            lost.add(&exchange);
        }
        bytes += exchange.request.body.len();
        bytes += exchange
            .response
            .as_ref()
            .map_or(0, |response| response.body.len());
        batch.push(Arc::new(exchange));
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            target.store(std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        target.store(batch).await?;
    }
    progress.finish();
    Ok(())
}

/// Counts of the exchanges that a cache cannot hold.
#[derive(Default)]
struct Lost {
    matching: Matching,
    kept: HashSet<MatchKey>,
    cannot_answer: u64,
    replaced: u64,
}

impl Lost {
    fn add(&mut self, exchange: &Exchange) {
        match self.matching.key_of(exchange) {
            None => self.cannot_answer += 1,
            Some(key) => self.replaced += u64::from(!self.kept.insert(key)),
        }
    }

    fn tell(&self) {
        report_left_out(self.cannot_answer, "without a whole request and response");
        report_left_out(self.replaced, "followed by another of the same request");
    }
}

fn report_left_out(number: u64, why: &str) {
    if number > 0 {
        let exchanges = text::counted(number, "exchange");
        complain(format_args!("left out: {exchanges} {why}"));
    }
}
