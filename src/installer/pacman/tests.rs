//! pacman's command lines and configuration, by the recording runner.

use super::super::testing::{Place, place};
use super::*;
use crate::config::values::Distribution;
use crate::distro::PacmanRepository;

fn request() -> Request {
    Request {
        distribution: Distribution::Arch,
        release: "rolling".into(),
        architecture: "x86_64".into(),
        packages: vec!["base".into(), "tools".into()],
        excluded: Vec::new(),
        repositories: Repositories::Pacman(PacmanRepositories {
            repositories: vec![PacmanRepository::new("core", "http://m/$repo/os/$arch")],
            architectures: Vec::new(),
            options: Vec::new(),
            image_server: Some("http://m/$repo/os/$arch".into()),
            keyring: "archlinux",
            key_files: Vec::new(),
            key_directory: None,
            check_keys: false,
            installs_keyring: false,
        }),
        with_docs: false,
        with_changelogs: false,
        skip_initrds: false,
        cache: None,
        lock: None,
    }
}

fn conf(place: &Place) -> String {
    std::fs::read_to_string(place.site.scratch.join("pacman/pacman.conf")).unwrap()
}

#[test]
fn one_command_refreshes_and_installs() {
    let place = place();
    Pacman
        .install(&request(), &place.site, &place.host)
        .unwrap();
    let lines = place.recorder.lines();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].ends_with(
            "pacman --config=/run/mkosi/manager/pacman.conf --noconfirm --noprogressbar --sync \
             --sysupgrade --needed --refresh -- base tools"
        ),
        "{lines:?}"
    );
    let shown = Pacman.commands(&request(), &place.site, false).unwrap();
    assert!(lines[0].ends_with(&shown[0].to_string()), "{shown:?}");
    let conf = conf(&place);
    for line in [
        "RootDir = /run/mkosi/tree",
        "HookDir = /run/mkosi/tree/etc/pacman.d/hooks/",
        "SigLevel = Never",
        "Architecture = x86_64",
        "[core]",
        "Server = http://m/$repo/os/$arch",
    ] {
        assert!(conf.lines().any(|l| l == line), "{line} is not in {conf}");
    }
    assert!(conf.contains("NoExtract = usr/share/doc/*"), "{conf}");
    let locale = std::fs::read_to_string(place.site.root.join("etc/locale.conf")).unwrap();
    assert_eq!(locale, "LANG=C.UTF-8\n");
}

#[test]
fn signatures_are_required_and_keys_come_from_host_or_tree() {
    let place = place();
    let mut request = request();
    if let Repositories::Pacman(pacman) = &mut request.repositories {
        pacman.check_keys = true;
    }
    let error = Pacman
        .install(&request, &place.site, &place.host)
        .unwrap_err();
    assert!(error.to_string().contains("archlinux-keyring"), "{error}");
    let keyrings = place.site.root.join("usr/share/pacman/keyrings");
    std::fs::create_dir_all(&keyrings).unwrap();
    for name in ["mine.gpg", "mine-trusted", "--evil.gpg", "README"] {
        std::fs::write(keyrings.join(name), "").unwrap();
    }
    Pacman.install(&request, &place.site, &place.host).unwrap();
    let lines = place.recorder.lines();
    assert!(lines[0].ends_with(" --populate mine"), "{lines:?}");
    assert!(conf(&place).contains("\nSigLevel = Required DatabaseOptional\n"));
}

#[test]
fn a_project_has_its_own_servers_options_and_keys() {
    let place = place();
    let keys = place.site.scratch.join("theirs");
    std::fs::create_dir(&keys).unwrap();
    for name in ["pubring.gpg", "trustdb.gpg", "secring.gpg"] {
        std::fs::write(keys.join(name), name).unwrap();
    }
    let mut request = request();
    if let Repositories::Pacman(pacman) = &mut request.repositories {
        pacman.check_keys = true;
        pacman.key_directory = Some(keys);
        pacman.installs_keyring = true;
        pacman.architectures = vec!["x86_64".into(), "x86_64_v3".into()];
        pacman.options = vec!["NoExtract = a/*".into(), "ParallelDownloads = 2".into()];
        pacman.repositories[0].signed_database = true;
        pacman.repositories[0].servers.push("http://n".into());
    }
    Pacman.install(&request, &place.site, &place.host).unwrap();
    let lines = place.recorder.lines();
    assert!(lines[0].ends_with(" --populate"), "{lines:?}");
    let conf = conf(&place);
    assert!(
        conf.ends_with(
            "\n[core]\nSigLevel = Required DatabaseRequired\nServer = http://m/$repo/os/$arch\n\
             Server = http://n\n"
        ),
        "{conf}"
    );
    for line in [
        "NoExtract = a/*",
        "ParallelDownloads = 2",
        "Architecture = x86_64 x86_64_v3",
    ] {
        assert!(conf.lines().any(|l| l == line), "{line} is not in {conf}");
    }
    assert!(!conf.contains("ParallelDownloads = 5"), "{conf}");
    let of_image = place.site.root.join("etc/pacman.d/gnupg");
    assert_eq!(
        std::fs::read_to_string(of_image.join("pubring.gpg")).unwrap(),
        "pubring.gpg"
    );
    assert!(!of_image.join("secring.gpg").exists());
}

#[test]
fn what_was_taken_out_is_not_installed() {
    let mut request = request();
    request.packages = vec!["base".into(), "desktop".into()];
    request.excluded = vec!["bloat".into()];
    let groups = "desktop bloat\ndesktop panel\nother bloat\n";

    let good = place();
    good.recorder
        .answer("--groups", groups)
        .answer("--print-format", "base\npanel\n");
    Pacman.install(&request, &good.site, &good.host).unwrap();
    let last = good.recorder.lines().pop().unwrap();
    assert!(last.ends_with("--needed -- base panel"), "{last}");
    assert!(conf(&good).contains("\nIgnorePkg = bloat\n"));

    let bad = place();
    bad.recorder
        .answer("--groups", groups)
        .answer("--print-format", "base\nbloat\n");
    let error = Pacman.install(&request, &bad.site, &bad.host).unwrap_err();
    assert!(error.to_string().contains("!bloat"), "{error}");
}

#[test]
fn an_address_cannot_bring_options_in() {
    let place = place();
    let mut request = request();
    if let Repositories::Pacman(pacman) = &mut request.repositories {
        pacman.repositories[0].servers[0] = "http://m\nSigLevel = Never".into();
    }
    let error = Pacman
        .install(&request, &place.site, &place.host)
        .unwrap_err();
    assert!(error.to_string().contains("one word"), "{error}");
    assert!(place.recorder.lines().is_empty());
}

#[test]
fn the_image_gets_the_mirror_unless_it_has_one() {
    for (list, expected) in [
        (
            Some("#Server = http://x\n"),
            "Server = http://m/$repo/os/$arch\n",
        ),
        (Some("Server = http://own\n"), "Server = http://own\n"),
        (None, "Server = http://m/$repo/os/$arch\n"),
    ] {
        let place = place();
        let root = Root::open(&place.site.root).unwrap();
        root.write("etc/pacman.conf", "", 0o644).unwrap();
        if let Some(list) = list {
            root.write(MIRRORS, list, 0o644).unwrap();
        }
        Pacman
            .install(&request(), &place.site, &place.host)
            .unwrap();
        assert_eq!(root.read(MIRRORS).unwrap(), expected.as_bytes());
    }
}

#[test]
fn the_version_is_found_in_the_drawing() {
    let place = place();
    let drawing = "\n .--.                  Pacman v6.0.2 - libalpm v13.0.2\n/ _.-' .-.\n";
    place.recorder.answer("--version", drawing);
    let identity = Pacman.identity(&place.host).unwrap();
    assert_eq!(identity[0].1, "Pacman v6.0.2 - libalpm v13.0.2");
}
