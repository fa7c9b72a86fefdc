//! Objects in the caller's opaque storage.
//!
//! Before the object lies a tag, made of its kind and its address: storage that was never initialised, or that was
//! copied from elsewhere, does not have it.
#![allow(unsafe_code)] // the caller's storage is raw memory until an object is put there

use core::ptr;

use crate::error::cfm_error as E;
use crate::image::Image;
use crate::types::{cfm_image, cfm_model, cfm_proposals};
use ::cfm_proposals::Proposals;
use cfm_core::model::Model;

/// Opaque storage of one kind.
pub(crate) trait Storage {
    /// What lies in it. Nothing in there has to be dropped.
    type Object;
    /// Tells the kinds apart; no address looks like it.
    const KIND: u32;
}

impl Storage for cfm_model {
    type Object = Model<'static>;
    const KIND: u32 = 0x9D2C_5681;
}

impl Storage for cfm_image {
    type Object = Image;
    const KIND: u32 = 0xEFC6_0003;
}

impl Storage for cfm_proposals {
    type Object = Proposals<'static>;
    const KIND: u32 = 0xB5AD_4EC5;
}

// What the header promises: threads may read an object at once. Nothing in one changes behind a shared reference.
const _: () = {
    const fn shared<S: Storage<Object: Sync>>() {}
    shared::<cfm_model>();
    shared::<cfm_image>();
    shared::<cfm_proposals>();
};

#[repr(C)]
struct Slot<T> {
    tag: usize,
    object: T,
}

/// What is checked of every storage: the pointer at run time, size and alignment by the compiler.
fn slot<S: Storage>(storage: *mut S) -> Result<*mut Slot<S::Object>, E> {
    const {
        assert!(
            size_of::<Slot<S::Object>>() <= size_of::<S>(),
            "the storage is too small for its object: raise its number of words"
        );
        assert!(align_of::<Slot<S::Object>>() <= align_of::<S>());
    }
    if storage.is_null() {
        Err(E::CFM_ERROR_NULL)
    } else if !storage.is_aligned() {
        Err(E::CFM_ERROR_MISALIGNED)
    } else {
        Ok(storage.cast())
    }
}

fn tag<S: Storage>(slot: *mut Slot<S::Object>) -> usize {
    slot.addr() ^ S::KIND as usize
}

/// Marks the storage as empty.
///
/// # Safety
/// A storage that is neither null nor misaligned is valid for writes.
pub(crate) unsafe fn clear<S: Storage>(storage: *mut S) -> Result<(), E> {
    let slot = slot(storage)?;
    // SAFETY: the slot lies within the storage, aligned and not null; the caller vouches for the rest.
    unsafe { ptr::write(&raw mut (*slot).tag, 0) };
    Ok(())
}

/// Puts an object into the storage. What was there before needs no drop.
///
/// # Safety
/// A storage that is neither null nor misaligned is valid for writes, and nobody holds a reference into it.
pub(crate) unsafe fn put<S: Storage>(storage: *mut S, object: S::Object) -> Result<(), E> {
    let slot = slot(storage)?;
    let tag = tag::<S>(slot);
    // SAFETY: the slot lies within the storage, aligned and not null; the caller vouches for the rest.
    unsafe { ptr::write(slot, Slot { tag, object }) };
    Ok(())
}

/// The slot, if there is an object in it.
///
/// # Safety
/// A storage that is neither null nor misaligned is valid for reads.
unsafe fn occupied<S: Storage>(storage: *mut S) -> Result<*mut Slot<S::Object>, E> {
    let slot = slot(storage)?;
    // SAFETY: the slot lies within the storage, aligned and not null; any bits are a `usize`.
    let found = unsafe { ptr::read(&raw const (*slot).tag) };
    if found == tag::<S>(slot) {
        Ok(slot)
    } else {
        Err(E::CFM_ERROR_STATE)
    }
}

/// The object in the storage.
///
/// # Safety
/// A storage that is neither null nor misaligned is valid for reads; it was written by this module only since the last
/// [`put`], and nothing changes it during `'a`.
pub(crate) unsafe fn get<'a, S: Storage>(storage: *const S) -> Result<&'a S::Object, E> {
    // SAFETY: as the caller vouches; through the slot, nothing is written here.
    let slot = unsafe { occupied(storage.cast_mut())? };
    // SAFETY: the tag says that `put` has written the object at this very address.
    Ok(unsafe { &(*slot).object })
}

/// The object in the storage, to be changed.
///
/// # Safety
/// As [`get`], and nothing else reads the object during `'a`.
pub(crate) unsafe fn get_mut<'a, S: Storage>(storage: *mut S) -> Result<&'a mut S::Object, E> {
    // SAFETY: as the caller vouches.
    let slot = unsafe { occupied(storage)? };
    // SAFETY: the tag says that `put` has written the object at this very address.
    Ok(unsafe { &mut (*slot).object })
}
