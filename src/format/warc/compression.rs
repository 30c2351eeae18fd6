/// The compression of a recording's files. Files of every compression can be read, whatever is
/// chosen for writing: the first bytes of a file identify its compression.
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
    /// `.warc.gz` (feature `gzip`): a gzip member per record, which every WARC tool reads.
    #[cfg(feature = "gzip")]
    Gzip,
    /// `.warc.zst` (feature `zstd`): a Zstandard frame per record and a dictionary per file, as in
    /// the IIPC's [proposal](https://iipc.github.io/warc-specifications/specifications/warc-zstd/).
    /// A third of the size of gzip for small exchanges, in a tenth of the time, but few WARC tools
    /// read it (pywb and `warcio` do not), and `zstd -dc` does not know the dictionary.
    ///
    /// A dictionary is learned from the preceding exchanges: the first file of a recording has none
    /// and ends after about 500 exchanges; later files, also of later runs, have one. Every file
    /// can be read alone. A dictionary contains pieces of the exchanges that it was learned from:
    /// to remove an exchange from a recording, delete its file and all later ones.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// Returns the extension of files with this compression.
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
