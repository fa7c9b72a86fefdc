//! The classes that a model knows.

use super::bytes::{slice, u8_at, u16_at};
use super::error::{ModelError, ModelErrorKind, Part, ensure};
use super::format::{MAX_CLASSES, tag};
use super::head::{Head, Path};

/// What kind of thing a class is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ClassKind {
    /// Amorphous: sky, road, grass.
    Stuff,
    /// Countable: car, person.
    Object,
    /// Neither; a segment that fits no class. Never labels a pixel.
    Background,
}

/// One output of the classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Class<'a> {
    /// Name, for people.
    pub name: &'a str,
    /// Stuff, object or background.
    pub kind: ClassKind,
    /// RGB colour in pictures.
    pub color: [u8; 3],
    /// Value in label images.
    pub label: u8,
}

/// Fixed bytes of a class before its name.
const CLASS_LEN: u64 = 6;

/// The class record at `at` and the offset of the next one.
const fn class_at(section: &[u8], at: usize) -> Option<(Class<'_>, usize)> {
    let length = u8_at(section, at + 5) as u64;
    let Some(name) = slice(section, at as u64 + CLASS_LEN, length) else {
        return None;
    };
    let Ok(name) = core::str::from_utf8(name) else {
        return None;
    };
    let kind = match u8_at(section, at) {
        0 => ClassKind::Stuff,
        1 => ClassKind::Object,
        2 => ClassKind::Background,
        _ => return None,
    };
    let class = Class {
        name,
        kind,
        color: [
            u8_at(section, at + 1),
            u8_at(section, at + 2),
            u8_at(section, at + 3),
        ],
        label: u8_at(section, at + 4),
    };
    Some((class, at + (CLASS_LEN + length) as usize))
}

pub(super) fn iterate(section: &[u8]) -> impl Iterator<Item = Class<'_>> {
    let mut at = 2;
    (0..u16_at(section, 0)).map_while(move |_| {
        let (class, next) = class_at(section, at)?;
        at = next;
        Some(class)
    })
}

pub(super) const fn validate(section: &[u8], head: &Head<'_>) -> Result<(), ModelError> {
    let part = Part::Section(tag::CLASSES);
    let count = u16_at(section, 0) as usize;
    ensure!(section.len() >= 2, SectionLength, part);
    ensure!(count <= MAX_CLASSES, Classes, part);
    ensure!(count == head.outputs(), Classes, part);
    let mut labels = [false; 256];
    let mut foreground = 0;
    let mut at = 2;
    let mut i = 0;
    while i < count {
        let here = Part::Class(i as u16);
        ensure!(
            at + CLASS_LEN as usize <= section.len(),
            SectionLength,
            here
        );
        ensure!(u8_at(section, at) <= 2, Kind, here);
        let length = u8_at(section, at + 5) as u64;
        ensure!(
            slice(section, at as u64 + CLASS_LEN, length).is_some(),
            SectionLength,
            here
        );
        let Some((class, next)) = class_at(section, at) else {
            return Err(ModelError::new(ModelErrorKind::Text, here));
        };
        if !matches!(class.kind, ClassKind::Background) {
            let label = class.label as usize;
            ensure!(label < MAX_CLASSES && !labels[label], Classes, here);
            labels[label] = true;
            foreground += 1;
        }
        at = next;
        i += 1;
    }
    ensure!(at == section.len(), SectionLength, part);
    ensure!(foreground > 0, Classes, part);
    Ok(())
}

impl Head<'_> {
    /// Outputs of the classifier.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        let total = self.layer_count(Path::Segment)
            + self.layer_count(Path::Region)
            + self.layer_count(Path::Joint);
        if total == 0 || total > self.layers.len() {
            return 0;
        }
        match &self.layers[total - 1] {
            Some(classifier) => classifier.outputs,
            None => 0,
        }
    }
}
