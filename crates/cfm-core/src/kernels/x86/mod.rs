//! Kernels for x86-64 with AVX2, and with AVX-512 VNNI where the processor has it.
//!
//! The algorithms ([`dense`], [`depthwise`]) are written once, over what they need of an instruction set ([`simd`]). The
//! instruction set is chosen when the layers of a model are packed ([`layers`]), once; a layer that is not one of them,
//! and grouped convolutions that are not depthwise, run on the portable kernels.

/// Repeats a block for every number below `$count`, which is at most 12.
macro_rules! unrolled {
    ($count:expr, $i:ident => $body:block) => {
        unrolled!(@ $count, $i, $body, 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    (@ $count:expr, $i:ident, $body:block, $($number:literal)*) => {
        const { assert!($count <= 12) };
        $(if $number < $count {
            let $i = $number;
            $body
        })*
    };
}

mod avx2;
mod avx512;
mod dense;
mod depthwise;
mod layers;
mod memory;
mod scales;
mod simd;

use avx2::Avx2;
use avx512::Avx512;
use layers::{Layers, Packed};
use memory::with_workspace;

use super::{Cells, Kernels, Portable, Rows, elements};
use crate::model::{Conv2d, Model, Parameters, Window};
use crate::requantize::OutputScale;

/// Instructions that there are kernels for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionSet {
    /// AVX2.
    Avx2,
    /// AVX-512 F, BW, VL and VNNI.
    Avx512Vnni,
}

impl InstructionSet {
    /// All of them, the fastest last.
    pub const ALL: [Self; 2] = [Self::Avx2, Self::Avx512Vnni];

    /// Whether the processor that the program runs on has the instructions.
    #[must_use]
    pub fn is_detected(self) -> bool {
        match self {
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            Self::Avx512Vnni => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512vnni")
            }
        }
    }
}

/// Kernels for x86-64, with the packed layers of a model.
///
/// They compute other layers as well, on the portable kernels. The processor must round to nearest (bits 13 and 14 of `MXCSR` are
/// 0), as Rust takes for granted everywhere. Share them by reference between threads. Each thread keeps
/// memory to work in, some hundred kilobytes for a model like those of this project.
#[derive(Debug)]
pub struct X86<'m> {
    /// What the processor was found to have.
    instructions: Option<InstructionSet>,
    layers: Layers<'m>,
}

impl<'m> X86<'m> {
    /// Packs the layers of a model for the fastest instructions that the processor has. Without any, all kernels are the
    /// portable ones.
    #[must_use]
    pub fn new(model: &Model<'m>) -> Self {
        let detected = InstructionSet::ALL.into_iter().rev();
        detected
            .filter_map(|instructions| Self::with(model, instructions))
            .next()
            .unwrap_or(Self {
                instructions: None,
                layers: Layers::none(),
            })
    }

    /// Packs the layers of a model for certain instructions; `None` if the processor does not have them.
    #[must_use]
    pub fn with(model: &Model<'m>, instructions: InstructionSet) -> Option<Self> {
        instructions.is_detected().then(|| Self {
            instructions: Some(instructions),
            layers: match instructions {
                InstructionSet::Avx2 => Layers::new::<Avx2>(model),
                InstructionSet::Avx512Vnni => Layers::new::<Avx512>(model),
            },
        })
    }

    /// The instructions that are used; `None` on a processor without any that there are kernels for.
    #[must_use]
    pub const fn instructions(&self) -> Option<InstructionSet> {
        self.instructions
    }
}

/// Calls a function of the module of the instruction set, or the last expression without one.
macro_rules! dispatch {
    ($kernels:expr, $function:ident($($argument:expr),*), $otherwise:expr) => {
        match $kernels.instructions {
            // SAFETY: the processor was found to have the instructions.
            Some(InstructionSet::Avx512Vnni) => unsafe { with_avx512::$function($($argument),*) },
            // SAFETY: as above.
            Some(InstructionSet::Avx2) => unsafe { with_avx2::$function($($argument),*) },
            None => $otherwise,
        }
    };
}

/// A module of functions that are compiled for an instruction set: whatever they call is compiled into them.
macro_rules! compile_for {
    ($module:ident, $simd:ty, $features:literal) => {
        #[allow(unsafe_code)]
        mod $module {
            use super::dense::Dense;
            use super::depthwise::Depthwise;
            use super::*;

            /// # Safety
            /// The processor has the instructions, for which the layer was packed.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn dense_row(
                layer: &Dense,
                input: &Rows<'_>,
                y: u16,
                memory: &mut [u8],
                out: &mut [i8],
            ) {
                // SAFETY: as the caller promises.
                unsafe { layer.row::<$simd>(input, y, memory, out) }
            }

            /// # Safety
            /// As above.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn depthwise_row(
                layer: &Depthwise,
                input: &Rows<'_>,
                y: u16,
                memory: &mut [u8],
                out: &mut [i8],
            ) {
                // SAFETY: as the caller promises.
                unsafe { layer.row::<$simd>(input, y, memory, out) }
            }

            /// # Safety
            /// As above.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn vector(
                layer: &Dense,
                input: &[i8],
                memory: &mut [u8],
                out: &mut [i8],
            ) {
                // SAFETY: as the caller promises.
                unsafe { layer.vector::<$simd>(input, memory, out) }
            }

            /// # Safety
            /// As above.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn logits(
                layer: &Dense,
                input: &[i8],
                parameters: &Parameters<'_>,
                memory: &mut [u8],
                out: &mut [i16],
            ) {
                // SAFETY: as the caller promises.
                unsafe { layer.logits::<$simd>(input, parameters, memory, out) }
            }

            /// # Safety
            /// The processor has the instructions.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn avg_pool_row(
                input: &Rows<'_>,
                window: &Window,
                y: u16,
                out: &mut [i8],
            ) {
                elements::avg_pool_row(input, window, y, out);
            }

            /// # Safety
            /// The processor has the instructions.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn add_row(
                first: &Rows<'_>,
                second: &Rows<'_>,
                output: &OutputScale,
                y: u16,
                out: &mut [i8],
            ) {
                elements::add_row(first, second, output, y, out);
            }

            /// # Safety
            /// The processor has the instructions.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn maximum(out: &mut [i8], cell: &[i8]) {
                elements::maximum(out, cell);
            }

            /// # Safety
            /// The processor has the instructions.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn maximum_of(out: &mut [i8], cells: &Cells<'_>) {
                elements::maximum_of(out, cells);
            }
        }
    };
}

compile_for!(with_avx2, Avx2, "avx2");
compile_for!(with_avx512, Avx512, "avx512f,avx512bw,avx512vl,avx512vnni");

#[allow(unsafe_code)] // the constructors found the instructions, for which the layers were packed
impl Kernels for X86<'_> {
    fn conv2d_row(
        &self,
        input: &Rows<'_>,
        conv: &Conv2d<'_>,
        y: u16,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        match self.layers.convolution(conv, input.shape()) {
            Some(Packed::Dense(layer)) => with_workspace(layer.workspace(), |memory| {
                dispatch!(self, dense_row(layer, input, y, memory, out), ());
            }),
            Some(Packed::Depthwise(layer)) => with_workspace(layer.workspace(), |memory| {
                dispatch!(self, depthwise_row(layer, input, y, memory, out), ());
            }),
            None => Portable.conv2d_row(input, conv, y, scratch, out),
        }
    }

    fn max_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        elements::max_pool_row(self, input, window, y, out);
    }

    fn avg_pool_row(&self, input: &Rows<'_>, window: &Window, y: u16, out: &mut [i8]) {
        dispatch!(
            self,
            avg_pool_row(input, window, y, out),
            Portable.avg_pool_row(input, window, y, out)
        );
    }

    fn add_row(
        &self,
        first: &Rows<'_>,
        second: &Rows<'_>,
        output: &OutputScale,
        y: u16,
        out: &mut [i8],
    ) {
        dispatch!(
            self,
            add_row(first, second, output, y, out),
            Portable.add_row(first, second, output, y, out)
        );
    }

    fn fully_connected(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i8],
    ) {
        match self.layers.fully_connected(parameters, input.len()) {
            Some(layer) => with_workspace(layer.workspace(), |memory| {
                dispatch!(self, vector(layer, input, memory, out), ());
            }),
            None => Portable.fully_connected(input, parameters, scratch, out),
        }
    }

    fn classifier(
        &self,
        input: &[i8],
        parameters: &Parameters<'_>,
        scratch: &mut [i8],
        out: &mut [i16],
    ) {
        match self.layers.fully_connected(parameters, input.len()) {
            Some(layer) => with_workspace(layer.workspace(), |memory| {
                dispatch!(self, logits(layer, input, parameters, memory, out), ());
            }),
            None => Portable.classifier(input, parameters, scratch, out),
        }
    }

    fn maximum(&self, out: &mut [i8], cell: &[i8]) {
        dispatch!(self, maximum(out, cell), Portable.maximum(out, cell));
    }

    fn maximum_of(&self, out: &mut [i8], cells: &Cells<'_>) {
        dispatch!(
            self,
            maximum_of(out, cells),
            Portable.maximum_of(out, cells)
        );
    }
}
