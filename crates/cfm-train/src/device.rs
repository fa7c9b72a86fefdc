//! Where the training framework computes.

use burn::tensor::Device;
use clap::ValueEnum;

/// A back end of the training framework. All but the first are features of this crate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The CPU, in pure Rust. Bit-identical from run to run.
    #[default]
    Flex,
    /// A graphics card through Vulkan, Metal or Direct3D 12.
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// An NVIDIA card through CUDA.
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Backend {
    /// The back end's (first) device, without gradients.
    #[must_use]
    pub fn device(self) -> Device {
        match self {
            Self::Flex => Device::flex(),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::cuda(0),
        }
    }
}
