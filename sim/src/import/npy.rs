//! Masks in NumPy's array format.

use npyz::{DType, NpyHeader, Order, TypeChar};

use super::{ImportProblem, Segments};

/// Longest header that is read; NumPy writes 118 bytes.
const LONGEST_HEADER: usize = 1024;

/// Reads `(height, width)` or `(number, height, width)` masks.
pub(super) fn parse(bytes: &[u8]) -> Result<Segments, ImportProblem> {
    let refuse = |reason: &str| ImportProblem::Array(reason.to_owned());
    let cut_off = || refuse("the array is cut off");
    let text = header_text(bytes)?;
    // Before anything is made of them: no more than the type and three sides, none above 99999.
    let mut numbers = text.split(|byte| !byte.is_ascii_digit());
    if numbers.any(|number| number.len() > 5)
        || text
            .split(|byte| !byte.is_ascii_digit())
            .filter(|number| !number.is_empty())
            .count()
            > 4
    {
        return Err(refuse(
            "no array of masks: (height, width) or (number, height, width)",
        ));
    }
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest).map_err(|_| refuse("the header is broken"))?;
    let DType::Plain(kind) = header.dtype() else {
        return Err(refuse("the array has fields"));
    };
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
        _ => {
            return Err(refuse(
                "no array of masks: (height, width) or (number, height, width)",
            ));
        }
    };
    let mut segments = Segments::new(width, height)?;
    if count.checked_mul(width * height) != Some(rest.len() as u64) {
        return Err(match count.checked_mul(width * height) {
            Some(needed) if needed < rest.len() as u64 => refuse("there is more than the array"),
            _ => cut_off(),
        });
    }
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
