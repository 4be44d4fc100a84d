//! Loop devices: a part of a file as a block device.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;

use super::{HostError, fail_point};

/// From `linux/loop.h`.
const LOOP_CLR_FD: libc::Ioctl = 0x4C01;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// Image files are made of sectors of this many bytes.
const BLOCK_SIZE: u32 = 512;
/// Others may take a device between our asking for a free one and our configuring it.
const TRIES: u32 = 64;
const PAUSE: Duration = Duration::from_millis(10);

/// `struct loop_info64`
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Which part of the file is shown, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoopOptions {
    /// Where the part begins, in bytes; a multiple of 512.
    pub offset: u64,
    /// Its length in bytes; 0 for all the rest.
    pub size: u64,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// An attached loop device. It is detached when this value is dropped, or by the kernel when this
/// process has ended and nothing has it mounted or open.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    device: File,
}

impl LoopDevice {
    /// Attaches a part of the file `backing` to a free loop device. Needs root and Linux 5.8.
    ///
    /// # Errors
    /// There is no free device, or the file cannot be opened.
    pub fn attach(backing: &Path, options: LoopOptions) -> Result<Self, HostError> {
        let failed = HostError::path::<io::Error>("attach a loop device to", backing);
        let file = OpenOptions::new()
            .read(true)
            .write(!options.read_only)
            .open(backing)
            .map_err(HostError::path("open", backing))?;
        let control = Path::new("/dev/loop-control");
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open(control)
            .map_err(HostError::path("open", control))?;
        let mut last = io::Error::from(io::ErrorKind::ResourceBusy);
        // Direct I/O avoids caching everything twice, but not every file system can do it.
        let mut direct = LO_FLAGS_DIRECT_IO;
        for _ in 0..TRIES {
            let number =
                free_device(&control).map_err(HostError::path("find a", "free loop device"))?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let opened = OpenOptions::new()
                .read(true)
                .write(!options.read_only)
                .open(&path);
            let device = match opened {
                Ok(device) => device,
                // It is free because somebody lets go of it at this moment.
                Err(e) if e.raw_os_error() == Some(libc::ENXIO) => {
                    std::thread::sleep(PAUSE);
                    last = e;
                    continue;
                }
                Err(e) => return Err(HostError::path("open", &path)(e)),
            };
            match configure(&device, &file, backing, options, direct) {
                Ok(()) => {
                    let attached = Self { path, device };
                    fail_point::reach("loop-attached", attached.path.display()).map_err(failed)?;
                    return Ok(attached);
                }
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(PAUSE),
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) && direct != 0 => direct = 0,
                Err(e) => return Err(failed(e)),
            }
            last = io::Error::from(io::ErrorKind::ResourceBusy);
        }
        Err(failed(last))
    }

    /// The block device, `/dev/loopN`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // SAFETY: a request without an argument on a descriptor of ours. While the device is still
        // mounted, the kernel detaches it as soon as it no longer is.
        unsafe { libc::ioctl(self.device.as_raw_fd(), LOOP_CLR_FD, 0) };
    }
}

fn free_device(control: &File) -> io::Result<i32> {
    // SAFETY: a request without an argument, answered by the number or -1.
    match unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE, 0) } {
        number if number >= 0 => Ok(number),
        _ => Err(io::Error::last_os_error()),
    }
}

fn configure(
    device: &File,
    file: &File,
    name: &Path,
    options: LoopOptions,
    direct: u32,
) -> io::Result<()> {
    let read_only = if options.read_only {
        LO_FLAGS_READ_ONLY
    } else {
        0
    };
    let mut config = LoopConfig {
        fd: u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?,
        block_size: BLOCK_SIZE,
        info: LoopInfo {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: options.offset,
            size_limit: options.size,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            // Set in the same call: from the first moment on, a killed build leaves nothing.
            flags: LO_FLAGS_AUTOCLEAR | read_only | direct,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // For `losetup`; the last byte stays zero.
    let name = name.as_os_str().as_bytes();
    for (to, from) in config.info.file_name.iter_mut().take(63).zip(name) {
        *to = *from;
    }
    // SAFETY: the request reads one `LoopConfig`, laid out as the kernel's, that lives on this stack.
    match unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_the_kernels() {
        assert_eq!(size_of::<LoopInfo>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
        assert_eq!(std::mem::offset_of!(LoopConfig, info), 8);
        assert_eq!(std::mem::offset_of!(LoopInfo, flags), 52);
    }
}
