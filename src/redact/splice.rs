//! Changes to an encoded text, such as the inside of a JSON string, by way of its decoded form.

/// Returns `raw`, which is the encoded form of `decoded`, changed so that it is the encoded form of
/// `new`. Bytes before the first and after the last change are kept as they are written.
///
/// `unit` decodes the start of an encoded text, and returns the length that it read.
pub(super) fn splice(
    raw: &[u8],
    decoded: &[u8],
    new: &[u8],
    unit: impl Fn(&[u8], &mut Vec<u8>) -> usize,
    encode: impl Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let prefix = common(decoded.iter(), new.iter());
    let suffix = common(decoded[prefix..].iter().rev(), new[prefix..].iter().rev());
    // Positions in the encoded and the decoded text.
    let (mut start, mut decoded_start) = (0, 0);
    let (mut end, mut decoded_end) = (0, 0);
    let mut out = Vec::new();
    while end < raw.len() && decoded_end < decoded.len() - suffix {
        out.clear();
        let len = unit(&raw[end..], &mut out).max(1);
        if decoded_end + out.len() <= prefix {
            (start, decoded_start) = (end + len, decoded_end + out.len());
        }
        (end, decoded_end) = (end + len, decoded_end + out.len());
    }
    (end, decoded_end) = (end.max(start), decoded_end.max(decoded_start));
    let kept = decoded.len().saturating_sub(decoded_end);
    let middle = &new[decoded_start..(new.len() - kept).max(decoded_start)];
    [&raw[..start], &encode(middle), &raw[end..]].concat()
}

/// Returns the number of equal bytes at the start of two texts.
fn common<'a>(a: impl Iterator<Item = &'a u8>, b: impl Iterator<Item = &'a u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}
