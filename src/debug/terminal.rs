//! Bytes from the wire for a terminal: escaped text, or a dump of hexadecimal numbers.

pub(super) use crate::util::printable::{line, lines, push};

/// Writes bytes as hexadecimal numbers, with their ASCII characters beside them.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8], indent: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (row, bytes) in bytes.chunks(16).enumerate() {
        out.extend_from_slice(indent);
        push(out, format_args!("{:08x}", row * 16));
        for at in 0..16 {
            if at % 8 == 0 {
                out.push(b' ');
            }
            out.push(b' ');
            match bytes.get(at) {
                Some(&byte) => out.extend([
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                ]),
                None => out.extend_from_slice(b"  "),
            }
        }
        out.extend_from_slice(b"  |");
        let shown = |&byte: &u8| {
            if matches!(byte, b' '..=b'~') {
                byte
            } else {
                b'.'
            }
        };
        out.extend(bytes.iter().map(shown));
        out.extend_from_slice(b"|\n");
    }
}
