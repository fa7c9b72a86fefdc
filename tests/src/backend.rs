//! Where kernels come from: some serve every model, others are made for one.

use cfm_core::kernels::{Kernels, NativeFor, native_for};
use cfm_core::model::Model;

/// Makes kernels for models. Kernels that serve every model are their own backend.
pub trait Backend {
    /// The kernels for a model whose file lives for `'m`.
    type Kernels<'m>: Kernels;

    /// The kernels for a model.
    fn kernels<'m>(&self, model: &Model<'m>) -> Self::Kernels<'m>;
}

impl<K: Kernels + Clone> Backend for K {
    type Kernels<'m> = K;

    fn kernels<'m>(&self, _: &Model<'m>) -> K {
        self.clone()
    }
}

/// The fastest kernels of the processor.
#[derive(Debug, Clone, Copy)]
pub struct NativeBackend;

impl Backend for NativeBackend {
    type Kernels<'m> = NativeFor<'m>;

    fn kernels<'m>(&self, model: &Model<'m>) -> NativeFor<'m> {
        native_for(model)
    }
}
