/// What became of the segments of a recording in S3, since this store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Stats {
    /// Segments that were full, old enough, or flushed.
    pub sealed: u64,
    /// Segments of earlier runs, or of processes that died, that were found in the spool.
    pub recovered: u64,
    /// Segments that are in the bucket, confirmed.
    pub uploaded: u64,
    /// What they have there, in bytes.
    pub uploaded_bytes: u64,
    /// Attempts that failed in a way that may pass.
    pub retried: u64,
    /// Segments in quarantine now.
    pub quarantined: u64,
    /// Segments in the spool now, with the one that is being written and those in quarantine.
    pub spooled: u64,
    /// What they have there, in bytes.
    pub spooled_bytes: u64,
}
