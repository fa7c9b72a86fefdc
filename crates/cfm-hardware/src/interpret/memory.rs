//! The memories.

use super::{Fault, GARBAGE};

/// A memory of words that the bus writes.
#[derive(Debug, Clone)]
pub(super) struct Words {
    name: &'static str,
    words: Vec<u32>,
}

impl Words {
    pub(super) const fn new(name: &'static str, words: Vec<u32>) -> Self {
        Self { name, words }
    }

    pub(super) fn get(&self, address: u32) -> Result<u32, Fault> {
        self.words
            .get(address as usize)
            .copied()
            .ok_or(Fault::Address {
                memory: self.name,
                address,
            })
    }
}

/// The feature memory: `lanes` banks of words of `pe` bytes.
#[derive(Debug, Clone)]
pub(super) struct FeatureMemory {
    pe: usize,
    words: u32,
    banks: Vec<Vec<u8>>,
}

impl FeatureMemory {
    pub(super) fn new(pe: u32, lanes: u32, words: u32) -> Self {
        let pe = pe as usize;
        Self {
            pe,
            words,
            banks: vec![vec![GARBAGE; words as usize * pe]; lanes as usize],
        }
    }

    fn at(&self, bank: u32, address: u32) -> Result<(usize, usize), Fault> {
        if address < self.words && (bank as usize) < self.banks.len() {
            Ok((bank as usize, address as usize * self.pe))
        } else {
            Err(Fault::Address {
                memory: "feature memory",
                address,
            })
        }
    }

    pub(super) fn read(&self, bank: u32, address: u32) -> Result<&[u8], Fault> {
        let (bank, start) = self.at(bank, address)?;
        Ok(&self.banks[bank][start..start + self.pe])
    }

    pub(super) fn write(&mut self, bank: u32, address: u32, word: &[u8]) -> Result<(), Fault> {
        let (bank, start) = self.at(bank, address)?;
        self.banks[bank][start..start + self.pe].copy_from_slice(word);
        Ok(())
    }
}
