//! The outcome of each request that was sent again, and of all.

use std::fmt;

use super::ResponseDifference;
use crate::message::Exchange;

/// A recorded exchange, and the outcome of sending its request again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resent {
    /// The recorded exchange.
    pub exchange: Exchange,
    /// The outcome of sending the recorded request again.
    pub outcome: ResendOutcome,
}

/// The outcome of sending a recorded request again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResendOutcome {
    /// The response equals the recorded response.
    Same,
    /// The response has these differences from the recorded response.
    Different(Vec<ResponseDifference>),
    /// The response is missing or incomplete, because of this error and its sources.
    Failed(String),
    /// The request was not sent, since the recorded exchange is incomplete.
    Skipped,
}

/// The number of requests per outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResendSummary {
    /// Responses that equal the recorded ones.
    pub same: u64,
    /// Responses that differ from the recorded ones.
    pub different: u64,
    /// Requests without a complete response.
    pub failed: u64,
    /// Recorded exchanges that are incomplete, and whose requests were therefore not sent.
    pub skipped: u64,
    /// Parts of the recording that are unreadable.
    pub unreadable: u64,
}

impl ResendSummary {
    /// Returns the number of requests that were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.same + self.different + self.failed
    }

    pub(super) fn count(&mut self, outcome: &ResendOutcome) {
        *match outcome {
            ResendOutcome::Same => &mut self.same,
            ResendOutcome::Different(_) => &mut self.different,
            ResendOutcome::Failed(_) => &mut self.failed,
            ResendOutcome::Skipped => &mut self.skipped,
        } += 1;
    }
}

/// Writes one line for the request, and one line for each difference.
impl fmt::Display for Resent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.exchange.request;
        write!(f, "{} {}: ", request.method, request.uri)?;
        match &self.outcome {
            ResendOutcome::Same => f.write_str("same"),
            ResendOutcome::Failed(error) => write!(f, "failed: {error}"),
            ResendOutcome::Skipped => f.write_str("skipped: the recording is incomplete"),
            ResendOutcome::Different(differences) => {
                f.write_str("different")?;
                differences
                    .iter()
                    .try_for_each(|difference| write!(f, "\n  {difference}"))
            }
        }
    }
}
