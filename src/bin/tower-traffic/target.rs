//! Where a recording is converted to.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use clap::ValueEnum;
use tower_traffic::{
    Exchange,
    store::{Compression, Disk, Har, Sink},
};

use crate::failure::Failure;

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
}

/// Something that is written beside its place, and put there when it is whole.
pub(crate) struct Target {
    place: PathBuf,
    partial: PathBuf,
    sink: Box<dyn Sink>,
    is_one_warc: bool,
    is_done: bool,
}

impl Target {
    pub(crate) fn new(to: &OsStr, form: Option<Form>, force: bool) -> Result<Self, Failure> {
        let place = PathBuf::from(to);
        let by_name = Form::by_name(to);
        let form = form.or(by_name).unwrap_or(Form::Warc);
        let is_one_warc = by_name.is_some() && form != Form::Har;
        if by_name.is_some_and(|by_name| by_name != form) {
            return Err(Failure::Target {
                what: place.display().to_string(),
                reason: "the name says another form than --to".to_owned(),
            });
        }
        if by_name == Some(Form::WarcZst) {
            return Err(Failure::Target {
                what: place.display().to_string(),
                reason: "dictionaries need several files: give a folder, with --to warc.zst"
                    .to_owned(),
            });
        }
        if !force && fs::symlink_metadata(&place).is_ok() {
            return Err(Failure::Exists(place));
        }
        let partial = beside(&place, "partial")?;
        let sink: Box<dyn Sink> = match form {
            Form::Har => Box::new(Har::new(&partial)),
            Form::Warc => Box::new(warc(&partial, Compression::None, is_one_warc)),
            Form::WarcGz => Box::new(warc(&partial, Compression::Gzip, is_one_warc)),
            Form::WarcZst => Box::new(warc(&partial, Compression::Zstd, false)),
        };
        Ok(Self {
            place,
            partial,
            sink,
            is_one_warc,
            is_done: false,
        })
    }

    pub(crate) async fn store(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), Failure> {
        Ok(self.sink.store(exchanges).await?)
    }

    /// Puts it in its place.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.sink.flush().await?;
        let mut written = self.partial.clone();
        if self.is_one_warc {
            let failed = |error| file("list", &self.partial, error);
            let mut files = fs::read_dir(&self.partial).map_err(failed)?;
            if let Some(first) = files.next() {
                written = first.map_err(failed)?.path();
            }
        }
        // A folder cannot take another's place: what is there goes aside first.
        let old = beside(&self.place, "old")?;
        let has_old = fs::symlink_metadata(&self.place).is_ok_and(|there| there.is_dir());
        if has_old {
            fs::rename(&self.place, &old).map_err(|error| file("replace", &self.place, error))?;
        }
        if let Err(error) = fs::rename(&written, &self.place) {
            if has_old {
                let _ = fs::rename(&old, &self.place);
            }
            return Err(file("write", &self.place, error));
        }
        if has_old {
            fs::remove_dir_all(&old).map_err(|error| file("remove", &old, error))?;
        }
        self.is_done = true;
        if self.is_one_warc {
            let _ = fs::remove_dir_all(&self.partial);
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.partial);
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

impl Form {
    fn by_name(name: &OsStr) -> Option<Self> {
        let name = name.to_string_lossy().to_ascii_lowercase();
        let ends = [
            (".har", Self::Har),
            (".warc", Self::Warc),
            (".warc.gz", Self::WarcGz),
            (".warc.zst", Self::WarcZst),
        ];
        ends.into_iter()
            .find(|(end, _)| name.ends_with(end))
            .map(|(_, form)| form)
    }
}

fn warc(folder: &Path, compression: Compression, is_one: bool) -> Disk {
    let disk = Disk::new(folder).compress(compression);
    if is_one {
        disk.segment_size(u64::MAX)
    } else {
        disk
    }
}

/// A name in the same folder, so that the one can become the other in one step.
fn beside(place: &Path, what: &str) -> Result<PathBuf, Failure> {
    let Some(name) = place.file_name() else {
        return Err(Failure::Target {
            what: place.display().to_string(),
            reason: "this is no name to write to".to_owned(),
        });
    };
    let name = name.to_string_lossy();
    Ok(place.with_file_name(format!(".{name}.{what}-{}", process::id())))
}

fn file(action: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File {
        action,
        path: path.to_owned(),
        source,
    }
}
