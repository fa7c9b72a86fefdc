//! Comparing a backend's output with a case, byte by byte.

use crate::case::{Case, Content};

/// The first byte that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// In which tensor.
    pub content: Content,
    /// At which byte of it.
    pub offset: usize,
    /// What the case expects; `None` where it expects nothing.
    pub expected: Option<u8>,
    /// What the backend computed.
    pub computed: u8,
}

/// Why a backend does not conform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Bytes differ; the first one, and how many.
    Differs(Mismatch, usize),
    /// Something was left out or shown twice: bytes shown and bytes expected (which may be as many, but not the same).
    Incomplete {
        /// Bytes that the backend showed.
        compared: usize,
        /// Bytes that the case holds.
        expected: usize,
    },
}

/// Compares what a backend shows with what a case expects.
#[derive(Debug)]
pub struct Checker<'a> {
    case: Case<'a>,
    compared: usize,
    /// Sum of [`mix`] over the positions shown: in constant memory, it tells which bytes they were.
    shown: u64,
    mismatches: usize,
    first: Option<Mismatch>,
}

impl<'a> Checker<'a> {
    /// Nothing compared yet.
    #[must_use]
    pub const fn new(case: Case<'a>) -> Self {
        Self {
            case,
            compared: 0,
            shown: 0,
            mismatches: 0,
            first: None,
        }
    }

    /// Shows bytes of a tensor from byte `offset` on. Every byte of every tensor is to be shown once.
    pub fn bytes(&mut self, content: Content, offset: usize, values: impl Iterator<Item = u8>) {
        let (before, expected) = match self.case.expected(content) {
            Some(found) => found,
            None => (0, &[][..]),
        };
        for (offset, computed) in (offset..).zip(values) {
            let expected = expected.get(offset).copied();
            if expected == Some(computed) {
                self.compared += 1;
                self.shown = self.shown.wrapping_add(mix(before + offset));
                continue;
            }
            self.mismatches += 1;
            self.first.get_or_insert(Mismatch {
                content,
                offset,
                expected,
                computed,
            });
        }
    }

    /// Shows i8 values from element `offset` on.
    pub fn i8s(&mut self, content: Content, offset: usize, values: &[i8]) {
        self.bytes(content, offset, values.iter().map(|v| v.cast_unsigned()));
    }

    /// Shows a whole tensor of 16-bit values.
    pub fn u16s(&mut self, content: Content, values: impl Iterator<Item = u16>) {
        self.bytes(content, 0, values.flat_map(u16::to_le_bytes));
    }

    /// The verdict: the number of equal bytes, which is then all there are.
    ///
    /// # Errors
    /// [`Failure`] when a byte differs, or was never shown.
    pub fn finish(self) -> Result<usize, Failure> {
        let expected: usize = self
            .case
            .contents()
            .filter(|(content, _)| content.is_expected())
            .map(|(_, bytes)| bytes.len())
            .sum();
        let all = (0..expected).fold(0, |sum: u64, at| sum.wrapping_add(mix(at)));
        match self.first {
            Some(first) => Err(Failure::Differs(first, self.mismatches)),
            None if (self.compared, self.shown) != (expected, all) => Err(Failure::Incomplete {
                compared: self.compared,
                expected,
            }),
            None => Ok(expected),
        }
    }
}

/// A position as a number without pattern (the finalizer of SplitMix64), so that sums of them rarely coincide.
const fn mix(position: usize) -> u64 {
    let x = (position as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
