/// How the files of a recording are compressed. Every form is read, whatever is chosen for writing:
/// a file shows by its first bytes what it is.
///
/// ```
/// use tower_traffic::{RecordTraffic, store::{Compression, Disk}};
///
/// # #[cfg(feature = "gzip")]
/// let record = RecordTraffic::new(Disk::new("./t").compress(Compression::Gzip));
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
    /// `.warc.zst` (feature `zstd`): a Zstandard frame for each record, and a dictionary for each
    /// file, as in the IIPC's
    /// [proposal](https://iipc.github.io/warc-specifications/specifications/warc-zstd/). A third of
    /// what gzip makes of small exchanges, in a tenth of the time, but few WARC tools read it (pywb
    /// and `warcio` do not); `zstd -dc` does not know the dictionary.
    ///
    /// A dictionary is learned from what was recorded before: the first file of a recording has none
    /// and ends after some 500 exchanges, each file after it has one, and so have the files of later
    /// runs. Every file can be read alone. A dictionary contains pieces of the exchanges that
    /// it was learned from: who deletes a file because of what is in it deletes the ones recorded
    /// after it too.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// How the names of its files end.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::None => "warc",
            #[cfg(feature = "gzip")]
            Self::Gzip => "warc.gz",
            #[cfg(feature = "zstd")]
            Self::Zstd => "warc.zst",
        }
    }
}
