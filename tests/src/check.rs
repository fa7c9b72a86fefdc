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
    /// A tensor was not shown in full: bytes compared and bytes expected.
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
            mismatches: 0,
            first: None,
        }
    }

    /// Shows bytes of a tensor from byte `offset` on. Every byte of every tensor is to be shown once.
    pub fn bytes(&mut self, content: Content, offset: usize, values: impl Iterator<Item = u8>) {
        let expected = self.case.get(content).unwrap_or(&[]);
        for (offset, computed) in (offset..).zip(values) {
            let expected = expected.get(offset).copied();
            if expected == Some(computed) {
                self.compared += 1;
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
        let expected = self
            .case
            .contents()
            .filter(|(content, _)| content.is_expected())
            .map(|(_, bytes)| bytes.len())
            .sum();
        match self.first {
            Some(first) => Err(Failure::Differs(first, self.mismatches)),
            None if self.compared != expected => Err(Failure::Incomplete {
                compared: self.compared,
                expected,
            }),
            None => Ok(expected),
        }
    }
}
