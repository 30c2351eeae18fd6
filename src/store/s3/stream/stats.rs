//! `S3Stats`: counts of segments.

/// Counts of the segments of an [`S3`](super::super::S3) stream, since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Stats {
    /// Segments that were sealed because they were full, old enough or flushed.
    pub sealed: u64,
    /// Segments of earlier runs and of dead processes, found in the spool.
    pub recovered: u64,
    /// Segments whose upload was confirmed.
    pub uploaded: u64,
    /// The size of the uploaded segments in bytes.
    pub uploaded_bytes: u64,
    /// Attempts with a transient failure.
    pub retried: u64,
    /// Segments in quarantine now.
    pub quarantined: u64,
    /// Segments in the spool now, including the open one and those in quarantine.
    pub spooled: u64,
    /// The size of the segments in the spool in bytes.
    pub spooled_bytes: u64,
}
