//! Masks and logits in NumPy's array format.

use npyz::{DType, NpyHeader, Order, TypeChar, TypeStr};

use super::{ImportProblem, Logits, Segments};

/// Longest header that is read; NumPy writes 118 bytes.
const LONGEST_HEADER: usize = 1024;

/// The header of an array of plain elements with at most `axes` axes, and the bytes behind it.
fn header<'b>(
    bytes: &'b [u8],
    axes: usize,
    wanted: &str,
) -> Result<(NpyHeader, TypeStr, &'b [u8]), ImportProblem> {
    let refuse = |reason: &str| ImportProblem::Array(reason.to_owned());
    let text = header_text(bytes)?;
    // Before anything is made of them: no more than the type and the sides, none above 99999.
    let numbers = || text.split(|byte| !byte.is_ascii_digit());
    let count = numbers().filter(|number| !number.is_empty()).count();
    if numbers().any(|number| number.len() > 5) || count > 1 + axes {
        return Err(refuse(wanted));
    }
    // A dictionary with a tuple of sides. The parser tries what is nested deeper again and again: twice as often with
    // every level, for hours with 40 of them.
    if text.iter().filter(|byte| b"{[(".contains(byte)).count() > 2 {
        let fields = text.windows(2).any(|pair| pair == b"[(");
        return Err(refuse(if fields {
            "the array has fields"
        } else {
            wanted
        }));
    }
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest).map_err(|_| refuse("the header is broken"))?;
    let DType::Plain(kind) = header.dtype() else {
        return Err(refuse("the array has fields"));
    };
    Ok((header, kind, rest))
}

/// Refuses bytes that are fewer or more than `needed`.
fn check_length(rest: &[u8], needed: Option<u64>) -> Result<(), ImportProblem> {
    let reason = match needed {
        Some(needed) if needed == rest.len() as u64 => return Ok(()),
        Some(needed) if needed < rest.len() as u64 => "there is more than the array",
        _ => "the array is cut off",
    };
    Err(ImportProblem::Array(reason.to_owned()))
}

/// Reads `(segments, classes)` 16-bit integers.
pub(super) fn parse_logits(bytes: &[u8]) -> Result<Logits, ImportProblem> {
    const WANTED: &str = "no array of logits: (segments, classes) of int16";
    let refuse = || ImportProblem::Array(WANTED.to_owned());
    let (header, kind, rest) = header(bytes, 2, WANTED)?;
    let [segments, classes] = *header.shape() else {
        return Err(refuse());
    };
    if kind.to_string() != "<i2" || header.order() != Order::C {
        return Err(refuse());
    }
    check_length(rest, segments.checked_mul(2 * classes))?;
    let (values, _) = rest.as_chunks::<2>();
    Ok(Logits {
        classes: classes as usize,
        values: values
            .iter()
            .map(|&value| i16::from_le_bytes(value))
            .collect(),
    })
}

/// Reads `(height, width)` or `(number, height, width)` masks.
pub(super) fn parse(bytes: &[u8]) -> Result<Segments, ImportProblem> {
    const WANTED: &str = "no array of masks: (height, width) or (number, height, width)";
    let (header, kind, rest) = header(bytes, 3, WANTED)?;
    let masks = matches!(
        kind.type_char(),
        TypeChar::Bool | TypeChar::Int | TypeChar::Uint
    );
    if !masks || kind.num_bytes() != Some(1) {
        return Err(ImportProblem::Array(format!(
            "elements of type {kind}; masks are bool or 8-bit integers"
        )));
    }
    let (count, height, width) = match *header.shape() {
        [height, width] => (1, height, width),
        [count, height, width] => (count, height, width),
        _ => return Err(ImportProblem::Array(WANTED.to_owned())),
    };
    let mut segments = Segments::new(width, height)?;
    check_length(rest, count.checked_mul(width * height))?;
    let (count, height, width) = (count as usize, height as usize, width as usize);
    let strides = match header.order() {
        Order::C => [height * width, width, 1],
        Order::Fortran => [1, count, count * height],
    };
    for mask in 0..count {
        for y in 0..height {
            let row = mask * strides[0] + y * strides[1];
            let inside = (0..width).map(|x| rest[row + x * strides[2]] != 0);
            segments.push_row(y as u16, inside)?;
        }
        segments.end()?;
    }
    Ok(segments)
}

/// The text of the header, without anything allocated for it.
fn header_text(bytes: &[u8]) -> Result<&[u8], ImportProblem> {
    let refuse = |reason: &str| ImportProblem::Array(reason.to_owned());
    let Some((b"\x93NUMPY", after)) = bytes.split_at_checked(6) else {
        return Err(refuse("not a NumPy array"));
    };
    let (length, text) = match *after {
        [1, _, a, b, ref text @ ..] => (usize::from(u16::from_le_bytes([a, b])), text),
        [2 | 3, _, a, b, c, d, ref text @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, text),
        [1..=3, ..] | [] => return Err(refuse("the array is cut off")),
        _ => return Err(refuse("a version of NumPy's format that is not known")),
    };
    if length > LONGEST_HEADER {
        return Err(refuse("the header is too long"));
    }
    text.get(..length)
        .ok_or_else(|| refuse("the array is cut off"))
}
