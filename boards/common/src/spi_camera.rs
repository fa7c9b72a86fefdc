//! A camera on SPI: the ArduChip controller of the Arducam Mini modules, which keeps a picture in a FIFO of its own.
//!
//! The controller is asked for a picture, waited for, and then read row by row, so that the microcontroller needs
//! memory for one row only. Its sensor has to be set up through I2C beforehand: RGB 5-6-5, most significant byte
//! first, at the size of the model's image; how is in the sensor's documentation (OV2640: window registers in the DSP
//! bank). Nothing of this was tried on a module.
//!
//! Registers: bit 7 of the address means write. 0x04 controls the FIFO (bit 0 clears the flag "done", bit 1 starts a
//! capture, bit 4 and 5 reset the write and the read pointer), bit 3 of 0x41 is "done", and 0x3c reads from the FIFO
//! until chip select goes up. Between such bursts the read pointer stays where it is, and every burst begins with the next
//! byte of the picture. Old modules put one byte that means nothing before the picture, which is [left
//! out](SpiCamera::with_leading_byte) in the first burst only (Arducam, issues 53 and 432 of its Arduino library).

use embedded_hal::delay::DelayNs;
use embedded_hal::spi::{Operation, SpiDevice};
use embedded_hal_async::delay::DelayNs as AsyncDelayNs;
use embedded_hal_async::spi::SpiDevice as AsyncSpiDevice;

use crate::rows::{AsyncRowSource, RowSource};

const WRITE: u8 = 0x80;
const FIFO: u8 = 0x04;
const CLEAR_DONE: u8 = 1;
const CAPTURE: u8 = 1 << 1;
const RESET_POINTERS: u8 = 1 << 4 | 1 << 5;
const STATUS: u8 = 0x41;
const DONE: u8 = 1 << 3;
const BURST: u8 = 0x3c;

/// How often the camera is asked whether the picture is there, once a millisecond: longer than the slowest exposure.
const POLLS: u32 = 2000;

/// What can go wrong with the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CameraError<E> {
    /// The bus failed.
    Spi(E),
    /// No picture within two seconds.
    Timeout,
    /// A row was asked for whose length is no multiple of three samples.
    RowLength,
}

/// The camera, on a bus shared with nobody or through [`SpiDevice`] with others.
#[derive(Debug)]
pub struct SpiCamera<S, D> {
    spi: S,
    delay: D,
    /// What one burst sends before the picture begins.
    first: &'static [u8],
    begun: bool,
}

/// Reads from the picture.
const NEXT: &[u8] = &[BURST];
/// The same, and one byte is taken for nothing.
const SKIP: &[u8] = &[BURST, 0];

impl<S, D> SpiCamera<S, D> {
    /// A camera whose sensor has been set up, and whose FIFO begins with the picture.
    #[must_use]
    pub const fn new(spi: S, delay: D) -> Self {
        Self {
            spi,
            delay,
            first: NEXT,
            begun: false,
        }
    }

    /// A camera whose sensor has been set up, of an old module, whose FIFO begins with a byte that means nothing. With the
    /// wrong constructor the two bytes of each pixel are those of different ones: colours are noise.
    #[must_use]
    pub const fn with_leading_byte(spi: S, delay: D) -> Self {
        Self {
            spi,
            delay,
            first: SKIP,
            begun: false,
        }
    }

    /// What the next burst sends.
    const fn burst(&self) -> &'static [u8] {
        if self.begun { NEXT } else { self.first }
    }

    /// Gives back bus and delay.
    pub fn release(self) -> (S, D) {
        (self.spi, self.delay)
    }
}

/// Where the packed pixels of a row of RGB samples go: into its last two thirds, so that they can be unpacked from the
/// front.
fn packed<E>(row: &mut [u8]) -> Result<&mut [u8], CameraError<E>> {
    if !row.len().is_multiple_of(3) {
        return Err(CameraError::RowLength);
    }
    row.get_mut(row.len() / 3..).ok_or(CameraError::RowLength)
}

/// Makes samples of 8 bits from the packed pixels that [`packed`] has received, in place.
fn unpack(row: &mut [u8]) {
    let pixels = row.len() / 3;
    for pixel in 0..pixels {
        // Pixel i is read at pixels + 2 i, not before what is written up to 3 i + 2.
        let at = pixels + 2 * pixel;
        let Some(&[high, low]) = row.get(at..at + 2) else {
            return;
        };
        let rgb = rgb_from_565(u16::from_be_bytes([high, low]));
        if let Some(samples) = row.get_mut(3 * pixel..3 * pixel + 3) {
            samples.copy_from_slice(&rgb);
        }
    }
}

/// Red, green and blue of 8 bits; the upper bits are repeated, so that the largest value is 255.
#[must_use]
pub const fn rgb_from_565(pixel: u16) -> [u8; 3] {
    let red = (pixel >> 11) as u8;
    let green = (pixel >> 5) as u8 & 0x3f;
    let blue = pixel as u8 & 0x1f;
    [
        red << 3 | red >> 2,
        green << 2 | green >> 4,
        blue << 3 | blue >> 2,
    ]
}

impl<S: SpiDevice, D: DelayNs> RowSource for SpiCamera<S, D> {
    type Error = CameraError<S::Error>;

    fn start(&mut self) -> Result<(), Self::Error> {
        self.begun = false;
        for command in [RESET_POINTERS, CLEAR_DONE, CAPTURE] {
            let written = self.spi.write(&[WRITE | FIFO, command]);
            written.map_err(CameraError::Spi)?;
        }
        for _ in 0..POLLS {
            let mut status = [STATUS, 0];
            let read = self.spi.transfer_in_place(&mut status);
            read.map_err(CameraError::Spi)?;
            if status[1] & DONE != 0 {
                return Ok(());
            }
            self.delay.delay_ms(1);
        }
        Err(CameraError::Timeout)
    }

    fn next_row(&mut self, row: &mut [u8]) -> Result<(), Self::Error> {
        let pixels = packed(row)?;
        let burst = &mut [Operation::Write(self.burst()), Operation::Read(pixels)];
        self.spi.transaction(burst).map_err(CameraError::Spi)?;
        self.begun = true;
        unpack(row);
        Ok(())
    }
}

impl<S: AsyncSpiDevice, D: AsyncDelayNs> AsyncRowSource for SpiCamera<S, D> {
    type Error = CameraError<S::Error>;

    async fn start(&mut self) -> Result<(), Self::Error> {
        self.begun = false;
        for command in [RESET_POINTERS, CLEAR_DONE, CAPTURE] {
            let written = self.spi.write(&[WRITE | FIFO, command]).await;
            written.map_err(CameraError::Spi)?;
        }
        for _ in 0..POLLS {
            let mut status = [STATUS, 0];
            let read = self.spi.transfer_in_place(&mut status).await;
            read.map_err(CameraError::Spi)?;
            if status[1] & DONE != 0 {
                return Ok(());
            }
            self.delay.delay_ms(1).await;
        }
        Err(CameraError::Timeout)
    }

    async fn next_row(&mut self, row: &mut [u8]) -> Result<(), Self::Error> {
        let pixels = packed(row)?;
        let burst = &mut [Operation::Write(self.burst()), Operation::Read(pixels)];
        self.spi
            .transaction(burst)
            .await
            .map_err(CameraError::Spi)?;
        self.begun = true;
        unpack(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::delay::NoopDelay;
    use embedded_hal_mock::eh1::spi::{Mock, Transaction};
    use std::vec;
    use std::vec::Vec;

    /// What goes over the bus for a picture of two rows of two pixels that is done when asked for the second time, from a
    /// module whose FIFO begins with these bytes.
    fn picture(leading: &[u8]) -> Vec<Transaction<u8>> {
        let write = |bytes: &[u8]| {
            let content = Transaction::write_vec(bytes.to_vec());
            vec![
                Transaction::transaction_start(),
                content,
                Transaction::transaction_end(),
            ]
        };
        let status = |done: u8| {
            let content = Transaction::transfer_in_place(vec![0x41, 0], vec![0, done]);
            vec![
                Transaction::transaction_start(),
                content,
                Transaction::transaction_end(),
            ]
        };
        let row = |command: &[u8], pixels: &[u8]| {
            vec![
                Transaction::transaction_start(),
                Transaction::write_vec(command.to_vec()),
                Transaction::read_vec(pixels.to_vec()),
                Transaction::transaction_end(),
            ]
        };
        [
            write(&[0x84, 0x30]),
            write(&[0x84, 0x01]),
            write(&[0x84, 0x02]),
            status(0),
            status(8),
            // Red and a blue with one bit; green and white. No byte of the picture is read for nothing.
            row(&[&[0x3c], leading].concat(), &[0xf8, 0x00, 0x00, 0x01]),
            row(&[0x3c], &[0x07, 0xe0, 0xff, 0xff]),
        ]
        .concat()
    }

    const ROWS: [[u8; 6]; 2] = [[255, 0, 0, 0, 0, 8], [0, 255, 0, 255, 255, 255]];

    #[test]
    fn a_picture_arrives() {
        let mut camera = SpiCamera::new(Mock::new(&picture(&[])), NoopDelay);
        let mut row = [0; 6];
        RowSource::start(&mut camera).expect("the picture is there");
        assert_eq!(
            RowSource::next_row(&mut camera, &mut [0; 4]),
            Err(CameraError::RowLength)
        );
        for expected in ROWS {
            RowSource::next_row(&mut camera, &mut row).expect("the row is there");
            assert_eq!(row, expected);
        }
        camera.release().0.done();
    }

    #[test]
    fn the_leading_byte_of_an_old_module_is_left_out_once_per_picture() {
        let bus = [picture(&[0]), picture(&[0])].concat();
        let mut camera = SpiCamera::with_leading_byte(Mock::new(&bus), NoopDelay);
        let mut row = [0; 6];
        for _ in 0..2 {
            RowSource::start(&mut camera).expect("the picture is there");
            for expected in ROWS {
                RowSource::next_row(&mut camera, &mut row).expect("the row is there");
                assert_eq!(row, expected);
            }
        }
        camera.release().0.done();
        let mut camera = SpiCamera::with_leading_byte(Mock::new(&bus), NoopDelay);
        pollster::block_on(async {
            for _ in 0..2 {
                AsyncRowSource::start(&mut camera)
                    .await
                    .expect("the picture is there");
                for expected in ROWS {
                    AsyncRowSource::next_row(&mut camera, &mut row)
                        .await
                        .expect("the row is there");
                    assert_eq!(row, expected);
                }
            }
        });
        camera.release().0.done();
    }

    #[test]
    fn a_picture_arrives_async() {
        let mut camera = SpiCamera::new(Mock::new(&picture(&[])), NoopDelay);
        let mut row = [0; 6];
        pollster::block_on(async {
            AsyncRowSource::start(&mut camera)
                .await
                .expect("the picture is there");
            for expected in ROWS {
                AsyncRowSource::next_row(&mut camera, &mut row)
                    .await
                    .expect("the row is there");
                assert_eq!(row, expected);
            }
        });
        camera.release().0.done();
    }

    #[test]
    fn a_camera_that_never_answers_is_given_up() {
        let mut bus = picture(&[]);
        bus.truncate(9);
        for _ in 0..POLLS {
            bus.extend([
                Transaction::transaction_start(),
                Transaction::transfer_in_place(vec![0x41, 0], vec![0, 0xf7]),
                Transaction::transaction_end(),
            ]);
        }
        let mut camera = SpiCamera::new(Mock::new(&bus), NoopDelay);
        assert_eq!(RowSource::start(&mut camera), Err(CameraError::Timeout));
        camera.release().0.done();
    }

    #[test]
    fn rows_are_unpacked_in_place() {
        for pixels in 0..40_usize {
            let mut row = vec![0_u8; 3 * pixels];
            let colour = |i: usize| (i as u16).wrapping_mul(40_503);
            for (i, pair) in row[pixels..].chunks_exact_mut(2).enumerate() {
                pair.copy_from_slice(&colour(i).to_be_bytes());
            }
            unpack(&mut row);
            for (i, rgb) in row.chunks_exact(3).enumerate() {
                assert_eq!(rgb, rgb_from_565(colour(i)));
            }
        }
        assert_eq!(rgb_from_565(0xffff), [255; 3]);
    }
}
