//! Reads Zstandard in WARC files: a frame per record, and a dictionary at the start of the file
//! (<https://iipc.github.io/warc-specifications/specifications/warc-zstd/>).

use std::io::Read;

use zstd::stream::{
    raw::{DParameter, Decoder, Operation},
    read,
};

use super::text::{Decode, Step};

/// The maximum size of a dictionary that decoders must support, in bytes, compressed or not.
pub(super) const MAX_DICTIONARY: u32 = 8 << 20;

/// The window that decoders must support, as a power of two: 2^23 bytes.
const WINDOW: u32 = 23;

const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

pub(super) struct Zstd {
    decoder: Decoder<'static>,
}

impl Zstd {
    pub(super) fn new(dictionary: &[u8]) -> Result<Self, String> {
        let new = || {
            let mut decoder = Decoder::with_dictionary(dictionary)?;
            decoder.set_parameter(DParameter::WindowLogMax(WINDOW))?;
            Ok(Self { decoder })
        };
        new().map_err(|error: std::io::Error| format!("damaged dictionary: {error}"))
    }
}

/// Returns the dictionary in a dictionary frame, which may be compressed.
pub(super) fn dictionary(frame: Vec<u8>) -> Result<Vec<u8>, String> {
    if !frame.starts_with(MAGIC) {
        return Ok(frame);
    }
    let damaged = |error: std::io::Error| format!("damaged dictionary: {error}");
    let mut dictionary = Vec::new();
    let mut decoder = read::Decoder::with_buffer(&frame[..])
        .map_err(damaged)?
        .single_frame();
    decoder.window_log_max(WINDOW).map_err(damaged)?;
    decoder
        .take(u64::from(MAX_DICTIONARY) + 1)
        .read_to_end(&mut dictionary)
        .map_err(damaged)?;
    if dictionary.len() > MAX_DICTIONARY as usize {
        return Err(format!(
            "invalid dictionary: longer than {MAX_DICTIONARY} bytes"
        ));
    }
    Ok(dictionary)
}

impl Decode for Zstd {
    fn magic(&self) -> &'static [u8] {
        MAGIC
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, String> {
        let status = self
            .decoder
            .run_on_buffers(input, output)
            .map_err(|error| format!("damaged zstd frame: {error}"))?;
        Ok(Step {
            read: status.bytes_read,
            written: status.bytes_written,
            ended: status.remaining == 0,
        })
    }

    fn reset(&mut self) {
        // Cannot fail: the reset only drops an unfinished frame.
        let _ = self.decoder.reinit();
    }
}
