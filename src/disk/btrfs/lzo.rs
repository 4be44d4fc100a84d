//! LZO1X, as far as short pieces need it (the kernel's `Documentation/staging/lzo.rst` describes what
//! readers understand): runs of bytes as they are, and references to what came before.

/// Four bytes are what is looked for.
const LEAST: usize = 4;
/// Places are remembered by so many bits of a hash.
const BITS: u32 = 12;
/// Ends every piece: a reference to nothing.
const END: [u8; 3] = [0x11, 0, 0];

/// Compresses at most 16 KiB; farther back no reference of the kinds used here reaches.
pub(super) fn compress(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len() + 64);
    let mut seen = [u16::MAX; 1 << BITS];
    let (mut at, mut copied) = (0, 0);
    while at + LEAST <= input.len() {
        let four = [input[at], input[at + 1], input[at + 2], input[at + 3]];
        let hash = u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> (32 - BITS);
        let before = usize::from(std::mem::replace(&mut seen[hash as usize], at as u16));
        if before >= at || input[before..before + LEAST] != four {
            // What has not repeated itself for long hardly begins to.
            at += 1 + (at - copied) / 64;
            continue;
        }
        let alike = |(one, other): &(&u8, &u8)| one == other;
        let length = input[before..].iter().zip(&input[at..]).take_while(alike);
        let length = length.count();
        literals(&mut output, &input[copied..at]);
        reference(&mut output, at - before, length);
        at += length;
        copied = at;
    }
    literals(&mut output, &input[copied..]);
    output.extend(END);
    output
}

/// Bytes as they are.
fn literals(output: &mut Vec<u8>, bytes: &[u8]) {
    let count = bytes.len();
    if output.is_empty() && (1..=238).contains(&count) {
        output.push(17 + count as u8);
    } else if count > 18 {
        output.push(0);
        long(output, count - 18);
    } else if count > 3 {
        output.push((count - 3) as u8);
    } else if let Some(byte) = output.len().checked_sub(2) {
        // The last two bits of a reference, where there is one, say how many follow.
        output[byte] |= count as u8;
    }
    output.extend_from_slice(bytes);
}

/// As many bytes as `length` from `distance` before.
fn reference(output: &mut Vec<u8>, distance: usize, length: usize) {
    let back = distance - 1;
    if length <= 8 && back < 2048 {
        output.push(((length - 1) << 5 | (back & 7) << 2) as u8);
        output.push((back >> 3) as u8);
        return;
    }
    if length <= 33 {
        output.push(32 | (length - 2) as u8);
    } else {
        output.push(32);
        long(output, length - 33);
    }
    output.extend(((back << 2) as u16).to_le_bytes());
}

/// A number from 1 on, as bytes of 255 that are written as zeros, and the rest.
fn long(output: &mut Vec<u8>, mut number: usize) {
    while number > 255 {
        output.push(0);
        number -= 255;
    }
    output.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads what `compress` writes, and nothing else.
    fn expand(input: &[u8]) -> Vec<u8> {
        fn long(next: &mut impl FnMut() -> usize) -> usize {
            let mut number = 0;
            loop {
                match next() {
                    0 => number += 255,
                    byte => return number + byte,
                }
            }
        }
        let mut bytes = input.iter().copied().peekable();
        let mut output: Vec<u8> = Vec::new();
        let mut trailing = 0;
        if let Some(first) = bytes.next_if(|byte| *byte > 17) {
            for _ in 0..first - 17 {
                output.push(bytes.next().unwrap());
            }
            trailing = 4;
        }
        loop {
            let mut next = || usize::from(bytes.next().unwrap());
            let code = next();
            let (distance, length) = match code {
                0..16 => {
                    assert_eq!(trailing, 0, "literals follow literals");
                    let count = match code {
                        0 => 18 + long(&mut next),
                        code => code + 3,
                    };
                    (0..count).for_each(|_| output.push(next() as u8));
                    trailing = 4;
                    continue;
                }
                16..32 => {
                    assert_eq!((code, next(), next()), (17, 0, 0));
                    assert_eq!(bytes.next(), None);
                    return output;
                }
                32..64 => {
                    let length = match code & 31 {
                        0 => 33 + long(&mut next),
                        length => length + 2,
                    };
                    let place = next() | next() << 8;
                    trailing = place & 3;
                    ((place >> 2) + 1, length)
                }
                _ => {
                    trailing = code & 3;
                    ((next() << 3 | code >> 2 & 7) + 1, (code >> 5) + 1)
                }
            };
            for _ in 0..length {
                output.push(output[output.len() - distance]);
            }
            (0..trailing).for_each(|_| output.push(bytes.next().unwrap()));
        }
    }

    #[test]
    fn what_repeats_gets_short() {
        for text in ["a", "abc", "abcd, ", "a longer sentence that comes again. "] {
            let text = text.repeat(4096 / text.len());
            let packed = compress(text.as_bytes());
            assert!(packed.len() < 100, "{}", packed.len());
            assert!(expand(&packed) == text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn everything_comes_back(
            parts in prop::collection::vec((any::<u8>(), 1_usize..600, 0_u8..4), 1..30),
            length in 1_usize..4097,
        ) {
            let mut input = Vec::new();
            for (seed, count, kind) in parts {
                let mut state = u32::from(seed) + 1;
                for n in 0..count {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = (state >> 24) as u8;
                    input.push(match kind {
                        0 => seed,
                        1 => noise,
                        2 => noise & 3,
                        _ => (n % 17) as u8,
                    });
                }
            }
            input.truncate(length);
            prop_assert!(expand(&compress(&input)) == input);
        }
    }
}
