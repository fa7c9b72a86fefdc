//! What the algorithms need of an instruction set.
#![allow(unsafe_code)]

use crate::requantize::OutputScale;

/// An instruction set: vectors of 32-bit sums, and products that are added to them.
///
/// A *group* is what a sum takes at a time: [`GROUP`](Self::GROUP) neighbouring activations, staged in
/// [`BYTES`](Self::BYTES) bytes each, that is 32 bits.
///
/// # Safety
/// Every unsafe function demands that the processor has the instructions, and what its own documentation says.
pub(super) trait Simd: Copy {
    /// [`LANES`](Self::LANES) times 32 bits.
    type Vector: Copy;

    /// Sums of a vector.
    const LANES: usize;

    /// Vector registers, which limit the tiles.
    const REGISTERS: usize;

    /// Vectors of outputs that a tile of several cells has at most.
    const BLOCK: usize;

    /// Activations of a group.
    const GROUP: usize;

    /// Bytes of a staged activation, and of a packed weight.
    const BYTES: usize = 4 / Self::GROUP;

    /// What a staged activation is larger by.
    const OFFSET: i32;

    /// Bytes of a vector.
    const VECTOR_BYTES: usize = 4 * Self::LANES;

    /// A staged activation, of which the first [`BYTES`](Self::BYTES) bytes count.
    fn staged(value: i8) -> [u8; 2];

    /// A packed weight, of which the first [`BYTES`](Self::BYTES) bytes count.
    fn packed(weight: i8) -> [u8; 2] {
        i16::from(weight).to_le_bytes()
    }

    /// Stages `count` activations.
    ///
    /// # Safety
    /// They are readable, and `BYTES * count` bytes at `staged` writable.
    unsafe fn stage(values: *const i8, count: usize, staged: *mut u8);

    /// Makes groups of [`GROUP`](Self::GROUP) rows: for each position, its activations in all rows, staged.
    ///
    /// # Safety
    /// In each row `4 * LANES` bytes are readable; there is room for four vectors.
    unsafe fn interleave(rows: [*const i8; 4], groups: *mut u8);

    /// The vector at an address.
    ///
    /// # Safety
    /// It is readable.
    unsafe fn load(at: *const u8) -> Self::Vector;

    /// The vectors from an address on.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    unsafe fn load_all<const N: usize>(at: *const u8) -> [Self::Vector; N] {
        // SAFETY: as the caller promises.
        unsafe {
            // Not `array::from_fn`: closures are not always compiled into what calls them, and then without the instructions.
            let mut vectors = [Self::load(at); N];
            for (i, vector) in vectors.iter_mut().enumerate().skip(1) {
                *vector = Self::load(at.add(i * Self::VECTOR_BYTES));
            }
            vectors
        }
    }

    /// The group at an address, in all lanes.
    ///
    /// # Safety
    /// Four bytes are readable.
    unsafe fn broadcast(at: *const u8) -> Self::Vector;

    /// Adds the products of a group's activations and weights to the sum of each lane, modulo `2^32`.
    ///
    /// # Safety
    /// None of its own.
    unsafe fn add_products(
        sums: Self::Vector,
        activations: Self::Vector,
        weights: Self::Vector,
    ) -> Self::Vector;

    /// `(sum + half + odd) >> shift` for each lane, where `odd` is `sum >> shift & one`.
    ///
    /// # Safety
    /// None of its own.
    unsafe fn shift(
        sums: Self::Vector,
        shifts: Self::Vector,
        halves: Self::Vector,
        ones: Self::Vector,
    ) -> Self::Vector;

    /// `sum * multiplier`, to nearest, ties to even, or the nearest number of 32 bits, for multipliers of double precision.
    ///
    /// # Safety
    /// A multiplier of each lane is readable.
    unsafe fn multiply(sums: Self::Vector, multipliers: *const f64) -> Self::Vector;

    /// Adds the zero point and clamps: the values of four vectors, one after the other.
    ///
    /// # Safety
    /// None of its own.
    unsafe fn clamp(values: [Self::Vector; 4], output: &OutputScale) -> Self::Vector;

    /// Writes the first bytes of a vector.
    ///
    /// # Safety
    /// `len` bytes are writable; they are no more than the vector has.
    unsafe fn store(bytes: Self::Vector, out: *mut i8, len: usize);

    /// Writes a vector.
    ///
    /// # Safety
    /// Its bytes are writable.
    unsafe fn store_all(vector: Self::Vector, out: *mut u8);
}
