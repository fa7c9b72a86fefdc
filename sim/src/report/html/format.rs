//! Numbers as people read them. A number and its unit stay on one line.

/// A count with separators between thousands.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A fraction as a percentage.
pub(super) fn percent(fraction: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * fraction)
}

/// A small fraction as a percentage: `0 %` only where it is 0.
pub(super) fn small_percent(fraction: f64) -> String {
    match 100.0 * fraction {
        0.0 => "0\u{a0}%".to_owned(),
        percent if percent < 0.01 => "<\u{a0}0.01\u{a0}%".to_owned(),
        percent => format!("{percent:.2}\u{a0}%"),
    }
}

/// Bytes, in KiB or MiB where that is shorter.
pub(super) fn bytes(n: usize) -> String {
    match n {
        0..1024 => format!("{n}\u{a0}B"),
        1024..1_048_576 => format!("{:.1}\u{a0}KiB", n as f64 / 1024.0),
        _ => format!("{:.2}\u{a0}MiB", n as f64 / 1_048_576.0),
    }
}

/// Multiply-accumulates, in millions where there are many.
pub(super) fn macs(n: u64) -> String {
    if n < 1_000_000 {
        count(n)
    } else {
        format!("{:.1}\u{a0}M", n as f64 / 1e6)
    }
}

/// A shape: height, width, channels.
pub(super) fn shape([height, width, channels]: [u16; 3]) -> String {
    format!("{height}×{width}×{channels}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_do() {
        let plain = |text: String| text.replace('\u{a0}', " ");
        let counts = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let shares = [0.0, 0.00001, 0.1234].map(small_percent).map(plain);
        assert_eq!(shares, ["0 %", "< 0.01 %", "12.34 %"]);
        let sizes = [1023, 1024, 3 << 20].map(bytes).map(plain);
        assert_eq!(sizes, ["1023 B", "1.0 KiB", "3.00 MiB"]);
        assert_eq!(
            (macs(999_999), plain(macs(148_784_160))),
            ("999,999".to_owned(), "148.8 M".to_owned())
        );
        assert_eq!(
            (plain(percent(0.5)), shape([1, 2, 3])),
            ("50.0 %".to_owned(), "1×2×3".to_owned())
        );
    }
}
