//! User namespaces in which users and groups keep their numbers: whether there are any, and for how many.

use std::fs;
use std::sync::OnceLock;

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// How many users and groups, from 0 on, can have the same numbers in a new namespace; nothing where
/// this process may make none.
pub(super) fn users() -> Option<u32> {
    static USERS: OnceLock<Option<u32>> = OnceLock::new();
    *USERS.get_or_init(|| {
        let most = |map: &str| most(&fs::read_to_string(map).ok()?);
        let users = most("/proc/self/uid_map")?.min(most("/proc/self/gid_map")?);
        can_be_made().then_some(users)
    })
}

/// How many numbers from 0 on a map of this process's own namespace has (user_namespaces(7)): its rows
/// say where a range begins here, where it begins outside, and how long it is.
fn most(map: &str) -> Option<u32> {
    let first = map.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        (fields.next()? == "0").then(|| fields.nth(1))?
    })?;
    first.parse().ok()
}

/// Tries it, in a process that does nothing else. A limit, a security module or a root directory that was
/// changed may forbid it to root, too, and none of them can be asked.
fn can_be_made() -> bool {
    let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
    // SAFETY: as fork(2), with a copy of the memory. The child only ends, which takes no lock.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    if child == 0 {
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) }
    }
    let Ok(child) = i32::try_from(child) else {
        return false;
    };
    child > 0
        && matches!(
            waitpid(Pid::from_raw(child), None),
            Ok(WaitStatus::Exited(_, 0))
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_say_how_many_numbers_there_are() {
        for (map, expected) in [
            ("         0          0 4294967295\n", Some(4_294_967_295)),
            (
                "         0       1000          1\n         1     100000      65536\n",
                Some(1),
            ),
            (
                "      1000       1000          1\n         0     100000      65536\n",
                Some(65536),
            ),
            ("      1000       1000          1\n", None),
            ("0 0 many\n", None),
            ("", None),
        ] {
            assert_eq!(most(map), expected, "{map}");
        }
    }
}
