//! Images that say from inside what became of them, and a virtual machine to boot them in.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::support::Project;

/// How long a machine may print nothing: it is emulated, and others run beside it. A tenth of it is
/// much for one that works.
const SILENCE: Duration = Duration::from_secs(600);
/// How long it may take as a whole.
const PATIENCE: Duration = Duration::from_secs(2400);
/// Begins each line of the report; kernel and getty may write before it.
const MARK: &str = "mkosi-test:";

/// Waits until the system is up, says what there is to say, and switches the machine off.
const REPORT: &str = r#"#!/bin/sh
say() { echo "mkosi-test:$1=$2" > /dev/console; }
systemctl is-system-running --wait > /dev/null
# A login that took too long on a busy host is not the image's fault.
systemctl reset-failed 'session-*.scope' 2>/dev/null
state=$(systemctl is-system-running)
dmesg --console-off
say state "$state"
say failed "$(systemctl --failed --plain --no-legend | tr '\n' ';')"
say cmdline "$(cat /proc/cmdline)"
for place in / /efi /boot /home /srv; do
    ls "$place" > /dev/null 2>&1
    say "mount:$place" "$(findmnt --noheadings --raw --output SOURCE,FSTYPE,OPTIONS "$place" | tail -n 1)"
done
say fstab "$(grep -v '^#' /etc/fstab 2>/dev/null)"
say swap "$(swapon --noheadings --show=NAME)"
say mapped "$(dmsetup table 2>/dev/null | cut -d' ' -f1,4 | tr '\n' ';')"
say firmware "$(test -d /sys/firmware/efi && echo uefi || echo bios)"
say secure "$(od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | tr -d ' ')"
say machine-id "$(cat /etc/machine-id)"
say processors "$(nproc)"
if [ -e /etc/systemd/system/serial-getty@.service.d/autologin.conf ]; then
    # Logging in takes a while on a busy machine, and nothing waits for it.
    for second in $(seq 60); do
        [ -z "$(who)" ] || break
        sleep 1
    done
fi
say who "$(who | cut -d' ' -f1 | sort -u)"
say home "$(cat /home/marker 2>/dev/null)"
say srv "$(cat /srv/marker 2>/dev/null)"
touch /written && say written "$(ls /written)"
say kernels "$(cd /boot && ls | tr '\n' ' ')"
say efi "$(cd /efi 2>/dev/null && find . -type f | sort | tr '\n' ' ')"
say end end
systemctl poweroff $(systemd-detect-virt --quiet --container || echo --force)
"#;

const UNIT: &str = "[Unit]\nDescription=Report\nAfter=multi-user.target\n\n\
                    [Service]\nExecStart=/usr/local/bin/report\n";

/// What takes long on a busy host has not failed.
const PATIENT: &str = "[Manager]\nDefaultTimeoutStartSec=20min\nDefaultDeviceTimeoutSec=20min\n";
/// Nor in the initrd.
const PATIENT_INITRD: &str = "install_items+=\" /etc/systemd/system.conf.d/patient.conf \"\n";

/// A project whose image reports on itself. `settings` goes on from the section `[Output]`.
pub fn project(settings: &str) -> Project {
    project_of("bookworm", settings)
}

/// The same with another release.
pub fn project_of(release: &str, settings: &str) -> Project {
    let distribution = format!("[Distribution]\nRelease={release}\n");
    let project = Project::debian(&self::settings(settings, &distribution));
    report(&project);
    project
}

/// Settings of an image that a machine here can boot, whose clock may stand still while others work. `output`
/// goes on from the section `[Output]`.
pub fn settings(output: &str, more: &str) -> String {
    format!(
        "[Output]\nBootable=yes\nOutput=image.raw\nKernelCommandLine=no_timer_check console=ttyS0 loglevel=4\n{output}\n\
         [Host]\nQemuHeadless=yes\nQemuKvm=no\n\n{more}"
    )
}

/// Makes a project's image report on itself.
pub fn report(project: &Project) {
    project.file(
        "mkosi.extra/etc/systemd/system.conf.d/patient.conf",
        PATIENT,
    );
    project.file("mkosi.extra/etc/dracut.conf.d/patient.conf", PATIENT_INITRD);
    project.script("mkosi.extra/usr/local/bin/report", REPORT);
    project.file("mkosi.extra/usr/lib/systemd/system/report.service", UNIT);
    let wants = project
        .path()
        .join("mkosi.extra/usr/lib/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants).unwrap();
    std::os::unix::fs::symlink("../report.service", wants.join("report.service")).unwrap();
}

/// What a machine printed.
pub struct Console {
    pub text: String,
    values: BTreeMap<String, String>,
}

impl Console {
    /// What was printed, with the report that is in it.
    pub fn new(text: String) -> Self {
        let mut values = BTreeMap::new();
        for line in text.lines() {
            let report = line
                .split_once(MARK)
                .and_then(|(_, rest)| rest.split_once('='));
            if let Some((name, value)) = report {
                values.insert(name.to_owned(), value.trim_end().to_owned());
            }
        }
        Self { text, values }
    }

    /// Whether the report is complete.
    pub fn reported(&self) -> bool {
        self.values.contains_key("end")
    }

    /// What the report says.
    #[track_caller]
    pub fn value(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(value) => value,
            None => panic!("nothing is said about {name}:\n{}", self.tail()),
        }
    }

    /// The machine came up, and nothing in it failed.
    #[track_caller]
    pub fn is_well(&self) -> &Self {
        assert_eq!(self.value("failed"), "", "{}", self.tail());
        assert_eq!(self.value("state"), "running", "{}", self.tail());
        self.value("end");
        self
    }

    #[track_caller]
    pub fn has(&self, name: &str, part: &str) -> &Self {
        let value = self.value(name);
        assert!(
            value.contains(part),
            "expected \"{part}\" in {name}={value}"
        );
        self
    }

    #[track_caller]
    pub fn is(&self, name: &str, expected: &str) -> &Self {
        assert_eq!(self.value(name), expected, "{name}");
        self
    }

    #[track_caller]
    pub fn has_not(&self, name: &str, part: &str) -> &Self {
        let value = self.value(name);
        assert!(
            !value.contains(part),
            "unexpected \"{part}\" in {name}={value}"
        );
        self
    }

    fn tail(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// Boots a project's image with `mkosi qemu`, until it is off.
pub fn boot(project: &Project) -> Console {
    Boot::default().run(project, &[])
}

/// How to boot.
#[derive(Default)]
pub struct Boot<'a> {
    /// Typed, with Enter, whenever the console asks for a passphrase.
    pub passphrase: Option<&'a str>,
    /// Ends the machine once this appears, instead of waiting for it to be off.
    pub until: Option<&'a str>,
    /// Arguments for qemu.
    pub words: &'a [&'a str],
}

impl Boot<'_> {
    pub fn run(&self, project: &Project, flags: &[&str]) -> Console {
        let mut arguments = flags.to_vec();
        arguments.push("qemu");
        arguments.extend(self.words);
        let mut command = project.command(&arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("mkosi starts");
        let mut stdin = child.stdin.take().unwrap();
        let (send, receive) = channel();
        let mut output = child.stdout.take().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let also = send.clone();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            let _ = also.send(text);
        });
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(size @ 1..) = output.read(&mut buffer) {
                let _ = send.send(buffer[..size].to_vec());
            }
        });
        let begun = Instant::now();
        let mut heard = begun;
        let mut bytes: Vec<u8> = Vec::new();
        let mut answered = 0;
        loop {
            match receive.recv_timeout(Duration::from_secs(1)) {
                Ok(more) => {
                    bytes.extend(more);
                    heard = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Some(passphrase) = self.passphrase {
                let asked = text.matches("passphrase for disk").count();
                if asked > answered {
                    answered = asked;
                    // The prompt is written before anything is read.
                    std::thread::sleep(Duration::from_secs(1));
                    stdin
                        .write_all(format!("{passphrase}\r").as_bytes())
                        .unwrap();
                    stdin.flush().unwrap();
                }
            }
            let seen = self.until.is_some_and(|until| text.contains(until));
            let late = heard.elapsed() > SILENCE || begun.elapsed() > PATIENCE;
            if seen || late {
                // qemu's own way out: Ctrl-A, x.
                let _ = stdin.write_all(b"\x01x");
                let _ = stdin.flush();
                std::thread::sleep(Duration::from_secs(2));
                let _ = child.kill();
                assert!(!late, "the machine did not end:\n{text}");
                break;
            }
        }
        let _ = child.wait();
        Console::new(String::from_utf8_lossy(&bytes).into_owned())
    }
}
