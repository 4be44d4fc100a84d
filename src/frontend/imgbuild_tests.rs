use super::*;

fn values(pairs: &[(&str, &str)]) -> Values {
    let mut output = Vec::new();
    for (name, value) in pairs.iter().chain(&[(END, "")]) {
        output.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    Values::parse(&output, FILE, Path::new("/nowhere")).unwrap()
}

fn translated(pairs: &[(&str, &str)], words: &Makeimg) -> Preset {
    translate(
        &values(pairs),
        words,
        &Request::default(),
        Path::new("/nowhere"),
    )
}

fn settings(format: &str) -> String {
    let pairs = [("imgname", "x"), ("target", "debian"), ("format", format)];
    let preset = translated(&pairs, &Makeimg::default());
    assert!(preset.errors.is_empty(), "{format}: {:?}", preset.errors);
    let wanted = ["Format", "Output", "RootSize", "CompressOutput"];
    let found = preset.values.iter().filter(|v| wanted.contains(&v.setting));
    let found = found.map(|v| format!("{}={}", v.setting, v.text));
    found.collect::<Vec<_>>().join(" ")
}

#[test]
fn formats_are_settings() {
    for (format, expected) in [
        (
            "raw gpt",
            "Format=gpt_ext4 Output=x.img RootSize=8587837440",
        ),
        (
            "raw 512M gpt ext4",
            "Format=gpt_ext4 Output=x.img RootSize=534773760",
        ),
        (
            "raw 1GB gpt",
            "Format=gpt_ext4 Output=x.img RootSize=997902848",
        ),
        (
            "raw 4194304 btrfs",
            "Format=gpt_btrfs Output=x.img RootSize=2097152",
        ),
        ("raw xfs", "Format=gpt_xfs Output=x.img RootSize=8587837440"),
        ("raw squashfs", "Format=gpt_squashfs Output=x.img"),
        ("tar", "Format=tar Output=x.tar CompressOutput=no"),
        ("tar xz", "Format=tar Output=x.tar.xz CompressOutput=xz"),
        ("tar zst", "Format=tar Output=x.tar.zst CompressOutput=zst"),
        ("dir", "Format=directory Output=x"),
        ("", "Format=gpt_ext4 Output=x.img RootSize=8587837440"),
    ] {
        assert_eq!(settings(format), expected, "{format}");
    }
}

#[test]
fn what_cannot_be_built_is_refused_with_the_reason() {
    for (format, why) in [
        (
            "raw 8G msdos ext4",
            "GUID partition table here, never an msdos one",
        ),
        ("raw msdos", "GUID partition table"),
        (
            "raw vfat",
            "vfat is no file system that a root partition can have",
        ),
        ("raw ext4 8G", "in this order"),
        ("raw 1K", "no room"),
        ("tar lzma", "xz, gz, bz2 or zst"),
        ("dir x", "nothing follows dir"),
        ("custom", "needs a function setup"),
        ("iso", "expected raw"),
    ] {
        let pairs = [("imgname", "x"), ("target", "debian"), ("format", format)];
        let preset = translated(&pairs, &Makeimg::default());
        let text = preset.errors[0].to_string();
        assert!(
            text.starts_with("IMGBUILD: ") && text.contains(why),
            "{format}: {text}"
        );
    }
    let other = Makeimg {
        format: Some("raw msdos".into()),
        ..Makeimg::default()
    };
    let preset = translated(
        &[("imgname", "x"), ("target", "debian"), ("format", "dir")],
        &other,
    );
    assert!(
        preset.errors[0]
            .to_string()
            .starts_with("command line (--format): format=raw msdos: ")
    );
}

#[test]
fn everything_that_is_wrong_is_said() {
    let preset = translated(
        &[
            ("target", "gentoo"),
            ("passwords", "root\nann key\nhunter2 a b"),
        ],
        &Makeimg::default(),
    );
    let text: Vec<String> = preset.errors.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 4, "{text:?}");
    assert!(text[0].contains("imgname is not set"));
    assert!(text[1].contains("target=gentoo: expected arch, alpine or debian"));
    assert!(!text.concat().contains("hunter2"), "{text:?}");
    for name in ["../x", "a/b", ".x", "a\u{1b}"] {
        let preset = translated(
            &[("imgname", name), ("target", "arch")],
            &Makeimg::default(),
        );
        assert!(
            preset.errors[0]
                .to_string()
                .contains("expected the name of a file"),
            "{name:?}"
        );
    }
}

#[test]
fn the_rest_is_kept() {
    let pairs = [
        ("imgname", "x"),
        ("target", "debian"),
        ("format", "custom"),
        ("packages", "nano\nless\n"),
        ("passwords", "\nroot +rootpw\n ann  annpw\n"),
        ("function", "setup"),
        ("function", "cleanup"),
        ("function", "provision"),
        ("hostconf", "keyring"),
    ];
    let preset = translated(&pairs, &Makeimg::default());
    assert!(preset.errors.is_empty(), "{:?}", preset.errors);
    let value = |setting| {
        let found = preset.values.iter().find(|v| v.setting == setting);
        found.map(|v| v.text.as_str()).unwrap_or_default()
    };
    assert_eq!(value("Release"), "stable");
    assert_eq!(value("Packages"), "nano\nless");
    let Some(ShellProject::Imgbuild(imgbuild)) = preset.shell else {
        panic!()
    };
    assert!(imgbuild.provision && imgbuild.custom);
    let passwords: Vec<_> = imgbuild
        .passwords
        .iter()
        .map(|p| (p.user.as_str(), p.secret.as_str()))
        .collect();
    assert_eq!(passwords, [("root", "+rootpw"), ("ann", "annpw")]);
    assert!(
        preset.warnings[0]
            .0
            .contains("Debian's keyring is a package")
    );
}
