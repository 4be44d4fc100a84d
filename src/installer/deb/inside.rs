//! What runs inside the tree: scripts that come before unpacking, and dpkg itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::control::Package;
use super::database;
use super::filling::about;
use super::session::{self, Session};
use crate::host::{Container, shell_quote};
use crate::installer::apt::make_directory;
use crate::installer::{InstallError, Request, SKIP_INITRDS, Site};
use crate::tree::Root;

/// Where the work's files are seen inside.
pub(super) const INSIDE: &str = "/run/mkosi";

/// The script that runs before a package is unpacked.
pub(super) const PREINST: &str = "preinst";

/// Nothing asks, nothing waits for the disk, and files that were in the tree before stay.
pub(super) const DPKG: &str = "dpkg --force-unsafe-io --force-confdef --force-confold";

/// Programs that answer scripts of packages in the tree's stead.
const PROGRAMS: &str = "/run/mkosi/programs";
/// As `login` and `sudo` of Debian have it for root.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where dpkg has a package's control files while its preinst script runs; scripts know the path.
const CONTROL: &str = "var/lib/dpkg/tmp.ci";

/// Runs the script that comes before a package is unpacked (deb-preinst(5)), as dpkg does.
const RUN_PREINST: &str = r#"cd /
status=0
DPKG_MAINTSCRIPT_PACKAGE=$package DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_MAINTSCRIPT_ARCH=$architecture \
DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_DEBUG=0 DPKG_ADMINDIR=/var/lib/dpkg \
DPKG_ROOT= DPKG_RUNNING_VERSION=$running /var/lib/dpkg/tmp.ci/preinst install || status=$?
if [ "$status" != 0 ]; then
    echo "the preinst script of the package $package exited with status $status" >&2
    exit 1
fi
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
    pub site: &'a Site,
    pub packages: &'a [Package],
    /// The version of the tree's dpkg.
    pub dpkg: &'a str,
    /// Packages whose preinst script has run: dpkg gets them without it.
    pub ran: &'a BTreeSet<usize>,
}

impl Inside<'_> {
    /// Does the steps in order.
    ///
    /// # Errors
    /// When a script fails; its package is named in the last lines.
    pub fn run(
        &self,
        session: &mut Session<'_>,
        what: &str,
        steps: &[Step],
    ) -> Result<(), InstallError> {
        let packages = session::directory(self.site).join("packages");
        let root = Root::open(&self.site.root)?;
        let is_preinst = |step: &Step| matches!(step, Step::Preinst(_));
        for part in steps.chunk_by(|one, next| !is_preinst(one) && !is_preinst(next)) {
            if let [Step::Preinst(number)] = part {
                // As many programs less as it takes to do that inside.
                self.lay_out(*number, &root)?;
                session.run(what, &self.preinst(*number))?;
                root.remove_tree(CONTROL)?;
                continue;
            }
            for step in part {
                if let Step::Unpack {
                    packages: numbers, ..
                } = step
                {
                    for number in numbers {
                        self.put_deb(*number, &packages)?;
                    }
                }
            }
            session.run(what, &self.script(part))?;
        }
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

    /// Puts a package where dpkg finds it.
    fn put_deb(&self, number: usize, directory: &Path) -> Result<(), InstallError> {
        make_directory(directory)?;
        let package = &self.packages[number];
        let path = directory.join(format!("{number}.deb"));
        if self.ran.contains(&number) {
            return package
                .write_without(PREINST, &path)
                .map_err(|fault| about(&package.name, fault));
        }
        fs::copy(&package.path, &path)
            .map(drop)
            .map_err(|source| InstallError::Prepare { path, source })
    }

    /// Puts a package's control files where its script finds them.
    fn lay_out(&self, number: usize, root: &Root) -> Result<(), InstallError> {
        let package = &self.packages[number];
        let directory = Path::new(CONTROL);
        root.remove_tree(directory)?;
        root.create_dir_all(directory, 0o755)?;
        // debconf reads the package's name there.
        root.write(directory.join("control"), &package.control, 0o644)?;
        for file in &package.files {
            root.write(directory.join(&file.name), &file.content, file.mode)?;
        }
        Ok(())
    }

    fn preinst(&self, number: usize) -> String {
        let package = &self.packages[number];
        let mut text = String::new();
        for (name, value) in [
            ("package", &*package.name),
            ("architecture", &*package.architecture),
            ("running", self.dpkg),
        ] {
            let _ = writeln!(text, "{name}={}", shell_quote(value.as_ref()));
        }
        text + RUN_PREINST
    }

    /// What has dpkg do steps.
    fn script(&self, steps: &[Step]) -> String {
        let mut text = String::from("set -e\ncd /\n");
        for step in steps {
            let _ = match step {
                Step::Preinst(_) => Ok(()),
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
pub(super) fn container(request: &Request, site: &Site) -> Container {
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
    if request.skip_initrds {
        container = container.env(SKIP_INITRDS.0, SKIP_INITRDS.1);
    }
    container.env("PATH", format!("{PROGRAMS}:{PATH}"))
}

/// Where a package of this number is for dpkg.
pub(super) fn deb_inside(number: usize) -> String {
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
