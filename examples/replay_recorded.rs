//! Sends the requests that `recording_proxy` recorded to their origins again, and prints the
//! changes.
//!
//! ```text
//! cargo run --features forward --example replay_recorded
//! ```

use tower_traffic::{Forward, Resend, StoreError, replay::ResendSummary};

async fn replay_recorded() -> Result<ResendSummary, StoreError> {
    Resend::disk("store")
        .run(Forward::new(), |resent| println!("{resent}"))
        .await
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let ResendSummary {
        same,
        different,
        failed,
        ..
    } = replay_recorded().await?;
    println!("{same} same, {different} different, {failed} failed");
    Ok(())
}
