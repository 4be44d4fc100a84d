use super::*;

/// What comes of a file, with what is said of it.
fn read_text(text: &str) -> (PacmanConf, Preset) {
    let project = tempfile::tempdir().unwrap();
    fs::write(project.path().join(FILE), text).unwrap();
    fs::write(
        project.path().join("list"),
        "# servers\nServer = https://a/$repo/\nServer=https://b/$repo\n",
    )
    .unwrap();
    fs::write(project.path().join("loop"), "Include = loop\n").unwrap();
    fs::create_dir(project.path().join("gnupg")).unwrap();
    let mut preset = Preset::default();
    let conf = read(project.path(), &mut preset).unwrap();
    (conf, preset)
}

fn errors(text: &str) -> Vec<String> {
    let (_, preset) = read_text(text);
    preset.errors.iter().map(ToString::to_string).collect()
}

const REPOSITORY: &str = "\n[core]\nServer = https://a\n";

#[test]
fn repositories_and_options_are_read() {
    let (conf, preset) = read_text(
        "[options]\nArchitecture = auto x86_64_v3\nCheckSpace\nColor\nSigLevel = Required DatabaseOptional\n\
         IgnorePkg = linux nano\nNoExtract = usr/share/x/*\nParallelDownloads=2\nGPGDir = ./gnupg\n\
         CacheDir = /x\nXferCommand = /bin/false\nShiny\n\
         [mine]\nSigLevel = DatabaseRequired\nServer = file:///srv/mine/\nUsage = All\n\
         [core]\nInclude = list\n[extra]\nInclude = /etc/pacman.d/no-such-list\n",
    );
    assert!(preset.errors.is_empty(), "{:?}", preset.errors);
    let [mine, core, extra] = &conf.repositories[..] else {
        panic!("{conf:?}")
    };
    assert!(mine.signed_database && !core.signed_database && !extra.signed_database);
    assert_eq!(mine.servers, ["file:///srv/mine"]);
    assert_eq!(core.servers, ["https://a/$repo", "https://b/$repo"]);
    assert!(extra.servers.is_empty() && extra.uses_host_list && !core.uses_host_list);
    assert_eq!(conf.architectures, ["auto", "x86_64_v3"]);
    assert_eq!(
        conf.options,
        [
            "IgnorePkg = linux nano",
            "NoExtract = usr/share/x/*",
            "ParallelDownloads = 2"
        ]
    );
    assert!(conf.key_directory.unwrap().ends_with("gnupg"));
    assert_eq!(conf.unsigned, [""; 0]);
    let warnings: Vec<&str> = preset.warnings.iter().map(|w| w.0.as_str()).collect();
    for (nth, expected) in [
        "pacman.conf:10: CacheDir has no effect",
        "pacman.conf:11: XferCommand has no effect",
        "pacman.conf:12: Shiny is not an option",
        "pacman.conf:16: Usage has no effect in a repository",
    ]
    .iter()
    .enumerate()
    {
        assert!(warnings[nth].starts_with(expected), "{warnings:?}");
    }
}

#[test]
fn only_signed_packages_are_trusted() {
    for (level, unsigned, signed_database) in [
        ("", false, false),
        ("SigLevel = Required DatabaseOptional", false, false),
        ("SigLevel = Required", false, true),
        ("SigLevel = PackageRequired", false, false),
        (
            "SigLevel = Required TrustedOnly DatabaseNever",
            false,
            false,
        ),
        ("SigLevel = Never", true, false),
        ("SigLevel = Optional TrustedOnly", true, false),
        ("SigLevel = Required TrustAll", true, true),
        ("SigLevel = PackageOptional", true, false),
        ("SigLevel = PackageTrustAll DatabaseRequired", true, true),
        ("SigLevel = Required DatabaseTrustAll", false, true),
    ] {
        for text in [
            format!("[options]\n{level}\n{REPOSITORY}"),
            format!("{REPOSITORY}{level}\n"),
        ] {
            let (conf, preset) = read_text(&text);
            assert!(preset.errors.is_empty(), "{level}: {:?}", preset.errors);
            assert_eq!(!conf.unsigned.is_empty(), unsigned, "{text}");
            assert_eq!(
                conf.repositories[0].signed_database, signed_database,
                "{text}"
            );
        }
    }
    let (conf, _) = read_text(&format!("{REPOSITORY}SigLevel = Never\n"));
    assert_eq!(conf.unsigned, ["pacman.conf:4: SigLevel = Never"]);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("", "pacman.conf: it names no repository"),
        (
            "Server = x\n[core]\nServer = https://a\n",
            "pacman.conf:1: a [section] must come first",
        ),
        ("[core]\n", "pacman.conf: [core] has no Server"),
        (
            "[../x]\nServer = https://a\n",
            "pacman.conf:1: [../x] cannot be a repository",
        ),
        (
            "[core]\nServer = https://a b\n",
            "pacman.conf:2: Server = https://a b: expected one",
        ),
        (
            "[core]\nSigLevel = Maybe\nServer = https://a\n",
            "pacman.conf:2: SigLevel = Maybe",
        ),
        (
            "[core]\nInclude = /etc/shadow\n",
            "it leads out of the project; expected a file of",
        ),
        (
            "[core]\nInclude = /etc/pacman.d/../shadow\n",
            "pacman.conf:2: Include = /etc/pacman.d/../shadow: ",
        ),
        (
            "[core]\nInclude = lists/*\n",
            "patterns are not understood here",
        ),
        (
            "[core]\nServer = https://a\nInclude = loop\n",
            "loop:1: Include = loop: files include each other",
        ),
        (
            "[options]\nGPGDir = /root/.gnupg\n[core]\nServer = https://a\n",
            "pacman.conf:2: GPGDir",
        ),
        (
            "[options]\nIgnorePkg = a\u{1b}b\n[core]\nServer = https://a\n",
            "control characters",
        ),
    ] {
        let errors = errors(text);
        assert!(
            errors.iter().any(|e| e.contains(expected)),
            "{text}: {errors:?}"
        );
    }
}

#[test]
fn the_file_is_one_of_the_project() {
    let project = tempfile::tempdir().unwrap();
    let mut preset = Preset::default();
    assert_eq!(read(project.path(), &mut preset), None);
    std::os::unix::fs::symlink("/etc/passwd", project.path().join(FILE)).unwrap();
    read(project.path(), &mut preset);
    let text = preset.errors[0].to_string();
    assert!(text.contains("it leads out of the project"), "{text}");
}
