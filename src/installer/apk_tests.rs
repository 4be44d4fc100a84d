//! apk's command lines and files, by the recording runner.

use super::super::testing::place;
use super::*;
use crate::config::values::Distribution;

fn request(repositories: &[&str], check_keys: bool) -> Request {
    Request {
        distribution: Distribution::Alpine,
        release: "3.24".into(),
        architecture: "x86_64".into(),
        packages: vec!["alpine-base".into(), "nginx=1.28.0-r0".into()],
        excluded: vec!["vim".into()],
        repositories: Repositories::Apk(ApkRepositories {
            repositories: repositories.iter().map(|line| (*line).to_owned()).collect(),
            image_repositories: vec!["http://m/v3.24/main".to_owned()],
            key_files: Vec::new(),
            check_keys,
            installs_keys: false,
        }),
        with_docs: false,
        with_changelogs: false,
        skip_initrds: false,
        cache: None,
        lock: None,
    }
}

#[test]
fn the_command_line_is_complete() {
    let place = place();
    let root = Root::open(&place.site.root).unwrap();
    root.write("etc/apk/keys/own.rsa.pub", "key", 0o644)
        .unwrap();
    let lines = ["http://m/v3.24/main", "@edge file:///srv/my%20edge/main"];
    Apk.install(&request(&lines, true), &place.site, &place.host)
        .unwrap();
    let line = place.recorder.lines().pop().unwrap();
    assert!(
        line.ends_with(
            "apk --root=/run/mkosi/tree --repositories-file=/run/mkosi/manager/repositories \
             --keys-dir=/run/mkosi/manager/keys --cache-dir=/run/mkosi/cache --no-progress \
             --arch=x86_64 --update-cache --initdb add -- alpine-base nginx=1.28.0-r0 '!vim'"
        ),
        "{line}"
    );
    let work = place.site.scratch.join("apk");
    assert_eq!(
        std::fs::read_to_string(work.join("repositories")).unwrap(),
        "http://m/v3.24/main\n@edge /run/mkosi/mirrors/0\n"
    );
    assert!(line.contains("'--bind-ro=/srv/my edge/main:/run/mkosi/mirrors/0'"));
    assert_eq!(
        std::fs::read_to_string(work.join("keys/own.rsa.pub")).unwrap(),
        "key"
    );
    assert_eq!(root.read(REPOSITORIES).unwrap(), b"http://m/v3.24/main\n");
    Apk.add(&request(&lines, true), &place.site, &place.host)
        .unwrap();
    assert!(!place.recorder.lines().pop().unwrap().contains("--initdb"));
}

#[test]
fn untrusted_packages_are_allowed_only_when_nothing_is_checked() {
    let place = place();
    let error = Apk
        .install(&request(&["http://m"], true), &place.site, &place.host)
        .unwrap_err();
    assert!(error.to_string().contains("alpine-keys"), "{error}");
    assert!(place.recorder.lines().is_empty());
    Apk.install(&request(&["http://m"], false), &place.site, &place.host)
        .unwrap();
    assert!(place.recorder.lines()[0].contains(" --allow-untrusted "));
}

#[test]
fn an_address_is_one_word() {
    let place = place();
    let error = Apk
        .install(
            &request(&["http://m\nhttp://n"], false),
            &place.site,
            &place.host,
        )
        .unwrap_err();
    assert!(error.to_string().contains("one word"), "{error}");
}

#[test]
fn what_stays_after_removal_is_an_error() {
    let place = place();
    let root = Root::open(&place.site.root).unwrap();
    root.write(DATABASES[0], "P:musl\nV:1\n\nP:vim\nV:2\n", 0o644)
        .unwrap();
    let remove = |name: &str| Apk.remove(&[name.to_owned()], &place.site, &place.host);
    remove("nano").unwrap();
    let line = place.recorder.lines().pop().unwrap();
    assert!(line.ends_with("--no-network del -- nano"), "{line}");
    assert!(remove("musl").unwrap_err().to_string().contains("musl"));
}

#[test]
fn hints_name_the_setting() {
    for (tail, expected) in [
        (
            "\n  ERROR: unable to select packages:\n    nosuch (no such package):\n      required by: world[nosuch]",
            "no package nosuch",
        ),
        (
            "\n  WARNING: fetching http://m/v3.24/main: temporary error (try again later)\n  \
             ERROR: unable to select packages:\n    alpine-base (no such package):",
            "check Mirror=",
        ),
        (
            "\n  WARNING: opening /run/mkosi/mirrors/0: UNTRUSTED signature\n  x (no such package):",
            "could not be verified",
        ),
        (
            "\n  ERROR: vim-9.1-r0: conflicts: world[!vim]",
            "taken out with !",
        ),
    ] {
        let hint = hint(tail, "http://m").unwrap();
        assert!(hint.contains(expected), "{hint}");
    }
    assert_eq!(hint("\n  Segmentation fault", "http://m"), None);
}
