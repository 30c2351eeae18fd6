//! Writes Zstandard in WARC files: a frame per record, and a dictionary at the start of the file
//! (<https://iipc.github.io/warc-specifications/specifications/warc-zstd/>).
//!
//! A dictionary is trained on the preceding records. The first file of a recording has none and
//! ends as soon as there are enough samples. Each later file has one that was trained on the last
//! records of the previous file, and a new run begins with the dictionary of the last file. Every
//! file can therefore be read alone, nothing is written twice, and the writer pauses for less than
//! 0.1 s per file.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Seek},
    mem,
};

use memchr::memmem;
use uuid::Uuid;
use zstd::{bulk::Compressor, dict, stream::raw::CParameter};

use super::{
    encode::Compress,
    read::{self, ZSTD_DICTIONARY},
    write::{ID_PREFIX, INFO_ID},
};

/// The compression level of records. On the test corpus, levels up to 9 save nothing more.
const LEVEL: i32 = 3;
/// The compression level of the dictionary, which is compressed once per file.
const DICTIONARY_LEVEL: i32 = 9;

/// The maximum size of a dictionary, in bytes. Compressed in the file, it has a fifth of that.
const MAX_DICTIONARY_BYTES: usize = 64 << 10;
/// The numbers of records and of bytes that are enough samples.
const MAX_SAMPLES: usize = 1_000;
const MAX_SAMPLED_BYTES: usize = 1 << 20;
/// The maximum size of a sample, in bytes: the head of a record and the start of its block.
const MAX_SAMPLE_BYTES: usize = 8 << 10;

pub(super) struct Zstd {
    compressor: Compressor<'static>,
    dictionary: Vec<u8>,
    /// The beginnings of the last records, to train a dictionary with.
    samples: VecDeque<Vec<u8>>,
    sampled: usize,
    /// Whether training with the samples of an earlier file failed, so that it is not tried again.
    in_vain: bool,
    frame: Vec<u8>,
}

impl Zstd {
    /// Begins a file with the dictionary of an earlier file, if there is one.
    pub(super) fn new(dictionary: Vec<u8>) -> io::Result<Self> {
        let mut compressor = match Compressor::with_dictionary(LEVEL, &dictionary) {
            Ok(compressor) => compressor,
            Err(_) if !dictionary.is_empty() => return Self::new(Vec::new()),
            Err(error) => return Err(error),
        };
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self {
            compressor,
            dictionary,
            samples: VecDeque::new(),
            sampled: 0,
            in_vain: false,
            frame: Vec::new(),
        })
    }

    fn is_enough(&self) -> bool {
        self.samples.len() >= MAX_SAMPLES || self.sampled >= MAX_SAMPLED_BYTES
    }

    fn sample(&mut self, record: &[u8]) {
        let mut sample = Vec::new();
        while self.is_enough()
            && let Some(oldest) = self.samples.pop_front()
        {
            self.sampled -= oldest.len();
            sample = oldest;
        }
        sample.clear();
        sample.extend_from_slice(&record[..record.len().min(MAX_SAMPLE_BYTES)]);
        self.sampled += sample.len();
        self.samples.push_back(sample);
    }
}

impl Compress for Zstd {
    fn open(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if self.dictionary.is_empty() {
            return Ok(());
        }
        let mut compressor = Compressor::new(DICTIONARY_LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        let frame = compressor.compress(&self.dictionary)?;
        out.extend_from_slice(ZSTD_DICTIONARY);
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&frame);
        Ok(())
    }

    fn member(&mut self, record: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.sample(record);
        self.frame.clear();
        self.frame
            .reserve(zstd::zstd_safe::compress_bound(record.len()));
        self.compressor
            .compress_to_buffer(record, &mut self.frame)?;
        out.extend_from_slice(&self.frame);
        if self.frame.capacity() > super::encode::KEPT {
            self.frame = Vec::new();
        }
        Ok(())
    }

    fn has_learned(&self) -> bool {
        self.dictionary.is_empty() && !self.in_vain && self.is_enough()
    }

    fn successor(&mut self, id_prefix: &str) -> io::Result<Option<Box<dyn Compress>>> {
        let is_enough = self.is_enough();
        let mut dictionary = mem::take(&mut self.dictionary);
        let mut samples = mem::take(&mut self.samples);
        let mut bytes = mem::take(&mut self.sampled);
        if is_enough {
            let trained = dict::from_samples(samples.make_contiguous(), MAX_DICTIONARY_BYTES);
            // Training fails if all samples are equal.
            dictionary = trained.unwrap_or(dictionary);
            (samples, bytes) = (VecDeque::new(), 0);
        }
        let mut successor = Self::new(adapted(dictionary, id_prefix))?;
        (successor.samples, successor.sampled) = (samples, bytes);
        successor.in_vain = is_enough && successor.dictionary.is_empty();
        Ok(Some(Box::new(successor)))
    }
}

/// Replaces the start of ids in a dictionary, which is in every record, with that of another file.
fn adapted(mut dictionary: Vec<u8>, id_prefix: &str) -> Vec<u8> {
    let Some(at) = memmem::find(&dictionary, format!("{INFO_ID}: <urn:uuid:").as_bytes()) else {
        return dictionary;
    };
    let start = at + INFO_ID.len() + ": <urn:uuid:".len();
    let Some(old) = dictionary.get(start..start + ID_PREFIX).map(<[u8]>::to_vec) else {
        return dictionary;
    };
    let places: Vec<_> = memmem::find_iter(&dictionary, &old).collect();
    for place in places {
        dictionary[place..place + ID_PREFIX].copy_from_slice(id_prefix.as_bytes());
    }
    // The dictionary differs now, and gets an id from the range for private use (RFC 8878, 5).
    let id = 32_768 + Uuid::new_v4().as_fields().0 % ((1 << 31) - 32_768);
    if let Some(place) = dictionary.get_mut(4..8) {
        place.copy_from_slice(&id.to_le_bytes());
    }
    dictionary
}

/// Returns the dictionary of a file, for a file whose ids begin with `ids`; empty if there is no
/// valid one.
pub(super) fn dictionary_of(
    input: impl BufRead + Seek,
    end: u64,
    id_prefix: &str,
) -> io::Result<Vec<u8>> {
    Ok(adapted(read::dictionary(input, end)?, id_prefix))
}
