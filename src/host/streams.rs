//! This program's ends of a command's pipes: all moved along in one thread, so that no amount of
//! data on any of them can block the others.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Host;
use super::lines::Lines;

/// The most that one command may return to this program's memory.
const CAPTURE_LIMIT: usize = 256 << 20;

/// A pipe of which this program reads one end without blocking.
pub(super) fn pipe() -> io::Result<(File, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    nonblocking(&reader)?;
    Ok((File::from(reader), writer))
}

fn nonblocking(fd: &impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// This program's ends of a command's pipes.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) reported: Option<File>,
    pub(super) lines: Lines,
    pub(super) capture: Option<File>,
    pub(super) captured: Vec<u8>,
    /// What is captured must not be shown.
    pub(super) secret: bool,
    /// The pipe to the command, what it is given, and how much of that it has.
    input: Option<(File, Vec<u8>, usize)>,
}

impl Streams {
    /// Sets what the command reads and returns its end of the pipe.
    pub(super) fn feed_with(&mut self, bytes: Vec<u8>) -> io::Result<OwnedFd> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        nonblocking(&writer)?;
        self.input = Some((File::from(writer), bytes, 0));
        Ok(reader)
    }

    /// Stops giving: the command has ended.
    pub(super) fn stop_feeding(&mut self) {
        self.input = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.reported.is_some() || self.capture.is_some()
    }

    /// Waits for any of the pipes or the process and moves what can be moved. Returns whether
    /// anything was read.
    pub(super) fn pump(
        &mut self,
        process: Option<&OwnedFd>,
        wait: Duration,
        host: &Host,
    ) -> io::Result<bool> {
        let mut waiting = Vec::with_capacity(4);
        for reader in [&self.reported, &self.capture].into_iter().flatten() {
            waiting.push(PollFd::new(reader.as_fd(), PollFlags::POLLIN));
        }
        if let Some((writer, ..)) = &self.input {
            waiting.push(PollFd::new(writer.as_fd(), PollFlags::POLLOUT));
        }
        if let Some(process) = process {
            waiting.push(PollFd::new(process.as_fd(), PollFlags::POLLIN));
        }
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        match poll(&mut waiting, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        drop(waiting);
        self.feed()?;
        let mut moved = false;
        let lines = &mut self.lines;
        moved |= drain(&mut self.reported, |bytes| {
            lines.push(bytes, &*host.report);
            Ok(())
        })?;
        let captured = &mut self.captured;
        moved |= drain(&mut self.capture, |bytes| {
            if captured.len() + bytes.len() > CAPTURE_LIMIT {
                return Err(io::Error::other("it printed more than 256 MiB"));
            }
            captured.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(moved)
    }

    fn feed(&mut self) -> io::Result<()> {
        let Some((writer, bytes, written)) = &mut self.input else {
            return Ok(());
        };
        while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            match writer.write(rest) {
                Ok(count) => *written += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A command may end without reading all it is given.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
                Err(e) => return Err(e),
            }
        }
        self.input = None;
        Ok(())
    }
}

/// Reads what is there, up to a share that leaves the other pipes their turn; closes at the end.
fn drain(
    reader: &mut Option<File>,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut moved = false;
    let mut buffer = [0; 16384];
    for _ in 0..16 {
        let Some(file) = reader else { break };
        match file.read(&mut buffer) {
            Ok(0) => *reader = None,
            Ok(count) => {
                moved = true;
                take(buffer.get(..count).unwrap_or_default())?;
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(moved)
}
