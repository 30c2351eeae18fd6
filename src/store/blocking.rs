use tokio::runtime::Handle;

use crate::store::StoreError;

/// Runs file system calls where they block nobody.
pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match Handle::try_current() {
        Ok(runtime) => runtime
            .spawn_blocking(call)
            .await
            .map_err(StoreError::other)?,
        // Not in tokio: there is no worker to protect.
        Err(_) => call(),
    }
}
