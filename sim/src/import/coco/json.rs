//! COCO's JSON, as far as it is read: nothing is kept but numbers, and only those of one image.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::{ImportProblem, MAX_SEGMENTS};
use super::MAX_COUNTS;

/// The annotations of an image.
#[derive(Default)]
pub(super) struct Annotations<'i> {
    /// The image that was chosen.
    image: Option<&'i str>,
    /// Without one: the first that is named, and another one.
    first: Option<String>,
    other: Option<String>,
    /// How many annotations there were.
    index: usize,
    /// Those of the image, with their numbers.
    chosen: Vec<(usize, Annotation)>,
    /// Run lengths of these.
    counts: usize,
    problem: Option<ImportProblem>,
}

impl<'i> Annotations<'i> {
    /// Reads an annotation, a list of them, or an object with a list `annotations`.
    pub(super) fn read(bytes: &[u8], image: Option<&'i str>) -> Result<Self, ImportProblem> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let read = Any(Root(Self {
            image,
            ..Self::default()
        }))
        .deserialize(&mut json)?;
        json.end()?;
        Ok(read)
    }

    /// The annotations of the image, with their numbers.
    pub(super) fn chosen(self) -> Result<Vec<(usize, Annotation)>, ImportProblem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if let (Some(first), Some(other)) = (self.first, self.other) {
            return Err(ImportProblem::Images(first, other));
        }
        match self.image {
            Some(image) if self.chosen.is_empty() => Err(ImportProblem::NoImage(image.to_owned())),
            _ => Ok(self.chosen),
        }
    }

    fn add(&mut self, annotation: Annotation) {
        let index = self.index;
        self.index += 1;
        match self.image {
            Some(image) if annotation.image_id.as_deref() != Some(image) => return,
            Some(_) => {}
            None => match (&self.first, &annotation.image_id) {
                (None, Some(id)) => self.first = Some(id.clone()),
                (Some(first), Some(id)) if first != id && self.other.is_none() => {
                    self.other = Some(id.clone());
                }
                _ => {}
            },
        }
        self.counts += annotation.counts();
        if self.chosen.len() == MAX_SEGMENTS {
            self.problem.get_or_insert(ImportProblem::Segments);
        } else if self.counts > MAX_COUNTS {
            self.problem.get_or_insert(ImportProblem::Runs);
        }
        if self.problem.is_none() && self.other.is_none() {
            self.chosen.push((index, annotation));
        }
    }
}

/// An annotation, as far as it is read.
#[derive(Default)]
pub(super) struct Annotation {
    image_id: Option<String>,
    pub(super) score: Option<f64>,
    own: Lengths,
    segmentation: Option<Lengths>,
}

impl Annotation {
    /// The run lengths: those of `segmentation`, or its own.
    pub(super) fn lengths(self) -> Lengths {
        self.segmentation.unwrap_or(self.own)
    }

    fn counts(&self) -> usize {
        [Some(&self.own), self.segmentation.as_ref()]
            .into_iter()
            .flatten()
            .map(|lengths| match &lengths.counts {
                Some(Counts::Lengths(counts)) => counts.len(),
                _ => 0,
            })
            .sum()
    }

    /// Reads the value of a field.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "image_id" => self.image_id = map.next_value_seed(Any(Id))?,
            "score" => self.score = map.next_value_seed(Any(Real))?,
            "segmentation" => self.segmentation = Some(map.next_value_seed(Any(Segmentation))?),
            _ => self.own.read(key, map)?,
        }
        Ok(())
    }
}

/// Run lengths of a segment.
#[derive(Default)]
pub(super) struct Lengths {
    /// A list in their place: a polygon.
    pub(super) is_list: bool,
    /// Height and width, if there are two numbers.
    pub(super) size: Option<Option<[u64; 2]>>,
    pub(super) counts: Option<Counts>,
}

/// The counts of pixels, larger ones than can be as the largest number.
pub(super) enum Counts {
    Lengths(Vec<u32>),
    /// What is wrong with them.
    Broken(&'static str),
}

const NOT_COUNTS: Counts = Counts::Broken("the counts are neither a list nor a string");
const BROKEN: Counts = Counts::Broken("the compressed counts are broken");

impl Lengths {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "size" => self.size = Some(map.next_value_seed(Any(Size))?),
            "counts" => self.counts = Some(map.next_value_seed(Any(CountList))?),
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The counts of COCO's compressed form: five bits a character, the lowest first, from '0' on, with bit 5 where more
/// follow; signed; from the fourth count on, each is the difference to the one before the last.
fn decompress(text: &str) -> Counts {
    let mut counts: Vec<u32> = Vec::new();
    let (mut value, mut shift) = (0_i64, 0);
    for byte in text.bytes() {
        let Some(bits) = byte.checked_sub(b'0').filter(|&bits| bits < 64) else {
            return BROKEN;
        };
        // No count of an image that is read needs more than six characters.
        if shift > 30 || counts.len() > MAX_COUNTS {
            return BROKEN;
        }
        let bits = i64::from(bits);
        value |= (bits & 0x1f) << shift;
        shift += 5;
        if bits & 0x20 == 0 {
            if bits & 0x10 != 0 {
                value -= 1 << shift;
            }
            if counts.len() > 2 {
                value += i64::from(counts[counts.len() - 2]);
            }
            let Ok(count) = value.try_into() else {
                return BROKEN;
            };
            counts.push(count);
            (value, shift) = (0, 0);
        }
    }
    if shift > 0 {
        return BROKEN;
    }
    Counts::Lengths(counts)
}

/// What a value of any kind is read as; without more it is as if it were not there.
trait Reading: Sized {
    type Value: Default;

    fn number(self, _: serde_json::Number) -> Self::Value {
        Self::Value::default()
    }

    fn text(self, _: &str) -> Self::Value {
        Self::Value::default()
    }

    fn word(self, _: &'static str) -> Self::Value {
        Self::Value::default()
    }

    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::Value::default())
    }

    fn object<'de, A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::Value::default())
    }
}

/// Reads a value of any kind.
struct Any<R>(R);

impl<'de, R: Reading> DeserializeSeed<'de> for Any<R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<R::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, R: Reading> Visitor<'de> for Any<R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<R::Value, E> {
        Ok(self.0.word(if value { "true" } else { "false" }))
    }

    fn visit_unit<E>(self) -> Result<R::Value, E> {
        Ok(self.0.word("null"))
    }

    fn visit_u64<E>(self, value: u64) -> Result<R::Value, E> {
        Ok(self.0.number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<R::Value, E> {
        Ok(self.0.number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<R::Value, E> {
        let number = serde_json::Number::from_f64(value);
        Ok(number.map_or_else(R::Value::default, |number| self.0.number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<R::Value, E> {
        Ok(self.0.text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<R::Value, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<R::Value, A::Error> {
        self.0.object(object)
    }
}

/// The name or number of an image.
struct Id;

impl Reading for Id {
    type Value = Option<String>;

    fn number(self, number: serde_json::Number) -> Option<String> {
        Some(number.to_string())
    }

    fn text(self, text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn word(self, word: &'static str) -> Option<String> {
        Some(word.to_owned())
    }
}

/// A number.
struct Real;

impl Reading for Real {
    type Value = Option<f64>;

    fn number(self, number: serde_json::Number) -> Option<f64> {
        number.as_f64()
    }
}

/// A number of pixels.
struct Whole;

impl Reading for Whole {
    type Value = Option<u64>;

    fn number(self, number: serde_json::Number) -> Option<u64> {
        number.as_u64()
    }
}

/// Height and width.
struct Size;

impl Reading for Size {
    type Value = Option<[u64; 2]>;

    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<[u64; 2]>, A::Error> {
        let mut sides = [None; 2];
        let mut count = 0;
        while let Some(side) = list.next_element_seed(Any(Whole))? {
            if let Some(place) = sides.get_mut(count) {
                *place = side;
            }
            count += 1;
        }
        Ok(match sides {
            [Some(height), Some(width)] if count == 2 => Some([height, width]),
            _ => None,
        })
    }
}

impl Default for Counts {
    fn default() -> Self {
        NOT_COUNTS
    }
}

/// Counts, as a list or compressed.
struct CountList;

impl Reading for CountList {
    type Value = Counts;

    fn text(self, text: &str) -> Counts {
        decompress(text)
    }

    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Counts, A::Error> {
        let mut counts = Vec::new();
        let mut broken = false;
        while let Some(count) = list.next_element_seed(Any(Whole))? {
            match count {
                // One more than there may be is enough to be refused.
                Some(_) if counts.len() > MAX_COUNTS => {}
                Some(count) => counts.push(u32::try_from(count).unwrap_or(u32::MAX)),
                None => broken = true,
            }
        }
        Ok(if broken {
            Counts::Broken("a count is not a number of pixels")
        } else {
            Counts::Lengths(counts)
        })
    }
}

struct Segmentation;

impl Reading for Segmentation {
    type Value = Lengths;

    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<Lengths, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lengths {
            is_list: true,
            ..Lengths::default()
        })
    }

    fn object<'de, A: MapAccess<'de>>(self, mut object: A) -> Result<Lengths, A::Error> {
        let mut lengths = Lengths::default();
        while let Some(key) = object.next_key::<String>()? {
            lengths.read(&key, &mut object)?;
        }
        Ok(lengths)
    }
}

struct OneAnnotation;

impl Reading for OneAnnotation {
    type Value = Annotation;

    fn list<'de, A: SeqAccess<'de>>(self, list: A) -> Result<Annotation, A::Error> {
        Ok(Annotation {
            own: Segmentation.list(list)?,
            ..Annotation::default()
        })
    }

    fn object<'de, A: MapAccess<'de>>(self, mut object: A) -> Result<Annotation, A::Error> {
        let mut annotation = Annotation::default();
        while let Some(key) = object.next_key::<String>()? {
            annotation.read(&key, &mut object)?;
        }
        Ok(annotation)
    }
}

/// A list of annotations; whether it is one.
struct List<'a, 'i>(&'a mut Annotations<'i>);

impl Reading for List<'_, '_> {
    type Value = bool;

    fn list<'de, A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while let Some(annotation) = list.next_element_seed(Any(OneAnnotation))? {
            self.0.add(annotation);
        }
        Ok(true)
    }
}

/// The whole file.
struct Root<'i>(Annotations<'i>);

impl<'i> Root<'i> {
    fn nothing(mut self) -> Annotations<'i> {
        self.0.problem = Some(ImportProblem::NoAnnotations);
        self.0
    }
}

impl<'i> Reading for Root<'i> {
    type Value = Annotations<'i>;

    fn number(self, _: serde_json::Number) -> Annotations<'i> {
        self.nothing()
    }

    fn text(self, _: &str) -> Annotations<'i> {
        self.nothing()
    }

    fn word(self, _: &'static str) -> Annotations<'i> {
        self.nothing()
    }

    fn list<'de, A: SeqAccess<'de>>(mut self, list: A) -> Result<Annotations<'i>, A::Error> {
        List(&mut self.0).list(list)?;
        Ok(self.0)
    }

    fn object<'de, A: MapAccess<'de>>(
        mut self,
        mut object: A,
    ) -> Result<Annotations<'i>, A::Error> {
        let mut single = Annotation::default();
        let mut is_list = None;
        while let Some(key) = object.next_key::<String>()? {
            if key == "annotations" {
                is_list = Some(object.next_value_seed(Any(List(&mut self.0)))?);
            } else {
                single.read(&key, &mut object)?;
            }
        }
        match is_list {
            Some(true) => {}
            Some(false) => return Ok(self.nothing()),
            None => self.0.add(single),
        }
        Ok(self.0)
    }
}
