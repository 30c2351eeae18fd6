//! Content codings: decodes compressed content with bounded memory.
//!
//! A few bytes can expand to gigabytes. Therefore decoders are read only up to a limit, and the
//! bytes that pass between two decoders and the windows of decoders are limited too.

use std::borrow::Cow;

/// The result of decoding.
pub(crate) struct Decoded {
    pub(crate) content: Vec<u8>,
    /// The reason why decoding stopped.
    pub(crate) end: DecodeEnd,
}

#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "decompress"), expect(dead_code))]
pub(crate) enum DecodeEnd {
    End,
    /// The limit was reached, and the content continues.
    Limit,
    /// The rest of the content is missing or damaged, for this reason.
    Broken(String),
}

/// Returns the codings in the order in which they were applied, without `identity`.
pub(crate) fn codings<'a>(
    values: impl Iterator<Item = &'a [u8]> + 'a,
) -> impl Iterator<Item = Cow<'a, str>> + 'a {
    values
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|coding| String::from_utf8_lossy(coding.trim_ascii()))
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

#[cfg(not(feature = "decompress"))]
pub(crate) fn decode(_: &[Cow<'_, str>], _: &[u8], _: usize) -> Result<Decoded, Cow<'static, str>> {
    Err(Cow::Borrowed("built without the feature `decompress`"))
}

/// Whether `content` is encoded with `codings`.
#[cfg(not(feature = "decompress"))]
pub(crate) fn is_encoded(codings: &[Cow<'_, str>], content: &[u8]) -> bool {
    begins_encoded(codings, content)
}

/// Guesses by the start of `content` whether it is encoded with the last of `codings`.
fn begins_encoded(codings: &[Cow<'_, str>], content: &[u8]) -> bool {
    let last = codings.last().map(|coding| coding.to_ascii_lowercase());
    match last.as_deref() {
        None => true,
        Some("gzip" | "x-gzip") => content.starts_with(&[0x1f, 0x8b]),
        Some("compress" | "x-compress") => content.starts_with(&[0x1f, 0x9d]),
        Some("zstd") => content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        // Compression dictionary transport (RFC 9842).
        Some("dcb") => content.starts_with(b"\xffDCB"),
        Some("dcz") => content.starts_with(&[0x5e, 0x2a, 0x4d, 0x18]),
        // Encoded bytes are hardly ever text.
        Some(_) => str::from_utf8(content).is_err(),
    }
}

#[cfg(feature = "decompress")]
pub(crate) use self::decoders::{decode, is_encoded};

#[cfg(feature = "decompress")]
mod decoders {
    use std::{
        borrow::Cow,
        io::{self, BufRead, BufReader, Read},
    };

    use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
    use ruzstd::decoding::{
        BlockDecodingStrategy, FrameDecoder,
        errors::{FrameDecoderError, ReadFrameHeaderError},
    };

    use super::{DecodeEnd, Decoded};

    /// The maximum number of codings of one content.
    const MOST: usize = 4;

    /// The maximum number of bytes between two decoders.
    const BETWEEN: u64 = 1 << 20;

    /// The largest window for zstd (RFC 9659), in bytes.
    const ZSTD_WINDOW: u64 = 8 << 20;

    const BUFFER: usize = 8 << 10;

    /// Decodes up to `limit` bytes. The error is the reason why decoding could not begin.
    pub(crate) fn decode(
        codings: &[Cow<'_, str>],
        content: &[u8],
        limit: usize,
    ) -> Result<Decoded, Cow<'static, str>> {
        // One byte more shows that there is more.
        let most = (limit as u64).saturating_add(1);
        let reader = reader(codings, Box::new(content), most)?;
        let mut content = Vec::new();
        // The content before an error is kept.
        let read = reader.take(most).read_to_end(&mut content);
        let end = match read {
            _ if content.len() > limit => DecodeEnd::Limit,
            Ok(_) => DecodeEnd::End,
            Err(error) => DecodeEnd::Broken(error.to_string()),
        };
        content.truncate(limit);
        Ok(Decoded { content, end })
    }

    /// Whether `content` is encoded with `codings`, from its first byte to its last.
    pub(crate) fn is_encoded(codings: &[Cow<'_, str>], content: &[u8]) -> bool {
        const DECODED: u64 = 64 << 20;

        let mut rest = content;
        let Ok(mut reader) = reader(codings, Box::new(&mut rest), DECODED) else {
            return super::begins_encoded(codings, content);
        };
        let decoded = io::copy(&mut reader.by_ref().take(DECODED), &mut io::sink());
        // The decoder for brotli reports unused bytes when it is read again.
        let is_decoded = match decoded {
            Ok(DECODED) => return true,
            Ok(_) => matches!(reader.read(&mut [0]), Ok(0)),
            Err(_) => false,
        };
        drop(reader);
        is_decoded && rest.is_empty()
    }

    /// Returns a reader of decoded content, which passes at most `most` bytes between two decoders
    /// if that is over a megabyte.
    fn reader<'a>(
        codings: &[Cow<'_, str>],
        source: Box<dyn BufRead + 'a>,
        most: u64,
    ) -> Result<Box<dyn BufRead + 'a>, Cow<'static, str>> {
        if codings.len() > MOST {
            return Err(Cow::Borrowed("too many codings"));
        }
        let mut reader = source;
        // The last coding is undone first.
        for coding in codings.iter().rev() {
            let decoder = decoder(coding, reader)?.take(BETWEEN.max(most));
            reader = Box::new(BufReader::with_capacity(BUFFER, decoder));
        }
        Ok(reader)
    }

    fn decoder<'a>(
        coding: &str,
        mut source: Box<dyn BufRead + 'a>,
    ) -> Result<Box<dyn Read + 'a>, Cow<'static, str>> {
        Ok(match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(source)),
            "deflate" => {
                let start = source.fill_buf().unwrap_or_default();
                // Some servers leave out the header of zlib, which RFC 9110 (8.4.1.2) requires.
                let is_zlib = matches!(start, [first, second, ..]
                    if first & 15 == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0);
                if is_zlib {
                    Box::new(ZlibDecoder::new(source))
                } else {
                    Box::new(DeflateDecoder::new(source))
                }
            }
            "br" => {
                let start = source.fill_buf().unwrap_or_default();
                // Large Window Brotli, which RFC 7932 does not define, has windows of up to a
                // gigabyte.
                if start.first().is_some_and(|first| first & 0x7f == 0x11) {
                    return Err(Cow::Borrowed("its window is too large"));
                }
                Box::new(brotli_decompressor::Decompressor::new(source, BUFFER))
            }
            "zstd" => Box::new(Zstd::new(source)),
            _ => return Err(Cow::Borrowed("unknown coding")),
        })
    }

    /// Decodes zstd frames one after the other (RFC 8878).
    struct Zstd<R> {
        source: R,
        decoder: FrameDecoder,
        is_in_frame: bool,
        /// The error of the current frame, to be returned after the content that was decoded before
        /// the error.
        failed: Option<FrameDecoderError>,
    }

    impl<R: BufRead> Zstd<R> {
        fn new(source: R) -> Self {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(ZSTD_WINDOW);
            Self {
                source,
                decoder,
                is_in_frame: false,
                failed: None,
            }
        }

        /// Begins the next frame. Returns false at the end of the content.
        fn next_frame(&mut self) -> io::Result<bool> {
            while !self.source.fill_buf()?.is_empty() {
                match self.decoder.reset(&mut self.source) {
                    Ok(()) => return Ok(true),
                    Err(FrameDecoderError::ReadFrameHeaderError(
                        ReadFrameHeaderError::SkipFrame { length, .. },
                    )) => {
                        let mut skipped = (&mut self.source).take(length.into());
                        io::copy(&mut skipped, &mut io::sink())?;
                    }
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            Ok(false)
        }

        fn decode(&mut self) {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                self.failed = Some(error);
                // The decoder holds a window back until it has seen the last block. This one is
                // empty, with room for a checksum, which is not compared.
                let last = [1, 0, 0, 0, 0, 0, 0];
                let _ = self
                    .decoder
                    .decode_blocks(&last[..], BlockDecodingStrategy::All);
            }
        }
    }

    impl<R: BufRead> Read for Zstd<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                if !self.is_in_frame {
                    if buffer.is_empty() || !self.next_frame()? {
                        return Ok(0);
                    }
                    self.is_in_frame = true;
                }
                while self.failed.is_none()
                    && self.decoder.can_collect() == 0
                    && !self.decoder.is_finished()
                {
                    self.decode();
                }
                let read = self.decoder.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                if let Some(error) = self.failed.take() {
                    return Err(io::Error::other(error));
                }
                self.is_in_frame = false;
            }
        }
    }
}
