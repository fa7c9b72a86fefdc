//! See the README.

pub mod reference;
