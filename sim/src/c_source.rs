//! A model as C source: the file's bytes in an array, and the numbers that a program's memory depends on as macros.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cfm_core::labelling::memory_words;
use cfm_core::model::{ClassKind, Model};
use cfm_core::segment::SuperpixelMap;
use cfm_proposals::Params;

use crate::output::{Batch, FileError};
use crate::pipeline::Pipeline;

/// Bytes of an array per line.
const PER_LINE: usize = 24;

/// Why a name will not do for C.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name in C: a letter, then letters, digits and underscores")]
pub struct NameError(String);

/// The two files of a model in C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSource {
    name: String,
    /// Content of `NAME.h`.
    pub header: String,
    /// Content of `NAME.c`.
    pub source: String,
}

/// A model's name that C allows, made of the name of its file: what is neither a letter nor a digit becomes `_`.
#[must_use]
pub fn identifier(stem: &str) -> String {
    let mut name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert_str(0, "model_");
    }
    name
}

impl CSource {
    /// Writes a model as C; `name` begins the names of everything in it.
    ///
    /// # Errors
    /// A [`NameError`] when C does not allow the name.
    pub fn new(name: &str, model: &Model<'_>) -> Result<Self, NameError> {
        if identifier(name) != name {
            return Err(NameError(name.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            header: header(name, model),
            source: source(name, model),
        })
    }

    /// Writes `NAME.h` and `NAME.c` into a folder, which is made if it is not there, and returns their paths. The source
    /// comes last, so that there is none without its own header.
    ///
    /// # Errors
    /// A [`FileError`] that names the file.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2], FileError> {
        let paths = ["h", "c"].map(|ending| folder.join(format!("{}.{ending}", self.name)));
        let mut files = Batch::new();
        files.add(&paths[0], self.header.as_bytes())?;
        files.add(&paths[1], self.source.as_bytes())?;
        files.commit()?;
        Ok(paths)
    }
}

/// A string literal of bytes: what is not plain is octal, and so is `?`, which could begin a trigraph.
fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte.into());
            }
            b'?' => out.push_str("\\077"),
            b' '..=b'~' => out.push(byte.into()),
            _ => {
                // Always three digits, so that a digit that follows is not taken for a fourth.
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push('"');
    out
}

/// The classes' macro names: distinct, made of their names.
fn class_macros(model: &Model<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, class) in model.classes().enumerate() {
        let mut name: String = class
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        // `COUNT`, `NAMES` and `LABELS` are taken, and no name is given twice.
        if name.is_empty()
            || ["COUNT", "NAMES", "LABELS"].contains(&&*name)
            || names.contains(&name)
        {
            let _ = write!(name, "_{index}");
        }
        while names.contains(&name) {
            name.push('_');
        }
        names.push(name);
    }
    names
}

fn header(name: &str, model: &Model<'_>) -> String {
    let upper = name.to_uppercase();
    let input = model.input();
    let mut out = format!(
        "/* The model {name}, for cfm.h. Written by `cfm export c`; do not edit. */\n\
         #ifndef {upper}_CFM_MODEL_H\n#define {upper}_CFM_MODEL_H\n\n#include <stdint.h>\n\n"
    );
    let mut define = |what: &str, value: usize, comment: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "/* {comment} */\n#define {upper}_{what} {value}");
    };
    define(
        "WIDTH",
        input.width.into(),
        "Width of the image, in pixels.",
    );
    define(
        "HEIGHT",
        input.height.into(),
        "Height of the image, in pixels.",
    );
    define(
        "CHANNELS",
        input.channels.into(),
        "Samples per pixel, 8 bits each.",
    );
    define("ROW_BYTES", input.row_len(), "Bytes of a row of the image.");
    define("IMAGE_BYTES", input.len(), "Bytes of the whole image.");
    define(
        "PIXELS",
        input.len() / usize::from(input.channels),
        "Pixels, and bytes of a label map.",
    );
    define("MODEL_BYTES", model.bytes().len(), "Bytes of the model.");
    define(
        "ARENA_BYTES",
        model.arena_bytes(),
        "Bytes of the arena of cfm_image_begin.",
    );
    if let Ok(pipeline) = Pipeline::new(model) {
        let params = pipeline.params();
        let (width, height) = (input.width, input.height);
        let pixels = usize::from(width) * usize::from(height);
        let superpixels = usize::from(params.max_superpixels()).min(pixels);
        define(
            "MAX_SEGMENTS",
            params.max_segments().into(),
            "Most proposals of an image.",
        );
        define(
            "MAPS",
            params.scales().len(),
            "Superpixel maps of an image.",
        );
        define("MAX_SUPERPIXELS", superpixels, "Most superpixels of a map.");
        define(
            "PROPOSAL_WORDS",
            params.words(width, height),
            "uint32_t words for cfm_proposals_make, at its fastest.",
        );
        define(
            "PROPOSAL_MIN_WORDS",
            params.min_words(width, height),
            "Fewest uint32_t words for cfm_proposals_make; the proposals are the same.",
        );
        define(
            "PROPOSAL_LABELS",
            params.labels(width, height),
            "uint16_t items for cfm_proposals_make.",
        );
        define(
            "LABEL_WORDS",
            label_words(model, &pipeline, params),
            "uint32_t words for cfm_image_label by the model's rule, whatever the proposals.",
        );
    }
    define(
        "CLASS_COUNT",
        model.class_count(),
        "Outputs of the classifier: classes, background included.",
    );

    let _ = writeln!(out, "\n/* Class indices: what cfm_image_label writes. */");
    for (index, macro_name) in class_macros(model).iter().enumerate() {
        let _ = writeln!(out, "#define {upper}_CLASS_{macro_name} {index}");
    }
    let names: Vec<String> = model.classes().map(|class| literal(class.name)).collect();
    let labels: Vec<String> = model
        .classes()
        .map(|class| match class.kind {
            ClassKind::Background => "255".to_owned(),
            _ => class.label.to_string(),
        })
        .collect();
    let _ = write!(
        out,
        "\n/* Initializer of an array of the classes' names, in UTF-8. */\n\
         #define {upper}_CLASS_NAMES \\\n    {{ \\\n        {} \\\n    }}\n\
         /* Initializer of an array of the classes' values in label images; 255 for background, which labels nothing. */\n\
         #define {upper}_CLASS_LABELS \\\n    {{ \\\n        {} \\\n    }}\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
         /* The model, aligned to 16 bytes where the compiler can be told so. */\n\
         extern const uint8_t {name}_model[{upper}_MODEL_BYTES];\n\n\
         #ifdef __cplusplus\n}}\n#endif\n\n#endif /* {upper}_CFM_MODEL_H */\n",
        names.join(", \\\n        "),
        labels.join(", \\\n        "),
    );
    out
}

/// Words for labelling with as many proposals and superpixels as there can be.
fn label_words(model: &Model<'_>, pipeline: &Pipeline<'_>, params: &Params) -> usize {
    let count = params.max_superpixels();
    // Only the count matters, so one pixel will do.
    let maps: Vec<SuperpixelMap<'_>> = (0..params.scales().len())
        .filter_map(|_| SuperpixelMap::new(&[0], 1, 1, count).ok())
        .collect();
    let segments = params.max_segments().into();
    memory_words(pipeline.labelling(), model, &maps, segments)
}

fn source(name: &str, model: &Model<'_>) -> String {
    let upper = name.to_uppercase();
    let mut out = format!(
        "/* The model {name}, for cfm.h. Written by `cfm export c`; do not edit. */\n\
         #include \"{name}.h\"\n\n\
         #if defined(__GNUC__)\n\
         #define {upper}_ALIGNED __attribute__((aligned(16)))\n\
         #elif defined(_MSC_VER)\n\
         #define {upper}_ALIGNED __declspec(align(16))\n\
         #elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n\
         #define {upper}_ALIGNED _Alignas(16)\n\
         #else\n\
         #define {upper}_ALIGNED\n\
         #endif\n\n\
         {upper}_ALIGNED const uint8_t {name}_model[{upper}_MODEL_BYTES] = {{\n"
    );
    for line in model.bytes().chunks(PER_LINE) {
        out.push_str("    ");
        for byte in line {
            let _ = write!(out, "{byte},");
        }
        out.push('\n');
    }
    out.push_str("};\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_back_as_they_were() {
        assert_eq!(literal("sky"), "\"sky\"");
        assert_eq!(literal("a\"b\\c"), "\"a\\\"b\\\\c\"");
        assert_eq!(literal("??/1"), "\"\\077\\077/1\"");
        assert_eq!(literal("\u{e9}1\n"), "\"\\303\\2511\\012\"");
    }

    #[test]
    fn names_are_identifiers() {
        assert_eq!(identifier("street"), "street");
        assert_eq!(identifier("my-model.v2"), "my_model_v2");
        assert_eq!(identifier("8bit"), "model_8bit");
        assert_eq!(identifier("_a"), "model__a");
        assert_eq!(identifier(""), "model_");
    }
}
