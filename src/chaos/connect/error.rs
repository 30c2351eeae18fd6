//! `ConnectionFault`.

use std::io;

/// The error of a connection that chaos refused, failed or reset.
///
/// This error is the source of the [`std::io::Error`] that a client returns. Over HTTP/2, the `h2`
/// crate keeps only the kind and the text of a reset, or reports a broken pipe.
///
/// ```
/// use std::{error::Error, io};
///
/// use tower_traffic::chaos::ConnectionFault;
///
/// /// Whether chaos is the cause, however deep.
/// fn is_chaos(error: &(dyn Error + 'static)) -> bool {
///     let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
///     inner.is_some_and(|inner| inner.is::<ConnectionFault>())
///         || error.source().is_some_and(is_chaos)
/// }
/// # assert!(!is_chaos(&io::Error::other("bob")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// The connection was refused, by
    /// [`ConnectionBehavior::refuse`](crate::chaos::ConnectionBehavior::refuse). The kind is
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
    #[error("chaos refused the connection")]
    Refused,
    /// The connection failed, by
    /// [`ConnectionBehavior::throw`](crate::chaos::ConnectionBehavior::throw). The kind is
    /// [`Other`](io::ErrorKind::Other).
    #[error("{0}")]
    Thrown(String),
    /// The connection was reset, by
    /// [`ConnectionBehavior::break_after`](crate::chaos::ConnectionBehavior::break_after). The kind
    /// is [`ConnectionReset`](io::ErrorKind::ConnectionReset).
    #[error("chaos reset the connection after {after} bytes")]
    #[non_exhaustive]
    Reset {
        /// The number of bytes that passed in both directions.
        after: u64,
    },
}

impl From<ConnectionFault> for io::Error {
    fn from(fault: ConnectionFault) -> Self {
        let kind = match fault {
            ConnectionFault::Refused => io::ErrorKind::ConnectionRefused,
            ConnectionFault::Thrown(_) => io::ErrorKind::Other,
            ConnectionFault::Reset { .. } => io::ErrorKind::ConnectionReset,
        };
        Self::new(kind, fault)
    }
}
