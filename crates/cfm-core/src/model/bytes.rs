//! Reading little-endian numbers in `const fn`, without a path that panics.

/// Byte `at`, or 0 beyond the end (callers have checked the length; this only keeps the panic path out).
pub(crate) const fn u8_at(bytes: &[u8], at: usize) -> u8 {
    if at < bytes.len() { bytes[at] } else { 0 }
}

/// The i8 at byte `at`.
pub(crate) const fn i8_at(bytes: &[u8], at: usize) -> i8 {
    u8_at(bytes, at) as i8
}

/// The u16 at byte `at`.
pub(crate) const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([u8_at(bytes, at), u8_at(bytes, at + 1)])
}

/// The u32 at byte `at`.
pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([
        u8_at(bytes, at),
        u8_at(bytes, at + 1),
        u8_at(bytes, at + 2),
        u8_at(bytes, at + 3),
    ])
}

/// The f32 at byte `at`.
pub(crate) const fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}

/// `length` bytes from `offset`, or `None` when they leave the slice.
pub(crate) const fn slice(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let size = bytes.len() as u64;
    if offset > size || length > size - offset {
        return None;
    }
    match bytes.split_at_checked(offset as usize) {
        Some((_, rest)) => match rest.split_at_checked(length as usize) {
            Some((part, _)) => Some(part),
            None => None,
        },
        None => None,
    }
}

/// Whether all bytes from `from` to `to` are zero.
pub(crate) const fn zeros(bytes: &[u8], from: usize, to: usize) -> bool {
    let mut i = from;
    while i < to {
        if u8_at(bytes, i) != 0 {
            return false;
        }
        i += 1;
    }
    true
}
