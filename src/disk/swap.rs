//! Swap space: the header that `mkswap` writes, which is all there is to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use uuid::Uuid;

use super::layout::Slot;
use super::{Architecture, DiskError};

/// Where the header's fields lie in the first page (`union swap_header` in the kernel's
/// `include/linux/swap.h`); boot blocks may come before.
const VERSION: usize = 1024;
const LAST_PAGE: usize = 1028;
const ID: usize = 1036;
const LABEL: usize = 1052;
/// Ends the first page.
const MAGIC: &[u8] = b"SWAPSPACE2";
/// The fewest pages that the kernel accepts as swap space (mkswap's limit).
pub const LEAST_PAGES: u64 = 10;

/// The page size in bytes of the usual kernels of an architecture, on which swap space depends.
#[must_use]
pub const fn page_size(architecture: Architecture) -> u64 {
    match architecture {
        Architecture::Ppc64 | Architecture::Ppc64le => 64 << 10,
        Architecture::LoongArch64 | Architecture::Ia64 => 16 << 10,
        Architecture::Alpha | Architecture::Arc => 8 << 10,
        _ => 4 << 10,
    }
}

/// Whether `slot` is large enough for swap space.
///
/// # Errors
/// It has fewer pages than the kernel demands.
pub fn check(slot: &Slot, architecture: Architecture) -> Result<(), DiskError> {
    let least = LEAST_PAGES * page_size(architecture);
    if slot.size < least {
        let size = slot.size;
        return Err(DiskError::SwapTooSmall { size, least });
    }
    Ok(())
}

/// Makes the part of `image` that `slot` describes, which must have been checked, swap space.
///
/// # Errors
/// The image cannot be written.
pub fn write(image: &File, slot: &Slot, architecture: Architecture, uuid: Uuid) -> io::Result<()> {
    let page = page_size(architecture);
    let pages = slot.size / page;
    let last = u32::try_from(pages.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut header = vec![0; page as usize];
    header[VERSION..VERSION + 4].copy_from_slice(&order(architecture, 1));
    header[LAST_PAGE..LAST_PAGE + 4].copy_from_slice(&order(architecture, last));
    header[ID..ID + 16].copy_from_slice(uuid.as_bytes());
    let label = slot.kind.short_name().as_bytes();
    header[LABEL..LABEL + label.len()].copy_from_slice(label);
    let end = header.len();
    header[end - MAGIC.len()..].copy_from_slice(MAGIC);
    image.write_all_at(&header, slot.offset)
}

/// Numbers are in the order of bytes of the machine that swaps.
const fn order(architecture: Architecture, number: u32) -> [u8; 4] {
    match architecture {
        Architecture::S390 | Architecture::S390x | Architecture::Ppc | Architecture::Ppc64 => {
            number.to_be_bytes()
        }
        _ => number.to_le_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::PartitionKind;
    use crate::disk::layout::{Attributes, Layout, Request};

    fn slot(size: u64, architecture: Architecture) -> Slot {
        let request = Request {
            kind: PartitionKind::Swap,
            size,
            size_is_minimum: false,
            uuid: Uuid::nil(),
            attributes: Attributes::default(),
        };
        Layout::new(architecture, &[request], 2048).unwrap().slots()[0].clone()
    }

    #[test]
    fn header_by_architecture() {
        for (architecture, magic_at, last) in [
            (Architecture::X86_64, 4096 - 10, [0xff, 0, 0, 0]),
            (Architecture::S390x, 4096 - 10, [0, 0, 0, 0xff]),
            (Architecture::Ppc64le, 65_536 - 10, [15, 0, 0, 0]),
        ] {
            let file = tempfile::tempfile().unwrap();
            write(
                &file,
                &slot(1 << 20, architecture),
                architecture,
                Uuid::from_u128(7),
            )
            .unwrap();
            let mut bytes = [0; 10];
            file.read_exact_at(&mut bytes, (1 << 20) + magic_at)
                .unwrap();
            assert_eq!(&bytes, MAGIC);
            let mut bytes = [0; 4];
            file.read_exact_at(&mut bytes, (1 << 20) + LAST_PAGE as u64)
                .unwrap();
            assert_eq!(bytes, last);
        }
    }

    #[test]
    fn too_small_to_swap() {
        let error = check(&slot(36 << 10, Architecture::X86_64), Architecture::X86_64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the swap partition has 36K but swap space needs 40K; set SwapSize=40K or more"
        );
        check(&slot(40 << 10, Architecture::X86_64), Architecture::X86_64).unwrap();
        check(
            &slot(40 << 10, Architecture::Ppc64le),
            Architecture::Ppc64le,
        )
        .unwrap_err();
    }
}
