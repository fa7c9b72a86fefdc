//! The memory that everything lives in.

/// An aligned block of `N` bytes, sized by [`Model::arena_bytes`](crate::model::Model::arena_bytes).
///
/// Any `&mut [i8]` of that length will do; this type is the aligned one for a `static`.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Arena<const N: usize>([i8; N]);

impl<const N: usize> Arena<N> {
    /// Zeroed memory.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; N])
    }

    /// The bytes.
    pub const fn as_mut_slice(&mut self) -> &mut [i8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}
