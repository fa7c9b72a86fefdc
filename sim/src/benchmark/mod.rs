//! How long the parts of the method take beside what could be in their place, in one run.
//!
//! Contestants take turns, so that whatever else the machine does meets all of them; the shortest time of each counts,
//! because everything that disturbs a run makes it longer.

pub mod each_segment;
pub mod layer;
pub mod peers;

use std::time::{Duration, Instant};

use serde::Serialize;

/// What is timed: it does its work once, and says how long that took.
pub struct Contestant<'a, E> {
    name: String,
    run: Box<dyn FnMut() -> Result<Duration, E> + 'a>,
}

impl<E> std::fmt::Debug for Contestant<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contestant")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<'a, E> Contestant<'a, E> {
    /// A contestant that measures itself.
    pub fn new(name: impl Into<String>, run: impl FnMut() -> Result<Duration, E> + 'a) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }

    /// A contestant that is measured from call to return.
    pub fn timed(name: impl Into<String>, mut work: impl FnMut() -> Result<(), E> + 'a) -> Self {
        Self::new(name, move || {
            let clock = Instant::now();
            work()?;
            Ok(clock.elapsed())
        })
    }
}

/// How long a contestant took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// Its name.
    pub name: String,
    /// The shortest run.
    pub best_milliseconds: f64,
    /// The run in the middle.
    pub median_milliseconds: f64,
    /// Runs that were timed.
    pub runs: usize,
    /// The shortest run as a multiple of the first contestant's.
    pub ratio: f64,
}

/// Lets the contestants run in turn, at most `rounds` times: one that has had `limit` in all sits the rest out. A first
/// run, which is not timed, warms caches; a contestant whose first run alone takes `limit` is timed by that.
///
/// `done` is called after every turn.
///
/// # Errors
/// The first that a contestant reports.
pub fn race<E>(
    mut contestants: Vec<Contestant<'_, E>>,
    rounds: usize,
    limit: Duration,
    mut done: impl FnMut(),
) -> Result<Vec<Timing>, E> {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contestants.len()];
    let mut spent = vec![Duration::ZERO; contestants.len()];
    for round in 0..=rounds {
        for ((contestant, times), spent) in contestants.iter_mut().zip(&mut times).zip(&mut spent) {
            if *spent < limit {
                let time = (contestant.run)()?;
                *spent += time;
                if round > 0 || time >= limit {
                    times.push(time);
                }
            }
            done();
        }
    }
    let mut timings: Vec<Timing> = contestants
        .into_iter()
        .zip(times)
        .map(|(contestant, mut times)| {
            times.sort_unstable();
            let milliseconds = |at: usize| {
                times
                    .get(at)
                    .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
            };
            Timing {
                name: contestant.name,
                best_milliseconds: milliseconds(0),
                median_milliseconds: milliseconds(times.len() / 2),
                runs: times.len(),
                ratio: 1.0,
            }
        })
        .collect();
    if let Some(first) = timings.first().map(|first| first.best_milliseconds) {
        for timing in &mut timings {
            timing.ratio = timing.best_milliseconds / first;
        }
    }
    Ok(timings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::convert::Infallible;

    fn fixed<'a>(
        name: &'a str,
        times: &'a [u64],
        log: &'a RefCell<Vec<&'a str>>,
    ) -> Contestant<'a, Infallible> {
        let mut times = times.iter().cycle();
        Contestant::new(name, move || {
            log.borrow_mut().push(name);
            Ok(Duration::from_millis(
                *times.next().expect("there is a time"),
            ))
        })
    }

    #[test]
    fn contestants_take_turns_and_the_shortest_run_counts() {
        let log = RefCell::new(Vec::new());
        let contestants = vec![
            fixed("a", &[1, 30, 20, 40], &log),
            fixed("b", &[500, 60, 80, 70], &log),
        ];
        let mut turns = 0;
        let timings = race(contestants, 3, Duration::from_secs(9), || turns += 1).unwrap();
        assert_eq!(*log.borrow(), ["a", "b", "a", "b", "a", "b", "a", "b"]);
        assert_eq!(turns, 8);
        assert_eq!(timings[0].best_milliseconds, 20.0);
        assert_eq!(timings[0].median_milliseconds, 30.0);
        assert_eq!(timings[1].best_milliseconds, 60.0);
        assert_eq!(timings[1].ratio, 3.0);
        assert_eq!(timings[1].runs, 3);
    }

    #[test]
    fn a_slow_contestant_sits_out() {
        let log = RefCell::new(Vec::new());
        let contestants = vec![
            fixed("a", &[1], &log),
            fixed("b", &[1000], &log),
            fixed("c", &[400], &log),
        ];
        let timings = race(contestants, 5, Duration::from_secs(1), || {}).unwrap();
        let runs: Vec<usize> = timings.iter().map(|timing| timing.runs).collect();
        assert_eq!(runs, [5, 1, 2]);
        assert_eq!(timings[1].best_milliseconds, 1000.0);
    }

    #[test]
    fn an_error_ends_the_race() {
        let contestants = vec![Contestant::new("a", || Err("broken"))];
        assert_eq!(race(contestants, 3, Duration::MAX, || {}), Err("broken"));
    }
}
