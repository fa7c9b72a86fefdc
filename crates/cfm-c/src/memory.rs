//! Pointers from C become references and slices here, and nowhere else.
#![allow(unsafe_code)] // the library's border: C passes pointers

use crate::error::cfm_error as E;

/// Refuses a null or misaligned pointer.
fn check<T>(pointer: *const T) -> Result<(), E> {
    if pointer.is_null() {
        Err(E::CFM_ERROR_NULL)
    } else if !pointer.is_aligned() {
        Err(E::CFM_ERROR_MISALIGNED)
    } else {
        Ok(())
    }
}

/// As [`check`], for `count` values. No pointer is looked at where there are none.
fn check_slice<T>(pointer: *const T, count: usize) -> Result<(), E> {
    match count.checked_mul(size_of::<T>()) {
        Some(0) => Ok(()),
        Some(bytes) if isize::try_from(bytes).is_ok() => check(pointer),
        _ => Err(E::CFM_ERROR_LENGTH),
    }
}

/// The value at a pointer.
///
/// # Safety
/// A pointer that is neither null nor misaligned is valid for reads of a `T` that nothing changes during `'a`.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T) -> Result<&'a T, E> {
    check(pointer)?;
    // SAFETY: aligned, not null, and the caller vouches for the rest.
    Ok(unsafe { &*pointer })
}

/// `count` values at a pointer.
///
/// # Safety
/// A pointer that is neither null nor misaligned is valid for reads of `count` values that nothing changes during `'a`.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: usize) -> Result<&'a [T], E> {
    check_slice(pointer, count)?;
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: aligned, not null, at most isize::MAX bytes, and the caller vouches for the rest.
    Ok(unsafe { core::slice::from_raw_parts(pointer, count) })
}

/// `count` values at a pointer, to be written. Their type is an integer, so that whatever lies there is a value.
///
/// # Safety
/// A pointer that is neither null nor misaligned is valid for reads and writes of `count` values that nothing else
/// reads or changes during `'a`.
pub(crate) unsafe fn slice_mut<'a, T>(pointer: *mut T, count: usize) -> Result<&'a mut [T], E> {
    check_slice(pointer, count)?;
    if count == 0 {
        return Ok(&mut []);
    }
    // SAFETY: aligned, not null, at most isize::MAX bytes, and the caller vouches for the rest.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, count) })
}

/// Where one value is to be written; checked before the work begins.
#[derive(Debug)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// A pointer that is neither null nor misaligned is valid for writing a `T` until [`Out::write`].
    pub(crate) unsafe fn new(pointer: *mut T) -> Result<Self, E> {
        check(pointer)?;
        Ok(Self(pointer))
    }

    /// As [`Out::new`], but null means that nobody wants the value.
    ///
    /// # Safety
    /// As [`Out::new`].
    pub(crate) unsafe fn optional(pointer: *mut T) -> Result<Self, E> {
        if !pointer.is_null() {
            check(pointer)?;
        }
        Ok(Self(pointer))
    }

    pub(crate) fn write(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: aligned and not null, and whoever made this vouched for the rest.
            unsafe { self.0.write(value) }
        }
    }
}
