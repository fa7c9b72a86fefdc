//! Memory in cache lines: packed weights, and what a thread works in.
#![allow(unsafe_code)]

use core::cell::Cell;
use std::vec::Vec;

/// A cache line, and the largest vector.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([u8; Line::BYTES]);

impl Line {
    /// Bytes of a line.
    pub(super) const BYTES: usize = 64;

    const ZERO: Self = Self([0; Self::BYTES]);
}

/// Bytes that start at a cache line.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// So many zeros, and as many more as fill the last line.
    pub(super) fn zeros(bytes: usize) -> Self {
        Self(std::vec![Line::ZERO; bytes.div_ceil(Line::BYTES)])
    }

    /// Numbers one after the other, and zeros that fill the last line.
    pub(super) fn of<const N: usize>(numbers: impl Iterator<Item = [u8; N]>) -> Self {
        const { assert!(Line::BYTES.is_multiple_of(N)) };
        let mut lines = Self::default();
        for (i, number) in numbers.enumerate() {
            let at = i * N % Line::BYTES;
            if at == 0 {
                lines.0.push(Line::ZERO);
            }
            if let Some(line) = lines.0.last_mut() {
                line.0[at..][..N].copy_from_slice(&number);
            }
        }
        lines
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let bytes = self.0.len() * Line::BYTES;
        // SAFETY: a line is that many bytes without padding.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast(), bytes) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.0.len() * Line::BYTES;
        // SAFETY: a line is that many bytes without padding, of any value.
        unsafe { core::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), bytes) }
    }
}

std::thread_local! {
    static WORKSPACE: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Calls `work` with memory of this thread, whatever it holds: at least so many bytes.
pub(super) fn with_workspace<T>(bytes: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut lines = Lines(WORKSPACE.take());
    let needed = bytes.div_ceil(Line::BYTES);
    if lines.0.len() < needed {
        lines.0.resize(needed, Line::ZERO);
    }
    let result = work(lines.bytes_mut());
    WORKSPACE.set(lines.0);
    result
}
