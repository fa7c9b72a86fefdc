//! Scratch memory in words.
#![allow(unsafe_code)]

/// The whole words in `bytes`, from the first aligned one on.
pub(super) fn words(bytes: &mut [i8]) -> &mut [u32] {
    // SAFETY: every four bytes are a word, and every word is four bytes.
    let (_, words, _) = unsafe { bytes.align_to_mut::<u32>() };
    words
}

/// The bytes of words.
pub(super) fn bytes(words: &mut [u32]) -> &mut [i8] {
    // SAFETY: as above; bytes have no alignment, so none are left over.
    let (_, bytes, _) = unsafe { words.align_to_mut::<i8>() };
    bytes
}
