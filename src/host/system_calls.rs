//! Answers some system calls in the kernel's place, for a process and all it starts.

use nix::libc;

/// The calls that are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Requests to write data through to the disk succeed at once. Package managers ask for that after
    /// every package, so that a power failure leaves a system that can be repaired. An unfinished tree
    /// is thrown away instead. The kernel still writes everything, in its own time.
    pub sync: bool,
    /// Files cannot share blocks, whatever the file system: a program that makes them share gives them
    /// other modes than those that it copies, for one.
    pub clone: bool,
}

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
const SYNCING: [libc::c_long; 6] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_sync_file_range,
    libc::SYS_msync,
];

/// The requests to share blocks, from `linux/fs.h`.
const CLONING: [u32; 2] = [0x4004_9409, 0x4020_940d];

/// Offsets in the kernel's `struct seccomp_data`, the last of the lower half of a call's second argument.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const SECOND: u32 = 24;

/// The filter, to be made before a process is forked: making it takes memory. Empty where there is
/// nothing to answer.
pub(super) fn filter(answered: Answered) -> Vec<libc::sock_filter> {
    if ARCHITECTURE == 0 || answered == Answered::default() {
        return Vec::new();
    }
    let mut filter = vec![
        load(ARCH),
        // Numbers of another architecture's programs mean other calls.
        jump(ARCHITECTURE, 1, 0),
        allow(),
        load(NUMBER),
    ];
    if answered.sync {
        for call in SYNCING {
            filter.push(jump(number(call), 0, 1));
            filter.push(succeed());
        }
    }
    if answered.clone {
        filter.extend([jump(number(libc::SYS_ioctl), 0, 6), load(SECOND)]);
        for request in CLONING {
            filter.push(jump(request, 0, 1));
            filter.push(fail(libc::EOPNOTSUPP));
        }
        filter.push(allow());
    }
    filter.push(allow());
    filter
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn allow() -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW)
}

/// An error number of zero is success.
fn succeed() -> libc::sock_filter {
    fail(0)
}

fn fail(error: i32) -> libc::sock_filter {
    let answer = libc::SECCOMP_RET_ERRNO | error.unsigned_abs();
    statement(libc::BPF_RET | libc::BPF_K, answer)
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

    /// What the kernel would do, from the same statements.
    fn answer(filter: &[libc::sock_filter], call: libc::c_long, second: u32) -> u32 {
        let mut loaded = 0;
        let mut at = 0;
        loop {
            let now = filter[at];
            at += 1;
            match u32::from(now.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    loaded = match now.k {
                        ARCH => ARCHITECTURE,
                        NUMBER => number(call),
                        SECOND => second,
                        offset => panic!("offset {offset}"),
                    }
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                    at += usize::from(if loaded == now.k { now.jt } else { now.jf });
                }
                code if code == libc::BPF_RET | libc::BPF_K => return now.k,
                code => panic!("statement {code:#x}"),
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_answered_and_nothing_else() {
        const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
        const DONE: u32 = libc::SECCOMP_RET_ERRNO;
        assert!(filter(Answered::default()).is_empty());
        if ARCHITECTURE == 0 {
            return;
        }
        let unsupported = DONE | libc::EOPNOTSUPP.unsigned_abs();
        for (sync, clone) in [(true, false), (false, true), (true, true)] {
            let filter = filter(Answered { sync, clone });
            for call in SYNCING {
                let expected = if sync { DONE } else { ALLOWED };
                assert_eq!(answer(&filter, call, 0), expected, "{call}");
            }
            for request in CLONING {
                let expected = if clone { unsupported } else { ALLOWED };
                assert_eq!(answer(&filter, libc::SYS_ioctl, request), expected);
                assert_eq!(answer(&filter, libc::SYS_write, request), ALLOWED);
            }
            let is_a_terminal = 0x5401;
            assert_eq!(answer(&filter, libc::SYS_ioctl, is_a_terminal), ALLOWED);
        }
    }
}
