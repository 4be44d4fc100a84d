//! A package's control archive: what it is called, what it needs, its scripts and lists.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::archive::{Archive, finish};
use super::fields::Fields;
use super::recompressed::Wish;
use crate::tree::archive::Fault;
use crate::tree::archive::members::Content;
use crate::tree::shown::shown_bytes;

/// The most bytes of all control files of one package.
const MAX: u64 = 32 << 20;

/// The most control files of one package; dpkg knows about fifteen.
const MAX_FILES: usize = 1000;

/// A file of the control archive.
#[derive(Clone, Debug)]
pub(super) struct ControlFile {
    /// Its name, such as `postinst`.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    pub content: Vec<u8>,
}

/// A package that is going to be unpacked.
#[derive(Debug)]
pub(super) struct Package {
    /// Where it is on the host.
    pub path: PathBuf,
    pub archive: Archive,
    /// The copy of its data archive that the package cache is to have.
    pub wanted: Option<Wish>,
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub fields: Fields,
    /// The file `control`, as it is.
    pub control: String,
    /// Everything else of the control archive.
    pub files: Vec<ControlFile>,
    /// Configuration files, as `/etc/x`.
    pub conffiles: Vec<Vec<u8>>,
    /// Whether some configuration file is one to be removed on upgrades.
    pub odd_conffiles: bool,
}

impl Package {
    /// Opens a package and reads its control archive.
    pub fn read(path: PathBuf) -> Result<Self, Fault> {
        let archive = Archive::open(&path)?;
        let mut members = archive.control()?;
        let mut files: Vec<ControlFile> = Vec::new();
        let mut control = None;
        let mut total = 0u64;
        while let Some(member) = members.next()? {
            let name = member.name.strip_prefix(b"./").unwrap_or(&member.name);
            if member.content == Content::Directory && matches!(name, b"" | b".") {
                continue;
            }
            let name = control_name(name)
                .filter(|_| matches!(member.content, Content::File(None)))
                .ok_or_else(|| {
                    Fault::new(format!(
                        "its control archive holds {}, which is no control file",
                        shown_bytes(&member.name)
                    ))
                })?;
            total = total.saturating_add(members.left());
            if total > MAX {
                return Err(Fault::new("its control archive is too large"));
            }
            let mut content = Vec::new();
            let mut buffer = [0; 16 * 1024];
            loop {
                match members.read(&mut buffer)? {
                    0 => break,
                    n => content.extend_from_slice(&buffer[..n]),
                }
            }
            if name == "control" {
                if control.replace(content).is_some() {
                    return Err(Fault::new("its control archive has control twice"));
                }
                continue;
            }
            if files.len() == MAX_FILES {
                return Err(Fault::new("its control archive has too many files"));
            }
            if files.iter().any(|file| file.name == name) {
                return Err(Fault::new(format!("its control archive has {name} twice")));
            }
            files.push(ControlFile {
                name,
                mode: member.mode,
                mtime: member.mtime.0,
                content,
            });
        }
        finish(&mut members)?;
        let control = control.ok_or_else(|| Fault::new("it has no control file"))?;
        let control =
            String::from_utf8(control).map_err(|_| Fault::new("its control file is no text"))?;
        let fields = Fields::parse(&control)?;
        let field = |name: &str| {
            fields
                .get(name)
                .filter(|value| is_word(value))
                .map(str::to_owned)
                .ok_or_else(|| Fault::new(format!("its control file has no valid {name}")))
        };
        let (name, version) = (field("Package")?, field("Version")?);
        if !is_package_name(&name) {
            return Err(Fault::new("its control file has no valid Package"));
        }
        let architecture = field("Architecture")?;
        let mut package = Self {
            path,
            archive,
            wanted: None,
            name,
            version,
            architecture,
            fields,
            control,
            files,
            conffiles: Vec::new(),
            odd_conffiles: false,
        };
        package.read_conffiles()?;
        Ok(package)
    }

    fn read_conffiles(&mut self) -> Result<(), Fault> {
        let Some(file) = self.file("conffiles") else {
            return Ok(());
        };
        let mut conffiles = Vec::new();
        let mut odd = false;
        for line in file.content.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii_end();
            if line.is_empty() {
                continue;
            }
            // A word before the path is a flag (deb-conffiles(5)).
            if !line.starts_with(b"/") {
                odd = true;
                continue;
            }
            let steps = line.split(|byte| *byte == b'/').skip(1);
            if steps.clone().any(|step| matches!(step, b"" | b"." | b"..")) {
                return Err(Fault::new(format!(
                    "its list of configuration files names {}",
                    shown_bytes(line)
                )));
            }
            conffiles.push(line.to_vec());
        }
        self.conffiles = conffiles;
        self.odd_conffiles = odd;
        Ok(())
    }

    /// A file of the control archive.
    pub fn file(&self, name: &str) -> Option<&ControlFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Bytes that its files take, as it says itself.
    pub fn installed_size(&self) -> u64 {
        let kilobytes = self.fields.get("Installed-Size");
        let kilobytes = kilobytes.and_then(|value| value.parse::<u64>().ok());
        kilobytes.unwrap_or(0).saturating_mul(1024)
    }

    /// Writes the same package, uncompressed and without one of its control files.
    ///
    /// # Errors
    /// When it is damaged or cannot be written.
    pub fn write_without(&self, name: &str, path: &Path) -> Result<(), Fault> {
        let control = ControlFile {
            name: "control".to_owned(),
            mode: 0o644,
            mtime: 0,
            content: self.control.clone().into_bytes(),
        };
        let mut builder = tar::Builder::new(Vec::new());
        let others = self.files.iter().filter(|file| file.name != name);
        for file in [&control].into_iter().chain(others) {
            let mut header = tar::Header::new_gnu();
            header.set_mode(file.mode);
            header.set_mtime(file.mtime.try_into().unwrap_or(0));
            header.set_size(file.content.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            let name = format!("./{}", file.name);
            builder
                .append_data(&mut header, name, file.content.as_slice())
                .map_err(Fault::from_read)?;
        }
        let control = builder.into_inner().map_err(Fault::from_read)?;
        let mut file = File::create(path).map_err(Fault::from_read)?;
        self.archive.expand(Some(&control), &mut file)
    }

    /// Whether it may be installed for several architectures at once.
    pub fn is_multi_arch_same(&self) -> bool {
        self.fields.get("Multi-Arch") == Some("same")
    }

    /// The name dpkg's database knows it by, with the architecture where the name alone would be
    /// ambiguous.
    pub fn database_name(&self) -> String {
        if self.is_multi_arch_same() {
            format!("{}:{}", self.name, self.architecture)
        } else {
            self.name.clone()
        }
    }

    /// Whether no system may be without it.
    pub fn is_essential(&self) -> bool {
        self.fields.get("Essential") == Some("yes")
    }
}

fn control_name(name: &[u8]) -> Option<String> {
    let good = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with(b".")
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'));
    good.then(|| String::from_utf8_lossy(name).into_owned())
}

fn is_word(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// As Debian's policy has it, section 5.6.1, and as dpkg is content with.
fn is_package_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deb, tar};
    use super::*;

    const CONTROL: &str = "Package: x\nVersion: 1:2-3\nArchitecture: amd64\nMulti-Arch: same\n";

    fn read(control: &[(&str, &str)]) -> Result<Package, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        std::fs::write(&path, deb(&tar(control), &tar(&[]))).unwrap();
        Package::read(path).map_err(|fault| fault.problem)
    }

    #[test]
    fn reads_names_scripts_and_lists() {
        let package = read(&[
            ("./", ""),
            ("./control", CONTROL),
            ("./postinst", "#!/bin/sh\n"),
            ("./conffiles", "/etc/x\n\n/etc/y  \n"),
        ])
        .unwrap();
        assert_eq!(package.database_name(), "x:amd64");
        assert_eq!(package.version, "1:2-3");
        assert_eq!(package.conffiles, [b"/etc/x", b"/etc/y"]);
        assert_eq!(package.file("postinst").unwrap().content, b"#!/bin/sh\n");
        assert!(!package.is_essential() && !package.odd_conffiles);
    }

    #[test]
    fn a_script_can_be_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let (path, without) = (
            directory.path().join("x.deb"),
            directory.path().join("y.deb"),
        );
        let control = tar(&[
            ("./control", CONTROL),
            ("./preinst", "#!"),
            ("./md5sums", ""),
        ]);
        std::fs::write(&path, deb(&control, &tar(&[("./etc/x", "data")]))).unwrap();
        let package = Package::read(path).unwrap();
        package.write_without("preinst", &without).unwrap();
        let package = Package::read(without).unwrap();
        assert_eq!(package.control, CONTROL);
        assert!(package.file("preinst").is_none() && package.file("md5sums").is_some());
        let mut data = package.archive.data().unwrap();
        assert_eq!(data.next().unwrap().unwrap().name, b"./etc/x");
    }

    #[test]
    fn refuses_control_archives_that_are_none() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("./postinst", "")], "no control file"),
            (&[("./control", "Package: ../x\n")], "no valid"),
            (
                &[("./control", "Package: x\nVersion: 1 2\n")],
                "no valid Version",
            ),
            (&[("./control", CONTROL), ("./../x", "")], "no control file"),
            (&[("./control", CONTROL), ("./a/", "")], "no control file"),
            (&[("./control -> /etc/passwd", "")], "no control file"),
            (
                &[("./control", CONTROL), ("./conffiles", "/etc/../../x\n")],
                "names /etc/../../x",
            ),
        ];
        for (control, expected) in cases {
            let problem = read(control).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
