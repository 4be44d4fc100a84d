//! Entries of the Boot Loader Specification, type 1: kernel and initrd as files of their own, and a
//! text that names them with the command line.
//!
//! Source: the UAPI Group's "Boot Loader Specification".

use std::path::Path;

use super::BootError;
use super::systemd_boot::{place, write};

/// A kernel to be entered.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What the files are named by: unique among the systems on the disk.
    pub token: &'a str,
    /// The kernel's release.
    pub release: &'a str,
    /// The menu's line.
    pub title: &'a str,
    /// The image's machine id, where it has a fixed one.
    pub machine_id: Option<&'a str>,
    /// The kernel.
    pub kernel: &'a Path,
    /// The initrd.
    pub initrd: &'a Path,
    /// The command line.
    pub command_line: &'a str,
}

impl Entry<'_> {
    /// Where kernel and initrd are, from the partition's root.
    fn directory(&self) -> String {
        format!("{}/{}", self.token, self.release)
    }

    /// The kernel's path in the partition.
    #[must_use]
    pub fn linux(&self) -> String {
        format!("/{}/linux", self.directory())
    }

    /// The initrd's path in the partition.
    #[must_use]
    pub fn initrd(&self) -> String {
        format!("/{}/initrd", self.directory())
    }

    /// Writes kernel and initrd alone.
    ///
    /// # Errors
    /// A kernel or an initrd cannot be copied.
    pub fn install_files(&self, partition: &Path) -> Result<(), BootError> {
        place(self.kernel, &partition.join(&self.linux()[1..]))?;
        place(self.initrd, &partition.join(&self.initrd()[1..]))
    }

    /// Writes kernel, initrd and the entry.
    ///
    /// # Errors
    /// As [`Self::install_files`], and that an entry cannot be written.
    pub fn install(&self, partition: &Path) -> Result<(), BootError> {
        self.install_files(partition)?;
        let name = format!("loader/entries/{}-{}.conf", self.token, self.release);
        write(&partition.join(name), self.text())
    }

    fn text(&self) -> String {
        let mut text = format!("title {}\nversion {}\n", self.title, self.release);
        if let Some(id) = self.machine_id {
            text.push_str(&format!("machine-id {id}\n"));
        }
        text.push_str(&format!(
            "sort-key {}\nlinux {}\ninitrd {}\noptions {}\n",
            self.token,
            self.linux(),
            self.initrd(),
            self.command_line
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_entry_names_its_files() {
        let directory = tempfile::tempdir().unwrap();
        let (kernel, initrd) = (directory.path().join("k"), directory.path().join("i"));
        fs::write(&kernel, "K").unwrap();
        fs::write(&initrd, "I").unwrap();
        let entry = Entry {
            token: "web",
            release: "6.1.0-9-amd64",
            title: "Debian GNU/Linux 12 (bookworm)",
            machine_id: Some("0123456789abcdef0123456789abcdef"),
            kernel: &kernel,
            initrd: &initrd,
            command_line: "quiet rw",
        };
        let esp = directory.path().join("esp");
        entry.install(&esp).unwrap();
        assert_eq!(fs::read(esp.join("web/6.1.0-9-amd64/linux")).unwrap(), b"K");
        assert_eq!(
            fs::read(esp.join("web/6.1.0-9-amd64/initrd")).unwrap(),
            b"I"
        );
        assert_eq!(
            fs::read_to_string(esp.join("loader/entries/web-6.1.0-9-amd64.conf")).unwrap(),
            "title Debian GNU/Linux 12 (bookworm)\nversion 6.1.0-9-amd64\n\
             machine-id 0123456789abcdef0123456789abcdef\nsort-key web\n\
             linux /web/6.1.0-9-amd64/linux\ninitrd /web/6.1.0-9-amd64/initrd\noptions quiet rw\n"
        );
    }
}
