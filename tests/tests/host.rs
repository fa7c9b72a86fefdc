//! The host's runner: every golden case through all kernels that the processor has, and proof that the suite can fail.

mod golden;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, thread};

use cfm_conformance::backend::{Backend, NativeBackend};
use cfm_conformance::case::{Case, Content};
use cfm_conformance::cases::CASES;
use cfm_conformance::check::{Checker, Failure};
use cfm_conformance::core_backend::{MEMORY, Memory, RunError, run_case};
use cfm_core::kernels::{Kernels, Portable, Rows};
use cfm_core::model::{Conv2d, Parameters, Window};
use cfm_core::requantize::OutputScale;

/// The memory is made for a `static`; a test thread's stack is too small for it.
fn with_memory<T: Send>(run: impl FnOnce(&mut Memory) -> T + Send) -> T {
    thread::scope(|scope| {
        thread::Builder::new()
            .stack_size(8 << 20)
            .spawn_scoped(scope, || {
                let mut memory = Box::new(MEMORY);
                run(&mut memory)
            })
            .expect("a thread starts")
            .join()
            .expect("no case panics")
    })
}

/// Runs every case, or the share of them that `CFM_CASES=PART/PARTS` of the environment asks for, PART from 1, so that several
/// interpreters can divide them; panics where a bit differs.
fn every_case_passes(backend: &(impl Backend + Sync)) {
    let (part, parts) = match std::env::var("CFM_CASES") {
        Ok(share) => {
            let (part, parts) = share.split_once('/').expect("CFM_CASES is PART/PARTS");
            let number = |text: &str| text.parse::<usize>().expect("CFM_CASES has two numbers");
            (number(part), number(parts))
        }
        Err(_) => (1, 1),
    };
    assert!(1 <= part && part <= parts, "no part {part} of {parts}");
    let cases = CASES.iter().skip(part - 1).step_by(parts);
    assert!(cases.len() > 0, "no case is in part {part} of {parts}");
    let count = cases.len();
    let compared: usize = with_memory(|memory| {
        cases
            .map(|(name, file)| match run_case(file, backend, memory) {
                Ok(bytes) => bytes,
                Err(error) => panic!("{name}: {error:?}"),
            })
            .sum()
    });
    let least = if parts == 1 { 100_000 } else { count };
    assert!(
        compared > least,
        "{compared} bytes in {count} cases are too few to mean anything"
    );
}

#[test]
fn every_case_passes_on_the_portable_kernels() {
    every_case_passes(&Portable);
}

#[test]
fn every_case_passes_on_the_native_kernels() {
    every_case_passes(&NativeBackend);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_case_passes_on_the_kernels_of_every_x86() {
    for backend in x86::X86Backend::all_of_the_processor() {
        println!("{backend:?}");
        every_case_passes(&backend);
    }
}

#[test]
fn the_files_are_what_the_reference_computes_today() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let made: BTreeSet<String> = golden::make()
        .into_iter()
        .map(|(name, bytes)| {
            let path = data.join(format!("{name}.case"));
            let committed = fs::read(&path).unwrap_or_default();
            assert!(
                committed == bytes,
                "{name} has changed: run --example make_cases"
            );
            name
        })
        .collect();
    let listed: BTreeSet<String> = CASES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(made, listed);
}

/// What is wrong with the kernels below.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Rounds half up instead of half to even.
    RoundHalfUp,
    /// Pads with 0 instead of the zero point.
    PadWithZero,
    /// Never updates the maximum's last channel.
    MissLastChannel,
    /// Swaps the first two logits.
    SwapLogits,
    /// Adds one to sums of two tensors.
    AddOffByOne,
    /// Adds one to means.
    MeanOffByOne,
    /// Forgets the fully connected layers' fused activation.
    NoActivation,
}

/// The portable kernels with one fault.
#[derive(Clone, Copy, Debug)]
struct Broken(Fault);

impl Kernels for Broken {
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        if self.0 == Fault::PadWithZero {
            // A tensor without zero point: only padding sees the difference.
            let shape = input.shape();
            let ring: Vec<i8> = (0..i32::from(shape.height))
                .flat_map(|y| input.get(y).unwrap_or(&[]).to_vec())
                .collect();
            let input = Rows::new(&ring, shape, 0, input.exponent());
            Portable.conv2d_row(&input, conv, y, scratch, out);
            return;
        }
        Portable.conv2d_row(input, conv, y, scratch, out);
    }

    fn max_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        Portable.max_pool_row(input, window, y, out);
    }

    fn avg_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        Portable.avg_pool_row(input, window, y, out);
        if self.0 == Fault::MeanOffByOne {
            out.iter_mut().for_each(|q| *q = q.saturating_add(1));
        }
    }

    fn add_row(
        &self,
        first: &Rows<'_>,
        second: &Rows<'_>,
        output: &OutputScale,
        y: u16,
        out: &mut [i8],
    ) {
        Portable.add_row(first, second, output, y, out);
        if self.0 == Fault::AddOffByOne {
            out.iter_mut().for_each(|q| *q = q.saturating_add(1));
        }
    }

    fn fully_connected(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        let mut parameters = *parameters;
        if self.0 == Fault::NoActivation {
            (parameters.output.low, parameters.output.high) = (i8::MIN, i8::MAX);
        }
        Portable.fully_connected(input, &parameters, scratch, out);
        if self.0 == Fault::RoundHalfUp {
            let filters = parameters.weights.chunks_exact(input.len());
            for ((q, filter), channel) in
                out.iter_mut().zip(filters).zip(parameters.channels.iter())
            {
                let sum: i64 = filter
                    .iter()
                    .zip(input)
                    .map(|(&w, &q)| i64::from(w.cast_signed()) * i64::from(q))
                    .sum();
                let product = (i64::from(channel.bias) + sum) * i64::from(channel.mantissa);
                let half = (1_i64 << channel.shift) >> 1;
                *q = parameters.output.clamp((product + half) >> channel.shift);
            }
        }
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i16],
    ) {
        Portable.classifier(input, parameters, scratch, out);
        if self.0 == Fault::SwapLogits && out.len() > 1 {
            out.swap(0, 1);
        }
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        let last = out.last().copied();
        Portable.maximum(out, cell);
        if let (Fault::MissLastChannel, Some(slot), Some(last)) = (self.0, out.last_mut(), last) {
            *slot = last;
        }
    }
}

#[test]
fn every_fault_is_found() {
    for fault in [
        Fault::RoundHalfUp,
        Fault::PadWithZero,
        Fault::MissLastChannel,
        Fault::SwapLogits,
        Fault::AddOffByOne,
        Fault::MeanOffByOne,
        Fault::NoActivation,
    ] {
        let found = with_memory(|memory| {
            CASES
                .iter()
                .filter(|(_, file)| {
                    matches!(
                        run_case(file, &Broken(fault), memory),
                        Err(RunError::Failure(Failure::Differs(..)))
                    )
                })
                .count()
        });
        assert!(found > 0, "no case notices {fault:?}");
    }
}

#[test]
fn a_truncated_case_is_refused() {
    let (_, file) = CASES[0];
    with_memory(|memory| {
        for length in 0..file.len() {
            let result = run_case(&file[..length], &Portable, memory);
            assert!(result.is_err(), "{length} of {} bytes pass", file.len());
        }
    });
}

/// The position in the file of every chunk's bytes.
fn positions(file: &[u8]) -> Vec<(Content, usize)> {
    let case = Case::parse(file).expect("the committed cases are whole");
    let start = file.as_ptr() as usize;
    case.contents()
        .map(|(content, bytes)| (content, bytes.as_ptr() as usize - start))
        .collect()
}

#[test]
fn a_wrong_byte_is_found_in_every_kind_of_tensor() {
    let mut kinds = BTreeSet::new();
    with_memory(|memory| {
        for (name, file) in CASES {
            for (content, at) in positions(file) {
                if !content.is_expected() || !kinds.insert(content.key().0) {
                    continue;
                }
                let mut changed = file.to_vec();
                changed[at] ^= 1;
                match run_case(&changed, &Portable, memory) {
                    Err(RunError::Failure(Failure::Differs(first, 1))) => {
                        assert_eq!((first.content, first.offset), (content, 0));
                    }
                    other => panic!("{name} {content:?}: {other:?}"),
                }
            }
        }
    });
    assert_eq!(
        kinds.len(),
        10,
        "not every kind of tensor occurs: {kinds:?}"
    );
}

#[test]
fn what_is_left_out_or_repeated_is_found() {
    let (_, file) = CASES[0];
    let case = Case::parse(file).expect("the committed cases are whole");
    let show = |skip: usize, repeat: usize| {
        let mut checker = Checker::new(case);
        let expected = case.contents().filter(|(content, _)| content.is_expected());
        for (i, (content, bytes)) in expected.enumerate() {
            for _ in 0..usize::from(i != skip) + usize::from(i == repeat) {
                checker.bytes(content, 0, bytes.iter().copied());
            }
        }
        checker.finish()
    };
    let none = usize::MAX;
    assert!(show(none, none).is_ok());
    assert!(matches!(show(0, none), Err(Failure::Incomplete { .. })));
    assert!(matches!(show(none, 0), Err(Failure::Incomplete { .. })));

    // As many bytes as there should be, but one of them twice and another never.
    let mut checker = Checker::new(case);
    for (content, bytes) in case.contents().filter(|(content, _)| content.is_expected()) {
        match content {
            Content::Tensor(0) => {
                checker.bytes(content, 0, bytes[..bytes.len() - 1].iter().copied());
                checker.bytes(content, 0, bytes[..1].iter().copied());
            }
            _ => checker.bytes(content, 0, bytes.iter().copied()),
        }
    }
    assert!(matches!(
        checker.finish(),
        Err(Failure::Incomplete { compared, expected }) if compared == expected
    ));
}
