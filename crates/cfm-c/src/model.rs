//! Models: parsing them and asking what they are.
#![allow(unsafe_code)] // functions that C calls, with pointers that C made

use core::ffi::c_char;

use cfm_core::model::format::MAX_CLASSES;
use cfm_core::model::{ClassKind, Classifier, Model};
use cfm_core::softmax::softmax;
use fixed::types::U0F16;
use heapless::Vec;

use crate::error::cfm_error;
use crate::error::cfm_error as E;
use crate::memory::{Out, slice, slice_mut};
use crate::storage::{clear, get, put};
use crate::types::{
    CFM_CLASS_BACKGROUND, CFM_CLASS_OBJECT, CFM_CLASS_STUFF, cfm_class, cfm_info, cfm_model,
};

/// The library's version, "MAJOR.MINOR.PATCH": a constant string that ends with a zero byte.
#[unsafe(no_mangle)]
pub extern "C" fn cfm_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Reads and validates a model file of `length` bytes, which stay where they are.
///
/// Every later function relies on what is checked here, so a broken file is refused with one of the
/// `CFM_ERROR_MODEL_...` codes, and `model` holds no model then. Checking takes time in proportion to the file, and some
/// kilobytes of stack.
///
/// # Safety
/// `model` is valid for writes, `bytes` for reads of `length` bytes, which must not change as long as the model is in
/// use. No image refers to `model` any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_model_parse(
    model: *mut cfm_model,
    bytes: *const u8,
    length: usize,
) -> cfm_error {
    let parse = || -> Result<(), E> {
        // SAFETY: the caller's promise for `model`.
        unsafe { clear(model)? };
        // SAFETY: the caller's promise for `bytes`; "as long as the model is in use" is the lifetime.
        let bytes: &'static [u8] = unsafe { slice(bytes, length)? };
        let parsed = Model::parse(bytes)?;
        // SAFETY: the caller's promise for `model`.
        unsafe { put(model, parsed) }
    };
    E::of(parse())
}

/// Says how large a model's images and its arena are, and how many classes it knows.
///
/// # Safety
/// `model` is valid for reads, `info` for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_model_info(model: *const cfm_model, info: *mut cfm_info) -> cfm_error {
    let describe = || -> Result<(), E> {
        // SAFETY: the caller's promise for `model`.
        let model = unsafe { get(model)? };
        // SAFETY: the caller's promise for `info`.
        let info = unsafe { Out::new(info)? };
        let input = model.input();
        info.write(cfm_info {
            width: input.width,
            height: input.height,
            channels: input.channels,
            // At most MAX_CLASSES.
            class_count: model.class_count().try_into().unwrap_or(u16::MAX),
            row_bytes: input.row_len(),
            arena_bytes: model.arena_bytes(),
        });
        Ok(())
    };
    E::of(describe())
}

/// Describes class `index` of a model, from 0.
///
/// # Safety
/// `model` is valid for reads, `description` for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_model_class(
    model: *const cfm_model,
    index: usize,
    description: *mut cfm_class,
) -> cfm_error {
    let describe = || -> Result<(), E> {
        // SAFETY: the caller's promise for `model`.
        let model = unsafe { get(model)? };
        // SAFETY: the caller's promise for `description`.
        let description = unsafe { Out::new(description)? };
        let class = model.class(index).ok_or(E::CFM_ERROR_INDEX)?;
        let [red, green, blue] = class.color;
        description.write(cfm_class {
            name: class.name.as_ptr().cast(),
            name_length: class.name.len(),
            kind: match class.kind {
                ClassKind::Stuff => CFM_CLASS_STUFF,
                ClassKind::Object => CFM_CLASS_OBJECT,
                ClassKind::Background => CFM_CLASS_BACKGROUND,
            },
            red,
            green,
            blue,
            label: class.label,
        });
        Ok(())
    };
    E::of(describe())
}

/// Turns the logits of a segment into probabilities, in 1/65536: `count` of each, one per class of the model.
///
/// # Safety
/// `model` is valid for reads, `logits` for reads and `probabilities` for writes of `count` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfm_probabilities(
    model: *const cfm_model,
    logits: *const i16,
    probabilities: *mut u16,
    count: usize,
) -> cfm_error {
    let convert = || -> Result<(), E> {
        // SAFETY: the caller's promise for `model`.
        let model = unsafe { get(model)? };
        if count != model.class_count() {
            return Err(E::CFM_ERROR_LOGIT_COUNT);
        }
        if model.head().classifier != Classifier::Softmax {
            return Err(E::CFM_ERROR_NO_PROBABILITIES);
        }
        // SAFETY: the caller's promise for `logits`.
        let logits = unsafe { slice(logits, count)? };
        // SAFETY: the caller's promise for `probabilities`.
        let out = unsafe { slice_mut(probabilities, count)? };
        let mut values: Vec<U0F16, MAX_CLASSES> = Vec::new();
        // A model has at most MAX_CLASSES classes.
        values
            .resize(count, U0F16::ZERO)
            .map_err(|_| E::CFM_ERROR_UNKNOWN)?;
        softmax(logits, model.head().logit_exponent, &mut values);
        for (out, value) in out.iter_mut().zip(&values) {
            *out = value.to_bits();
        }
        Ok(())
    };
    E::of(convert())
}
