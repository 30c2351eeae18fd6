//! Sends the requests that `recording_proxy` recorded to their origins again, and prints the
//! changes.
//!
//! ```text
//! cargo run --features forward --example replay_recorded
//! ```

use tower_traffic::{Forward, Resend, StoreError, replay::Summary};

async fn replay_recorded() -> Result<Summary, StoreError> {
    Resend::disk("store")
        .run(Forward::new(), |resent| println!("{resent}"))
        .await
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let Summary {
        same,
        different,
        failed,
        ..
    } = replay_recorded().await?;
    println!("{same} same, {different} different, {failed} failed");
    Ok(())
}
