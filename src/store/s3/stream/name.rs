//! Names of segments, on disk and in the bucket.

use std::{fmt, time::SystemTime};

use uuid::Uuid;

use crate::util::time::timestamp;

/// The name of a segment. The file name contains it, so that a restart uses the same key.
///
/// On disk `20261120T23_20261120T235959Z-1a2b3c4d5e6f-0000000042`, in the bucket
/// `dt=2026-11-20/hh=23/20261120T235959Z-1a2b3c4d5e6f-0000000042.warc.gz`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SegmentName {
    /// The hour in which the segment was begun, in UTC: `20261120T23`.
    hour: String,
    pub(super) writer: String,
    /// The number of exchanges that the writer had stored before.
    sequence: u64,
}

/// Returns a new writer id, such as `20261120T235959Z-1a2b3c4d5e6f`, which sorts writers by age.
pub(super) fn new_writer() -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("{}Z-{}", compact(SystemTime::now()), &id[..12])
}

fn compact(time: SystemTime) -> String {
    let text = format!("{:.0}", timestamp(time));
    text.replace(['-', ':', 'Z'], "")
}

impl SegmentName {
    pub(super) fn new(begun: SystemTime, writer: &str, sequence: u64) -> Self {
        let mut hour = compact(begun);
        hour.truncate("20261120T23".len());
        Self {
            hour,
            writer: writer.to_owned(),
            sequence,
        }
    }

    /// Parses a file name without its extensions. Returns `None` if it is not that of a segment.
    pub(super) fn parse(stem: &str) -> Option<Self> {
        let (hour, rest) = stem.split_once('_')?;
        let (writer, sequence) = rest.rsplit_once('-')?;
        let name = Self {
            hour: hour.to_owned(),
            writer: writer.to_owned(),
            sequence: sequence.parse().ok()?,
        };
        let bytes = hour.as_bytes();
        let is_hour = bytes.len() == 11
            && bytes[8] == b'T'
            && [&bytes[..8], &bytes[9..]]
                .concat()
                .iter()
                .all(u8::is_ascii_digit);
        let is_writer = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        // A name in another notation belongs to another program.
        (is_hour && writer.bytes().all(is_writer) && name.to_string() == stem).then_some(name)
    }

    /// Parses a key without the prefix. Returns `None` if it is not that of a segment.
    pub(super) fn of_key(key: &str) -> Option<Self> {
        let (date, rest) = key.strip_prefix("dt=")?.split_once("/hh=")?;
        let (hour, object) = rest.split_once('/')?;
        let stem = object.strip_suffix(".warc.gz")?;
        let name = Self::parse(&format!("{}T{hour}_{stem}", date.replace('-', "")))?;
        (name.key() == key).then_some(name)
    }

    /// Returns the last part of the key: `20261120T235959Z-1a2b3c4d5e6f-0000000042.warc.gz`.
    pub(super) fn object(&self) -> String {
        format!("{}-{:010}.warc.gz", self.writer, self.sequence)
    }

    /// Returns the key without the prefix.
    pub(super) fn key(&self) -> String {
        let (date, hour) = self.hour.split_at(8);
        let (year, day) = date.split_at(4);
        let (month, day) = day.split_at(2);
        let hour = &hour[1..];
        format!("dt={year}-{month}-{day}/hh={hour}/{}", self.object())
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}-{:010}", self.hour, self.writer, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_name_gives_the_key() {
        let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_219_199);
        let name = SegmentName::new(begun, "20261120T235959Z-1a2b3c4d5e6f", 42);
        let file = "20261120T23_20261120T235959Z-1a2b3c4d5e6f-0000000042";
        assert_eq!(name.to_string(), file);
        assert_eq!(SegmentName::parse(file), Some(name.clone()));
        assert_eq!(
            name.key(),
            "dt=2026-11-20/hh=23/20261120T235959Z-1a2b3c4d5e6f-0000000042.warc.gz"
        );
        assert_eq!(SegmentName::of_key(&name.key()), Some(name.clone()));
        assert_eq!(
            SegmentName::parse(&SegmentName::new(begun, &new_writer(), 0).to_string())
                .unwrap()
                .sequence,
            0
        );
    }

    #[test]
    fn other_names_are_rejected() {
        for name in [
            "",
            "traffic",
            "20261120T23_w",
            "20261120T23_w-42",
            "20261120X23_w-0000000042",
            "é0261120T2_w-0000000042",
            "20261120T23_../w-0000000042",
        ] {
            assert_eq!(SegmentName::parse(name), None, "{name}");
        }
        for key in [
            "",
            "dt=2026-11-20/hh=23/w",
            "dt=2026-11-20/hh=23/w-0000000042.warc",
            "dt=2026-11-20/hh=23/more/w-0000000042.warc.gz",
            "dt=20261120/hh=23/w-0000000042.warc.gz",
            "dt=2026-11-20/hh=2\u{e9}/w-0000000042.warc.gz",
        ] {
            assert_eq!(SegmentName::of_key(key), None, "{key}");
        }
    }
}
