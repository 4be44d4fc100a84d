use super::*;
use crate::config::testing::Fixture;
use crate::config::{Imgbuild, InstallerFiles, PacmanSection, ShellProject};

/// What comes of an IMGBUILD with these files, and what is wrong with it.
fn applied(files: InstallerFiles, keyring: bool, flags: &str) -> (Repositories, Vec<String>) {
    let mut config = Fixture::new().args("-t directory").args(flags).config();
    config.project.shell = Some(ShellProject::Imgbuild(Imgbuild {
        installer_files: files,
        installs_keyring: keyring,
        ..Imgbuild::default()
    }));
    let mut errors = Vec::new();
    let requests = super::super::packages::requests(&config, &mut errors).unwrap();
    let errors = errors.iter().map(ToString::to_string).collect();
    (requests.base.repositories, errors)
}

fn conf() -> InstallerFiles {
    let section = |name: &str, servers: &[&str], uses_host_list| PacmanSection {
        name: name.to_owned(),
        servers: servers.iter().map(|s| (*s).to_owned()).collect(),
        uses_host_list,
        signed_database: name == "mine",
    };
    InstallerFiles {
        pacman: Some(PacmanConf {
            repositories: vec![
                section("mine", &["https://x/$arch", "https://y/$arch"], false),
                section("core", &[], true),
            ],
            architectures: vec!["auto".into(), "x86_64_v3".into()],
            options: vec!["IgnorePkg = linux".into()],
            key_directory: Some("/p/gnupg".into()),
            unsigned: Vec::new(),
        }),
        ..InstallerFiles::default()
    }
}

#[test]
fn pacman_conf_decides() {
    let (Repositories::Pacman(pacman), errors) = applied(conf(), true, "-d arch") else {
        panic!()
    };
    assert_eq!(errors, [""; 0]);
    let lines: Vec<String> = pacman
        .repositories
        .iter()
        .map(|r| format!("{} {} {}", r.name, r.servers.join(" "), r.signed_database))
        .collect();
    assert_eq!(
        lines,
        [
            "mine https://x/$arch https://y/$arch true",
            "core https://geo.mirror.pkgbuild.com/$repo/os/$arch false"
        ]
    );
    assert_eq!(pacman.architectures, ["x86_64", "x86_64_v3"]);
    assert!(pacman.installs_keyring && pacman.key_directory.is_some());
    assert!(
        pacman
            .key_files
            .iter()
            .any(|f| f.ends_with("gnupg/trustdb.gpg"))
    );
    let (Repositories::Pacman(pacman), _) = applied(conf(), false, "-d arch -m http://m") else {
        panic!()
    };
    assert_eq!(pacman.repositories[1].servers, ["http://m/$repo/os/$arch"]);
}

#[test]
fn nothing_is_ignored_in_silence() {
    let mut unsigned = conf();
    let pacman = unsigned.pacman.as_mut().unwrap();
    pacman.unsigned = vec!["pacman.conf:3: SigLevel = Never".into()];
    pacman.architectures = vec!["aarch64".into()];
    let (_, errors) = applied(
        unsigned.clone(),
        false,
        "-d arch --local-mirror=/x --repositories=multilib",
    );
    for (nth, expected) in [
        "LocalMirror: the project's file pacman.conf",
        "Repositories: the project's file pacman.conf",
        "pacman.conf:3: SigLevel = Never: packages are installed only if",
        "the image is for x86_64, and pacman.conf for aarch64",
    ]
    .iter()
    .enumerate()
    {
        assert!(errors[nth].contains(expected), "{errors:?}");
    }
    unsigned.pacman.as_mut().unwrap().architectures.clear();
    let (Repositories::Pacman(pacman), errors) =
        applied(unsigned, true, "-d arch --repository-key-check=no")
    else {
        panic!()
    };
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].contains("no keys that hostconf=keyring"),
        "{errors:?}"
    );
    assert_eq!(pacman.key_directory, None);
}

#[test]
fn apk_files_decide() {
    let files = InstallerFiles {
        apk_repositories: Some(vec!["https://x/main".into()]),
        apk_keys: Some(vec!["/p/keys/own.rsa.pub".into()]),
        ..InstallerFiles::default()
    };
    let (Repositories::Apk(apk), errors) = applied(files.clone(), false, "-d alpine -r 3.24")
    else {
        panic!()
    };
    assert_eq!(errors, [""; 0]);
    assert_eq!(apk.repositories, ["https://x/main"]);
    assert_eq!(apk.image_repositories, [""; 0]);
    assert_eq!(apk.key_files, [std::path::Path::new("/p/keys/own.rsa.pub")]);
    assert!(apk.installs_keys);
    let (_, errors) = applied(files, false, "-d alpine -r 3.24 -m http://m");
    assert!(
        errors[0].starts_with("Mirror: the project's file repositories"),
        "{errors:?}"
    );
}
