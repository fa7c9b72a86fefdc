//! Convolutional feature masking for C: `cfm-core` and `cfm-proposals` behind the functions of `include/cfm.h`.
//!
//! Nothing is allocated. The caller provides the memory of every object ([`cfm_model`], [`cfm_image`],
//! [`cfm_proposals`]: opaque storage of a size that the header states and the compiler checks here) and of every
//! buffer. Every function that can fail returns a [`cfm_error`] and leaves its outputs alone then, unless its
//! documentation says otherwise.
//!
//! # What the caller must guarantee
//!
//! Null and misaligned pointers, lengths that are too short, objects that were not initialised or have been copied, and
//! calls out of order are refused with an error code. What no function can see is up to the caller:
//!
//! - a pointer is valid for the length that is given with it, for reads or, where it is not `const`, for writes;
//! - what an object refers to stays where it is, unchanged, until the object is used for the last time or initialised
//!   again: a model its bytes, an image its model, arena and maps, proposals their memory;
//! - buffers that are written overlap nothing else of the same call, and nothing that an object refers to;
//! - while one thread (or interrupt) is in a function that takes an object without `const`, no other uses the object. With
//!   `const` it is only read, so any number may at once.
//!
//! Different objects are independent, and there is nothing global. So one model serves any number of threads, each with
//! images of its own in arenas of their own: once it is parsed, nothing changes it, neither do images that refer to it.
//!
//! No panic leaves this library: with `std` it ends the process, on bare metal (feature `panic-handler`) it stops in an
//! endless loop. There is no way to one: `tests/no_panic.sh` links all functions without a panic handler.
//!
//! # Example
//!
//! From C, see `README.md` and `examples/label`. The same functions, called from Rust:
//!
//! ```
//! use core::ffi::CStr;
//! use core::mem::MaybeUninit;
//!
//! use cfm_c::{cfm_error, cfm_error_message, cfm_model, cfm_model_parse};
//!
//! let file = b"this is no model";
//! let mut model = MaybeUninit::<cfm_model>::uninit();
//! // SAFETY: `model` may be written, and `file` stays where it is.
//! let error = unsafe { cfm_model_parse(model.as_mut_ptr(), file.as_ptr(), file.len()) };
//! assert_ne!(error, cfm_error::CFM_OK);
//! // SAFETY: the message is a constant string that ends with a zero byte.
//! let message = unsafe { CStr::from_ptr(cfm_error_message(error as i32)) };
//! println!("{}", message.to_string_lossy());
//! ```
#![no_std]
#![deny(missing_docs)]
// The names are those of the C header.
#![allow(non_camel_case_types)]

#[cfg(feature = "std")]
extern crate std;

mod error;
mod image;
mod memory;
mod model;
#[cfg(all(feature = "panic-handler", not(feature = "std"), target_os = "none"))]
mod panic;
mod proposals;
mod storage;
mod types;

pub use error::{cfm_error, cfm_error_message};
pub use image::{
    cfm_image_add_map, cfm_image_begin, cfm_image_finish, cfm_image_label, cfm_image_label_words,
    cfm_image_push_row, cfm_image_score,
};
pub use model::{cfm_model_class, cfm_model_info, cfm_model_parse, cfm_probabilities, cfm_version};
pub use proposals::{
    cfm_proposals_count, cfm_proposals_get, cfm_proposals_make, cfm_proposals_map,
    cfm_proposals_sizes,
};
pub use types::{
    CFM_CELL_COUNT_WORDS, CFM_CLASS_BACKGROUND, CFM_CLASS_OBJECT, CFM_CLASS_STUFF, CFM_IMAGE_WORDS,
    CFM_MAX_MAPS, CFM_MODEL_WORDS, CFM_PROPOSALS_WORDS, CFM_SUPERPIXEL_WORDS, CFM_VOID, cfm_class,
    cfm_extent, cfm_image, cfm_info, cfm_map, cfm_model, cfm_proposals, cfm_rule, cfm_run,
    cfm_scored_segment, cfm_segment, cfm_sizes,
};
