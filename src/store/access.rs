//! `Access`: which users can read the files and folders of a recording.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// The permissions of new files and folders. Existing ones keep their permissions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Access {
    /// Whether the umask alone decides, so that other users may have access.
    pub(super) is_shared: bool,
}

impl Access {
    /// Returns options that create a file for its user only: 0600, without the bits of the umask.
    pub(super) fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        if !self.is_shared {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        options
    }

    /// Creates a folder, and with `is_recursive` its missing parents, for their user only: 0700.
    fn create(self, folder: &Path, is_recursive: bool) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(is_recursive);
        #[cfg(unix)]
        if !self.is_shared {
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        }
        builder.create(folder)
    }

    /// Creates a folder that is missing.
    pub(super) fn create_folder(self, folder: &Path) -> io::Result<()> {
        self.create(folder, false)
    }

    /// Creates a folder and its parents, unless they exist.
    pub(super) fn create_folders(self, folder: &Path) -> io::Result<()> {
        self.create(folder, true)
    }

    /// Creates a file that is missing.
    pub(super) fn write(self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = self.options().write(true).create_new(true).open(path)?;
        file.write_all(content)
    }

    /// Creates a file, and replaces an existing one. A link is replaced, not followed.
    pub(super) fn replace(self, path: &Path) -> io::Result<File> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.options().write(true).create_new(true).open(path),
        }
    }

    /// Fails if `folder` belongs to another user than `created`, which this process has created in
    /// it: the other user could replace or read its files. A folder of the superuser is allowed,
    /// because the superuser can do so anyway.
    pub(super) fn check_owner(self, folder: &Path, created: &Metadata) -> io::Result<()> {
        #[cfg(unix)]
        if !self.is_shared {
            use std::os::unix::fs::MetadataExt;
            let owner = fs::metadata(folder)?.uid();
            if owner != created.uid() && owner != 0 {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the folder belongs to another user: give another folder, or share the \
                     recording with `shared(true)`",
                ));
            }
        }
        let _ = (folder, created);
        Ok(())
    }
}
