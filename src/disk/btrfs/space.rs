//! Which bytes of the disk are used for what: chunks of data, of metadata, and of what finds the chunks.

use super::format::{NODE, STRIPE};

/// The bytes of the disk that are left alone at its beginning: 1 MiB.
pub(super) const START: u64 = 1 << 20;
/// Where superblocks are, if the disk is so large (`btrfs_sb_offset`).
pub(super) const SUPERBLOCKS: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];
/// The largest chunk: 1 GiB, as the kernel has it.
pub(super) const LARGEST: u64 = 1 << 30;
/// Chunks end at multiples of 1 MiB, where there is room.
pub(super) const STEP: u64 = 1 << 20;
/// Bytes that are left free for metadata, at least. Nodes are never changed where they are: the kernel keeps some
/// 6 MiB of it to empty a full file system with (`btrfs_update_global_block_rsv`), and sets 2 MiB and more
/// aside for every file that is made.
pub(super) const fn reserve(copies: u64) -> u64 {
    // A single copy has what is only read, so that it can just be mounted for writing.
    if copies > 1 { 16 << 20 } else { 8 << 20 }
}

/// The most bytes for further metadata in the chunks that there are; the kernel makes more of them.
const MOST_SPARE: u64 = 256 << 20;

/// What a chunk is used for, as the disk has it.
pub(super) mod used_for {
    pub const DATA: u64 = 1;
    pub const SYSTEM: u64 = 1 << 1;
    pub const METADATA: u64 = 1 << 2;
    /// There are two copies on the disk.
    pub const TWICE: u64 = 1 << 5;
}

/// A range of addresses, and where it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// What it is used for.
    pub kind: u64,
    pub length: u64,
    /// Where on the disk each copy begins; addresses are those of the first.
    pub copies: Vec<u64>,
}

impl Chunk {
    fn new(kind: u64, at: u64, length: u64, copies: u64) -> Self {
        let twice = if copies > 1 { used_for::TWICE } else { 0 };
        Self {
            kind: kind | twice,
            length,
            copies: (0..copies).map(|copy| at + copy * length).collect(),
        }
    }

    pub fn start(&self) -> u64 {
        self.copies[0]
    }

    pub fn end(&self) -> u64 {
        self.start() + self.length
    }

    /// Where its last copy ends on the disk.
    pub fn disk_end(&self) -> u64 {
        self.end() + self.length * (self.copies.len() as u64 - 1)
    }

    /// Addresses that nothing may be put at, because a superblock is there in one of the copies.
    fn superblocks(&self) -> impl Iterator<Item = u64> {
        SUPERBLOCKS.into_iter().flat_map(|superblock| {
            let inside = self
                .copies
                .iter()
                .filter_map(move |copy| superblock.checked_sub(*copy));
            inside
                .filter(|offset| *offset < self.length)
                .map(|offset| self.start() + offset / STRIPE * STRIPE)
        })
    }

    /// The addresses at which nodes can be.
    pub fn nodes(&self) -> impl Iterator<Item = u64> {
        let superblocks: Vec<u64> = self.superblocks().collect();
        (self.start()..self.end())
            .step_by(NODE)
            .filter(move |at| !superblocks.contains(&(at / STRIPE * STRIPE)))
    }

    /// What is left of it beside these ranges, which are in order: starts and lengths.
    pub fn free(&self, used: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
        let mut free = Vec::new();
        let mut at = self.start();
        for (start, length) in used {
            if start > at {
                free.push((at, start - at));
            }
            at = start + length;
        }
        if at < self.end() {
            free.push((at, self.end() - at));
        }
        free
    }
}

/// The chunk with what finds all others, in a file system of `size` bytes: the first on the disk.
pub(super) fn system(size: u64, copies: u64) -> Chunk {
    // A chunk takes some 150 bytes in there, and there are hardly more of them than one for each GiB.
    let length = size / LARGEST * 1024;
    Chunk::new(
        used_for::SYSTEM,
        START,
        length.clamp(4 << 20, 32 << 20).next_multiple_of(STEP),
        copies,
    )
}

/// How the disk is given to metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Where it begins to be free.
    pub from: u64,
    /// The size of the disk.
    pub size: u64,
    /// How often metadata is stored.
    pub copies: u64,
    /// Only as much as it takes.
    pub tight: bool,
}

impl Room {
    /// Chunks for so many nodes and for what the kernel needs beside them, or nothing if there is too little
    /// room.
    pub fn metadata(&self, nodes: usize) -> Option<Vec<Chunk>> {
        // Superblocks can be in the way.
        let used = (nodes * NODE) as u64 + 2 * STRIPE;
        let most = self.size.checked_sub(self.from)? / self.copies / STRIPE * STRIPE;
        let reserve = reserve(self.copies);
        let least = used + reserve;
        if least > most {
            return None;
        }
        let spare = (used / 2).max(self.size / 20).clamp(reserve, MOST_SPARE);
        let wanted = if self.tight { least } else { used + spare };
        let mut left = wanted.next_multiple_of(STEP).min(most);
        let mut chunks = Vec::new();
        let mut at = self.from;
        while left > 0 {
            let length = left.min(LARGEST);
            let chunk = Chunk::new(used_for::METADATA, at, length, self.copies);
            at = chunk.disk_end();
            left -= length;
            chunks.push(chunk);
        }
        Some(chunks)
    }
}

/// The part of the disk that is given to data, from its beginning to its end.
#[derive(Debug)]
pub(super) struct DataSpace {
    first: u64,
    at: u64,
    /// The end of the chunk that is being filled.
    end: u64,
    size: u64,
}

impl DataSpace {
    /// From `first` on, on a disk of `size` bytes.
    pub fn new(first: u64, size: u64) -> Self {
        Self {
            first,
            at: first,
            end: first,
            size: size / STRIPE * STRIPE,
        }
    }

    /// Takes up to `length` bytes that follow each other, or, if it must be `whole`, all of them; returns
    /// where they are and how many. Nothing if the disk is full.
    pub fn take(&mut self, length: u64, whole: bool) -> Option<(u64, u64)> {
        loop {
            if self.at == self.end {
                if self.at >= self.size {
                    return None;
                }
                self.end = (self.at + LARGEST).min(self.size);
            }
            let mut border = self.end;
            let mut next = self.end;
            for superblock in SUPERBLOCKS {
                if (self.at..self.end).contains(&superblock) && superblock < border {
                    border = superblock;
                    next = superblock + STRIPE;
                }
            }
            let room = border - self.at;
            if room == 0 || whole && room < length {
                self.at = next;
                continue;
            }
            let taken = (self.at, length.min(room));
            self.at += taken.1;
            return Some(taken);
        }
    }

    /// Whether a chunk begins here: nothing continues from one into another.
    pub fn is_border(&self, at: u64) -> bool {
        (at - self.first) % LARGEST == 0
    }

    /// The chunks that were begun; the last one only as long as it takes.
    pub fn chunks(&self) -> Vec<Chunk> {
        let end = self.at.next_multiple_of(STEP).min(self.end.max(self.at));
        let starts = (self.first..end).step_by(LARGEST as usize);
        starts
            .map(|start| Chunk::new(used_for::DATA, start, LARGEST.min(end - start), 1))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_around_superblocks_and_borders() {
        let first = 9 << 20;
        let mut space = DataSpace::new(first, 2 << 30);
        assert_eq!(space.take(55 << 20, false), Some((first, 55 << 20)));
        // A superblock is next.
        assert_eq!(space.take(8192, false), Some(((64 << 20) + STRIPE, 8192)));
        let left = first + LARGEST - ((64 << 20) + STRIPE + 8192);
        assert_eq!(space.take(left - 4096, false).unwrap().1, left - 4096);
        assert_eq!(space.take(8192, true), Some((first + LARGEST, 8192)));
        assert!(space.is_border(first + LARGEST));
        let chunks = space.chunks();
        assert_eq!(chunks.len(), 2);
        assert_eq!((chunks[0].length, chunks[1].length), (LARGEST, STEP));
        assert_eq!(
            space.take(u64::MAX, false).unwrap().1,
            (2 << 30) - first - LARGEST - 8192
        );
        assert_eq!(space.take(1, false), None);
    }

    #[test]
    fn nodes_go_around_superblocks_in_every_copy() {
        for at in [60_u64 << 20, 55 << 20] {
            let chunk = Chunk::new(used_for::METADATA, at, 8 << 20, 2);
            let nodes: Vec<u64> = chunk.nodes().collect();
            assert_eq!(nodes.len(), (8 << 20) / NODE - 4);
            for node in nodes {
                for copy in &chunk.copies {
                    let place = copy + node - chunk.start();
                    assert!(place + NODE as u64 <= 64 << 20 || place >= (64 << 20) + 4096);
                }
            }
        }
    }

    #[test]
    fn metadata_has_room_or_there_is_none() {
        for copies in [1, 2] {
            for tight in [false, true] {
                for nodes in [10, 1000, 200_000] {
                    let least = (nodes * NODE) as u64 + reserve(copies) + 2 * STRIPE;
                    let mut room = Room {
                        from: 100 << 20,
                        size: 0,
                        copies,
                        tight,
                    };
                    room.size = room.from + least.next_multiple_of(STRIPE) * copies;
                    let chunks = room.metadata(nodes).unwrap();
                    let found: usize = chunks.iter().map(|chunk| chunk.nodes().count()).sum();
                    assert!(found >= nodes + reserve(copies) as usize / NODE);
                    assert!(chunks.iter().all(|chunk| chunk.disk_end() <= room.size));
                    room.size -= STRIPE;
                    assert_eq!(room.metadata(nodes), None);
                }
            }
        }
    }

    #[test]
    fn what_is_free_lies_between_what_is_used() {
        let chunk = Chunk::new(used_for::DATA, 100, 50, 1);
        let free = |used: &[(u64, u64)]| chunk.free(used.iter().copied());
        assert_eq!(free(&[]), [(100, 50)]);
        assert_eq!(free(&[(100, 10), (110, 10), (130, 20)]), [(120, 10)]);
        assert_eq!(free(&[(105, 5)]), [(100, 5), (110, 40)]);
    }
}
