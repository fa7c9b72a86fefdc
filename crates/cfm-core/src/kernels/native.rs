//! The fastest kernels for the processor that the program runs on: the one place that chooses.

#[cfg(all(feature = "x86", target_arch = "x86_64"))]
use super::X86;
use crate::model::Model;

// Where `super` has the module `neon`.
#[cfg(all(
    feature = "neon",
    target_arch = "aarch64",
    target_feature = "neon",
    target_endian = "little"
))]
mod fastest {
    pub use crate::kernels::Neon as Kernels;

    pub fn kernels() -> Kernels {
        Kernels::detect()
    }
}

#[cfg(not(all(
    feature = "neon",
    target_arch = "aarch64",
    target_feature = "neon",
    target_endian = "little"
)))]
mod fastest {
    pub use crate::kernels::Portable as Kernels;

    pub const fn kernels() -> Kernels {
        Kernels
    }
}

/// The type of [`native`] kernels on this architecture.
pub type Native = fastest::Kernels;

/// The type of the kernels that [`native_for`] makes on this architecture.
#[cfg(all(feature = "x86", target_arch = "x86_64"))]
pub type NativeFor<'m> = X86<'m>;

/// The type of the kernels that [`native_for`] makes on this architecture.
#[cfg(not(all(feature = "x86", target_arch = "x86_64")))]
pub type NativeFor<'m> = Native;

/// The fastest kernels for this processor that need no memory of their own, of those that are built in (feature `neon`)
/// and read models as they are made.
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
    fastest::kernels()
}

/// The fastest kernels for this processor and a model, whose layers are packed once if that helps (feature `x86`);
/// otherwise those of [`native`]. Share them by reference.
///
/// ```
/// use cfm_core::executor::Executor;
/// use cfm_core::kernels::native_for;
/// use cfm_core::model::Model;
///
/// let model = Model::parse(include_bytes!("../../data/small.cfm")).unwrap();
/// let kernels = native_for(&model);
/// let mut arena = vec![0; model.arena_bytes()];
/// let executor = Executor::with_kernels(&model, &mut arena, &kernels).unwrap();
/// assert!(!executor.is_complete());
/// ```
#[must_use]
pub fn native_for<'m>(model: &Model<'m>) -> NativeFor<'m> {
    #[cfg(all(feature = "x86", target_arch = "x86_64"))]
    return X86::new(model);
    #[cfg(not(all(feature = "x86", target_arch = "x86_64")))]
    {
        let _ = model;
        native()
    }
}
