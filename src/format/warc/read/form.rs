//! The form of a segment, plain or compressed, by its first bytes.

use std::io::{self, BufRead, Seek};

use memchr::memmem;

use super::{
    super::MARK,
    text::{Bounded, Decode},
};

/// The maximum number of bytes that are searched in a file with a damaged start.
const MAX_SEARCHED_BYTES: u64 = 64 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const ZSTD: &[u8] = &0xfd2f_b528_u32.to_le_bytes();
/// The magic number of the first skippable frame, of sixteen that decoders skip.
const ZSTD_SKIPPABLE: u32 = 0x184d_2a50;
/// The magic number of the skippable frame that the specification reserves for dictionaries.
pub(crate) const ZSTD_DICTIONARY: &[u8] = &0x184d_2a5d_u32.to_le_bytes();

/// The compression of a file, with its decoder.
pub(super) enum Found {
    Plain,
    #[cfg_attr(
        not(any(feature = "gzip", feature = "zstd")),
        expect(dead_code, reason = "nothing decodes")
    )]
    Members(Box<dyn Decode>),
    /// The reason why nothing can be read.
    #[cfg_attr(
        not(feature = "zstd"),
        expect(dead_code, reason = "only a dictionary can be broken")
    )]
    Broken(String),
}

/// Determines the compression by the bytes at the file's position.
pub(super) fn found<R: BufRead + Seek>(file: &mut Bounded<R>) -> io::Result<Found> {
    match form(&file.peek(4)?) {
        Some(form) => form,
        None => likely_form(&file.peek(MAX_SEARCHED_BYTES)?),
    }
    .found(file)
}

/// The compression of a file.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    Gzip,
    Zstd,
}

impl Form {
    #[cfg_attr(not(feature = "zstd"), expect(unused_variables))]
    fn found<R: BufRead + Seek>(self, file: &mut Bounded<R>) -> io::Result<Found> {
        match self {
            Self::Plain => Ok(Found::Plain),
            #[cfg(feature = "gzip")]
            Self::Gzip => Ok(Found::Members(Box::new(super::gzip::Gzip::new()))),
            #[cfg(not(feature = "gzip"))]
            Self::Gzip => Err(crate::format::needs_feature("gzip")),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd(file),
            #[cfg(not(feature = "zstd"))]
            Self::Zstd => Err(crate::format::needs_feature("zstd")),
        }
    }
}

/// Determines the compression by the first bytes of a file.
fn form(magic: &[u8]) -> Option<Form> {
    // A file of one or two bytes is torn.
    let is = |known: &[u8]| {
        let count = magic.len().min(known.len());
        magic[..count] == known[..count]
    };
    let is_skippable = magic.first_chunk().is_some_and(|magic| {
        let magic = u32::from_le_bytes(*magic);
        (ZSTD_SKIPPABLE..ZSTD_SKIPPABLE + 16).contains(&magic)
    });
    if is(MARK) {
        Some(Form::Plain)
    } else if is(GZIP) {
        Some(Form::Gzip)
    } else if is(ZSTD) || is(ZSTD_DICTIONARY) || is_skippable {
        Some(Form::Zstd)
    } else {
        None
    }
}

/// Searches for the first intact start of a member or record after damaged bytes.
fn likely_form(bytes: &[u8]) -> Form {
    let forms = [(MARK, Form::Plain), (GZIP, Form::Gzip), (ZSTD, Form::Zstd)];
    forms
        .into_iter()
        .filter_map(|(mark, form)| Some((memmem::find(bytes, mark)?, form)))
        .min_by_key(|(at, _)| *at)
        .map_or(Form::Plain, |(_, form)| form)
}

#[cfg(feature = "zstd")]
fn zstd<R: BufRead + Seek>(file: &mut Bounded<R>) -> io::Result<Found> {
    let start = file.position;
    let dictionary = dictionary(file)?;
    // The first record begins after the dictionary, if that is complete.
    let is_after = start == 0 && dictionary.as_ref().is_ok_and(|read| !read.is_empty());
    if !is_after {
        file.seek(start)?;
    }
    let decoder = dictionary.and_then(|dictionary| super::zstd::Zstd::new(&dictionary));
    Ok(decoder.map_or_else(Found::Broken, |decoder| Found::Members(Box::new(decoder))))
}

/// Returns the dictionary at the start of the file, empty if there is none. The error says why it
/// is invalid.
#[cfg(feature = "zstd")]
pub(super) fn dictionary<R: BufRead + Seek>(
    file: &mut Bounded<R>,
) -> io::Result<Result<Vec<u8>, String>> {
    use super::zstd::{MAX_DICTIONARY, dictionary};

    file.seek(0)?;
    let head = file.read(8)?;
    let Some((magic, length)) = head.split_first_chunk::<4>() else {
        return Ok(Ok(Vec::new()));
    };
    let length = length.try_into().map_or(0, u32::from_le_bytes);
    if magic != ZSTD_DICTIONARY {
        return Ok(Ok(Vec::new()));
    }
    if length > MAX_DICTIONARY {
        return Ok(Err(format!(
            "invalid dictionary: {length} bytes, expected at most {MAX_DICTIONARY}"
        )));
    }
    let frame = file.read(u64::from(length))?;
    if frame.len() == length as usize {
        return Ok(dictionary(frame));
    }
    // Either the file ends within it, which shows when it is skipped, or its length is wrong, and
    // records follow earlier.
    let after_magic = frame.get(ZSTD.len()..).unwrap_or_default();
    Ok(match memmem::find(after_magic, ZSTD) {
        None => Ok(Vec::new()),
        Some(_) => Err("incomplete dictionary".to_owned()),
    })
}
