//! A hash over texts.

use sha2::{Digest as _, Sha256};

use crate::host::hex;

/// SHA-256 over a list of texts. Each counts with its length: no two lists are alike.
#[derive(Default)]
pub(super) struct Texts(Sha256);

impl Texts {
    pub fn add(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// The hash, in hexadecimal.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}
