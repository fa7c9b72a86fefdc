#![doc = include_str!("../README.md")]
//!
//! # What happens in a run
//!
//! One [`config::Config`], the data set and the seed in it reproduce a run. What happens, in order:
//!
//! 1. [`data`] reads the photographs at the size of the network's input, [`proposals`] finds their candidate segments
//!    with the deployed proposer, once.
//! 2. A [`network`] of convolutions with batch normalization learns to classify feature cells ([`loss::dense`]).
//!    [`augment`] changes every image anew and moves labels and superpixels along.
//! 3. After some epochs the [`head`] joins in, of any design and with any mask rule: [`sampling`] draws segments with
//!    their classes and some of none; [`projection`] makes their masks with the device's own code; [`pooling`] finds the
//!    maxima of the pyramid bins, which the framework then selects from the feature maps ([`segment_loss`]), so that
//!    their gradient is a scatter.
//! 4. The normalization is folded into the weights and [`calibrate`] chooses a power-of-two scale per activation.
//! 5. Fine-tuning goes through the [fake quantizer](fake_quantize), which rounds as the integer network will. The
//!    tests hold the exported integers to the fake quantizer, from the features to the labels, value by value.
//! 6. If the head is to have support vector machines, they take the softmax's place ([`svm_head`], [`svm`]).
//! 7. [`export`] writes the model.
//!
//! [`evaluate`] labels the validation photographs on the way, with the deployed masks and vote. A
//! [`checkpoint`] after every epoch, and when a run is stopped, continues to the same bits, since every
//! [random draw](random) is named by its place in the run and not by a generator's state. Results are bit-identical on
//! machines with the same vector instructions and number of threads; others may sum in another order.
//!
//! The convolutions are `burn`'s on its `flex` backend: pure Rust, on the CPU. Nothing else in the workspace depends on
//! this crate, so nobody else compiles the framework.
#![deny(missing_docs)]

pub mod augment;
pub mod calibrate;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod device;
pub mod evaluate;
pub mod export;
pub mod fake_quantize;
pub mod head;
pub mod log;
pub mod loss;
pub mod measure;
pub mod network;
pub mod pooling;
pub mod pretrained;
pub mod projection;
pub mod proposals;
pub mod random;
pub mod sampling;
pub mod schedule;
pub mod segment_loss;
pub mod svm;
pub mod svm_head;
pub mod train_loop;
