//! How deep the stack became: it is painted before the program runs, and the paint that is left is counted.

/// What the stack is painted with, word by word; `cortex-m-rt` uses the same.
pub const PAINT: u32 = 0xcccc_cccc;

/// A region of memory that holds the stack.
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    end: *const u32,
    words: usize,
}

impl Stack {
    /// The stack between its lowest address `end` and `start`, one past its highest word.
    ///
    /// # Safety
    /// Both belong to one region of RAM that was painted with [`PAINT`] before the program ran and is used for nothing
    /// but the stack.
    #[must_use]
    pub unsafe fn between(end: *const u32, start: *const u32) -> Self {
        Self {
            end,
            words: (start.addr().saturating_sub(end.addr())) / 4,
        }
    }

    /// Bytes reserved.
    #[must_use]
    pub const fn size(&self) -> usize {
        4 * self.words
    }

    /// Most bytes used since the stack was painted. A variable that happens to hold the paint's value, or is never
    /// written, at the very end of what is used is not counted.
    #[must_use]
    pub fn high_water(&self) -> usize {
        let mut clean = 0;
        while clean < self.words {
            // SAFETY: the word is within the region that `between` was promised. Volatile, since the words near the top
            // are live frames that the compiler believes nobody looks at.
            let word = unsafe { self.end.add(clean).read_volatile() };
            if word != PAINT {
                break;
            }
            clean += 1;
        }
        4 * (self.words - clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_the_paint_counts() {
        let mut stack = [PAINT; 16];
        let range = stack.as_mut_ptr_range();
        // SAFETY: the array is painted and nothing else.
        let region = unsafe { Stack::between(range.start, range.end) };
        // SAFETY: all indices are inside the array, which is only used through this pointer.
        let write = |index: usize, word| unsafe { range.start.add(index).write(word) };
        assert_eq!((region.size(), region.high_water()), (64, 0));
        write(10, 1);
        assert_eq!(region.high_water(), 24);
        write(0, 0);
        assert_eq!(region.high_water(), 64);
    }
}
