//! What the bench of the RTL says of a simulated frame (`hls/rtl/run.sh --stall 0 --timing`).

/// Cycles of a simulated frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simulated {
    /// The image program.
    pub image: u64,
    /// Those of the image program with a product.
    pub image_busy: u64,
    /// The last batch of segments.
    pub batch: u64,
    /// Those of the batch with a product.
    pub batch_busy: u64,
    /// The whole frame.
    pub frame: u64,
}

impl Simulated {
    /// Reads the bench's words; `head` is the number of operations of a batch. `None` when they are not whole.
    #[must_use]
    pub fn parse(log: &str, head: usize) -> Option<Self> {
        let last = log.lines().find(|line| line.contains("last frame:"))?;
        let (image, busy) = last.split_once("image program")?.1.split_once("busy")?;
        let number = |text: &str| text.trim().trim_end_matches(',').parse().ok();
        let operations: Vec<&str> = log
            .lines()
            .filter(|line| line.starts_with("operation "))
            .collect();
        let batch = operations.get(operations.len().checked_sub(head)?..)?;
        let sum = |name| {
            batch
                .iter()
                .map(|line| number_after(line, name))
                .sum::<Option<u64>>()
        };
        Some(Self {
            image: number(image)?,
            image_busy: number(busy)?,
            batch: sum("cycles")? + sum("pause")?,
            batch_busy: sum("busy")?,
            frame: number_after(last, "last frame:")?,
        })
    }
}

/// The number behind `name` in a line of words.
#[must_use]
pub fn number_after(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(name)?;
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "operation 0: cycles 10 busy 9 pause 1\noperation 1: cycles 20 busy 15 pause 2\n\
        last frame: 100 cycles, array busy 24, image program 77, busy 9\n";

    #[test]
    fn a_log_is_read() {
        let found = Simulated::parse(LOG, 1);
        let expected = Simulated {
            image: 77,
            image_busy: 9,
            batch: 22,
            batch_busy: 15,
            frame: 100,
        };
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn a_log_that_is_not_whole_is_none() {
        assert_eq!(Simulated::parse("", 1), None);
        assert_eq!(Simulated::parse(LOG, 3), None);
        let (cut, _) = LOG.split_once("image program").expect("it is there");
        assert_eq!(Simulated::parse(cut, 1), None);
    }
}
