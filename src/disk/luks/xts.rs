//! AES-256 in XTS mode (IEEE 1619), as dm-crypt's `aes-xts-plain64` has it.
//!
//! The block cipher is the `aes` crate's, which uses the processor's instructions where it has them.
//! The mode around it is here: crates for it encrypt one block at a time, which leaves the processor
//! idle for most of that time.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};

/// Bytes in the two keys.
pub(super) const KEY: usize = 64;
/// Bytes in a block of the cipher.
const BLOCK: usize = 16;
/// Blocks that are handed to the cipher at once.
const BATCH: usize = 64;
/// x¹²⁸ = x⁷ + x² + x + 1, which is how the standard defines multiplication.
const REDUCTION: u128 = 0x87;

type Block = Array<u8, U16>;

/// A cipher with its keys, which are wiped when it goes.
pub(super) struct Xts {
    data: Aes256Enc,
    tweak: Aes256Enc,
}

impl Xts {
    /// The first half of the key is for the data, the second for the tweaks.
    pub(super) fn new(key: &[u8; KEY]) -> Self {
        let half = |range: std::ops::Range<usize>| {
            let mut half = Array::default();
            half.copy_from_slice(&key[range]);
            half
        };
        let (data, tweak) = (half(0..KEY / 2), half(KEY / 2..KEY));
        Self {
            data: Aes256Enc::new(&data),
            tweak: Aes256Enc::new(&tweak),
        }
    }

    /// Encrypts a data unit in place: whole blocks, under its number.
    pub(super) fn encrypt(&self, unit: &mut [u8], number: u64) {
        let (blocks, rest) = Block::slice_as_chunks_mut(unit);
        debug_assert!(rest.is_empty());
        let mut first = Block::from(u128::from(number).to_le_bytes());
        self.tweak.encrypt_block(&mut first);
        let mut tweak = u128::from_le_bytes(first.into());
        let mut tweaks = [0; BATCH];
        for batch in blocks.chunks_mut(BATCH) {
            for place in &mut tweaks {
                *place = tweak;
                tweak = double(tweak);
            }
            whiten(batch, &tweaks);
            self.data.encrypt_blocks(batch);
            whiten(batch, &tweaks);
        }
    }
}

/// The tweak of the next block.
const fn double(tweak: u128) -> u128 {
    // Without a branch, so that the time taken says nothing about the tweak.
    (tweak << 1) ^ ((tweak >> 127).wrapping_neg() & REDUCTION)
}

fn whiten(blocks: &mut [Block], tweaks: &[u128; BATCH]) {
    for (block, tweak) in blocks.iter_mut().zip(tweaks) {
        let bytes: [u8; BLOCK] = (*block).into();
        *block = (u128::from_le_bytes(bytes) ^ tweak).to_le_bytes().into();
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::host::hex;

    /// IEEE 1619-2007, annex B, vectors 10 to 12 by beginning and end; all of them, and the long
    /// one that is not the standard's, by what OpenSSL's AES-256-XTS makes of them.
    #[test]
    fn vectors_of_the_standard() {
        let key = "27182818284590452353602874713526624977572470936999595749669676273141592653589793\
                   238462643383279502884197169399375105820974944592";
        let mut bytes = [0; KEY];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&key[index * 2..index * 2 + 2], 16).unwrap();
        }
        let cipher = Xts::new(&bytes);
        for (number, times, start, end, hash) in [
            (
                0xff,
                2,
                "1c3b3a102f770386e4836c99e370cf9b",
                "c4f36ffda9fcea70b9c6e693e148c151",
                "e97e974fa393af794f7a4684395814cf820de60a01eaec677d87b452e316b364",
            ),
            (
                0xffff,
                2,
                "77a31251618a15e6b92d1d66dffe7b50",
                "a4f9e27b42af8100cb9d59cef9645803",
                "def4fad29e95dfe1a24b1ad4620f86d7be094cced5b19e0b121aa82d9e6baf98",
            ),
            (
                0xff_ffff_ffff,
                2,
                "64497e5a831e4a932c09be3e5393376d",
                "d609d273ad5b0d59631c531f6a0a57b9",
                "afba71abc4e95b186d89a63a5437c1bafcfd1a18ca273970c534aba4f8d05282",
            ),
            (
                8 * 5,
                16,
                "d9046fbf674a3ab7c7d33e6e7bbb448a",
                "48a0206cd5ad374f8604c4f8432a615a99",
                "7ef39f0dacb6abf7bad79ee9a14b85a38b049f4c4815a6a3617629392fd8ff92",
            ),
        ] {
            let mut unit: Vec<u8> = (0..times).flat_map(|_| 0..=255).collect();
            cipher.encrypt(&mut unit, number);
            let text = hex(&unit);
            assert!(text.starts_with(start), "{number}: {text}");
            assert!(text.ends_with(end), "{number}: {text}");
            assert_eq!(hex(&Sha256::digest(&unit)), hash, "{number}");
        }
    }
}
