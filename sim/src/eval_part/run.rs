//! Measuring what is pending of a part, several photographs at a time, and recording it as it comes.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use image::RgbImage;
use rayon::prelude::*;

use super::{Part, PartError, Skipped, State, file};
use crate::dataset::Dataset;
use crate::evaluate::{ClassMatch, EvaluateError, compare};
use crate::label_map::LabelMap;

/// How often what was measured is written to the part file; more is not lost when the program is killed.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why a part was not finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A photograph or its labels are of no use.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The part file cannot be written.
    #[error(transparent)]
    Part(#[from] PartError),
}

/// How a part is filled.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The data set of the plan.
    pub dataset: &'a Dataset,
    /// Its classes and those of the plan's model.
    pub classes: &'a ClassMatch,
    /// Where the part is recorded: before the first photograph, once a second, and in the end, finished or not.
    pub file: Option<&'a Path>,
    /// Whether photographs that are of no use, or whose labels are, are skipped.
    pub keep_going: bool,
}

impl Run<'_> {
    /// Measures the photographs of `part` that are pending. `segment` returns class indices of the plan's model, once per
    /// labelling rule of the plan; `done` is called after each photograph, with the reason if it was skipped.
    ///
    /// # Errors
    /// [`RunError::Part`]; [`RunError::Evaluate`] for a photograph of no use (of several, any), unless they are skipped. What was
    /// measured before is in the file.
    pub fn finish<E: std::error::Error + Send + Sync + 'static>(
        &self,
        part: Part,
        segment: impl Fn(&RgbImage) -> Result<Vec<LabelMap>, E> + Sync,
        done: impl Fn(Option<&Skipped>) + Sync,
    ) -> Result<Part, RunError> {
        let pending: Vec<(usize, String)> = part
            .images
            .iter()
            .enumerate()
            .filter(|(_, image)| image.state == State::Pending)
            .map(|(position, image)| (position, image.id.clone()))
            .collect();
        if let Some(path) = self.file {
            // A file that cannot be written must not show after hours.
            part.save(path)?;
        }
        let part = Mutex::new(part);
        let measure = |(position, id): &(usize, String)| {
            let result = match compare(self.dataset, id, self.classes, &segment) {
                Ok(confusions) => Ok(confusions),
                Err(error) if self.keep_going => Err(error.to_string()),
                Err(error) => return Err(RunError::from(error)),
            };
            let skipped = result.as_ref().err().map(|reason| Skipped {
                id: id.clone(),
                reason: reason.clone(),
            });
            lock(&part).record(*position, result);
            done(skipped.as_ref());
            Ok(())
        };
        let measure_all = || {
            // One at a time: what waits behind a slow photograph is for other threads to take.
            pending.par_iter().with_max_len(1).try_for_each(measure)
        };
        let result = match self.file {
            None => measure_all(),
            Some(path) => recorded(path, &part, measure_all),
        };
        let part = part.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = self.file {
            part.save(path)?;
        }
        result.map(|()| part)
    }
}

/// Runs `work`, while another thread writes the part to the file once in an interval.
fn recorded<T>(path: &Path, part: &Mutex<Part>, work: impl FnOnce() -> T) -> T {
    let (finished, bell) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut pending = lock(part).pending();
            let mut finished = lock(&finished);
            loop {
                (finished, _) = bell
                    .wait_timeout(finished, INTERVAL)
                    .unwrap_or_else(PoisonError::into_inner);
                if *finished {
                    return;
                }
                let now = lock(part);
                if now.pending() == pending {
                    continue;
                }
                pending = now.pending();
                let bytes = now.to_json();
                drop(now);
                // A full disk may have room again by the next time, and whether the last time succeeds is what counts.
                let _ = bytes
                    .map_err(|error| PartError::new(path, error))
                    .and_then(|bytes| file::write(path, &bytes));
            }
        });
        // Also when `work` panics: nothing would end the other thread.
        let _finish = Finish(&finished, &bell);
        work()
    })
}

struct Finish<'a>(&'a Mutex<bool>, &'a Condvar);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        *lock(self.0) = true;
        self.1.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
