//! What runs inside the tree: scripts that come before unpacking, and dpkg itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::control::Package;
use super::database;
use super::filling::about;
use super::programs::write_programs;
use crate::host::{Container, Host, shell_quote};
use crate::installer::apt::{self, make_directory};
use crate::installer::{InstallError, Request, SKIP_INITRDS, Site};
use crate::tree::Root;

/// Where the work's files are seen inside.
const INSIDE: &str = "/run/mkosi";

/// The script that runs before a package is unpacked.
pub(super) const PREINST: &str = "preinst";

/// Nothing asks, nothing waits for the disk, and files that were in the tree before stay.
pub(super) const DPKG: &str = "dpkg --force-unsafe-io --force-confdef --force-confold";

/// Programs that answer scripts of packages in the tree's stead.
const PROGRAMS: &str = "/run/mkosi/programs";
/// As `login` and `sudo` of Debian have it for root.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the script that comes before a package is unpacked (deb-preinst(5)), as dpkg does.
const RUN_PREINST: &str = r#"set -e
cd /
preinst() {
    rm -rf /var/lib/dpkg/tmp.ci
    cp -a "/run/mkosi/control/$1" /var/lib/dpkg/tmp.ci
    status=0
    DPKG_MAINTSCRIPT_PACKAGE=$2 DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_ARCH=$3 \
    DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_DEBUG=0 DPKG_ADMINDIR=/var/lib/dpkg \
    DPKG_ROOT= DPKG_RUNNING_VERSION=$running /var/lib/dpkg/tmp.ci/preinst install || status=$?
    rm -rf /var/lib/dpkg/tmp.ci
    if [ "$status" != 0 ]; then
        echo "the preinst script of the package $2 exited with status $status" >&2
        exit 1
    fi
}
"#;

/// One thing to do inside the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Run a package's preinst script.
    Preinst(usize),
    /// Have dpkg unpack packages; in a system's first packages, before what they need is there.
    Unpack { packages: Vec<usize>, first: bool },
    /// Have dpkg configure packages.
    Configure(Vec<usize>),
    /// Have dpkg configure everything.
    ConfigureAll,
}

/// Everything that steps need.
pub(super) struct Inside<'a> {
    pub request: &'a Request,
    pub site: &'a Site,
    pub packages: &'a [Package],
    pub host: &'a Host,
    /// The version of the tree's dpkg.
    pub dpkg: &'a str,
    /// Packages whose preinst script has run: dpkg gets them without it.
    pub ran: &'a BTreeSet<usize>,
}

impl Inside<'_> {
    /// Does the steps in order, in one container.
    ///
    /// # Errors
    /// When a script fails; its package is named in the last lines.
    pub fn run(&self, what: &str, steps: &[Step]) -> Result<(), InstallError> {
        if steps.is_empty() {
            return Ok(());
        }
        let work = self.site.scratch.join("inside");
        let control = work.join("control");
        make_directory(&control)?;
        let mut debs: Vec<(PathBuf, PathBuf)> = Vec::new();
        for step in steps {
            match step {
                Step::Preinst(number) => self.lay_out(*number, &control)?,
                Step::Unpack { packages, .. } => {
                    for number in packages {
                        let inside = PathBuf::from(deb_inside(*number));
                        debs.push((self.deb(*number, &work)?, inside));
                    }
                }
                Step::Configure(_) | Step::ConfigureAll => {}
            }
        }
        debs.push((control, Path::new(INSIDE).join("control")));
        run(
            what,
            self.request,
            self.site,
            &self.script(steps),
            &debs,
            self.host,
        )?;
        let root = Root::open(&self.site.root)?;
        for number in self.ran {
            let unpacked = steps.iter().any(
                |step| matches!(step, Step::Unpack { packages, .. } if packages.contains(number)),
            );
            if unpacked {
                database::add_control_file(&root, &self.packages[*number], PREINST)?;
            }
        }
        Ok(())
    }

    /// Where a package is that dpkg can unpack.
    fn deb(&self, number: usize, work: &Path) -> Result<PathBuf, InstallError> {
        let package = &self.packages[number];
        if !self.ran.contains(&number) {
            return Ok(package.path.clone());
        }
        let path = work.join(format!("{number}.deb"));
        package
            .write_without(PREINST, &path)
            .map_err(|fault| about(&package.name, fault))?;
        Ok(path)
    }

    /// Puts a package's control files where the script finds them.
    fn lay_out(&self, number: usize, control: &Path) -> Result<(), InstallError> {
        let package = &self.packages[number];
        let directory = control.join(number.to_string());
        make_directory(&directory)?;
        // debconf reads the package's name there.
        write(
            &directory.join("control"),
            package.control.as_bytes(),
            0o644,
        )?;
        for file in &package.files {
            write(&directory.join(&file.name), &file.content, file.mode)?;
        }
        Ok(())
    }

    fn script(&self, steps: &[Step]) -> String {
        let mut text = String::from(RUN_PREINST);
        let _ = writeln!(text, "running={}", shell_quote(self.dpkg.as_ref()));
        for step in steps {
            let _ = match step {
                Step::Preinst(number) => {
                    let package = &self.packages[*number];
                    let (name, architecture) = (&package.name, &package.architecture);
                    writeln!(text, "preinst {number} {name} {architecture}")
                }
                Step::Unpack { packages, first } => {
                    let force = if *first { " --force-depends" } else { "" };
                    let debs: Vec<String> = packages.iter().map(|n| deb_inside(*n)).collect();
                    writeln!(
                        text,
                        "{DPKG}{force} --no-triggers --unpack {}",
                        debs.join(" ")
                    )
                }
                Step::Configure(packages) => {
                    let names: Vec<String> = packages
                        .iter()
                        .map(|number| self.packages[*number].database_name())
                        .collect();
                    writeln!(text, "{DPKG} --no-triggers --configure {}", names.join(" "))
                }
                Step::ConfigureAll => writeln!(text, "{DPKG} --configure --pending"),
            };
        }
        text
    }
}

/// The tree as scripts of packages find it.
fn container(site: &Site) -> Container {
    let mut container = Container::new(&site.root).walled();
    for (name, value) in [
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("LC_ALL", "C.UTF-8"),
        ("LANG", "C.UTF-8"),
        ("LANGUAGE", "C.UTF-8"),
    ] {
        container = container.env(name, value);
    }
    container
}

fn deb_inside(number: usize) -> String {
    format!("{INSIDE}/packages/{number}.deb")
}

/// Writes a file of the host with these permission bits.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), InstallError> {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .map_err(|source| InstallError::Prepare {
            path: path.to_owned(),
            source,
        })
}

/// Runs a script inside the tree, with these files of the host in sight.
///
/// # Errors
/// When it fails; `what` says what did.
pub(super) fn run(
    what: &str,
    request: &Request,
    site: &Site,
    script: &str,
    files: &[(PathBuf, PathBuf)],
    host: &Host,
) -> Result<(), InstallError> {
    let mut container = container(site);
    if request.skip_initrds {
        container = container.env(SKIP_INITRDS.0, SKIP_INITRDS.1);
    }
    container = container
        .bind_read_only(&write_programs(site)?, Path::new(PROGRAMS))
        .env("PATH", format!("{PROGRAMS}:{PATH}"));
    for (path, inside) in files {
        container = container.bind_read_only(path, inside);
    }
    let command = container.command("/bin/sh", ["-c", script]);
    host.run(command.no_sync())
        .map_err(|e| apt::explain(what, Some(request), e))?;
    Ok(())
}
