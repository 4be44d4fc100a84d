//! Which lists are made of which.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use super::*;
use crate::host::{Cancel, Quiet, Recorder};
use crate::installer::Site;
use crate::installer::tests::request;

fn dump(lists: &Path, more: &str) -> String {
    format!(
        "APT \"\";\nAPT::Architecture \"amd64\";\nAPT::Architectures \"\";\n\
         APT::Architectures:: \"amd64\";\nAPT::Install-Recommends \"false\";\n\
         Dir::State::lists \"{}\";\nOdd line\n{more}",
        lists.display()
    )
}

#[test]
fn settings_say_what_is_followed() {
    let lists = Path::new("/state/lists");
    let found = |more: &str| {
        let text = dump(lists, more);
        understood(&text, lists, "amd64").map(|followed| followed.recommends)
    };
    for (more, expected) in [
        ("", Some(false)),
        ("APT::Install-Recommends \"true\";\n", Some(true)),
        ("APT::Install-Suggests \"1\";\n", None),
        ("APT::Install-Suggests \"0\";\n", Some(false)),
        ("APT::Install-Recommends-Sections:: \"x\";\n", Some(true)),
        ("APT::Architectures:: \"i386\";\n", None),
        ("APT::Architecture \"i386\";\n", None),
        ("APT::Install-Recommends tr\n", None),
        ("DIR::state::Lists \"/other\";\n", None),
    ] {
        assert_eq!(found(more), expected, "{more}");
    }
    assert_eq!(understood("", lists, "amd64"), None);
}

/// The lists that are made for a request of `names` where apt has these files.
fn made(files: &[(&str, &str)], names: &[&str]) -> Option<(tempfile::TempDir, PathBuf)> {
    let dir = tempfile::tempdir().unwrap();
    let site = Site {
        root: dir.path().join("tree"),
        scratch: dir.path().join("scratch"),
    };
    fs::create_dir_all(&site.root).unwrap();
    let recorder = Arc::new(Recorder::default());
    let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
    let settings = Settings::write(&request(), &site, &site.scratch, &host).unwrap();
    recorder.answer("apt-config --config-file", dump(&settings.lists(), ""));
    for (name, text) in files {
        fs::write(settings.lists().join(name), text).unwrap();
    }
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let root = Root::open(&site.root).unwrap();
    let patterns = ["?pattern".to_owned()];
    let made = make(&settings, &names, &patterns, &root, &request(), &host).unwrap()?;
    assert!(made.for_new_tree);
    Some((dir, made.lists))
}

const ALL: &str = "Package: b\nVersion: 1\nArchitecture: all\nDescription: b\n\n\
    Package: a\nVersion: 1\nArchitecture: amd64\n\n\
    Package: c\nVersion: 1\nArchitecture: amd64\n";
const PART: &str = "Package: a\nVersion: 1\nArchitecture: amd64\n\n";

#[test]
fn lists_of_the_same_names_have_what_is_needed() {
    let files = [
        ("m_InRelease", "signed"),
        ("m_Packages", ALL),
        ("n_Packages", ""),
    ];
    let (_dir, lists) = made(&files, &["?pattern", "a"]).unwrap();
    let text = |name: &str| fs::read_to_string(lists.join(name)).unwrap();
    assert_eq!(text("m_Packages"), PART);
    assert_eq!(text("n_Packages"), "");
    assert_eq!(text("m_InRelease"), "signed");
    assert!(lists.join("m_InRelease").is_symlink());
    assert_eq!(
        fs::metadata(&lists).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn doubts_leave_all_lists() {
    let good = ("m_Packages", ALL);
    assert!(made(&[good], &["a"]).is_some());
    let doubtful = format!("{ALL}\nDepends: x\n");
    for (files, names) in [
        (&[good, ("n_Packages", &*doubtful)][..], &["a"][..]),
        (&[good, ("n_Packages.xz", "")], &["a"]),
        (&[good], &["?other"]),
        (&[good], &["a-"]),
        (&[good], &["a=1"]),
        (&[good], &["a:amd64"]),
        (&[good], &["./a.deb"]),
        (&[good], &["nosuch"]),
        // Two of three.
        (&[good], &["a", "b"]),
    ] {
        assert!(made(files, names).is_none(), "{files:?} {names:?}");
    }
}
