//! Whether this host runs programs of another architecture: by itself, or through an interpreter
//! that the kernel knows.

use std::fs;
use std::path::Path;

use super::HostError;

/// Where the kernel tells of interpreters (Documentation/admin-guide/binfmt-misc.rst).
const INTERPRETERS: &str = "/proc/sys/fs/binfmt_misc";
/// There in kernels for x86_64 that run programs for i686.
const RUNS_I686: &str = "/proc/sys/abi/vsyscall32";

/// How programs begin (elf(5)): class, byte order and machine.
struct Elf {
    bits: u8,
    order: u8,
    machine: u16,
}

const LITTLE: u8 = 1;
const BIG: u8 = 2;

fn elf(architecture: &str) -> Option<Elf> {
    let (bits, order, machine) = match architecture {
        "x86_64" => (64, LITTLE, 0x3e),
        "i686" => (32, LITTLE, 0x03),
        "aarch64" => (64, LITTLE, 0xb7),
        "armv7l" => (32, LITTLE, 0x28),
        "riscv64" => (64, LITTLE, 0xf3),
        "ppc64le" => (64, LITTLE, 0x15),
        "s390x" => (64, BIG, 0x16),
        "loongarch64" => (64, LITTLE, 0x102),
        _ => return None,
    };
    Some(Elf {
        bits,
        order,
        machine,
    })
}

impl Elf {
    /// The first bytes of an executable, as many as interpreters are chosen by.
    fn header(&self) -> [u8; 20] {
        let mut header = [0; 20];
        header[..4].copy_from_slice(b"\x7fELF");
        header[4] = if self.bits == 64 { 2 } else { 1 };
        header[5] = self.order;
        header[6] = 1;
        let number = |n: u16| {
            if self.order == BIG {
                n.to_be_bytes()
            } else {
                n.to_le_bytes()
            }
        };
        // ET_EXEC.
        header[16..18].copy_from_slice(&number(2));
        header[18..20].copy_from_slice(&number(self.machine));
        header
    }
}

/// Fails when programs of `architecture` do not run on this host of architecture `own`; both by the
/// kernel's names.
///
/// # Errors
/// [`HostError::Foreign`], with what to do.
pub fn check_runs(architecture: &str, own: &str) -> Result<(), HostError> {
    check(
        architecture,
        own,
        Path::new(INTERPRETERS),
        Path::new(RUNS_I686),
    )
}

/// Has the kernel tell this thread, and what it starts, that it is of `architecture` (`uname -m`),
/// where programs of that architecture run without an interpreter.
pub fn adopt_architecture(architecture: &str, own: &str) {
    /// PER_LINUX32 of linux/personality.h.
    const LINUX32: nix::libc::c_ulong = 0x0008;
    if (architecture, own) == ("i686", "x86_64") {
        // SAFETY: changes what the kernel says of itself, and nothing of this program.
        unsafe { nix::libc::personality(LINUX32) };
    }
}

fn check(
    architecture: &str,
    own: &str,
    interpreters: &Path,
    runs_i686: &Path,
) -> Result<(), HostError> {
    let natively = match (architecture, own) {
        ("i686", "x86_64") => runs_i686.exists(),
        _ => architecture == own,
    };
    if natively {
        return Ok(());
    }
    let reason = match interpreter(architecture, interpreters) {
        Interpreter::Usable => return Ok(()),
        Interpreter::OutsideOnly(name) => format!(
            "the kernel opens the interpreter {name} in the image, where it is not: it was registered \
             without the flag F"
        ),
        Interpreter::Missing => "the kernel knows no interpreter for them".to_owned(),
    };
    Err(HostError::Foreign {
        architecture: architecture.to_owned(),
        own: own.to_owned(),
        reason,
    })
}

enum Interpreter {
    Usable,
    /// It is found by its path when a program starts.
    OutsideOnly(String),
    Missing,
}

fn interpreter(architecture: &str, directory: &Path) -> Interpreter {
    let status = fs::read_to_string(directory.join("status")).unwrap_or_default();
    let (Some(elf), "enabled") = (elf(architecture), status.trim()) else {
        return Interpreter::Missing;
    };
    let header = elf.header();
    let mut found = Interpreter::Missing;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        match handles(&text, &header) {
            Some(true) => return Interpreter::Usable,
            Some(false) => {
                found = Interpreter::OutsideOnly(entry.file_name().to_string_lossy().into_owned());
            }
            None => {}
        }
    }
    found
}

/// Whether an enabled entry is for programs that begin like this, and whether its interpreter was
/// opened when it was registered.
fn handles(entry: &str, header: &[u8]) -> Option<bool> {
    if entry.lines().next()? != "enabled" {
        return None;
    }
    let value = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name));
    let magic = bytes(value("magic ")?)?;
    let mask = value("mask ")
        .and_then(bytes)
        .unwrap_or_else(|| vec![0xff; magic.len()]);
    let offset: usize = value("offset ")?.trim().parse().ok()?;
    let part = header.get(offset..offset.checked_add(magic.len())?)?;
    let fits = part
        .iter()
        .zip(&magic)
        .zip(&mask)
        .all(|((byte, magic), mask)| byte & mask == magic & mask);
    fits.then(|| value("flags: ").is_some_and(|flags| flags.contains('F')))
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let text = hexadecimal.trim();
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AARCH64: &str = "interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\n\
        mask ffffffffffffff00fffffffffffffffffeffffff\n";
    const S390X: &str = "interpreter /usr/bin/qemu-s390x-static\nflags: OC\noffset 0\n\
        magic 7f454c4602020100000000000000000000020016\n\
        mask ffffffffffffff00fffffffffffffffffffeffff\n";

    fn checked(architecture: &str, own: &str, entries: &[(&str, String)]) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in entries {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let here = directory.path();
        check(architecture, own, here, &here.join("i686")).map_err(|e| e.to_string())
    }

    #[test]
    fn interpreters_are_found_by_what_they_are_for() {
        let status = ("status", "enabled\n".to_owned());
        let aarch64 = ("qemu-aarch64", format!("enabled\n{AARCH64}"));
        let s390x = ("s390x", format!("enabled\n{S390X}"));
        let register = ("register", String::new());
        let all = [status.clone(), aarch64.clone(), s390x, register];
        assert_eq!(checked("aarch64", "x86_64", &all), Ok(()));
        let error = checked("s390x", "x86_64", &all).unwrap_err();
        assert!(error.contains("without the flag F"), "{error}");
        let error = checked("riscv64", "x86_64", &all).unwrap_err();
        assert!(error.contains("qemu-user-static"), "{error}");
        let off = [status, ("qemu-aarch64", format!("disabled\n{AARCH64}"))];
        assert!(checked("aarch64", "x86_64", &off).is_err());
        assert!(checked("aarch64", "x86_64", &[aarch64]).is_err());
        assert!(checked("aarch64", "x86_64", &[]).is_err());
    }

    #[test]
    fn own_programs_run() {
        assert_eq!(checked("s390x", "s390x", &[]), Ok(()));
        assert_eq!(
            checked("i686", "x86_64", &[("i686", String::new())]),
            Ok(())
        );
        assert!(checked("i686", "x86_64", &[]).is_err());
        assert!(checked("x86_64", "i686", &[("i686", String::new())]).is_err());
    }

    #[test]
    fn odd_entries_do_no_harm() {
        let header = elf("aarch64").unwrap().header();
        for entry in [
            "",
            "enabled",
            "enabled\nextension .exe\n",
            "enabled\nmagic 7f4\noffset 0\n",
            "enabled\nmagic zz\noffset 0\n",
            "enabled\nmagic 7f\noffset 99999999999999999999\n",
            "enabled\nmagic 7f\noffset 30\n",
        ] {
            assert_eq!(handles(entry, &header), None, "{entry}");
        }
    }
}
