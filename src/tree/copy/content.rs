//! Copying what a file holds: shared blocks where the file system can, else copied by the kernel,
//! else through a buffer; holes stay holes.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{SeekFrom, copy_file_range, ftruncate, ioctl_ficlone, seek};
use rustix::io::{Errno, Result, pread, pwrite};

use super::Job;
use crate::tree::stat::Metadata;

/// Files up to this size go through the buffer: one read and one write.
const BUFFER: usize = 128 * 1024;

/// The kernel copies so much before it is asked whether to stop.
const AT_ONCE: u64 = 16 << 20;

/// Copies the content as it was when `meta` was read; returns the bytes copied, holes left out.
pub(super) fn copy_content(
    job: &Job<'_>,
    from: &OwnedFd,
    to: &OwnedFd,
    meta: &Metadata,
    buffer: &mut Vec<u8>,
) -> Result<u64> {
    if meta.size == 0 {
        return Ok(0);
    }
    if job.clones.load(Ordering::Relaxed) {
        match ioctl_ficlone(to, from) {
            Ok(()) => return Ok(meta.allocated.min(meta.size)),
            Err(e) => gives_up(e, &job.clones),
        }
    }
    if meta.allocated < meta.size {
        if let Some(bytes) = copy_sparse(job, from, to, meta.size, buffer)? {
            return Ok(bytes);
        }
    }
    copy_range(job, from, to, 0, meta.size, buffer)
}

/// After these errors no other file of the tree will fare better.
fn gives_up(e: Errno, works: &AtomicBool) {
    if matches!(
        e,
        Errno::OPNOTSUPP | Errno::XDEV | Errno::NOSYS | Errno::NOTTY | Errno::PERM
    ) {
        works.store(false, Ordering::Relaxed);
    }
}

/// Copies only what is between holes; `None` when the file system does not tell where they are.
fn copy_sparse(
    job: &Job<'_>,
    from: &OwnedFd,
    to: &OwnedFd,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<Option<u64>> {
    let mut end = 0;
    let mut bytes = 0;
    while end < size {
        let start = match seek(from, SeekFrom::Data(end)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) if end == 0 => return Ok(None),
            Err(e) => return Err(e),
        };
        end = seek(from, SeekFrom::Hole(start))?.min(size);
        if start >= end {
            break;
        }
        bytes += copy_range(job, from, to, start, end - start, buffer)?;
    }
    ftruncate(to, size)?;
    Ok(Some(bytes))
}

/// Copies `length` bytes at `start`, fewer when the file ends before; returns how many.
fn copy_range(
    job: &Job<'_>,
    from: &OwnedFd,
    to: &OwnedFd,
    start: u64,
    length: u64,
    buffer: &mut Vec<u8>,
) -> Result<u64> {
    let end = start.saturating_add(length);
    let mut at = start;
    while at < end && length > BUFFER as u64 && job.ranges.load(Ordering::Relaxed) {
        // The name of the file being copied is told by the caller; that it was stopped, by the job.
        if job.stopped() {
            return Ok(at - start);
        }
        let (mut read, mut write) = (at, at);
        let chunk = usize::try_from((end - at).min(AT_ONCE)).unwrap_or(BUFFER);
        match copy_file_range(from, Some(&mut read), to, Some(&mut write), chunk) {
            // Some file systems of the kernel claim to be at their end.
            Ok(0) => break,
            Ok(n) => at += n as u64,
            Err(Errno::INTR) => {}
            Err(e @ (Errno::OPNOTSUPP | Errno::XDEV | Errno::NOSYS | Errno::PERM)) => {
                gives_up(e, &job.ranges);
                break;
            }
            Err(Errno::INVAL) => break,
            Err(e) => return Err(e),
        }
    }
    buffer.resize(BUFFER, 0);
    while at < end && !job.stopped() {
        let chunk = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
        let n = match pread(from, &mut buffer[..chunk], at) {
            Ok(0) => break,
            Ok(n) => n,
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e),
        };
        write_all(to, &buffer[..n], at)?;
        at += n as u64;
    }
    Ok(at - start)
}

fn write_all(to: &OwnedFd, mut bytes: &[u8], mut at: u64) -> Result<()> {
    while !bytes.is_empty() {
        match pwrite(to, bytes, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => {
                bytes = &bytes[n..];
                at += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
