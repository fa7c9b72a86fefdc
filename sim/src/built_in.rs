//! The models that come with the program, embedded.

use std::path::Path;

/// A model and the float network that it was quantized from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// What commands call it.
    pub name: &'static str,
    /// The quantized model.
    pub cfm: &'static [u8],
    /// The float network.
    pub safetensors: &'static [u8],
}

/// Road scenes, 11 classes: what the commands use unless told otherwise.
pub const STREET: BuiltIn = BuiltIn {
    name: "street",
    cfm: include_bytes!("../models/street.cfm"),
    safetensors: include_bytes!("../models/street.safetensors"),
};

/// Everyday photographs, 22 classes of objects and stuff.
pub const SCENE: BuiltIn = BuiltIn {
    name: "scene",
    cfm: include_bytes!("../models/scene.cfm"),
    safetensors: include_bytes!("../models/scene.safetensors"),
};

impl BuiltIn {
    /// The model that a command names by just this name; a file of that name is `./NAME`.
    #[must_use]
    pub fn named(name: &Path) -> Option<Self> {
        [STREET, SCENE]
            .into_iter()
            .find(|model| name.as_os_str() == model.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths() {
        assert_eq!(BuiltIn::named(Path::new("scene")), Some(SCENE));
        assert_eq!(BuiltIn::named(Path::new("street")), Some(STREET));
        for path in ["./street", "street.cfm", "a/scene", ""] {
            assert_eq!(BuiltIn::named(Path::new(path)), None);
        }
    }
}
