//! The responses of a recording that `revisit` records refer to.

use std::{
    collections::HashMap,
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, BufReader, Seek, SeekFrom},
    path::Path,
    sync::{Arc, OnceLock},
};

use crate::{
    format::warc::{OriginalKey, Reader},
    message::RecordedResponse,
};

const BUFFER: usize = 64 << 10;

/// Finds responses in WARC files by the names of their records. The files are searched at the first
/// call: most recordings have no revisits.
#[derive(Default)]
pub(in crate::store) struct Originals {
    files: Vec<Arc<Path>>,
    places: OnceLock<Places>,
}

#[derive(Default)]
struct Places {
    hasher: RandomState,
    /// Files and offsets, by the hash of a key: the keys of a crawl would fill the memory.
    by_hash: HashMap<u64, (usize, u64)>,
}

impl Originals {
    pub(in crate::store) fn new(files: impl IntoIterator<Item = Arc<Path>>) -> Self {
        Self {
            files: files.into_iter().collect(),
            places: OnceLock::new(),
        }
    }

    /// Returns the response with one of `keys`, the first one that is found.
    pub(super) fn find(&self, keys: &[OriginalKey]) -> Option<RecordedResponse> {
        let places = self.places.get_or_init(|| Places::of(&self.files));
        keys.iter().find_map(|key| {
            let (file, offset) = places.by_hash.get(&places.hasher.hash_one(key))?;
            let original = open(&self.files[*file], *offset)
                .and_then(|mut reader| reader.original())
                .ok()??;
            original.keys.contains(key).then_some(original.response)
        })
    }
}

impl Places {
    fn of(files: &[Arc<Path>]) -> Self {
        let mut places = Self::default();
        for (number, file) in files.iter().enumerate() {
            let mut add = |keys: Vec<OriginalKey>, offset| {
                for key in keys {
                    let hash = places.hasher.hash_one(key);
                    places.by_hash.entry(hash).or_insert((number, offset));
                }
            };
            if let Err(error) = open(file, 0).and_then(|mut reader| reader.originals(&mut add)) {
                tracing::warn!(file = %file.display(), %error, "revisits of a file are incomplete");
            }
        }
        places
    }
}

fn open(path: &Path, offset: u64) -> io::Result<Reader<BufReader<File>>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    Reader::new(BufReader::with_capacity(BUFFER, file), len)
}
