use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::Arc;

use super::*;
use crate::host::{Cancel, HostRunner, Quiet};

fn host() -> Host {
    Host::new(Arc::new(HostRunner), Arc::new(Quiet), Cancel::default())
}

fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, SecretSource) {
    let dir = tempfile::tempdir().unwrap();
    let definitions = dir.path().join("secrets");
    fs::create_dir(&definitions).unwrap();
    for (name, text) in files {
        fs::write(definitions.join(name), text).unwrap();
    }
    let source = SecretSource {
        definitions: Some(definitions),
        revealed: None,
        directory: dir.path().to_owned(),
    };
    (dir, source)
}

#[test]
fn a_command_says_the_value_once() {
    let (dir, source) = project(&[
        ("key", "echo asked >> log; printf 'two\\nlines'"),
        ("+mine", "echo \"$(pwd)\""),
    ]);
    let host = host();
    let secrets = Secrets::new(&source, &host);
    for _ in 0..2 {
        assert_eq!(secrets.get("key").unwrap().as_slice(), b"two\nlines");
    }
    assert_eq!(
        fs::read_to_string(dir.path().join("log")).unwrap(),
        "asked\n"
    );
    let here = format!("{}\n", dir.path().display());
    assert_eq!(secrets.get("+mine").unwrap().as_slice(), here.as_bytes());
    assert_eq!(secrets.redact("lines of lines, two"), "*** of ***, two");
}

#[test]
fn a_failure_never_shows_what_was_printed() {
    let (_dir, source) = project(&[
        ("half", "echo hunter2; exit 3"),
        ("said", "echo no >&2; exit 1"),
    ]);
    let host = host();
    let secrets = Secrets::new(&source, &host);
    let text = |name| {
        let error = secrets.get(name).unwrap_err();
        format!(
            "{error}: {}",
            std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default()
        )
    };
    let half = text("half");
    assert!(
        half.contains("exited with status 3") && !half.contains("hunter2"),
        "{half}"
    );
    assert!(text("said").ends_with("\n  no"), "{}", text("said"));
    assert!(
        text("other").contains("secrets/other does not exist"),
        "{}",
        text("other")
    );
    for name in ["", "../key", ".key", "a/b", "-x", "a\n"] {
        assert!(
            matches!(secrets.get(name), Err(SecretError::Name { .. })),
            "{name:?}"
        );
    }
    let none = SecretSource {
        definitions: None,
        ..source.clone()
    };
    let error = Secrets::new(&none, &host).get("key").unwrap_err();
    assert!(
        error.to_string().contains("no directory of secrets"),
        "{error}"
    );
}

#[test]
fn what_was_revealed_is_read_again() {
    let (dir, mut source) = project(&[
        ("a", "echo 1"),
        ("+b", "printf 2"),
        ("c~", "echo no"),
        (".d", "exit 1"),
    ]);
    let host = host();
    let to = dir.path().join("x/");
    assert_eq!(
        reveal_all(&Secrets::new(&source, &host), &to).unwrap(),
        ["+b", "a"]
    );
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(to.join("a")).unwrap().mode() & 0o7777, 0o600);
    fs::remove_dir_all(dir.path().join("secrets")).unwrap();
    source.revealed = Some(to.clone());
    let secrets = Secrets::new(&source, &host);
    assert_eq!(secrets.get("a").unwrap().as_slice(), b"1\n");
    assert_eq!(secrets.get("+b").unwrap().as_slice(), b"2");
    assert!(matches!(secrets.get("c"), Err(SecretError::Missing { .. })));
    fs::set_permissions(to.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    let again = Secrets::new(&source, &host).get("a").unwrap_err();
    assert!(again.to_string().contains("has mode 0640"), "{again}");
}

#[test]
fn links_are_never_followed() {
    let (dir, mut source) = project(&[("a", "echo 1")]);
    let host = host();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "mine").unwrap();
    let link = dir.path().join("link");
    symlink(&elsewhere, &link).unwrap();
    for path in [link.clone(), link.join("")] {
        let error = reveal_all(&Secrets::new(&source, &host), &path).unwrap_err();
        assert!(error.to_string().contains("it is a link"), "{error}");
    }
    let to = dir.path().join("to");
    fs::create_dir(&to).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(elsewhere.join("file"), to.join("a")).unwrap();
    reveal_all(&Secrets::new(&source, &host), &to).unwrap();
    assert_eq!(fs::read_to_string(elsewhere.join("file")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "1\n");
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o700);
    fs::remove_file(to.join("a")).unwrap();
    symlink(elsewhere.join("file"), to.join("a")).unwrap();
    source.revealed = Some(to);
    assert!(Secrets::new(&source, &host).get("a").is_err());
}

#[test]
fn the_broker_answers_while_work_is_done() {
    let (dir, source) = project(&[("a", "echo 1"), ("b", "exit 1")]);
    let host = host();
    let secrets = Secrets::new(&source, &host);
    let place = dir
        .path()
        .join("a-directory-whose-name-is-much-too-long-for-a-socket-address".repeat(3));
    fs::create_dir(&place).unwrap();
    let broker = Broker::new(&place).unwrap();
    let silent = broker.during(
        |name| secrets.get(name),
        || {
            let held = fs::File::open(&place).unwrap();
            let socket = broker::short(&held);
            let silent = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            assert_eq!(ask(&socket, "a").unwrap(), Ok(b"1\n".to_vec()));
            let why = ask(&socket, "b").unwrap().unwrap_err();
            assert!(
                why.starts_with("the command of the secret b failed: "),
                "{why}"
            );
            let why = ask(&socket, "../a").unwrap().unwrap_err();
            assert!(why.contains("cannot be the name"), "{why}");
            silent.shutdown(std::net::Shutdown::Both).unwrap();
            silent
        },
    );
    drop(silent);
}
