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
}

impl Backend for X86Backend {
    type Kernels<'m> = X86<'m>;

    fn kernels<'m>(&self, model: &Model<'m>) -> X86<'m> {
        X86::with(model, self.0).expect("the processor has the instructions")
    }
}
