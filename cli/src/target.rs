//! Where a recording is converted to.

use std::{ffi::OsStr, path::Path, sync::Arc};

use clap::ValueEnum;
use futures_util::StreamExt;
use tower_traffic::{
    Exchange, StoreError,
    store::{Compression, Disk, DiskCache, Har, Replay, S3, Sink},
};

use crate::{failure::Failure, place::Place};

/// What a recording can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// WARC 1.1: a file by its name, else a folder of them
    Warc,
    /// The same with a gzip member for each record
    #[value(name = "warc.gz")]
    WarcGz,
    /// A folder of WARC files with Zstandard, each with a dictionary
    #[value(name = "warc.zst")]
    WarcZst,
    /// HAR 1.2
    Har,
    /// A folder of texts, to be read and edited: the last response for each request, without times
    Fixtures,
    /// Segments in S3
    S3,
}

impl Form {
    /// What the name says; `None` if that is nothing.
    fn by_name(name: &OsStr) -> Option<Self> {
        let name = name.to_string_lossy().to_ascii_lowercase();
        let ends = [
            (".har", Self::Har),
            (".warc", Self::Warc),
            (".warc.gz", Self::WarcGz),
            (".warc.zst", Self::WarcZst),
        ];
        if name.starts_with("s3://") {
            return Some(Self::S3);
        }
        ends.into_iter()
            .find(|(end, _)| name.ends_with(end))
            .map(|(_, form)| form)
    }

    /// Whether it keeps one exchange for each request.
    pub(crate) fn is_cache(self) -> bool {
        self == Self::Fixtures
    }
}

/// Something that exchanges are written to.
pub(crate) struct Target {
    pub(crate) form: Form,
    sink: Box<dyn Sink>,
    /// Where it will stand; in S3 there is no other place.
    place: Option<Place>,
}

impl Target {
    pub(crate) async fn new(to: &OsStr, form: Option<Form>, force: bool) -> Result<Self, Failure> {
        let by_name = Form::by_name(to);
        let form = form.or(by_name).unwrap_or(Form::Warc);
        let name = to.to_string_lossy();
        let refused = |reason: &str| {
            Err(Failure::Target {
                what: name.clone().into_owned(),
                reason: reason.to_owned(),
            })
        };
        match (by_name, form) {
            (Some(by_name), form) if by_name != form => {
                return refused("the name says another form than --to");
            }
            (Some(Form::WarcZst), _) => {
                return refused(
                    "dictionaries need several files: give a folder, with --to warc.zst",
                );
            }
            (None, Form::S3) => return refused("s3://bucket/prefix is expected"),
            (Some(Form::S3), _) => return Self::in_s3(&name, force).await,
            _ => {}
        }
        let is_one_warc = by_name.is_some() && form != Form::Har;
        let place = Place::new(Path::new(to), is_one_warc, force)?;
        let partial = place.partial();
        let sink: Box<dyn Sink> = match form {
            Form::Har => Box::new(Har::new(partial)),
            Form::Fixtures => Box::new(DiskCache::new(partial)),
            Form::WarcGz => Box::new(warc(partial, Compression::Gzip, is_one_warc)),
            Form::WarcZst => Box::new(warc(partial, Compression::Zstd, false)),
            Form::Warc | Form::S3 => Box::new(warc(partial, Compression::None, is_one_warc)),
        };
        Ok(Self {
            form,
            sink,
            place: Some(place),
        })
    }

    /// With `force` what is there stays, and more comes to it.
    async fn in_s3(location: &str, force: bool) -> Result<Self, Failure> {
        let s3 = S3::new(location);
        if !force {
            match s3.replay().next().await {
                None | Some(Err(StoreError::NotFound { .. })) => {}
                Some(Err(error)) if !matches!(error, StoreError::Damaged { .. }) => {
                    return Err(error.into());
                }
                Some(_) => {
                    return Err(Failure::Target {
                        what: location.to_owned(),
                        reason: "there is a recording already: give another prefix, or --force to \
                                 add to it"
                            .to_owned(),
                    });
                }
            }
        }
        Ok(Self {
            form: Form::S3,
            sink: Box::new(s3),
            place: None,
        })
    }

    pub(crate) async fn store(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), Failure> {
        Ok(self.sink.store(exchanges).await?)
    }

    /// Puts it in its place.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        self.sink.flush().await?;
        // Whoever writes a file lets go of it first.
        drop(self.sink);
        match self.place {
            Some(place) => place.take(),
            None => Ok(()),
        }
    }
}

fn warc(folder: &Path, compression: Compression, is_one: bool) -> Disk {
    let disk = Disk::new(folder).compress(compression);
    if is_one {
        disk.max_segment_bytes(u64::MAX)
    } else {
        disk
    }
}
