use std::io;

/// Why there is no connection, or no more: it was chaos. It is the source of the [`std::io::Error`] that
/// a client sees. Over HTTP/2 the `h2` crate keeps of a reset the kind and the text, or just that the
/// pipe broke.
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
    /// By [`ConnectionBehavior::refuse`](crate::chaos::ConnectionBehavior::refuse). The kind is
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
    #[error("chaos refused the connection")]
    Refused,
    /// By [`ConnectionBehavior::throw`](crate::chaos::ConnectionBehavior::throw), with its message.
    /// The kind is [`Other`](io::ErrorKind::Other).
    #[error("{0}")]
    Thrown(String),
    /// By [`ConnectionBehavior::break_after`](crate::chaos::ConnectionBehavior::break_after). The
    /// kind is [`ConnectionReset`](io::ErrorKind::ConnectionReset).
    #[error("chaos reset the connection after {after} bytes")]
    #[non_exhaustive]
    Reset {
        /// So many bytes were let through, both ways together.
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
