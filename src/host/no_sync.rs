//! Makes requests to write data through to the disk return at once, for a process and all it starts.
//!
//! Package managers ask for that after every package, so that a power failure leaves a system that
//! can be repaired. An unfinished tree is thrown away instead. The kernel still writes everything, in
//! its own time.

use nix::libc;

/// What the kernel calls this architecture (`linux/audit.h`). Others get no filter: syncing is slow,
/// not wrong.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xc000_00f3;
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const ARCHITECTURE: u32 = 0;

/// The system calls that wait for the disk and do nothing else.
const CALLS: [libc::c_long; 6] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_sync_file_range,
    libc::SYS_msync,
];

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// The filter, to be made before a process is forked: making it takes memory.
pub(super) fn filter() -> Vec<libc::sock_filter> {
    if ARCHITECTURE == 0 {
        return Vec::new();
    }
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let allow = || statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
    // An error number of zero is success.
    let succeed = || statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO);
    let mut filter = vec![
        load(ARCH),
        // Numbers of another architecture's programs mean other calls.
        jump(ARCHITECTURE, 1, 0),
        allow(),
        load(NUMBER),
    ];
    for call in CALLS {
        filter.push(jump(u32::try_from(call).unwrap_or(u32::MAX), 0, 1));
        filter.push(succeed());
    }
    filter.push(allow());
    filter
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt: 0,
        jf: 0,
        k,
    }
}

/// Passes over `equal` statements when the loaded value is `k`, over `other` when it is not.
fn jump(k: u32, equal: u8, other: u8) -> libc::sock_filter {
    libc::sock_filter {
        jt: equal,
        jf: other,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k)
    }
}

/// Puts the filter on the calling process, for good. Without the privilege for that nothing changes.
///
/// # Safety
/// Async-signal-safe; only the calling process is changed.
pub(super) unsafe fn install(filter: &[libc::sock_filter]) {
    let Ok(length) = u16::try_from(filter.len()) else {
        return;
    };
    if length == 0 {
        return;
    }
    let program = libc::sock_fprog {
        len: length,
        // The kernel only reads it.
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its statements outlive the call, which copies them.
    unsafe {
        let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
        libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_complete() {
        let filter = filter();
        if ARCHITECTURE != 0 {
            assert_eq!(filter.len(), 4 + 2 * CALLS.len() + 1);
            let numbers: Vec<u32> = filter.iter().map(|s| s.k).collect();
            for call in CALLS {
                assert!(numbers.contains(&u32::try_from(call).unwrap()));
            }
        }
    }
}
