//! Numbers and pieces from the bytes of an input; zeros and nothing after their end.

/// The rest of an input.
pub struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub fn number(&mut self) -> u64 {
        let mut number = [0; 8];
        let taken = self.bytes(8);
        number[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(number)
    }

    /// A number of any magnitude: most numbers of eight bytes are larger than everything that exists.
    pub fn size(&mut self) -> u64 {
        let shift = self.byte() % 64;
        self.number() >> shift
    }
}
