//! The model that the commands use unless told otherwise, embedded.

/// Name of the model.
pub const NAME: &str = "street";

/// The quantized model.
pub const CFM: &[u8] = include_bytes!("../models/street.cfm");

/// The float network that it was quantized from.
pub const SAFETENSORS: &[u8] = include_bytes!("../models/street.safetensors");
