/// How the files of a recording are compressed. Every form is read, whatever is chosen for writing:
/// a file shows by its first bytes what it is.
///
/// ```
/// use tower_traffic::{RecordTraffic, store::{Compression, Disk}};
///
/// # #[cfg(feature = "gzip")]
/// let record = RecordTraffic::to(Disk::new("./t").compress(Compression::Gzip));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// `.warc`: plain text, and the fastest.
    #[default]
    None,
    /// `.warc.gz` (feature `gzip`): a gzip member for each record, which every WARC tool reads.
    #[cfg(feature = "gzip")]
    Gzip,
}

impl Compression {
    /// How the names of its files end.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::None => "warc",
            #[cfg(feature = "gzip")]
            Self::Gzip => "warc.gz",
        }
    }
}
