//! `tower-traffic verify`

use serde_json::json;
use tower_traffic::StoreError;

use crate::{
    Outcome,
    args::Verify,
    escape,
    failure::Failure,
    output::Output,
    progress::Progress,
    source::{self, Source},
    text,
};

pub(crate) async fn run(args: Verify) -> Result<Outcome, Failure> {
    let recording = source::open(&args.location).await?;
    let mut source = Source::new(&recording, false);
    let mut output = Output::stdout();
    let mut progress = Progress::new(true);
    let mut printed = Ok(());
    loop {
        let report = |error: &StoreError| {
            let line = if args.json {
                escape::json(&json!({ "damage": error.to_string() }).to_string())
            } else {
                escape::text(&format!("damaged: {error}"))
            };
            progress.aside(|| {
                let print = output.line(&line).and_then(|()| output.flush());
                if print.is_err() {
                    printed = print;
                }
            });
        };
        let Some(exchange) = source.next(report).await? else {
            break;
        };
        progress.add(&exchange);
    }
    printed?;
    progress.finish();
    for note in source::notes(&recording).await? {
        output.line(&if args.json {
            escape::json(&json!({ "note": note.to_string() }).to_string())
        } else {
            escape::text(&format!("note: {note}"))
        })?;
    }
    output.line(&if args.json {
        json!({ "exchanges": source.count, "damaged": source.damaged }).to_string()
    } else {
        summary(&recording.format().to_string(), &source)
    })?;
    output.flush()?;
    Ok(if source.damaged > 0 {
        Outcome::Damaged
    } else {
        Outcome::Good
    })
}

fn summary(format: &str, source: &Source) -> String {
    let exchanges = text::counted(source.count, "exchange");
    let are = |count| if count == 1 { "is" } else { "are" };
    let parts = text::counted(source.damaged, "part");
    match source.damaged {
        0 => format!("{format}: {exchanges}, all good"),
        _ => format!(
            "{format}: {exchanges} {} good, {parts} {} damaged",
            are(source.count),
            are(source.damaged)
        ),
    }
}
