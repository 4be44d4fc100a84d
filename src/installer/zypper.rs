//! RPM packages through zypper.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::rpm::{self, Dialect, Keeping, Leavings, Prepared, Work};
use super::{InstallError, Installer, Request, Site, Unknown, lookup, version};
use crate::config::values::Architecture;
use crate::distro::provenance::{Archive, Identity};
use crate::host::{Command, CommandError, Host};
use crate::tree::Root;

/// Installs with zypper.
#[derive(Clone, Copy, Debug)]
pub struct Zypper;

/// The name of its part of the package cache.
const MANAGER: &str = "zypp";
const INSTALL: [&str; 3] = ["install", "--no-recommends", "--auto-agree-with-licenses"];
/// How long a list of packages is not asked for again, in minutes: as long as with dnf.
const LIST_EXPIRES: u32 = 360;
/// Exit statuses that tell of success: something wants a restart, and a script of a package failed,
/// which rpm takes for a warning (zypper(8), "EXIT CODES").
const SUCCESSES: [i32; 3] = [102, 103, 107];
/// Where packages that must not come in are written down, in the tree.
const LOCKS: &str = "var/lib/zypp/mkosi-excluded";
/// The packages that nobody asked for by name, with the time in a comment.
const AUTO_INSTALLED: &str = "var/lib/zypp/AutoInstalled";
/// What zypper leaves while it works.
const PID: &str = "run/zypp.pid";

impl Zypper {
    fn run(
        request: Option<&Request>,
        words: &[&str],
        packages: &[String],
        prepared: &Prepared,
        site: &Site,
        host: &Host,
    ) -> Result<(), InstallError> {
        let root = Root::open(&site.root)?;
        let work = &prepared.work;
        let leavings = Leavings::expect(&root, &work.cache)?;
        let command = command(request, work, site).args(words).args(packages);
        match host.run(command.no_sync()) {
            Ok(_) => {}
            Err(CommandError::Failed {
                code: Some(code), ..
            }) if SUCCESSES.contains(&code) => {
                if code == 107 {
                    host.report.warn("a script of a package failed");
                }
            }
            Err(source) => {
                let what = match request {
                    Some(_) => "installing packages failed",
                    None => "removing packages failed",
                };
                return Err(rpm::explain_locked(what, request, source));
            }
        }
        root.remove_file(PID)?;
        root.remove_file(LOCKS)?;
        if let Some(list) = root.read_if_present(AUTO_INSTALLED)? {
            root.write(AUTO_INSTALLED, without_comments(&list), 0o644)?;
        }
        leavings.remove(&root)
    }

    fn fill(request: &Request, filled: bool, site: &Site, host: &Host) -> Result<(), InstallError> {
        let rpm = request.rpm()?;
        let mut prepared = rpm::prepare(request, rpm, MANAGER, filled, site, host)?;
        write_settings(Some(request), &prepared, site)?;
        let before = match filled {
            true => rpm::installed(&prepared.work, site, host)?,
            false => Some(rpm::Installed::new()),
        };
        if let Some(lock) = &request.lock {
            let keeping = Keeping {
                lock,
                request,
                rpm,
                dialect: Dialect::Zypper,
                filled,
                site,
                host,
            };
            keeping.begin(&mut prepared, &|prepared, missing, elsewhere| {
                Self::download(request, missing, prepared, elsewhere, host)
            })?;
        }
        let root = Root::open(&site.root)?;
        if !request.excluded.is_empty() {
            root.create_dir_all("var/lib/zypp", 0o755)?;
            root.write(LOCKS, locks(&request.excluded), 0o644)?;
        }
        if !request.packages.is_empty() {
            Self::run(
                Some(request),
                &INSTALL,
                &request.packages,
                &prepared,
                site,
                host,
            )?;
        }
        rpm::note(before, request, &prepared, Dialect::Zypper, site, host)?;
        prepared.finish(request, rpm, Dialect::Zypper, &root, host)
    }

    /// Downloads packages of a lock, as far as repositories have them; nothing is held back.
    fn download(
        request: &Request,
        packages: &[&Archive],
        prepared: &Prepared,
        site: &Site,
        host: &Host,
    ) -> Result<Vec<Identity>, InstallError> {
        let names: Vec<String> = packages
            .iter()
            .map(|one| format!("{}.{}={}", one.name, one.architecture, one.version))
            .collect();
        let run = |words: &[&str], names: &[String]| {
            Self::run(Some(request), words, names, prepared, site, host)
        };
        // What was listed a while ago may be gone.
        run(&["refresh"], &[])?;
        run(&["--no-refresh", "download"], &names)?;
        Ok(Vec::new())
    }
}

impl Installer for Zypper {
    fn name(&self) -> &'static str {
        "zypper"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["zypper", "rpm", "rpmkeys"]
    }

    fn install(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        Self::fill(request, false, site, host)
    }

    fn add(&self, request: &Request, site: &Site, host: &Host) -> Result<(), InstallError> {
        Self::fill(request, true, site, host)
    }

    fn identity(&self, host: &Host) -> Result<Vec<(String, String)>, InstallError> {
        Ok(vec![
            version::of("zypper", "zypper", host)?,
            version::of("rpm", "rpm", host)?,
        ])
    }

    fn commands(
        &self,
        request: &Request,
        site: &Site,
        _filled: bool,
    ) -> Result<Vec<Command>, InstallError> {
        if request.packages.is_empty() {
            return Ok(Vec::new());
        }
        let work = Work::at(Some(request), MANAGER, site);
        let command = command(Some(request), &work, site);
        Ok(vec![command.args(INSTALL).args(&request.packages)])
    }

    fn unknown(
        &self,
        request: &Request,
        site: &Site,
        host: &Host,
    ) -> Result<Option<Vec<Unknown>>, InstallError> {
        let rpm = request.rpm()?;
        let prepared = rpm::prepare_lookup(request, rpm, MANAGER, site, host)?;
        write_settings(Some(request), &prepared, site)?;
        let ask = |words: &[&str], more: &[&str]| {
            let mut command = command(Some(request), &prepared.work, site);
            if words == SEARCH {
                // What is searched is printed as people would read it otherwise.
                command = command.arg("--xmlout");
            }
            let command = command.args(words).args(more);
            lookup::answer(command, &[NOT_FOUND], host).map_err(|source| {
                rpm::explain(
                    "reading the lists of packages failed",
                    Some(request),
                    source,
                )
            })
        };
        ask(&["refresh"], &[])?;
        let names = solvables(&ask(&SEARCH, &["--type=package"])?);
        let unknown = lookup::unknown(&request.packages, &names, |word| {
            for words in questions(word) {
                if !solvables(&ask(&SEARCH, &words)?).is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })?;
        Ok(Some(unknown))
    }

    fn keeps_to_locks(&self) -> bool {
        true
    }

    fn remove(&self, packages: &[String], site: &Site, host: &Host) -> Result<(), InstallError> {
        let prepared = rpm::prepare_removal(MANAGER, site, host)?;
        write_settings(None, &prepared, site)?;
        Self::run(
            None,
            &["remove", "--clean-deps"],
            packages,
            &prepared,
            site,
            host,
        )
    }
}

const SEARCH: [&str; 1] = ["search"];
/// Nothing was found (zypper(8), "EXIT CODES").
const NOT_FOUND: i32 = 104;

/// What to ask about a word that is no name of a package: `pattern:base`, `name>=1`, `a*`, or what packages
/// provide.
fn questions(word: &str) -> Vec<Vec<&str>> {
    const KINDS: [(&str, &str); 3] = [
        ("pattern:", "--type=pattern"),
        ("product:", "--type=product"),
        ("package:", "--type=package"),
    ];
    for (start, kind) in KINDS {
        if let Some(name) = word.strip_prefix(start) {
            return vec![vec![kind, "--match-exact", name]];
        }
    }
    if word.contains(['*', '?']) {
        // Nothing is exactly like a pattern.
        return vec![vec!["--type=package", word]];
    }
    let name = word.split(['=', '<', '>']).next().unwrap_or(word);
    let exactly = |kind, name| vec![kind, "--match-exact", name];
    let mut questions = vec![exactly("--type=package", name)];
    // zypper takes a name with its architecture, too.
    if let Some((plain, _)) = name.rsplit_once('.').filter(|(_, of)| is_architecture(of)) {
        questions.push(exactly("--type=package", plain));
    }
    questions.push(exactly("--provides", name));
    questions
}

/// Whether packages have this at the end of their files' names.
fn is_architecture(word: &str) -> bool {
    let known = Architecture::ALL.iter().any(|one| one.as_str() == word);
    known || matches!(word, "noarch" | "i586" | "armv7hl")
}

/// The names of what was found, one on a line, in zypper's XML.
fn solvables(xml: &str) -> String {
    let mut names = String::new();
    for part in xml.split("<solvable ").skip(1) {
        let name = part
            .split_once("name=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        if let Some((name, _)) = name {
            let _ = writeln!(names, "{name}");
        }
    }
    names
}

fn command(request: Option<&Request>, work: &Work, site: &Site) -> Command {
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    let mut command = work
        .command("zypper")
        .env("ZYPP_CONF", work.settings.join("zypp.conf"))
        .env("ZYPP_LOGFILE", work.settings.join("zypp.log"))
        .arg(option("--config=", &work.settings.join("zypper.conf")))
        .arg(option("--root=", &site.root))
        .arg(option("--reposd-dir=", &work.repositories))
        .arg(option("--cache-dir=", &work.cache))
        // Questions get the answer that changes nothing: an unknown key is no key.
        .args(["--non-interactive", "--no-color"]);
    if let Some(rpm) = request.and_then(|request| request.rpm().ok()) {
        command = command.arg(format!("--releasever={}", rpm.release_version));
    }
    rpm::without_initrds(command, request)
}

/// Writes zypp.conf and the repository files.
fn write_settings(
    request: Option<&Request>,
    prepared: &Prepared,
    site: &Site,
) -> Result<(), InstallError> {
    let work = &prepared.work;
    rpm::write(&work.settings.join("zypper.conf"), "[main]\n")?;
    rpm::write(
        &work.settings.join("zypp.conf"),
        settings(request, &site.root.join(LOCKS)),
    )?;
    prepared.write_repositories(Dialect::Zypper)
}

fn settings(request: Option<&Request>, locks: &Path) -> String {
    let mut text = String::from(
        "[main]\n\
         solver.onlyRequires = true\n\
         solver.allowVendorChange = false\n\
         commit.downloadMode = DownloadInAdvance\n\
         multiversion = provides:multiversion(kernel)\n\
         gpgcheck = on\n",
    );
    let _ = writeln!(text, "repo.refresh.delay = {LIST_EXPIRES}");
    let _ = writeln!(text, "locksfile.path = {}", locks.display());
    if let Some(request) = request {
        let _ = writeln!(text, "arch = {}", request.architecture);
        if !request.with_docs {
            text.push_str("rpm.install.excludedocs = yes\n");
        }
    }
    text
}

/// Two builds of one image must not differ in the time.
fn without_comments(list: &[u8]) -> Vec<u8> {
    let lines = list.split_inclusive(|byte| *byte == b'\n');
    let names = lines.filter(|line| !line.starts_with(b"#"));
    names.flatten().copied().collect()
}

/// The form of zypper's list of packages that nothing may change.
fn locks(excluded: &[String]) -> String {
    let mut text = String::new();
    for name in excluded {
        let _ = writeln!(
            text,
            "type: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: {name}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};
    use crate::installer::tests::rpm_request;

    #[test]
    fn the_command_line_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site {
            root: "/build/tree".into(),
            scratch: dir.path().into(),
        };
        let host = Host::new(
            Arc::new(Recorder::default()),
            Arc::new(Quiet),
            Cancel::default(),
        );
        let mut request = rpm_request();
        let work = Work::open(Some(&request), "zypp", &site, &host).unwrap();
        let line = command(Some(&request), &work, &site).to_string();
        assert_eq!(
            line.replace(&*dir.path().to_string_lossy(), "/S").as_str(),
            "HOME=/S/rpm/home XDG_CONFIG_HOME=/S/rpm/home/.config \
             ZYPP_CONF=/S/rpm/settings/zypp.conf ZYPP_LOGFILE=/S/rpm/settings/zypp.log zypper \
             --config=/S/rpm/settings/zypper.conf --root=/build/tree \
             --reposd-dir=/S/rpm/repositories --cache-dir=/S/rpm/cache --non-interactive \
             --no-color --releasever=44"
        );
        let planned = Zypper.commands(&request, &site, false).unwrap();
        let planned = planned[0].to_string();
        let end = " install --no-recommends --auto-agree-with-licenses dbus systemd";
        assert_eq!(planned, line + end);
        request.skip_initrds = true;
        request.distribution = crate::config::values::Distribution::Opensuse;
        let line = command(Some(&request), &work, &site).to_string();
        assert!(
            line.contains(" DRACUT=/nonexistent/dracut zypper "),
            "{line}"
        );
    }

    #[test]
    fn what_was_found_is_read_from_xml() {
        let xml = "<stream>\n<solvable status=\"not-installed\" name=\"vim\" kind=\"package\"/>\n\
                   <solvable name=\"vim-data\" kind=\"package\"/>\n</stream>";
        assert_eq!(solvables(xml), "vim\nvim-data\n");
        assert_eq!(solvables("<stream/>"), "");
        assert_eq!(
            questions("pattern:base"),
            [["--type=pattern", "--match-exact", "base"]]
        );
        assert_eq!(questions("vi*"), [["--type=package", "vi*"]]);
        assert_eq!(questions("vim.x86_64>=9")[1][2], "vim");
        assert_eq!(questions("python3.99")[1][0], "--provides");
    }

    #[test]
    fn the_settings_are_complete() {
        let mut request = rpm_request();
        let of = |request: &Request| settings(Some(request), Path::new("/tree/locks"));
        let text = of(&request);
        for line in [
            "solver.onlyRequires = true",
            "rpm.install.excludedocs = yes",
            "arch = x86_64",
            "locksfile.path = /tree/locks",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
        }
        request.with_docs = true;
        assert!(!of(&request).contains("excludedocs"));
        assert_eq!(without_comments(b"# today\n#\na\nb\n#\n"), b"a\nb\n");
        assert!(locks(&["a*".to_owned()]).contains("solvable_name: a*\n"));
    }
}
