use super::*;
use crate::config::testing::Fixture;
use crate::engine::events::Paint;

fn checked(fixture: &Fixture) -> Vec<String> {
    let mut findings = Findings::default();
    let mut config = None;
    match fixture.load() {
        Ok(loaded) => config = Some(loaded.config),
        Err(errors) => {
            for error in &errors.errors {
                findings.add(Level::Error, Area::Settings, error.to_string());
            }
        }
    }
    if let Some(config) = config {
        scripts::check(&config, &mut findings);
    }
    findings.0.into_iter().map(|finding| finding.text).collect()
}

#[test]
fn scripts_that_cannot_start_are_named() {
    let fixture = Fixture::new()
        .project_file("mkosi.build", "echo hello\n", 0o755)
        .project_file("mkosi.prepare", "#!/bin/sh\r\n", 0o755)
        .project_file("mkosi.postinst", "#!/usr/bin/python3\n", 0o755)
        .project_file("mkosi.finalize", "#!/no/such/shell\n", 0o755);
    assert_eq!(
        checked(&fixture),
        [
            "mkosi.prepare: its first line ends in a carriage return; save it with Unix line ends",
            "mkosi.build: it has to begin with a line such as #!/bin/sh",
            "mkosi.finalize: its first line asks for /no/such/shell, which is not on this host, where it \
             runs",
        ]
    );
}

fn findings() -> Findings {
    let mut findings = Findings::default();
    findings.add(
        Level::Error,
        Area::Settings,
        "mkosi.default:3: Format=floppy: expected one of directory, subvolume, tar, gpt_ext4, gpt_xfs".into(),
    );
    findings.add(
        Level::Warning,
        Area::Settings,
        "mkosi.default:9: unknown".into(),
    );
    findings.add(
        Level::Error,
        Area::Host,
        "mkfs.x is not installed\n  why".into(),
    );
    findings.add(
        Level::Error,
        Area::Host,
        "mkfs.x is not installed\n  why".into(),
    );
    findings
}

#[test]
fn people_read_all_of_it() {
    let expected = "\
Settings
  error:
    mkosi.default:3: Format=floppy: expected one of directory, subvolume, tar,
    gpt_ext4, gpt_xfs
  warning:
    mkosi.default:9: unknown

This host
  error:
    mkfs.x is not installed; why

2 errors, 1 warning.
";
    assert_eq!(findings().painted(80, Paint::PLAIN), expected);
    let nothing = Findings::default().painted(80, Paint::PLAIN);
    assert_eq!(nothing, "+ Nothing is wrong.\n");
}

#[test]
fn the_status_tells_the_project_from_the_host() {
    assert_eq!(findings().status(), exit::USAGE);
    let mut findings = Findings::default();
    findings.add(Level::Warning, Area::Settings, "x".into());
    assert_eq!(findings.status(), exit::DONE);
    findings.add(Level::Error, Area::Host, "x".into());
    assert_eq!(findings.status(), exit::FAILED);
}

#[test]
fn several_images_name_their_files_and_the_host_once() {
    let mut all = Findings::default();
    all.add_all(Path::new("mkosi.files/mkosi.a"), findings());
    all.add_all(Path::new("mkosi.files/mkosi.b"), findings());
    assert_eq!(all.0.len(), 5);
    let json = all.json();
    assert_eq!(json["errors"], 3);
    assert_eq!(json["findings"][0]["image"], "mkosi.files/mkosi.a");
    assert!(json["findings"][2]["image"].is_null());
    assert_eq!(json["findings"][2]["area"], "host");
}
