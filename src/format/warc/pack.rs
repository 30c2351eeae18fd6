//! Compresses a plain segment.

use std::io::{self, BufRead, Read, Write};

use memchr::memchr;

use super::{MARK, MAX_HEAD, gzip::Gzip};

/// The maximum number of bytes that are compressed at once.
const BUFFER: usize = 64 << 10;

/// Compresses a plain segment record by record. At most 64 KiB of a body and the header section of
/// a record are in memory.
///
/// # Errors
/// Errors of reading and writing; [`io::ErrorKind::InvalidData`] for anything that is not a record,
/// and [`io::ErrorKind::UnexpectedEof`] for an incomplete record: cut off torn tails first.
pub(crate) fn pack_gzip(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut gzip = Gzip::default();
    let mut out = Vec::with_capacity(BUFFER * 2);
    let mut head = Vec::new();
    while !input.fill_buf()?.is_empty() {
        let mut left = read_head(&mut input, &mut head)?;
        gzip.begin(&mut out);
        gzip.text(&head, &mut out)?;
        while left > 0 {
            let bytes = input.fill_buf()?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX);
            let count = count.min(bytes.len()).min(BUFFER);
            gzip.text(&bytes[..count], &mut out)?;
            input.consume(count);
            left -= count as u64;
            if out.len() >= BUFFER {
                output.write_all(&out)?;
                out.clear();
            }
        }
        gzip.end(&mut out)?;
    }
    output.write_all(&out)
}

/// Reads a record's header section into `head`. Returns the length of the rest, with the record's
/// end.
fn read_head(input: &mut impl BufRead, head: &mut Vec<u8>) -> io::Result<u64> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    head.clear();
    let mut length = None;
    loop {
        let start = head.len();
        let most = (MAX_HEAD + 1 - start) as u64;
        input.by_ref().take(most).read_until(b'\n', head)?;
        let line = &head[start..];
        if start == 0 && !line.starts_with(MARK) && !MARK.starts_with(line) {
            return Err(bad("expected a WARC record"));
        }
        if !line.ends_with(b"\n") {
            return Err(if head.len() > MAX_HEAD {
                bad("invalid record: its header section has no end")
            } else {
                io::ErrorKind::UnexpectedEof.into()
            });
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            break;
        }
        if let Some(colon) = memchr(b':', line)
            && line[..colon].eq_ignore_ascii_case(b"Content-Length")
        {
            length = str::from_utf8(&line[colon + 1..])
                .ok()
                .and_then(|value| value.trim().parse::<u64>().ok());
        }
    }
    length
        .and_then(|length| length.checked_add(4))
        .ok_or_else(|| bad("invalid record: missing Content-Length"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use bytes::Bytes;
    use http::{Request, Response};

    use super::*;
    use crate::{
        format::warc::{Depth, Reader, SegmentItem, Writer},
        message::Exchange,
    };

    fn segment(exchanges: &[Exchange]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut writer = Writer::new();
        writer.open(&mut plain, "a.warc");
        for exchange in exchanges {
            writer.exchange(&mut plain, exchange);
        }
        plain
    }

    fn exchanges() -> Vec<Exchange> {
        let exchange = |n: usize| {
            Exchange::new(
                Request::get(format!("/{n}")).body(Bytes::new()).unwrap(),
                Response::new(Bytes::from(vec![b'x'; n * 100_000])),
            )
        };
        (0..3).map(exchange).collect()
    }

    fn pack(plain: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = Vec::new();
        // A buffer that does not end with a record.
        pack_gzip(BufReader::with_capacity(37, plain), &mut packed)?;
        Ok(packed)
    }

    #[test]
    fn a_packed_segment_has_a_member_for_each_record() {
        let exchanges = exchanges();
        let plain = segment(&exchanges);
        let packed = pack(&plain).unwrap();

        let mut members = Vec::new();
        let mut left = &packed[..];
        while !left.is_empty() {
            let mut member = String::new();
            let mut decoder = flate2::bufread::GzDecoder::new(left);
            decoder.read_to_string(&mut member).unwrap();
            left = decoder.into_inner();
            members.push(member);
        }
        assert_eq!(members.len(), 1 + 2 * exchanges.len());
        assert!(members.iter().all(|member| member.starts_with("WARC/1.1")));
        assert_eq!(members.concat().as_bytes(), plain);

        let mut places = Vec::new();
        let end = packed.len() as u64;
        let mut reader = Reader::new(Cursor::new(&packed), end).unwrap();
        while let Some(item) = reader.next(Depth::Whole).unwrap() {
            let SegmentItem::Exchange(place, exchange) = item else {
                panic!("{item:?}");
            };
            assert_eq!(*exchange, exchanges[places.len()]);
            places.push(place);
        }
        assert_eq!(places.len(), exchanges.len());
        for (place, exchange) in places.into_iter().zip(&exchanges) {
            let mut input = Cursor::new(&packed);
            input.set_position(place);
            let mut reader = Reader::new(input, end).unwrap();
            let item = reader.next(Depth::Whole).unwrap();
            assert!(
                matches!(item, Some(SegmentItem::Exchange(at, read)) if at == place && *read == *exchange)
            );
        }
    }

    #[test]
    fn a_file_of_another_kind_is_not_packed() {
        let plain = segment(&exchanges());
        for len in [1, 20, 300, plain.len() - 1] {
            let error = pack(&plain[..len]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
        }
        let no_length = b"WARC/1.1\r\nWARC-Type: request\r\n\r\n";
        for text in [&b"no WARC\n"[..], no_length] {
            let error = pack(text).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        assert!(pack(b"").unwrap().is_empty());
    }
}
