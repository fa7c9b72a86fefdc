//! The conformance suite on the target: the host's golden cases, and wrong use.

use cfm_conformance::cases::CASES;
use cfm_conformance::core_backend::run_case;
use cfm_core::kernels::{Kernels, Portable};

use crate::refusals;
use crate::report::{Event, Outcome, Report};

pub use cfm_conformance::core_backend::{MEMORY, Memory};

/// Runs every case with `kernels`, and every wrong use.
pub fn run<K: Kernels + Clone>(
    kernels: &K,
    report: &mut impl Report,
    memory: &mut Memory,
) -> Outcome {
    let mut outcome = Outcome::default();
    cases(kernels, report, memory, &mut outcome);
    wrong_use(kernels, report, memory, &mut outcome);
    outcome
}

/// Runs every case with the portable kernels and with `fast` ones, and every wrong use with the latter.
pub fn run_both<K: Kernels + Clone>(
    fast: &K,
    report: &mut impl Report,
    memory: &mut Memory,
) -> Outcome {
    let mut outcome = Outcome::default();
    cases(&Portable, report, memory, &mut outcome);
    cases(fast, report, memory, &mut outcome);
    wrong_use(fast, report, memory, &mut outcome);
    outcome
}

fn cases<K: Kernels + Clone>(
    kernels: &K,
    report: &mut impl Report,
    memory: &mut Memory,
    outcome: &mut Outcome,
) {
    for &(name, file) in CASES {
        let result = run_case(file, kernels, memory);
        outcome.cases += 1;
        match result {
            Ok(bytes) => outcome.bytes += bytes,
            Err(_) => outcome.failed += 1,
        }
        report.event(&Event::Case(name, result));
    }
}

fn wrong_use<K: Kernels + Clone>(
    kernels: &K,
    report: &mut impl Report,
    memory: &mut Memory,
    outcome: &mut Outcome,
) {
    refusals::run(kernels, memory, |name, refused| {
        outcome.refusals += 1;
        outcome.accepted += usize::from(!refused);
        report.event(&Event::Refusal(name, refused));
    });
    report.event(&Event::Suite(*outcome));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    struct Nothing;

    impl Report for Nothing {
        fn event(&mut self, _: &Event<'_>) {}
    }

    #[test]
    fn the_portable_kernels_pass() {
        let run_it = || {
            let mut memory = Box::new(MEMORY);
            let outcome = run(&Portable, &mut Nothing, &mut memory);
            assert!(outcome.passed(), "{outcome:?}");
            assert_eq!(outcome.cases, CASES.len());
        };
        std::thread::Builder::new()
            .stack_size(16 << 20)
            .spawn(run_it)
            .expect("a thread starts")
            .join()
            .expect("it passes");
    }

    #[test]
    fn every_refusal_has_a_name_of_its_own() {
        let mut names = Vec::new();
        let mut memory = Box::new(MEMORY);
        refusals::run(&Portable, &mut memory, |name, _| names.push(name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
