//! A display on SPI that understands the MIPI display command set, such as the ILI9341 or ST7789: labels as colours.
//!
//! A pixel of the label map is a pixel of the display, from the upper left corner on. Controllers of the same commands sit
//! behind different glass, so a [`Panel`] says in which order the colours are and from which corner it counts. Nothing of
//! this was tried on a display.

use cfm_core::model::Model;
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiDevice;
use embedded_hal_async::delay::DelayNs as AsyncDelayNs;
use embedded_hal_async::spi::SpiDevice as AsyncSpiDevice;

use crate::rows::{AsyncLabelSink, LabelSink};

const SOFTWARE_RESET: u8 = 0x01;
const LEAVE_SLEEP: u8 = 0x11;
const INVERSION_OFF: u8 = 0x20;
const INVERSION_ON: u8 = 0x21;
const DISPLAY_ON: u8 = 0x29;
const COLUMNS: u8 = 0x2a;
const ROWS: u8 = 0x2b;
const WRITE_MEMORY: u8 = 0x2c;
const ADDRESS_MODE: u8 = 0x36;
const PIXEL_FORMAT: u8 = 0x3a;
/// 16 bits a pixel, on both interfaces.
const RGB_565: u8 = 0x55;
/// What the standard has one wait for after a reset and after sleep, in milliseconds.
const WAKE_MS: u32 = 120;

/// Pixels that are sent at a time.
const CHUNK: usize = 64;

/// What can go wrong with the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DisplayError<S, P> {
    /// The bus failed.
    Spi(S),
    /// The pin that tells data from commands failed.
    Pin(P),
}

/// The colours of labels, packed as the display takes them; black for labels that are no class.
#[derive(Debug, Clone, Copy)]
pub struct Palette([u16; 256]);

impl Palette {
    /// The colours of a model's classes.
    #[must_use]
    pub fn of(model: &Model<'_>) -> Self {
        let mut colours = [0; 256];
        for (colour, class) in colours.iter_mut().zip(model.classes()) {
            *colour = rgb_to_565(class.color);
        }
        Self(colours)
    }

    fn pack(&self, labels: &[u8], bytes: &mut [u8; 2 * CHUNK]) -> usize {
        let mut length = 0;
        for (&label, pair) in labels.iter().zip(bytes.chunks_exact_mut(2)) {
            let colour = self.0.get(usize::from(label)).copied().unwrap_or(0);
            pair.copy_from_slice(&colour.to_be_bytes());
            length += 2;
        }
        length
    }
}

/// The upper bits of red, green and blue.
#[must_use]
pub const fn rgb_to_565([red, green, blue]: [u8; 3]) -> u16 {
    (red as u16 >> 3) << 11 | (green as u16 >> 2) << 5 | blue as u16 >> 3
}

/// How a panel is wired to its controller, and which way up it is. All are of 16 bits a pixel.
///
/// ```
/// use cfm_boards::spi_display::Panel;
///
/// // Lying on its side: rows and columns are exchanged.
/// let panel = Panel { address_mode: 0x28, ..Panel::ILI9341 };
/// assert!(!panel.inverted);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Panel {
    /// What goes to `set_address_mode` (0x36, MADCTL): bit 7 counts rows from below, bit 6 columns from the right, bit 5
    /// exchanges rows and columns, bit 3 says that the glass has blue where the controller has red.
    pub address_mode: u8,
    /// Whether the controller has to invert colours (0x21, INVON) for the glass to show them as they are.
    pub inverted: bool,
}

impl Panel {
    /// The usual modules with an ILI9341, upright, 240 columns by 320 rows: blue and red exchanged, columns from the right.
    pub const ILI9341: Self = Self {
        address_mode: 0x48,
        inverted: false,
    };

    /// The usual modules with an ST7789, which have IPS glass, upright, 240 columns by 320 rows or as many as columns:
    /// inverted.
    pub const ST7789: Self = Self {
        address_mode: 0x00,
        inverted: true,
    };

    /// The command for the colours as they are.
    const fn inversion(self) -> u8 {
        if self.inverted {
            INVERSION_ON
        } else {
            INVERSION_OFF
        }
    }
}

/// The display.
#[derive(Debug)]
pub struct SpiDisplay<S, P> {
    spi: S,
    /// High for data, low for commands.
    data: P,
    panel: Panel,
    palette: Palette,
    width: u16,
    height: u16,
}

impl<S, P> SpiDisplay<S, P> {
    /// A display that shows maps of this size.
    #[must_use]
    pub const fn new(
        spi: S,
        data: P,
        panel: Panel,
        palette: Palette,
        width: u16,
        height: u16,
    ) -> Self {
        Self {
            spi,
            data,
            panel,
            palette,
            width,
            height,
        }
    }

    /// Gives back bus and pin.
    pub fn release(self) -> (S, P) {
        (self.spi, self.data)
    }
}

/// First and last of `count` columns or rows.
const fn range(count: u16) -> [u8; 4] {
    let [high, low] = count.saturating_sub(1).to_be_bytes();
    [0, 0, high, low]
}

impl<S: SpiDevice, P: OutputPin> SpiDisplay<S, P> {
    /// Wakes the display.
    ///
    /// # Errors
    /// [`DisplayError`] when bus or pin fail.
    pub fn wake(
        &mut self,
        delay: &mut impl DelayNs,
    ) -> Result<(), DisplayError<S::Error, P::Error>> {
        self.command(SOFTWARE_RESET, &[])?;
        delay.delay_ms(WAKE_MS);
        self.command(LEAVE_SLEEP, &[])?;
        delay.delay_ms(WAKE_MS);
        self.command(PIXEL_FORMAT, &[RGB_565])?;
        self.command(ADDRESS_MODE, &[self.panel.address_mode])?;
        self.command(self.panel.inversion(), &[])?;
        self.command(DISPLAY_ON, &[])
    }

    fn command(
        &mut self,
        command: u8,
        data: &[u8],
    ) -> Result<(), DisplayError<S::Error, P::Error>> {
        self.data.set_low().map_err(DisplayError::Pin)?;
        self.spi.write(&[command]).map_err(DisplayError::Spi)?;
        self.data.set_high().map_err(DisplayError::Pin)?;
        if data.is_empty() {
            return Ok(());
        }
        self.spi.write(data).map_err(DisplayError::Spi)
    }
}

impl<S: SpiDevice, P: OutputPin> LabelSink for SpiDisplay<S, P> {
    type Error = DisplayError<S::Error, P::Error>;

    fn start(&mut self) -> Result<(), Self::Error> {
        self.command(COLUMNS, &range(self.width))?;
        self.command(ROWS, &range(self.height))?;
        self.command(WRITE_MEMORY, &[])
    }

    fn put_row(&mut self, labels: &[u8]) -> Result<(), Self::Error> {
        let mut bytes = [0; 2 * CHUNK];
        for chunk in labels.chunks(CHUNK) {
            let length = self.palette.pack(chunk, &mut bytes);
            let bytes = bytes.get(..length).unwrap_or(&[]);
            self.spi.write(bytes).map_err(DisplayError::Spi)?;
        }
        Ok(())
    }
}

/// The same display on an async bus.
#[derive(Debug)]
pub struct AsyncSpiDisplay<S, P>(SpiDisplay<S, P>);

impl<S, P> AsyncSpiDisplay<S, P> {
    /// A display that shows maps of this size.
    #[must_use]
    pub const fn new(
        spi: S,
        data: P,
        panel: Panel,
        palette: Palette,
        width: u16,
        height: u16,
    ) -> Self {
        Self(SpiDisplay::new(spi, data, panel, palette, width, height))
    }

    /// Gives back bus and pin.
    pub fn release(self) -> (S, P) {
        self.0.release()
    }
}

impl<S: AsyncSpiDevice, P: OutputPin> AsyncSpiDisplay<S, P> {
    /// Wakes the display.
    ///
    /// # Errors
    /// [`DisplayError`] when bus or pin fail.
    pub async fn wake(
        &mut self,
        delay: &mut impl AsyncDelayNs,
    ) -> Result<(), DisplayError<S::Error, P::Error>> {
        self.command(SOFTWARE_RESET, &[]).await?;
        delay.delay_ms(WAKE_MS).await;
        self.command(LEAVE_SLEEP, &[]).await?;
        delay.delay_ms(WAKE_MS).await;
        self.command(PIXEL_FORMAT, &[RGB_565]).await?;
        let panel = self.0.panel;
        self.command(ADDRESS_MODE, &[panel.address_mode]).await?;
        self.command(panel.inversion(), &[]).await?;
        self.command(DISPLAY_ON, &[]).await
    }

    async fn command(
        &mut self,
        command: u8,
        data: &[u8],
    ) -> Result<(), DisplayError<S::Error, P::Error>> {
        let display = &mut self.0;
        display.data.set_low().map_err(DisplayError::Pin)?;
        display
            .spi
            .write(&[command])
            .await
            .map_err(DisplayError::Spi)?;
        display.data.set_high().map_err(DisplayError::Pin)?;
        if data.is_empty() {
            return Ok(());
        }
        display.spi.write(data).await.map_err(DisplayError::Spi)
    }
}

impl<S: AsyncSpiDevice, P: OutputPin> AsyncLabelSink for AsyncSpiDisplay<S, P> {
    type Error = DisplayError<S::Error, P::Error>;

    async fn start(&mut self) -> Result<(), Self::Error> {
        self.command(COLUMNS, &range(self.0.width)).await?;
        self.command(ROWS, &range(self.0.height)).await?;
        self.command(WRITE_MEMORY, &[]).await
    }

    async fn put_row(&mut self, labels: &[u8]) -> Result<(), Self::Error> {
        let mut bytes = [0; 2 * CHUNK];
        for chunk in labels.chunks(CHUNK) {
            let length = self.0.palette.pack(chunk, &mut bytes);
            let bytes = bytes.get(..length).unwrap_or(&[]);
            self.0.spi.write(bytes).await.map_err(DisplayError::Spi)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::delay::NoopDelay;
    use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction as Level};
    use embedded_hal_mock::eh1::spi::{Mock as Spi, Transaction};
    use std::vec;
    use std::vec::Vec;

    /// A command for the pin and the bus.
    fn command(spi: &mut Vec<Transaction<u8>>, pin: &mut Vec<Level>, command: u8, data: &[u8]) {
        pin.extend([Level::set(State::Low), Level::set(State::High)]);
        spi.extend(written(&[command]));
        if !data.is_empty() {
            spi.extend(written(data));
        }
    }

    fn written(bytes: &[u8]) -> [Transaction<u8>; 3] {
        [
            Transaction::transaction_start(),
            Transaction::write_vec(bytes.to_vec()),
            Transaction::transaction_end(),
        ]
    }

    /// The panels of the boards, with what they are told to be.
    const PANELS: [(Panel, u8, u8); 2] = [(Panel::ILI9341, 0x48, 0x20), (Panel::ST7789, 0, 0x21)];

    /// What waking and showing a map of 70 x 1 means, and its labels.
    fn expected(address_mode: u8, inversion: u8) -> (Vec<Transaction<u8>>, Vec<Level>, [u8; 70]) {
        let (mut spi, mut pin) = (Vec::new(), Vec::new());
        command(&mut spi, &mut pin, 0x01, &[]);
        command(&mut spi, &mut pin, 0x11, &[]);
        command(&mut spi, &mut pin, 0x3a, &[0x55]);
        command(&mut spi, &mut pin, 0x36, &[address_mode]);
        command(&mut spi, &mut pin, inversion, &[]);
        command(&mut spi, &mut pin, 0x29, &[]);
        command(&mut spi, &mut pin, 0x2a, &[0, 0, 0, 69]);
        command(&mut spi, &mut pin, 0x2b, &[0, 0, 0, 0]);
        command(&mut spi, &mut pin, 0x2c, &[]);
        let mut labels = [255; 70];
        labels[0] = 1;
        let mut first = vec![0; 128];
        first[..2].copy_from_slice(&[0xf8, 0x1f]);
        spi.extend(written(&first));
        spi.extend(written(&[0; 12]));
        (spi, pin, labels)
    }

    fn palette() -> Palette {
        let mut colours = [0; 256];
        colours[1] = rgb_to_565([255, 0, 255]);
        Palette(colours)
    }

    #[test]
    fn a_map_is_shown() {
        for (panel, address_mode, inversion) in PANELS {
            let (spi, pin, labels) = expected(address_mode, inversion);
            let (spi, pin) = (Spi::new(&spi), Pin::new(&pin));
            let mut display = SpiDisplay::new(spi, pin, panel, palette(), 70, 1);
            display.wake(&mut NoopDelay).expect("the display answers");
            LabelSink::start(&mut display).expect("the display answers");
            LabelSink::put_row(&mut display, &labels).expect("the display answers");
            let (mut spi, mut pin) = display.release();
            spi.done();
            pin.done();
        }
    }

    #[test]
    fn a_map_is_shown_async() {
        for (panel, address_mode, inversion) in PANELS {
            let (spi, pin, labels) = expected(address_mode, inversion);
            let (spi, pin) = (Spi::new(&spi), Pin::new(&pin));
            let mut display = AsyncSpiDisplay::new(spi, pin, panel, palette(), 70, 1);
            pollster::block_on(async {
                display
                    .wake(&mut NoopDelay)
                    .await
                    .expect("the display answers");
                display.start().await.expect("the display answers");
                display.put_row(&labels).await.expect("the display answers");
            });
            let (mut spi, mut pin) = display.release();
            spi.done();
            pin.done();
        }
    }

    #[test]
    fn the_default_models_colours_differ() {
        let palette = Palette::of(&cfm_conformance::street::MODEL);
        let mut colours: Vec<u16> = palette.0[..11].to_vec();
        assert!(palette.0[12..].iter().all(|&colour| colour == 0));
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), 11);
    }
}
