//! Which programs of the host a plan calls.

use super::{Action, Image, Step};

/// The programs, each once, besides those of the package manager.
#[must_use]
pub fn tools(steps: &[Step]) -> Vec<&'static str> {
    let mut tools: Vec<&'static str> = steps
        .iter()
        .flat_map(|s| needed(&s.action))
        .copied()
        .collect();
    tools.sort_unstable();
    tools.dedup();
    tools
}

fn needed(action: &Action) -> &'static [&'static str] {
    match action {
        Action::Postinst(_) | Action::RemovePackages(_) => &["systemd-nspawn"],
        Action::WriteImage(Image::Tar { .. }) => &["tar"],
        Action::WriteImage(Image::Disk(_)) => &["mkfs.ext4"],
        Action::ConvertImage => &["qemu-img"],
        _ => &[],
    }
}
