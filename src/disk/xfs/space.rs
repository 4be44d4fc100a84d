//! Which blocks are free. Blocks are only ever taken, in one order, so that free space stays in few
//! parts.

use super::geometry::Geometry;

/// A run of blocks of one group: the number of the first, and how many.
pub(super) type Run = (u64, u32);

/// No extent has more blocks (21 bits).
const LONGEST: u32 = (1 << 21) - 1;

/// The free space of all groups.
#[derive(Debug)]
pub(super) struct Space {
    group_bits: u32,
    groups: Vec<Free>,
    /// The group that blocks are taken from.
    current: usize,
}

/// The free space of a group.
#[derive(Debug)]
pub(super) struct Free {
    /// First block and length, in order.
    pub parts: Vec<(u32, u32)>,
    /// Blocks that stay free: what a mount sets aside for the growth of the group's trees.
    reserve: u32,
}

impl Free {
    pub fn blocks(&self) -> u32 {
        self.parts.iter().map(|(_, length)| length).sum()
    }

    /// Blocks that may be taken.
    fn left(&self) -> u32 {
        self.blocks().saturating_sub(self.reserve)
    }
}

impl Space {
    pub fn new(geometry: &Geometry) -> Self {
        let free = |group: &super::geometry::Group| Free {
            parts: group.free.clone(),
            // As in `size::free`: a tree of shared blocks, one of chunks with free inodes.
            reserve: group.blocks / 168 + group.blocks / 1900 + 16,
        };
        Self {
            group_bits: geometry.group_bits,
            groups: geometry.groups.iter().map(free).collect(),
            current: 0,
        }
    }

    pub fn group(&self, number: usize) -> &Free {
        &self.groups[number]
    }

    /// Takes up to `most` blocks that follow each other; nothing when all is taken.
    pub fn take(&mut self, most: u32) -> Option<Run> {
        let most = most.min(LONGEST);
        while let Some(free) = self.groups.get_mut(self.current) {
            let most = most.min(free.left());
            // A single block closes a gap; of more, the longest part has most.
            let part = if most == 1 {
                0
            } else {
                longest(&free.parts).unwrap_or(0)
            };
            if most > 0 {
                let (start, length) = free.parts[part];
                let taken = most.min(length);
                free.parts[part] = (start + taken, length - taken);
                free.parts.retain(|(_, length)| *length > 0);
                return Some((self.number(start), taken));
            }
            self.current += 1;
        }
        None
    }

    /// Takes up to `most` blocks that follow each other, at least `least` of them, from a multiple of
    /// `alignment` on.
    pub fn take_aligned(&mut self, least: u32, most: u32, alignment: u32) -> Option<Run> {
        for (number, free) in self.groups.iter_mut().enumerate().skip(self.current) {
            let Some(part) = longest(&free.parts) else {
                continue;
            };
            let (start, length) = free.parts[part];
            let aligned = start.next_multiple_of(alignment);
            let gap = aligned - start;
            let taken = most.min(free.left()).min(length.saturating_sub(gap)) / least * least;
            if taken == 0 {
                continue;
            }
            let rest = (aligned + taken, length - gap - taken);
            free.parts.splice(part..=part, [(start, gap), rest]);
            free.parts.retain(|(_, length)| *length > 0);
            let first = (number as u64) << self.group_bits | u64::from(aligned);
            return Some((first, taken));
        }
        None
    }

    /// Takes a block of this group, also of those that are to stay free; returns its place in the group.
    pub fn take_reserved(&mut self, group: u32) -> Option<u32> {
        let parts = &mut self.groups.get_mut(group as usize)?.parts;
        let (start, length) = parts.first_mut()?;
        let taken = *start;
        (*start, *length) = (taken + 1, *length - 1);
        parts.retain(|(_, length)| *length > 0);
        Some(taken)
    }

    /// Gives the last blocks of a run back that was taken.
    pub fn give_back(&mut self, first: u64, blocks: u32) {
        if blocks == 0 {
            return;
        }
        let group = (first >> self.group_bits) as usize;
        let start = (first & ((1 << self.group_bits) - 1)) as u32;
        let parts = &mut self.groups[group].parts;
        let at = parts.partition_point(|(other, _)| *other < start);
        match parts.get_mut(at) {
            Some((next, length)) if *next == start + blocks => {
                *next = start;
                *length += blocks;
            }
            _ => parts.insert(at, (start, blocks)),
        }
    }

    fn number(&self, block: u32) -> u64 {
        (self.current as u64) << self.group_bits | u64::from(block)
    }
}

fn longest(parts: &[(u32, u32)]) -> Option<usize> {
    let numbered = parts.iter().enumerate();
    let longest =
        numbered.max_by_key(|(number, (_, length))| (*length, std::cmp::Reverse(*number)));
    longest.map(|(number, _)| number)
}
