//! The default model as firmware embeds it: parsed by the compiler, its arena a constant.

use cfm_core::arena::Arena;
use cfm_core::include_model;
use cfm_core::model::Model;

/// The model. (A `const` would be copied wherever it is used; this one lives in flash.)
pub static MODEL: Model<'static> = STREET;

/// Bytes of memory for the feature map, the line buffers and the scratch.
pub const ARENA_BYTES: usize = STREET.arena_bytes();

/// Memory of that size.
pub type StreetArena = Arena<ARENA_BYTES>;

#[cfg(not(feature = "quads"))]
const STREET: Model<'static> = include_model!("../../sim/models/street.cfm");
#[cfg(feature = "quads")]
const STREET: Model<'static> = include_model!(concat!(env!("OUT_DIR"), "/street.cfm"));

const _: () = {
    assert!(STREET.input().height >= 180 && STREET.input().width >= 240);
    assert!(ARENA_BYTES <= 512_000);
    assert!(STREET.bytes().len() <= 1 << 20);
};
