//! Time, as the stages of an image are measured.

/// A clock that never goes back.
pub trait Clock {
    /// Ticks since some moment before the first call.
    fn ticks(&mut self) -> u64;

    /// Ticks of a second.
    fn ticks_per_second(&self) -> u32;

    /// Microseconds since the moment `start` of this clock, rounded down.
    fn microseconds_since(&mut self, start: u64) -> u64 {
        let ticks = self.ticks().saturating_sub(start);
        let per_second = u64::from(self.ticks_per_second());
        ticks
            .saturating_mul(1_000_000)
            .checked_div(per_second)
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(u64, u32);

    impl Clock for At {
        fn ticks(&mut self) -> u64 {
            self.0
        }

        fn ticks_per_second(&self) -> u32 {
            self.1
        }
    }

    #[test]
    fn ticks_become_microseconds() {
        assert_eq!(At(150, 25_000_000).microseconds_since(100), 2);
        assert_eq!(
            At(32_000_100, 32_000_000).microseconds_since(100),
            1_000_000
        );
        assert_eq!(At(1, 1000).microseconds_since(2), 0);
        assert_eq!(At(1, 0).microseconds_since(0), 0);
    }
}
