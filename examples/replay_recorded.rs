//! Sends everything that `recording_proxy` recorded to its origins again, and tells what has changed.
//!
//! ```text
//! cargo run --features forward --example replay_recorded
//! ```

use tower_traffic::{Forward, Resend, StoreError, Summary};

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
    println!("{same} as recorded, {different} different, {failed} failed");
    Ok(())
}
