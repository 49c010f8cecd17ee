//! One change at a time, among all processes that use the folder.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::thread::sleep;
use std::time::Duration;

use super::folder::{Folder, failure, is_still_there};
use super::format::Rest;
use crate::error::StoreError;
use crate::time::unix_nanos;

/// The file whose lock whoever changes something holds. It also keeps the last fence.
pub(super) const NAME: &str = "store";
const MAGIC: &[u8; 4] = b"FAPS";
const FORMAT: u8 = 1;
/// A change takes a few writes to a disk. Whoever takes longer is stopped, and so is the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held during one change. The operating system lets go of it when its process dies.
pub(super) struct Guard {
    file: File,
    fence: u64,
    swept: u64,
}

impl Guard {
    pub(super) fn take(folder: &Folder) -> Result<Self, StoreError> {
        let path = folder.at(NAME);
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_micros(200));
        loop {
            let file = folder.open_lock(NAME)?;
            match file.try_lock() {
                // Somebody may have removed the file by hand, and another made it anew.
                Ok(()) if is_still_there(&file, &path) => return Self::read(file, folder),
                Ok(()) | Err(TryLockError::WouldBlock) if waited < PATIENCE => {}
                Ok(()) | Err(TryLockError::WouldBlock) => return Err(StoreError::Unavailable),
                Err(TryLockError::Error(error)) => return Err(failure(&error, "write", &path)),
            }
            sleep(pause);
            waited += pause;
            pause = (2 * pause).min(Duration::from_millis(20));
        }
    }

    fn read(mut file: File, folder: &Folder) -> Result<Self, StoreError> {
        let mut text = Vec::new();
        (&mut file)
            .take(64)
            .read_to_end(&mut text)
            .map_err(|error| failure(&error, "read", &folder.at(NAME)))?;
        match parse(&text) {
            Ok((fence, swept)) => Ok(Self { file, fence, swept }),
            // New, or left before its first words were written.
            Err(StoreError::Truncated) => {
                // Higher than any fence of a store whose file was lost: nobody takes a lock a
                // million times a second.
                let fence = unix_nanos() / 1000;
                let swept = 0;
                let mut new = Self { file, fence, swept };
                new.write(folder)?;
                Ok(new)
            }
            Err(error) => Err(error),
        }
    }

    /// A fence higher than every earlier one of this store.
    pub(super) fn next_fence(&mut self, folder: &Folder) -> Result<u64, StoreError> {
        self.fence = self.fence.saturating_add(1);
        self.write(folder)?;
        Ok(self.fence)
    }

    /// When what has passed was swept out last.
    pub(super) const fn swept(&self) -> u64 {
        self.swept
    }

    pub(super) fn set_swept(&mut self, now: u64, folder: &Folder) -> Result<(), StoreError> {
        self.swept = now;
        self.write(folder)
    }

    /// Writes over the bytes that are there: these few need no space that is not theirs already.
    fn write(&mut self, folder: &Folder) -> Result<(), StoreError> {
        let mut text = Vec::from(*MAGIC);
        text.push(FORMAT);
        text.extend_from_slice(&self.fence.to_be_bytes());
        text.extend_from_slice(&self.swept.to_be_bytes());
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&text))
            .and_then(|()| self.file.sync_data())
            .map_err(|error| failure(&error, "write", &folder.at(NAME)))
    }
}

fn parse(text: &[u8]) -> Result<(u64, u64), StoreError> {
    let mut rest = Rest::after_magic(text, MAGIC)?;
    let [format] = rest.take()?;
    if format != FORMAT {
        return Err(StoreError::UnknownFormat(format));
    }
    let fence = u64::from_be_bytes(rest.take()?);
    let swept = u64::from_be_bytes(rest.take()?);
    Ok((fence, swept))
}
