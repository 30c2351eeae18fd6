//! Blocking calls in async code.

use tokio::runtime::Handle;

use crate::store::StoreError;

/// Runs a blocking call on one of tokio's threads for blocking calls, if there is a runtime.
pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match Handle::try_current() {
        Ok(runtime) => runtime
            .spawn_blocking(call)
            .await
            .map_err(StoreError::other)?,
        // Outside of tokio there is no worker thread to keep free.
        Err(_) => call(),
    }
}
