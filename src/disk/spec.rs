//! What a disk image shall be: its partitions, their sizes and what is in them.

use std::path::PathBuf;

use serde::Serialize;
use uuid::Uuid;

use super::layout::{Attributes, BIOS_BOOT_SIZE, DEFAULT_FIRST_LBA, Layout, Request};
use super::{
    Architecture, Content, DiskError, FileSystem, LUKS_HEADER, PartitionKind, Room, Seed, seal,
};

/// A disk image to be made.
#[derive(Clone, Debug)]
pub struct DiskSpec {
    /// Of the system on it; decides the partition types.
    pub architecture: Architecture,
    /// Where its identifiers come from.
    pub seed: Seed,
    /// The first sector that a partition may use.
    pub first_lba: u64,
    /// Its partitions; they are brought into their order.
    pub partitions: Vec<Partition>,
    /// The time in seconds that nothing shall be newer than (`SOURCE_DATE_EPOCH`).
    pub latest: Option<u64>,
    /// Whether a hash tree protects the root partition, in a partition of its own that is not among
    /// `partitions`.
    pub verity: bool,
}

/// A partition to be made.
#[derive(Clone, Debug)]
pub struct Partition {
    /// What it is for.
    pub kind: PartitionKind,
    /// How large.
    pub size: Size,
    /// What is in it.
    pub filling: Filling,
    /// It shall only ever be mounted read-only.
    pub read_only: bool,
    /// Its identifier, where that is not to come from the seed.
    pub uuid: Option<Uuid>,
    /// Its file system is encrypted; its size includes the header that this takes.
    pub encrypted: bool,
}

/// The size of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Size {
    /// This many bytes.
    Fixed(u64),
    /// What its filling needs, and what the file system's default adds to that.
    Automatic,
    /// What its filling needs, and no more.
    Minimal,
}

/// What is in a partition.
#[derive(Clone, Debug)]
pub enum Filling {
    /// Nothing yet: zeros.
    Nothing,
    /// Swap space.
    Swap,
    /// A file system.
    Files(Files),
}

/// A file system in a partition.
#[derive(Clone, Debug)]
pub struct Files {
    /// Which one.
    pub file_system: FileSystem,
    /// The directory whose files it holds; `None` for the image's tree itself.
    pub directory: Option<PathBuf>,
    /// Counts over that directory.
    pub content: Content,
}

impl Partition {
    /// A writable partition whose identifier comes from the seed.
    #[must_use]
    pub const fn new(kind: PartitionKind, size: Size, filling: Filling) -> Self {
        Self {
            kind,
            size,
            filling,
            read_only: false,
            uuid: None,
            encrypted: false,
        }
    }

    pub(super) fn files(&self) -> Option<&Files> {
        match &self.filling {
            Filling::Files(files) => Some(files),
            Filling::Nothing | Filling::Swap => None,
        }
    }

    fn attributes(&self) -> Attributes {
        let grows = self.files().is_some_and(|files| files.file_system.grows());
        Attributes {
            // Nothing ever writes to a hash tree.
            read_only: self.read_only || self.kind == PartitionKind::RootVerity,
            grow_file_system: !self.read_only && grows,
            no_auto: false,
        }
    }

    /// How much of the disk it takes, when its content is known.
    pub(super) fn room(&self) -> Room {
        match (&self.filling, self.size) {
            (Filling::Files(files), size) => {
                let (file_system, content) = (&files.file_system, &files.content);
                let inside = file_system.room(self.inside(size), content, self.read_only);
                self.around(inside)
            }
            (_, size) => Room::Exactly(self.plain(size)),
        }
    }

    /// The least that it may take, before its content is known.
    fn least_room(&self) -> Room {
        match &self.filling {
            Filling::Files(files) => {
                let size = self.inside(self.size);
                self.around(files.file_system.least_room(size, self.read_only))
            }
            _ => Room::Exactly(self.plain(self.size)),
        }
    }

    /// Bytes before the file system.
    pub(super) const fn header(&self) -> u64 {
        if self.encrypted { LUKS_HEADER } else { 0 }
    }

    /// The size of the file system, given the partition's.
    const fn inside(&self, size: Size) -> Size {
        match size {
            Size::Fixed(size) => Size::Fixed(size.saturating_sub(self.header())),
            other => other,
        }
    }

    /// What the partition takes, given what its file system does.
    const fn around(&self, room: Room) -> Room {
        match (room, self.size) {
            // Also when there is no room for the header: checking finds that out.
            (Room::Exactly(_), Size::Fixed(size)) => Room::Exactly(size),
            (Room::Exactly(size), _) => Room::Exactly(size.saturating_add(self.header())),
            (Room::UpTo(size), _) => Room::UpTo(size.saturating_add(self.header())),
        }
    }

    /// The size without a file system.
    fn plain(&self, size: Size) -> u64 {
        match size {
            Size::Fixed(size) => size,
            _ if self.kind == PartitionKind::BiosBoot => BIOS_BOOT_SIZE,
            // Refused by the layout, which names the setting.
            Size::Automatic | Size::Minimal => 0,
        }
    }
}

impl DiskSpec {
    /// An image without partitions, starting where images usually do.
    #[must_use]
    pub const fn new(architecture: Architecture, seed: Seed) -> Self {
        Self {
            architecture,
            seed,
            first_lba: DEFAULT_FIRST_LBA,
            partitions: Vec::new(),
            latest: None,
            verity: false,
        }
    }

    /// The programs that making it needs, each once.
    #[must_use]
    pub fn tools(&self) -> Vec<String> {
        let files = self.partitions.iter().filter_map(Partition::files);
        let mut tools: Vec<_> = files.flat_map(|files| files.file_system.tools()).collect();
        if self.encrypts() {
            tools.push("cryptsetup".to_owned());
        }
        tools.sort_unstable();
        tools.dedup();
        tools
    }

    /// Whether any partition is encrypted, which takes a passphrase.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.partitions.iter().any(|partition| partition.encrypted)
    }

    /// The partitions in their order on the disk.
    pub(super) fn in_order(&self) -> Vec<&Partition> {
        let mut partitions: Vec<_> = self.partitions.iter().collect();
        partitions.sort_by_key(|partition| partition.kind);
        partitions
    }

    /// Where everything lies, given the sizes of those partitions that only making them told.
    pub(super) fn layout_with(&self, made: &[(PartitionKind, u64)]) -> Result<Layout, DiskError> {
        self.lay_out(|partition| {
            let known = made.iter().find(|(kind, _)| *kind == partition.kind);
            (
                known.map_or_else(|| partition.room().most(), |(_, size)| *size),
                false,
            )
        })
    }

    /// Where everything will lie; a partition whose size is only known once it is made is shown at
    /// the most it can be.
    ///
    /// # Errors
    /// A partition is too small for its files, or the layout does not hold.
    pub fn layout(&self) -> Result<Layout, DiskError> {
        self.lay_out(|partition| match partition.room() {
            Room::Exactly(size) => (size, false),
            Room::UpTo(size) => (size, true),
        })
    }

    /// Where everything would lie as far as that is known before there is a tree: partitions that
    /// their content may enlarge are shown at the least they can be. Counts in the fillings are not
    /// used.
    ///
    /// # Errors
    /// Also when a partition is smaller than its file system can be.
    pub fn preview(&self) -> Result<Layout, DiskError> {
        for partition in &self.partitions {
            if let (Some(files), Size::Fixed(size)) = (partition.files(), partition.size) {
                let (kind, read_only) = (partition.kind, partition.read_only);
                let inside = size.saturating_sub(partition.header());
                files
                    .file_system
                    .check_least(kind, inside, read_only)
                    .map_err(|error| error.of_partition(size))?;
            }
        }
        self.lay_out(|partition| match partition.least_room() {
            Room::Exactly(size) => (size, false),
            Room::UpTo(size) => (size, true),
        })
    }

    fn lay_out(&self, size: impl Fn(&Partition) -> (u64, bool)) -> Result<Layout, DiskError> {
        let mut requests: Vec<_> = self
            .partitions
            .iter()
            .map(|partition| {
                let (size, open) = size(partition);
                Request {
                    kind: partition.kind,
                    size,
                    size_is_minimum: open,
                    uuid: partition
                        .uuid
                        .unwrap_or_else(|| self.seed.partition(partition.kind)),
                    attributes: partition.attributes(),
                }
            })
            .collect();
        if self.verity {
            requests.extend(seal::request(&requests, self.seed));
        }
        Ok(Layout::new(self.architecture, &requests, self.first_lba)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::btrfs::Btrfs;
    use crate::disk::squashfs::Squashfs;

    fn root(file_system: FileSystem, size: Size, read_only: bool) -> Partition {
        let files = Files {
            file_system,
            directory: None,
            content: Content::default(),
        };
        let mut root = Partition::new(PartitionKind::Root, size, Filling::Files(files));
        root.read_only = read_only;
        root
    }

    fn spec(partitions: Vec<Partition>) -> DiskSpec {
        DiskSpec {
            partitions,
            ..DiskSpec::new(Architecture::X86_64, Seed::new(Uuid::from_u128(5)))
        }
    }

    const SQUASHFS: FileSystem = FileSystem::Squashfs(Squashfs {
        compress: None,
        program: None,
    });
    const BTRFS: FileSystem = FileSystem::Btrfs(Btrfs { compress: None });

    #[test]
    fn sizes_and_attributes_follow_the_file_system() {
        let mib = |size: u64| size << 20;
        for (file_system, read_only, size, least, exact, grows) in [
            (
                FileSystem::Ext4,
                false,
                Size::Automatic,
                1024,
                Some(1024),
                true,
            ),
            (
                FileSystem::Ext4,
                true,
                Size::Automatic,
                1024,
                Some(1024),
                false,
            ),
            (
                FileSystem::Ext4,
                false,
                Size::Fixed(mib(5)),
                5,
                Some(5),
                true,
            ),
            (FileSystem::Ext4, false, Size::Minimal, 1, None, true),
            (
                FileSystem::Xfs,
                false,
                Size::Automatic,
                1300,
                Some(1300),
                true,
            ),
            (FileSystem::Xfs, true, Size::Minimal, 300, Some(300), false),
            (BTRFS, false, Size::Automatic, 1024, Some(1024), true),
            (BTRFS, false, Size::Minimal, 45, None, true),
            (SQUASHFS, true, Size::Automatic, 0, None, false),
            (SQUASHFS, true, Size::Fixed(mib(5)), 0, None, false),
        ] {
            let spec = spec(vec![
                root(file_system.clone(), size, read_only),
                Partition::new(PartitionKind::BiosBoot, Size::Automatic, Filling::Nothing),
            ]);
            let case = format!("{file_system:?} {size:?}");
            let layout = spec.layout().unwrap();
            let [bios, root] = layout.slots() else {
                panic!("two partitions");
            };
            assert_eq!((bios.size, bios.attributes.bits()), (mib(1), 0));
            assert_eq!(root.attributes.grow_file_system, grows, "{case}");
            assert_eq!(root.attributes.read_only, read_only, "{case}");
            assert_eq!(root.uuid, spec.seed.partition(PartitionKind::Root));
            if let Some(exact) = exact {
                assert_eq!(
                    (root.size, root.size_is_minimum),
                    (mib(exact), false),
                    "{case}"
                );
            }
            let preview = spec.preview().unwrap();
            let root = preview.slot(PartitionKind::Root).unwrap();
            assert_eq!(root.size / mib(1), least, "{case}");
            let open = !matches!(size, Size::Fixed(_)) || file_system == SQUASHFS;
            assert_eq!(root.size_is_minimum, open, "{case}");
        }
    }

    #[test]
    fn what_is_smaller_than_its_file_system_is_refused_before_there_is_a_tree() {
        for (file_system, message) in [
            (
                FileSystem::Xfs,
                "the root partition has 20M but an xfs file system needs 300M; set RootSize=300M or more",
            ),
            (
                BTRFS,
                "the root partition has 20M but a btrfs file system needs 45M; set RootSize=45M or more",
            ),
        ] {
            let spec = spec(vec![root(file_system, Size::Fixed(20 << 20), false)]);
            assert_eq!(spec.preview().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn encrypted_partitions_have_room_for_their_header() {
        let mib = |size: u64| size << 20;
        for (file_system, size, expected, open) in [
            (FileSystem::Ext4, Size::Automatic, 1024 + 16, false),
            (FileSystem::Ext4, Size::Fixed(mib(100)), 100, false),
            (FileSystem::Xfs, Size::Automatic, 1300 + 16, false),
            (BTRFS, Size::Fixed(mib(200)), 200, false),
            (SQUASHFS, Size::Automatic, 1 + 16, true),
        ] {
            let mut root = root(file_system, size, false);
            root.encrypted = true;
            let spec = spec(vec![root]);
            let layout = spec.layout().unwrap();
            let [slot] = layout.slots() else {
                panic!("one partition");
            };
            assert_eq!(slot.size, mib(expected));
            assert_eq!(slot.size_is_minimum, open);
            assert!(spec.tools().contains(&"cryptsetup".to_owned()));
        }
        for (size, message) in [
            (
                310,
                "the root partition has 310M but an xfs file system needs 316M; set RootSize=316M or more",
            ),
            (
                10,
                "the root partition has 10M but an xfs file system needs 316M; set RootSize=316M or more",
            ),
        ] {
            let mut root = root(FileSystem::Xfs, Size::Fixed(mib(size)), false);
            root.encrypted = true;
            let error = spec(vec![root]).preview().unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_hash_tree_has_the_size_that_its_data_needs() {
        let mut spec = spec(vec![root(FileSystem::Ext4, Size::Fixed(1 << 30), true)]);
        spec.verity = true;
        let layout = spec.layout().unwrap();
        let [_, tree] = layout.slots() else {
            panic!("two partitions");
        };
        assert_eq!(tree.kind, PartitionKind::RootVerity);
        assert_eq!(tree.size / 4096, 1 + 2048 + 16 + 1);
        assert_eq!(tree.attributes.bits(), 1 << 60);
        // Made smaller than it could have become, its tree is smaller as well.
        spec.partitions = vec![root(SQUASHFS, Size::Automatic, true)];
        let layout = spec.layout_with(&[(PartitionKind::Root, 5 << 20)]).unwrap();
        let sizes: Vec<_> = layout.slots().iter().map(|slot| slot.size / 4096).collect();
        assert_eq!(sizes, [1280, 1 + 10 + 1]);
        assert!(spec.preview().unwrap().slots()[1].size_is_minimum);
    }

    #[test]
    fn each_tool_is_named_once() {
        let mut spec = spec(vec![root(FileSystem::Xfs, Size::Automatic, false)]);
        let mut home = root(FileSystem::Xfs, Size::Automatic, false);
        home.kind = PartitionKind::Home;
        spec.partitions.push(home);
        assert_eq!(spec.tools(), ["mkfs.xfs"]);
    }

    #[test]
    fn what_was_made_settles_the_layout() {
        let mut spec = spec(vec![root(SQUASHFS, Size::Automatic, true)]);
        let verity = Partition::new(
            PartitionKind::RootVerity,
            Size::Fixed(4096),
            Filling::Nothing,
        );
        spec.partitions.push(verity);
        let layout = spec.layout_with(&[(PartitionKind::Root, 5 << 20)]).unwrap();
        let offsets: Vec<_> = layout
            .slots()
            .iter()
            .map(|slot| slot.offset >> 20)
            .collect();
        assert_eq!(offsets, [1, 6]);
        assert!(!layout.slots()[0].size_is_minimum);
    }
}
