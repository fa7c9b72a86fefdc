//! What a comparison found: one line per tensor.

use std::fmt;

use serde::Serialize;

/// The first element in which two implementations differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The segment, for a tensor that every segment has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<usize>,
    /// Index in every dimension.
    pub position: Vec<usize>,
    /// The core's value; `None` if its tensor is shorter.
    pub core: Option<i64>,
    /// The reference's value; `None` if its tensor is shorter.
    pub reference: Option<i64>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: Option<i64>| value.map_or("nothing".to_owned(), |v| v.to_string());
        write!(f, "first at ")?;
        if let Some(segment) = self.segment {
            write!(f, "segment {segment}, ")?;
        }
        write!(
            f,
            "{:?}: core {}, reference {}",
            self.position,
            value(self.core),
            value(self.reference)
        )
    }
}

/// The comparison of one tensor (of all segments together, where every segment has it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorParity {
    /// What the tensor is.
    pub name: String,
    /// Elements compared.
    pub elements: u64,
    /// Elements that differ.
    pub mismatches: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Difference>,
}

impl fmt::Display for TensorParity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            elements,
            mismatches,
            first,
        } = self;
        write!(f, "{name}: {mismatches} of {elements} elements")?;
        match first {
            Some(first) => write!(f, ", {first}"),
            None => Ok(()),
        }
    }
}

/// The comparison of every tensor, in the order of computation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ParityReport {
    /// How many segments were compared.
    pub segments: u64,
    /// One entry per tensor.
    pub tensors: Vec<TensorParity>,
}

impl ParityReport {
    /// Whether all elements of all tensors agree.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.mismatches() == 0
    }

    /// Elements compared, over all tensors.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.elements).sum()
    }

    /// Elements that differ, over all tensors.
    #[must_use]
    pub fn mismatches(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.mismatches).sum()
    }

    /// The first tensor that differs.
    #[must_use]
    pub fn first_mismatch(&self) -> Option<&TensorParity> {
        self.tensors.iter().find(|tensor| tensor.mismatches > 0)
    }

    /// Adds the counts of another report, tensor by tensor; new tensors come last.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.segments += other.segments;
        for tensor in other.tensors {
            let line = self.line(&tensor.name);
            line.elements += tensor.elements;
            line.mismatches += tensor.mismatches;
            line.first = line.first.take().or(tensor.first);
        }
        self
    }

    /// Compares a tensor (or a segment's part of it) and enters the result under `name`.
    ///
    /// `dimensions` are those behind the outermost one; they turn an index into a position.
    pub(crate) fn compare<T: Copy + PartialEq + Into<i64>>(
        &mut self,
        name: &str,
        segment: Option<usize>,
        dimensions: &[usize],
        core: &[T],
        reference: &[T],
    ) {
        let line = self.line(name);
        let elements = core.len().max(reference.len());
        line.elements += elements as u64;
        if core == reference {
            return;
        }
        for index in 0..elements {
            let (a, b) = (core.get(index).copied(), reference.get(index).copied());
            if a == b {
                continue;
            }
            line.mismatches += 1;
            line.first.get_or_insert_with(|| Difference {
                segment,
                position: position(index, dimensions),
                core: a.map(Into::into),
                reference: b.map(Into::into),
            });
        }
    }

    fn line(&mut self, name: &str) -> &mut TensorParity {
        let found = self.tensors.iter().position(|tensor| tensor.name == name);
        let index = found.unwrap_or_else(|| {
            self.tensors.push(TensorParity {
                name: name.to_owned(),
                elements: 0,
                mismatches: 0,
                first: None,
            });
            self.tensors.len() - 1
        });
        &mut self.tensors[index]
    }
}

/// The index of an element in every dimension, the outermost one first.
fn position(mut index: usize, dimensions: &[usize]) -> Vec<usize> {
    let mut position = vec![0; dimensions.len() + 1];
    for (at, &length) in dimensions.iter().enumerate().rev() {
        position[at + 1] = index % length.max(1);
        index /= length.max(1);
    }
    position[0] = index;
    position
}

impl fmt::Display for ParityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .tensors
            .iter()
            .map(|tensor| tensor.name.chars().count())
            .max()
            .unwrap_or(0);
        for tensor in &self.tensors {
            write!(
                f,
                "{:width$}  {:>12} elements  {:>9} mismatches",
                tensor.name, tensor.elements, tensor.mismatches
            )?;
            match &tensor.first {
                Some(first) => writeln!(f, "  {first}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_and_placed() {
        let mut report = ParityReport::default();
        report.compare("a", None, &[2, 3], &[0_i8; 12], &[0; 12]);
        assert!(report.is_exact());
        let mut other = [0_i8; 12];
        other[10] = 4;
        other[11] = 5;
        report.compare("a", Some(7), &[2, 3], &[0; 12], &other);
        report.compare("b", None, &[], &[1_u8, 2], &[1]);
        assert_eq!((report.elements(), report.mismatches()), (26, 3));
        let first = report.tensors[0].first.clone().unwrap();
        assert_eq!(
            first.to_string(),
            "first at segment 7, [1, 1, 1]: core 0, reference 4"
        );
        let second = report.tensors[1].first.clone().unwrap();
        assert_eq!(
            second.to_string(),
            "first at [1]: core 2, reference nothing"
        );
        let doubled = report.clone().merge(report);
        assert_eq!((doubled.elements(), doubled.mismatches()), (52, 6));
        assert_eq!(doubled.tensors.len(), 2);
    }
}
