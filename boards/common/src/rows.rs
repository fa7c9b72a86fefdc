//! Where image rows come from, and where label rows go.
//!
//! A row is taken and pushed into the executor before the next one is asked for, so that a camera needs no more than a
//! row of memory.

/// Gives the rows of an image from top to bottom.
pub trait RowSource {
    /// Why a row cannot be had.
    type Error;

    /// Begins a new image: the next row is its first.
    ///
    /// # Errors
    /// When the source does not answer.
    fn start(&mut self) -> Result<(), Self::Error>;

    /// Fills `row` with the next row, `width * channels` samples of 8 bits.
    ///
    /// # Errors
    /// When the source does not answer or has no more rows.
    fn next_row(&mut self, row: &mut [u8]) -> Result<(), Self::Error>;
}

/// [`RowSource`] for an async runtime: other tasks run while a transfer does.
#[allow(async_fn_in_trait)] // Firmware has one executor; nothing has to be `Send`.
pub trait AsyncRowSource {
    /// Why a row cannot be had.
    type Error;

    /// Begins a new image: the next row is its first.
    ///
    /// # Errors
    /// When the source does not answer.
    async fn start(&mut self) -> Result<(), Self::Error>;

    /// Fills `row` with the next row, `width * channels` samples of 8 bits.
    ///
    /// # Errors
    /// When the source does not answer or has no more rows.
    async fn next_row(&mut self, row: &mut [u8]) -> Result<(), Self::Error>;
}

/// Takes the rows of a label map from top to bottom.
pub trait LabelSink {
    /// Why a row cannot be taken.
    type Error;

    /// Begins a new map.
    ///
    /// # Errors
    /// When the sink does not answer.
    fn start(&mut self) -> Result<(), Self::Error>;

    /// Takes the next row: a class index a pixel, 255 for none.
    ///
    /// # Errors
    /// When the sink does not answer.
    fn put_row(&mut self, labels: &[u8]) -> Result<(), Self::Error>;
}

/// [`LabelSink`] for an async runtime.
#[allow(async_fn_in_trait)] // As above.
pub trait AsyncLabelSink {
    /// Why a row cannot be taken.
    type Error;

    /// Begins a new map.
    ///
    /// # Errors
    /// When the sink does not answer.
    async fn start(&mut self) -> Result<(), Self::Error>;

    /// Takes the next row: a class index a pixel, 255 for none.
    ///
    /// # Errors
    /// When the sink does not answer.
    async fn put_row(&mut self, labels: &[u8]) -> Result<(), Self::Error>;
}
