//! What is measured, and how its photographs are cut into shards.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use cfm_core::model::crc32;
use serde::{Deserialize, Serialize};

use crate::dataset::Description;
use crate::evaluate::{ClassMatch, MeasuredClasses};
use crate::labelling::RuleSpec;

/// Length and checksum of some bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    bytes: usize,
    crc32: String,
}

impl Fingerprint {
    /// That of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len(),
            crc32: checksum(bytes),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, CRC-32 {}", self.bytes, self.crc32)
    }
}

/// CRC-32 as hexadecimal digits.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32(bytes))
}

/// The photographs of a data set that are measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Photographs {
    /// The data set's name.
    pub dataset: String,
    /// Its classes and the ignored label, and all else that `dataset.toml` says.
    pub description: Fingerprint,
    /// The split.
    pub split: String,
    /// How many are measured; fewer than the split has where only some were asked for.
    pub count: usize,
    /// Their IDs, a line each, in order.
    pub ids: Fingerprint,
}

impl Photographs {
    /// The photographs `ids` of a split of the data set with this description.
    #[must_use]
    pub fn new<'i>(
        description: &Description,
        split: &str,
        ids: impl IntoIterator<Item = &'i String>,
    ) -> Self {
        let ids: Vec<&String> = ids.into_iter().collect();
        Self {
            dataset: description.name.clone(),
            // The debug form holds every field; it is the same wherever the same program runs.
            description: Fingerprint::of(format!("{description:?}").as_bytes()),
            split: split.to_owned(),
            count: ids.len(),
            ids: lines(&ids),
        }
    }

    /// Whether these are the IDs of all photographs, in order.
    #[must_use]
    pub fn are<'i>(&self, ids: impl IntoIterator<Item = &'i String>) -> bool {
        let ids: Vec<&String> = ids.into_iter().collect();
        ids.len() == self.count && lines(&ids) == self.ids
    }
}

fn lines(ids: &[&String]) -> Fingerprint {
    let text: String = ids.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
    Fingerprint::of(text.as_bytes())
}

/// What is measured. Parts of equal plans can be put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The program and its version.
    pub program: String,
    /// The model file.
    pub model: Fingerprint,
    /// The float weights, if the network before quantization is measured.
    pub float: Option<Fingerprint>,
    /// The labelling rules.
    pub labelling: Vec<RuleSpec>,
    /// The photographs.
    pub photographs: Photographs,
    /// The data set's classes, and which of them the model knows.
    pub classes: MeasuredClasses,
}

impl Plan {
    /// A plan of this version of the program, for the integer network.
    #[must_use]
    pub fn new(
        model: &[u8],
        labelling: Vec<RuleSpec>,
        photographs: Photographs,
        classes: &ClassMatch,
    ) -> Self {
        Self {
            program: concat!("cfm ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: Fingerprint::of(model),
            float: None,
            labelling,
            photographs,
            classes: classes.measured().clone(),
        }
    }

    /// What `other` measures that this does not.
    ///
    /// # Errors
    /// The first [`Difference`], unless there is none.
    pub fn same_as(&self, other: &Self) -> Result<(), Difference> {
        let (a, b) = (&self.photographs, &other.photographs);
        let unequal = |own: &dyn fmt::Display, other: &dyn fmt::Display| Unequal {
            own: own.to_string(),
            other: other.to_string(),
        };
        Err(if self.program != other.program {
            Difference::Program(unequal(&self.program, &other.program))
        } else if self.model != other.model {
            Difference::Model(unequal(&self.model, &other.model))
        } else if self.float != other.float {
            let name = |float: &Option<Fingerprint>| {
                float.as_ref().map_or("the integers".to_owned(), |float| {
                    format!("float weights of {float}")
                })
            };
            Difference::Network(unequal(&name(&self.float), &name(&other.float)))
        } else if self.labelling != other.labelling {
            let names = |rules: &[RuleSpec]| {
                let rules = rules.iter().map(ToString::to_string);
                rules.collect::<Vec<_>>().join(" and ")
            };
            Difference::Labelling(unequal(&names(&self.labelling), &names(&other.labelling)))
        } else if a.dataset != b.dataset {
            Difference::Dataset(unequal(&a.dataset, &b.dataset))
        } else if a.description != b.description || self.classes != other.classes {
            Difference::Description(a.dataset.clone())
        } else if a.split != b.split {
            Difference::Split(unequal(&a.split, &b.split))
        } else if a != b {
            Difference::Images(unequal(&a.count, &b.count))
        } else {
            return Ok(());
        })
    }
}

/// Two values that should be equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unequal {
    /// What is expected.
    pub own: String,
    /// What was found.
    pub other: String,
}

impl fmt::Display for Unequal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instead of {}", self.other, self.own)
    }
}

/// In what two plans differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// They are of different versions of the program.
    #[error("by another version of the program: {0}")]
    Program(Unequal),
    /// The model files differ.
    #[error("of another model: {0}")]
    Model(Unequal),
    /// One is for the integers, one for floats, or the floats differ.
    #[error("of another network: {0}")]
    Network(Unequal),
    /// The labelling rules differ.
    #[error("with other labelling rules: {0}")]
    Labelling(Unequal),
    /// The data sets have other names.
    #[error("on another data set: {0}")]
    Dataset(Unequal),
    /// `dataset.toml` says other things.
    #[error("on the data set {0} with another dataset.toml")]
    Description(String),
    /// The splits have other names.
    #[error("on another split: {0}")]
    Split(Unequal),
    /// The lists of photographs differ.
    #[error("on other photographs: {0}, or with other IDs")]
    Images(Unequal),
}

/// One of so many parts of the photographs: neighbours in the list, as many in each as in any other, or one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Shard `index`, counted from 1, of `count`.
    ///
    /// # Errors
    /// [`ShardError`] unless 1 <= index <= count.
    pub fn new(index: u32, count: u32) -> Result<Self, ShardError> {
        if index == 0 || index > count {
            return Err(ShardError);
        }
        Ok(Self { index, count })
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many shards there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Its positions among `length` photographs.
    #[must_use]
    pub fn range(self, length: usize) -> Range<usize> {
        // At most `length`, so nothing is lost.
        let at =
            |index: u32| (u128::from(index) * length as u128 / u128::from(self.count)) as usize;
        at(self.index - 1)..at(self.index)
    }
}

/// No shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a shard: 2/8 is the second of eight")]
pub struct ShardError;

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (index, count) = text.split_once('/').ok_or(ShardError)?;
        let number = |text: &str| text.parse().map_err(|_| ShardError);
        Self::new(number(index)?, number(count)?)
    }
}

impl TryFrom<String> for Shard {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, ShardError> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}
