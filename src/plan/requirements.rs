//! What a plan needs of the host and of the user.

use super::{Action, Image, Step};
use crate::disk::{Content, DiskSpec};

/// The programs that its steps call, each once, besides those of the package manager.
#[must_use]
pub fn tools(steps: &[Step]) -> Vec<&'static str> {
    let mut tools: Vec<&'static str> = steps.iter().flat_map(|s| needed(&s.action)).collect();
    tools.sort_unstable();
    tools.dedup();
    tools
}

fn needed(action: &Action) -> Vec<&'static str> {
    match action {
        Action::Postinst(_) | Action::RemovePackages(_) => vec!["systemd-nspawn"],
        Action::WriteImage(Image::Tar { .. }) => vec!["tar"],
        Action::ConvertImage => vec!["qemu-img"],
        _ => disk(action).map(|disk| disk.tools()).unwrap_or_default(),
    }
}

/// Whether any partition is encrypted, which takes a passphrase.
#[must_use]
pub fn encrypts(steps: &[Step]) -> bool {
    let mut disks = steps.iter().filter_map(|step| disk(&step.action));
    disks.any(|disk| disk.partitions.iter().any(|partition| partition.encrypted))
}

/// The disk that an action makes, as far as it is known before there is a tree.
fn disk(action: &Action) -> Option<DiskSpec> {
    match action {
        // An architecture without partition types was refused when the plan was made.
        Action::WriteImage(Image::Disk(disk)) => disk.spec(Content::default()).ok(),
        _ => None,
    }
}
