//! Text from the wire, made safe for a terminal and a log.
//!
//! Escaped are control characters (C0, DEL, C1), characters that change the direction of text, and
//! invisible characters: all that can steer a terminal, or make text look different from what it
//! is. Quotes and backslashes stay as they are.

use std::io::Write;

use memchr::memchr;

/// Returns text as one line, as [`line`] writes it.
pub(crate) fn shown(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    line(&mut out, text);
    // Always UTF-8, because other bytes are escaped.
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes text as one line; line ends and tabs are escaped too.
pub(crate) fn line(out: &mut Vec<u8>, text: &[u8]) {
    write(out, text, false);
}

/// Writes text as lines, each indented and ended. Tabs are kept, and CR LF ends a line.
pub(crate) fn lines(out: &mut Vec<u8>, mut text: &[u8], indent: &[u8]) {
    while !text.is_empty() {
        let line;
        (line, text) = match memchr(b'\n', text) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, &text[..0]),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            out.extend_from_slice(indent);
            write(out, line, true);
        }
        out.push(b'\n');
    }
}

fn write(out: &mut Vec<u8>, text: &[u8], keeps_tabs: bool) {
    // The usual text. Without an early exit, the compiler vectorizes the loop.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
    if text
        .iter()
        .fold(true, |plain, &byte| plain & is_plain(byte))
    {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut written = 0;
        for (at, c) in valid.char_indices() {
            if is_shown(c) || (keeps_tabs && c == '\t') {
                continue;
            }
            out.extend_from_slice(&valid.as_bytes()[written..at]);
            written = at + c.len_utf8();
            escape(out, c);
        }
        out.extend_from_slice(&valid.as_bytes()[written..]);
        for byte in chunk.invalid() {
            push(out, format_args!("\\x{byte:02x}"));
        }
    }
}

fn escape(out: &mut Vec<u8>, c: char) {
    match c {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        c if c < '\u{80}' => push(out, format_args!("\\x{:02x}", u32::from(c))),
        // `\x80` and above are bytes.
        c => push(out, format_args!("\\u{{{:x}}}", u32::from(c))),
    }
}

pub(crate) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Always succeeds.
    let _ = out.write_fmt(text);
}

/// Whether a terminal displays the character, and does not act on it.
fn is_shown(c: char) -> bool {
    let is_hidden = matches!(c,
        // Direction marks, embeddings, overrides and isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Other line ends.
        | '\u{2028}' | '\u{2029}'
        // Characters without width. Joiners stay: scripts and emoji need them.
        | '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !is_hidden
}
