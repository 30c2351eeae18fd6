//! `tower-traffic convert`

use std::sync::Arc;

use tower_traffic::StoreError;

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

/// So many exchanges are written at once, or so many bytes of bodies.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

pub(crate) async fn run(args: Convert) -> Result<Outcome, Failure> {
    let recording = source::open(&args.from).await?;
    let target = Target::new(&args.to, args.form, args.force)?;
    let mut source = Source::new(&recording, !args.no_redact);
    // Dropping the target takes away what is written so far.
    tokio::select! {
        result = copy(&mut source, &target) => result?,
        Ok(()) = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    }
    if source.count == 0 {
        complain(format_args!(
            "the recording has no exchanges: nothing is written"
        ));
    } else {
        target.finish().await?;
    }
    let mut output = Output::stdout();
    if output.width.is_some() && source.count > 0 {
        let exchanges = text::counted(source.count, "exchange");
        output.line(&format!("{exchanges} written"))?;
        output.flush()?;
    }
    Ok(if source.damaged > 0 {
        Outcome::Damaged
    } else {
        Outcome::Good
    })
}

async fn copy(source: &mut Source, target: &Target) -> Result<(), Failure> {
    let mut progress = Progress::new(true);
    let mut batch = Vec::new();
    let mut bytes = 0;
    loop {
        let told = |error: &StoreError| {
            progress.aside(|| complain(format_args!("damaged, left out: {error}")));
        };
        let Some(exchange) = source.next(told).await? else {
            break;
        };
        progress.add(&exchange);
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
