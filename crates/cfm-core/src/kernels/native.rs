//! The fastest kernels for the processor that the program runs on: the one place that chooses.

#[cfg(all(feature = "neon", target_arch = "aarch64"))]
use super::Neon;
#[cfg(not(all(feature = "neon", target_arch = "aarch64")))]
use super::Portable;

/// The type of [`native`] kernels on this architecture.
#[cfg(all(feature = "neon", target_arch = "aarch64"))]
pub type Native = Neon;

/// The type of [`native`] kernels on this architecture.
#[cfg(not(all(feature = "neon", target_arch = "aarch64")))]
pub type Native = Portable;

/// The fastest kernels for this processor, of those that are built in (feature `neon`) and read models as they are made.
///
/// With the feature `std` the operating system is asked what the processor can do; without it, the target says so.
///
/// ```
/// use cfm_core::kernels::{Kernels, Native, native};
///
/// let kernels: Native = native();
/// let mut largest = [1, 2];
/// kernels.maximum(&mut largest, &[-1, 3]);
/// assert_eq!(largest, [1, 3]);
/// ```
#[must_use]
pub fn native() -> Native {
    #[cfg(all(feature = "neon", target_arch = "aarch64"))]
    return Neon::detect();
    #[cfg(not(all(feature = "neon", target_arch = "aarch64")))]
    return Portable;
}
