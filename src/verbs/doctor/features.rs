//! What each feature takes, by planning images that have it: nothing about tools is said twice.

use std::path::Path;

use super::Feature;
use crate::boot::signing_tools;
use crate::cli;
use crate::config::values::{Architecture, Distribution, Format};
use crate::config::{self, Config, Context};
use crate::host::{Host, check_runs};
use crate::installer;
use crate::plan::{self, Action, Plan};
use crate::verbs::qemu::{self, firmware, kvm};
use crate::verbs::{build, plan_context};

/// The configuration that these flags alone make, and its plan.
fn planned(flags: &[&str], context: &Context) -> Option<(Config, Plan)> {
    let request = cli::parse(flags.iter().map(Into::into)).ok()?.request;
    // No project's files count, only what the host is.
    let nowhere = Context::new(
        "/proc/self/task/no-project",
        Default::default(),
        context.host_root.clone(),
    );
    let config = config::load(&request, &nowhere).ok()?.config;
    let context = plan_context::of(&config, &nowhere).ok()?;
    let plan = Plan::new(&config, &context).ok()?;
    Some((config, plan))
}

fn missing<'a>(tools: impl IntoIterator<Item = &'a str>, host: &Host) -> Vec<String> {
    let missing = tools.into_iter().filter(|tool| host.find(tool).is_none());
    missing.map(str::to_owned).collect()
}

/// Whose packages can be installed.
pub(super) fn distributions(context: &Context, host: &Host) -> Vec<Feature> {
    let one = |distribution: &Distribution| {
        let name = distribution.as_str();
        let installer = installer::choose(*distribution, host);
        let mut lacking = missing(installer.tools().iter().copied(), host);
        let flag = format!("--distribution={name}");
        let planned = planned(&[&flag, "--format=directory"], context);
        let keys = planned.iter().flat_map(|(_, plan)| plan.actions());
        let key = keys.into_iter().find_map(|action| match action {
            Action::Install(request) => request.repositories.missing_key(),
            _ => None,
        });
        lacking.extend(key.map(|path| keyring(&path)));
        Feature::needing(name, lacking).with_note(format!("by {}", installer.name()))
    };
    Distribution::ALL.iter().map(one).collect()
}

/// What a missing keyring is called where packages are looked up.
fn keyring(path: &Path) -> String {
    let text = path.to_string_lossy();
    let known = [
        ("debian", "debian-keyring"),
        ("ubuntu", "ubuntu-keyring"),
        ("archlinux", "archlinux-keyring"),
        ("apk", "alpine-keys"),
    ];
    let found = known.iter().find(|(part, _)| text.contains(part));
    found.map_or_else(|| text.clone().into_owned(), |(_, name)| (*name).to_owned())
}

/// A feature that these flags, for Debian, ask for; what installs packages does not count.
fn by_flags(name: &str, flags: &[&str], context: &Context, host: &Host) -> Feature {
    let mut all = vec!["--distribution=debian"];
    all.extend(flags);
    match planned(&all, context) {
        Some((_, plan)) => {
            let tools = plan::tools(&plan);
            Feature::needing(name, missing(tools.iter().map(String::as_str), host))
        }
        None => Feature::fact(name, false, "cannot be planned on this host"),
    }
}

/// What images can be written as.
pub(super) fn formats(context: &Context, host: &Host) -> Vec<Feature> {
    let written = Format::ALL
        .iter()
        .filter(|format| **format != Format::Custom);
    let mut features: Vec<Feature> = written
        .map(|format| {
            let flag = format!("--format={format}");
            let feature = by_flags(format.as_str(), &[&flag], context, host);
            match format {
                Format::Subvolume => feature.with_note("into an output directory on btrfs"),
                _ => feature,
            }
        })
        .collect();
    features.push(by_flags(
        "QCow2",
        &["--format=gpt_ext4", "--qcow2"],
        context,
        host,
    ));
    features
}

/// What protects images, and what makes them start.
pub(super) fn protection(context: &Context, host: &Host) -> Vec<Feature> {
    let disk = "--format=gpt_ext4";
    let mut features = vec![
        by_flags("Encrypt", &[disk, "--encrypt=all"], context, host),
        by_flags(
            "Verity",
            &["--format=gpt_squashfs", "--verity"],
            context,
            host,
        ),
        by_flags(
            "Bootable (uefi)",
            &[disk, "--bootable", "--boot-protocols=uefi"],
            context,
            host,
        ),
        by_flags(
            "Bootable (bios)",
            &[disk, "--bootable", "--boot-protocols=bios"],
            context,
            host,
        ),
        Feature::needing("SecureBoot", missing(signing_tools(false), host)),
    ];
    if let Some((config, _)) = planned(&["--distribution=debian", "--format=tar"], context) {
        let signer = build::signer(&config, context);
        let tools = signer.tools().iter().copied();
        features.push(Feature::needing("Sign", missing(tools, host)));
    }
    features.push(by_flags(
        "Ssh",
        &[disk, "--bootable", "--ssh"],
        context,
        host,
    ));
    features
}

/// What can be done with an image.
pub(super) fn running(host: &Host) -> Vec<Feature> {
    let nspawn = || missing(["systemd-nspawn"], host);
    let architecture = Architecture::host().as_str();
    let program = qemu::program(architecture);
    let lacking = missing([program.as_str()], host);
    let has_qemu = lacking.is_empty();
    let share = Path::new("/usr/share");
    let firmware = |secure| firmware::find(share, architecture, secure).is_some();
    let uefi = if firmware(false) {
        Vec::new()
    } else {
        vec![format!("firmware-{architecture}")]
    };
    let kvm = has_qemu && kvm::works(&program, architecture, host);
    let kvm_note = match (has_qemu, kvm, Path::new("/dev/kvm").exists()) {
        (_, true, _) => "a guest was run",
        (false, ..) => "takes qemu",
        (.., false) => "there is no /dev/kvm: machines are emulated, and slow",
        _ => "/dev/kvm is there, but runs no guest of this user: machines are emulated, and slow",
    };
    vec![
        Feature::needing("shell, boot", nspawn()),
        Feature::needing("qemu", lacking),
        Feature::fact("KVM", kvm, kvm_note),
        Feature::needing("UEFI firmware for qemu", uefi),
        Feature::fact(
            "UEFI firmware with Secure Boot",
            firmware(true),
            if firmware(true) {
                ""
            } else {
                "comes with the one above, mostly"
            },
        ),
        Feature::needing("ssh", missing(["ssh", "ssh-keygen"], host)),
        Feature::needing("diff of QCow2 images", missing(["qemu-img"], host)),
    ]
}

/// Whose programs run here, which installing packages takes.
pub(super) fn architectures() -> Vec<Feature> {
    let own = Architecture::host();
    let one = |architecture: &Architecture| {
        let name = architecture.as_str();
        if *architecture == own {
            return Feature::fact(name, true, "this host's own");
        }
        let lacking = match check_runs(name, own.as_str()) {
            Ok(()) => Vec::new(),
            Err(_) => vec!["qemu-user".to_owned()],
        };
        Feature::needing(name, lacking)
    };
    Architecture::ALL.iter().map(one).collect()
}
