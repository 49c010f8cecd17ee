//! The folder of a store: files that are read whole, written whole, and followed nowhere.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::names::UNFINISHED;
use crate::error::StoreError;
use crate::time::unix_nanos;

/// A folder that is the store's alone.
pub(in crate::store) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Takes a folder, and makes it where it is not there.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        match fs::symlink_metadata(&path) {
            Ok(found) => check_folder(&path, &found)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_folder(&path).map_err(|error| failure(&error, "write", &path))?;
                let found = fs::symlink_metadata(&path);
                check_folder(&path, &found.map_err(|e| failure(&e, "read", &path))?)?;
            }
            Err(error) => return Err(failure(&error, "read", &path)),
        }
        check_owner(&path)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names in it.
    pub(super) fn names(&self) -> Result<Vec<String>, StoreError> {
        let failed = |error: io::Error| failure(&error, "read", &self.path);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// A whole file of at most so many bytes; `None` where there is none.
    pub(super) fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.at(name);
        let Some(file) = open_file(&path)? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        file.take(limit as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|error| failure(&error, "read", &path))?;
        if text.len() > limit {
            return Err(StoreError::Malformed("the file is too large"));
        }
        Ok(Some(text))
    }

    /// The first bytes of a file; `None` where there is none.
    pub(super) fn read_head(
        &self,
        name: &str,
        length: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.at(name);
        let Some(file) = open_file(&path)? else {
            return Ok(None);
        };
        let mut head = Vec::new();
        file.take(length as u64)
            .read_to_end(&mut head)
            .map_err(|error| failure(&error, "read", &path))?;
        Ok(Some(head))
    }

    /// Writes a file beside its place; it is complete and on the disk when this is through.
    pub(super) fn write_unfinished(&self, name: &str, text: &[u8]) -> Result<PathBuf, StoreError> {
        let path = self.at(&format!("{name}{UNFINISHED}"));
        let written = remove_file(&path).and_then(|_| {
            let mut file = private().write(true).create_new(true).open(&path)?;
            file.write_all(text)?;
            file.sync_all()
        });
        if let Err(error) = written {
            // What it had of the disk is given back.
            let _ = fs::remove_file(&path);
            return Err(failure(&error, "write", &path));
        }
        Ok(path)
    }

    /// Writes a file in place of another, or anew: whoever reads sees the one or the other, whole.
    pub(super) fn write(&self, name: &str, text: &[u8]) -> Result<(), StoreError> {
        let unfinished = self.write_unfinished(name, text)?;
        if let Err(error) = self.rename(&unfinished, name) {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        self.sync()
    }

    /// Writes into a file that is there, whose bytes are this store's already, and puts it in place of
    /// another.
    pub(super) fn write_through(
        &self,
        spare: &str,
        name: &str,
        text: &[u8],
    ) -> Result<(), StoreError> {
        let path = self.at(spare);
        let failed = |error: io::Error| failure(&error, "write", &path);
        let mut file = private().write(true).open(&path).map_err(failed)?;
        let before = file.metadata().map_err(failed)?.len();
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(text))
            .and_then(|()| file.set_len(text.len() as u64))
            .and_then(|()| file.sync_all());
        if let Err(error) = written {
            // It is as large as it was, for the next attempt.
            let _ = file.set_len(before);
            return Err(failed(error));
        }
        drop(file);
        self.rename(&path, name)?;
        self.sync()
    }

    pub(super) fn rename(&self, from: &Path, name: &str) -> Result<(), StoreError> {
        let to = self.at(name);
        fs::rename(from, &to).map_err(|error| failure(&error, "write", &to))
    }

    /// Removes a file, and says whether it was there.
    pub(super) fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.at(name);
        remove_file(&path).map_err(|error| failure(&error, "write", &path))
    }

    /// Whether a file of that name is there; what is no file is refused.
    pub(super) fn has_file(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.at(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => Ok(true),
            Ok(_) => Err(StoreError::Foreign),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failure(&error, "read", &path)),
        }
    }

    /// Opens a file to lock it, and makes it where it is not there.
    pub(super) fn open_lock(&self, name: &str) -> Result<File, StoreError> {
        self.has_file(name)?;
        let path = self.at(name);
        let mut options = private();
        options.read(true).write(true).create(true).truncate(false);
        options
            .open(&path)
            .map_err(|error| failure(&error, "write", &path))
    }

    /// Brings the names of the folder to the disk. Where that can't be told, renames are as good as the
    /// system makes them.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        #[cfg(unix)]
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failure(&error, "write", &self.path))?;
        Ok(())
    }
}

/// Whether the file that is open is still the one of that name.
#[cfg(unix)]
pub(super) fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
        _ => false,
    }
}

/// Whether the file that is open is still the one of that name. Nothing that is open is removed here.
#[cfg(not(unix))]
pub(super) fn is_still_there(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Opens a file that is one; `None` where there is none.
fn open_file(path: &Path) -> Result<Option<File>, StoreError> {
    let opened = fs::symlink_metadata(path).and_then(|found| {
        // A pipe would never answer, and a link leads elsewhere.
        if !found.is_file() {
            return Ok(None);
        }
        File::open(path).map(Some)
    });
    match opened {
        Ok(None) => Err(StoreError::Foreign),
        Ok(opened) => Ok(opened),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(&error, "read", path)),
    }
}

fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Files are made for their owner alone.
fn private() -> OpenOptions {
    #[allow(unused_mut, reason = "other systems have no modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn check_folder(path: &Path, found: &Metadata) -> Result<(), StoreError> {
    let unfit = |reason| StoreError::Path {
        path: path.to_owned(),
        reason,
    };
    if found.is_symlink() {
        return Err(unfit("it is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(unfit("it is not a folder"));
    }
    if is_open_to_others(found) {
        return Err(StoreError::TooOpen {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// That the folder is this user's. Root is let into everybody's, and must not trust what is in there: the
/// owner could put other files in their place.
#[cfg(unix)]
fn check_owner(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;

    // A name that nobody can have made before.
    let (process, time) = (std::process::id(), unix_nanos());
    let probe = path.join(format!("owner-{process}-{time}{UNFINISHED}"));
    let ours = match private().write(true).create_new(true).open(&probe) {
        Ok(ours) => ours,
        Err(error) => match failure(&error, "write", path) {
            // Who may not write here, or has no room, is told by the first write.
            StoreError::NotPermitted { .. } | StoreError::NoSpace => return Ok(()),
            failure => return Err(failure),
        },
    };
    let owners = ours
        .metadata()
        .and_then(|ours| Ok((ours.uid(), fs::symlink_metadata(path)?.uid())));
    let _ = fs::remove_file(&probe);
    match owners {
        Ok((ours, folders)) if ours != folders => Err(StoreError::Path {
            path: path.to_owned(),
            reason: "it belongs to another user",
        }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
const fn check_owner(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Whether somebody else than the owner may do anything with it.
#[cfg(unix)]
fn is_open_to_others(found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    found.mode() & 0o077 != 0
}

/// Whether somebody else than the owner may do anything with it: no answer here.
#[cfg(not(unix))]
const fn is_open_to_others(_found: &Metadata) -> bool {
    false
}

/// What the operating system's answer means for a store.
pub(super) fn failure(error: &io::Error, action: &'static str, path: &Path) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::NoSpace,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::NotPermitted {
            action,
            path: path.to_owned(),
        },
        ErrorKind::NotADirectory => StoreError::Path {
            path: path.to_owned(),
            reason: "a part of it is not a folder",
        },
        _ => {
            tracing::warn!(%error, action, path = %path.display(), "the store's folder failed");
            StoreError::Unavailable
        }
    }
}
