//! The engine's SPI pins in a simulation of its RTL on the host, reached through two pipes that semihosting opens as
//! files: `hls/rtl/tb/spi_pins.cpp`, which `hls/rtl/run.sh pins` builds. Faults can be put on the wires.

use core::cell::RefCell;

use embedded_hal::delay::DelayNs;
use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};
use heapless::Vec;

use crate::descriptor::{Descriptor, Mode};

/// Clocks of the engine in a microsecond.
const CLOCKS_PER_US: u32 = 80;
/// Most bytes of a transaction: a request of 64 words with its frame, and what comes back.
const BYTES: usize = 1024;
/// Most characters of a line: two for a byte, the command, the end.
const LINE: usize = 2 * BYTES + 3;

/// What happens on the wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// In every so manieth transfer a bit is flipped, in turn on its way to the engine and back.
    Bits(u32),
    /// The engine's reset pin is pulled before a transfer, counted from now.
    Reset(u32),
    /// From a transfer on, counted from now, the memory with the weights does not answer.
    Stuck(u32),
}

/// Both pipes.
#[derive(Debug)]
struct Pipes {
    request: Descriptor,
    answer: Descriptor,
    transfers: u32,
    flips: u32,
    fault: Option<Fault>,
}

impl Pipes {
    /// Sends a line, which is ended here, and reads an answer of that many characters, in the line's place.
    fn ask(&mut self, line: &mut Vec<u8, LINE>, answer: usize) -> Result<(), ErrorKind> {
        line.push(b'\n').map_err(|_| ErrorKind::Other)?;
        if !self.request.write(line) {
            return Err(ErrorKind::Other);
        }
        line.clear();
        line.resize(answer + 1, 0).map_err(|_| ErrorKind::Other)?;
        if self.answer.read(line) && line.pop() == Some(b'\n') {
            Ok(())
        } else {
            Err(ErrorKind::Other)
        }
    }

    /// Sends a command that is answered by "ok".
    fn command(&mut self, command: &[u8]) -> Result<(), ErrorKind> {
        let mut line = Vec::from_slice(command).map_err(|_| ErrorKind::Other)?;
        self.ask(&mut line, b"ok".len())
    }

    /// The fault of the next transfer: the index of a bit that flips, if one does.
    fn disturb(&mut self, bits: usize) -> Result<Option<usize>, ErrorKind> {
        let transfer = self.transfers;
        self.transfers = transfer.wrapping_add(1);
        match self.fault {
            Some(Fault::Bits(every)) if transfer % every.max(1) == every.max(1) - 1 => {
                self.flips = self.flips.wrapping_add(1);
                // Odd flips fall into the first half of the bytes, even ones into the second.
                let half = (bits / 2).max(1);
                let place = transfer as usize * 7 % half;
                return Ok(Some(place + (self.flips as usize % 2) * half).filter(|&bit| bit < bits));
            }
            Some(Fault::Reset(at)) if at == transfer => self.command(b"r")?,
            Some(Fault::Stuck(at)) if at == transfer => self.command(b"h 1")?,
            _ => {}
        }
        Ok(None)
    }
}

/// The simulation.
#[derive(Debug)]
pub struct Simulation(RefCell<Pipes>);

impl Simulation {
    /// Opens the pipes `engine.request` and `engine.answer`; `None` if they are not there.
    #[must_use]
    pub fn open() -> Option<Self> {
        // In this order: each end of a pipe waits for the other one to be opened.
        let request = Descriptor::open(c"engine.request", Mode::Write)?;
        let answer = Descriptor::open(c"engine.answer", Mode::Read)?;
        Some(Self(RefCell::new(Pipes {
            request,
            answer,
            transfers: 0,
            flips: 0,
            fault: None,
        })))
    }

    /// The wires.
    #[must_use]
    pub const fn pins(&self) -> Pins<'_> {
        Pins(self)
    }

    /// Time in the simulation.
    #[must_use]
    pub const fn delay(&self) -> SimulatedDelay<'_> {
        SimulatedDelay(self)
    }

    /// Puts a fault on the wires from the next transfer on, or takes it away.
    ///
    /// # Errors
    /// When the simulation does not answer.
    pub fn fault(&self, fault: Option<Fault>) -> Result<(), ErrorKind> {
        let mut pipes = self.0.try_borrow_mut().map_err(|_| ErrorKind::Other)?;
        pipes.fault = fault;
        pipes.transfers = 0;
        pipes.command(b"h 0")
    }

    /// Bits flipped so far.
    #[must_use]
    pub fn flips(&self) -> u32 {
        self.0.try_borrow().map_or(0, |pipes| pipes.flips)
    }
}

/// The engine's SPI pins.
#[derive(Debug, Clone, Copy)]
pub struct Pins<'a>(&'a Simulation);

impl ErrorType for Pins<'_> {
    type Error = ErrorKind;
}

impl SpiDevice for Pins<'_> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
        let mut pipes = self.0.0.try_borrow_mut().map_err(|_| ErrorKind::Other)?;
        let mut line = Vec::<u8, LINE>::new();
        let full = |_| ErrorKind::Other;
        line.extend_from_slice(b"x ")
            .map_err(|_| ErrorKind::Other)?;
        let mut bytes = 0;
        for operation in &*operations {
            let (sent, count) = match operation {
                Operation::Write(sent) => (*sent, sent.len()),
                Operation::Read(received) => (&[][..], received.len()),
                _ => return Err(ErrorKind::Other),
            };
            bytes += count;
            for index in 0..count {
                let byte = sent.get(index).copied().unwrap_or(0);
                line.push(digit(byte >> 4)).map_err(full)?;
                line.push(digit(byte & 15)).map_err(full)?;
            }
        }
        let flip = pipes.disturb(8 * bytes)?;
        let (half, start) = (bytes / 2, b"x ".len());
        if let Some(bit) = flip.filter(|bit| bit / 8 < half) {
            flip_bit(line.get_mut(start..).unwrap_or_default(), bit);
        }
        pipes.ask(&mut line, 2 * bytes)?;
        if let Some(bit) = flip.filter(|bit| bit / 8 >= half) {
            flip_bit(&mut line, bit);
        }
        let mut back = line.chunks_exact(2).map(|pair| match pair {
            &[high, low] => value(high) << 4 | value(low),
            _ => 0,
        });
        for operation in operations {
            match operation {
                Operation::Write(sent) => back.by_ref().take(sent.len()).for_each(drop),
                Operation::Read(received) => {
                    for to in received.iter_mut() {
                        *to = back.next().ok_or(ErrorKind::Other)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A delay in simulated time.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedDelay<'a>(&'a Simulation);

impl DelayNs for SimulatedDelay<'_> {
    fn delay_ns(&mut self, ns: u32) {
        self.delay_us(ns.div_ceil(1000));
    }

    fn delay_us(&mut self, us: u32) {
        let mut line: Vec<u8, LINE> = Vec::new();
        let mut clocks = us.saturating_mul(CLOCKS_PER_US);
        let mut digits = [0; 10];
        let mut used = 0;
        for place in digits.iter_mut().rev() {
            *place = digit((clocks % 10) as u8);
            clocks /= 10;
            used += 1;
            if clocks == 0 {
                break;
            }
        }
        let number = digits.get(digits.len() - used..).unwrap_or_default();
        // A simulation that is gone is noticed by the next transfer.
        if line.extend_from_slice(b"w ").is_ok()
            && line.extend_from_slice(number).is_ok()
            && let Ok(mut pipes) = self.0.0.try_borrow_mut()
        {
            let _ = pipes.ask(&mut line, b"ok".len());
        }
    }
}

const fn digit(value: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

const fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 0,
    }
}

/// Flips a bit of bytes that are written in hexadecimal digits.
fn flip_bit(digits: &mut [u8], bit: usize) {
    if let Some(place) = digits.get_mut(bit / 4) {
        *place = digit(value(*place) ^ (1 << (bit % 4)));
    }
}
