//! Moving words between the processor and the engine.

use crate::protocol::{Port, Register};

/// Why a transfer had no effect, or an unknown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TransportError<E> {
    /// The bus itself failed.
    Bus(E),
    /// The request or its response was disturbed on the way; whether it had an effect is unknown. Repeating it is safe.
    Disturbed,
    /// The port has no room, or not enough words yet. Nothing was done; try later.
    Busy,
    /// The engine and the driver disagree on what has been transferred: one of them was reset.
    Sequence,
    /// The engine does not know the request.
    Request,
}

impl<E: core::fmt::Debug> core::fmt::Display for TransportError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Bus(error) => write!(f, "the bus failed: {error:?}"),
            Self::Disturbed => f.write_str("a transfer was disturbed"),
            Self::Busy => f.write_str("the port is busy"),
            Self::Sequence => f.write_str("the engine has lost count: it was reset"),
            Self::Request => f.write_str("the engine refuses the request"),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for TransportError<E> {}

/// Moves words between the processor and the engine.
///
/// A call that fails may be repeated with the same arguments: words are never taken twice.
pub trait Transport {
    /// What the bus reports.
    type Error: core::fmt::Debug;

    /// Reads consecutive registers, at most 64.
    ///
    /// # Errors
    /// Any [`TransportError`] but [`Busy`](TransportError::Busy) and [`Sequence`](TransportError::Sequence).
    fn read_registers(
        &mut self,
        first: Register,
        values: &mut [u32],
    ) -> Result<(), TransportError<Self::Error>>;

    /// Writes a register.
    ///
    /// # Errors
    /// As [`read_registers`](Self::read_registers).
    fn write_register(
        &mut self,
        register: Register,
        value: u32,
    ) -> Result<(), TransportError<Self::Error>>;

    /// Pushes words, at most 64, into a port: all or none.
    ///
    /// # Errors
    /// Any [`TransportError`].
    fn push(&mut self, port: Port, words: &[u32]) -> Result<(), TransportError<Self::Error>>;

    /// How many words of logits can be taken.
    ///
    /// # Errors
    /// Any [`TransportError`] but [`Busy`](TransportError::Busy).
    fn logits_available(&mut self) -> Result<usize, TransportError<Self::Error>>;

    /// Takes as many logits as `words` is long, at most 64.
    ///
    /// # Errors
    /// Any [`TransportError`]; [`Busy`](TransportError::Busy) while there are fewer.
    fn take_logits(&mut self, words: &mut [u32]) -> Result<(), TransportError<Self::Error>>;

    /// The engine's ports have been reset: nothing has been transferred yet.
    fn ports_were_reset(&mut self);
}
