//! The kernels for x86-64, those that the processor would not choose included.

use cfm_conformance::backend::Backend;
use cfm_core::kernels::{InstructionSet, X86};
use cfm_core::model::Model;

/// The kernels for certain instructions, which the processor has.
#[derive(Debug, Clone, Copy)]
pub struct X86Backend(pub InstructionSet);

impl X86Backend {
    /// A backend for each of the instruction sets of the processor.
    pub fn all() -> impl Iterator<Item = Self> {
        let sets = InstructionSet::ALL.into_iter();
        sets.filter(|set| set.is_detected()).map(Self)
    }

    /// [`all`](Self::all), of which there are as many as the standard library, or the target, says by itself: a test that
    /// runs on none has shown nothing.
    ///
    /// # Panics
    /// If an instruction set is not detected that is there.
    #[allow(dead_code)] // for tests, not for benchmarks
    pub fn all_of_the_processor() -> Vec<Self> {
        let found: Vec<Self> = Self::all().collect();
        let avx2 = cfg!(any(miri, target_feature = "avx2")) || is_x86_feature_detected!("avx2");
        // Miri knows no AVX-512.
        let avx512 = !cfg!(miri)
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        assert!(
            !found.is_empty() || !avx2,
            "there is AVX2, but not detected"
        );
        assert!(
            found.len() == InstructionSet::ALL.len() || !avx512,
            "there is AVX-512, but only {found:?} are detected"
        );
        found
    }
}

impl Backend for X86Backend {
    type Kernels<'m> = X86<'m>;

    fn kernels<'m>(&self, model: &Model<'m>) -> X86<'m> {
        X86::with(model, self.0).expect("the processor has the instructions")
    }
}
