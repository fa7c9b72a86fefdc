//! What the words mean: loading a model, frames, segments and logits; with time-outs and retries.

use embedded_hal::delay::DelayNs;

use crate::configuration::{Block, Configuration};
use crate::instance::Instance;
use crate::protocol::{
    CONTROL_ENABLE, CONTROL_RESET, Port, Register, STATUS_CONFIGURED, STATUS_IDLE, STATUS_OVERFLOW,
    STATUS_WEIGHTS_FAILED, TRANSFER_WORDS,
};
use crate::segment_words::{END_OF_FRAME, words_behind};
use crate::transport::{Transport, TransportError};

/// Where the control store says that there is a model (`hls/ENGINE.md`).
const MODEL_WORD: u32 = 0;

/// How patient the driver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often a disturbed transfer is tried in all.
    pub attempts: u8,
    /// Between two looks at a busy port, in microseconds.
    pub poll_us: u32,
    /// How long a port may stay busy, in microseconds of waiting.
    pub timeout_us: u32,
}

impl Default for Policy {
    /// Five attempts, a look every 50 microseconds, half a second.
    fn default() -> Self {
        Self {
            attempts: 5,
            poll_us: 50,
            timeout_us: 500_000,
        }
    }
}

/// Why the engine did not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DeviceError<E> {
    /// The bus failed, in every attempt.
    Bus(E),
    /// Transfers are disturbed, in every attempt.
    Disturbed,
    /// The engine stayed busy.
    Timeout,
    /// The engine was reset, or words were lost on the way.
    Lost,
    /// The engine refuses a request that it should know.
    Refused,
    /// There is no engine, or one with another register map.
    NotAnEngine,
    /// The configuration was made for another folding.
    Folding,
    /// The configuration was made for an instance with larger memories, another `SIDE`, or units that this one has not.
    Instance,
    /// A pixel has more than 255 samples, or a row more than 65535: more than the engine's registers hold.
    Image,
    /// What was loaded does not read back as it was sent.
    Verify,
    /// No model, or another one than the configuration's, is loaded.
    NotConfigured,
    /// The engine could not read its weights from the memory outside.
    Weights,
    /// A row or a slice for logits has the wrong length, a row comes beside a frame, or the segment has no pixels.
    Argument,
}

impl<E> DeviceError<E> {
    /// The error in words, without what the bus says of itself.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Bus(_) => "the engine's bus failed",
            Self::Disturbed => "transfers to the engine are disturbed",
            Self::Timeout => "the engine does not get ready",
            Self::Lost => "the engine was reset, or words were lost",
            Self::Refused => "the engine refuses a request",
            Self::NotAnEngine => "no engine with this register map",
            Self::Folding => "the configuration was made for another folding",
            Self::Instance => "the configuration was made for an engine of other parameters",
            Self::Image => "the image has more samples in a pixel or row than the engine counts",
            Self::Verify => "the configuration does not read back as it was sent",
            Self::NotConfigured => "the model is not loaded",
            Self::Weights => "the engine cannot read its weights from memory",
            Self::Argument => "a row, a segment or the slice for the logits does not fit the model",
        }
    }
}

impl<E: core::fmt::Debug> core::fmt::Display for DeviceError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Bus(error) => write!(f, "{}: {error:?}", self.message()),
            _ => f.write_str(self.message()),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for DeviceError<E> {}

/// What an engine says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Channels of a memory word, and lanes << 8.
    pub folding: u32,
    /// CRC-32 of the loaded model, if one is.
    pub fingerprint: Option<u32>,
    /// Frames finished since reset.
    pub frames: u32,
}

/// An engine.
#[derive(Debug)]
pub struct Device<T, D> {
    transport: T,
    delay: D,
    policy: Policy,
    channels: u16,
    row_bytes: usize,
    rows: u16,
    /// Rows that the frame still takes.
    rows_left: u16,
    classes: usize,
    /// A transfer of the frame has failed: words of it may be missing, or may have come.
    lost: bool,
}

type Outcome<T, R> = Result<R, DeviceError<<T as Transport>::Error>>;

impl<T: Transport, D: DelayNs> Device<T, D> {
    /// The engine at the other end of `transport`.
    pub const fn new(transport: T, delay: D, policy: Policy) -> Self {
        Self {
            transport,
            delay,
            policy,
            channels: 0,
            row_bytes: 0,
            rows: 0,
            rows_left: 0,
            classes: 0,
            lost: false,
        }
    }

    /// Gives the bus and the delay back.
    pub fn release(self) -> (T, D) {
        (self.transport, self.delay)
    }

    /// Tries a transfer until it is done, or patience ends.
    fn transfer<R>(
        &mut self,
        mut once: impl FnMut(&mut T) -> Result<R, TransportError<T::Error>>,
    ) -> Outcome<T, R> {
        let mut attempts = 0;
        let mut waited = 0;
        loop {
            match once(&mut self.transport) {
                Ok(result) => return Ok(result),
                Err(TransportError::Busy) if waited < self.policy.timeout_us => {
                    self.wait(&mut waited);
                }
                Err(error) => {
                    attempts += 1;
                    let last = attempts >= self.policy.attempts;
                    match error {
                        TransportError::Busy => return Err(DeviceError::Timeout),
                        TransportError::Bus(error) if last => return Err(DeviceError::Bus(error)),
                        TransportError::Disturbed if last => return Err(DeviceError::Disturbed),
                        TransportError::Bus(_) | TransportError::Disturbed => {}
                        TransportError::Sequence => return Err(DeviceError::Lost),
                        TransportError::Request => return Err(DeviceError::Refused),
                    }
                }
            }
        }
    }

    fn wait(&mut self, waited: &mut u32) {
        let poll = self.policy.poll_us.max(1);
        self.delay.delay_us(poll);
        *waited = waited.saturating_add(poll);
    }

    fn read(&mut self, register: Register) -> Outcome<T, u32> {
        let mut value = [0];
        self.transfer(|transport| transport.read_registers(register, &mut value))?;
        let [value] = value;
        Ok(value)
    }

    fn write(&mut self, register: Register, value: u32) -> Outcome<T, ()> {
        self.transfer(|transport| transport.write_register(register, value))
    }

    /// Who is there.
    ///
    /// # Errors
    /// [`DeviceError::NotAnEngine`], or a failed transfer.
    pub fn identify(&mut self) -> Outcome<T, Identity> {
        let mut registers = [0; 7];
        self.transfer(|transport| transport.read_registers(Register::ID, &mut registers))?;
        let [id, version, folding, _, status, fingerprint, frames] = registers;
        // What this needs of a minor version, later ones have too.
        if id != Register::ENGINE_ID || version >> 16 != 1 || version & 0xFFFF < 1 {
            return Err(DeviceError::NotAnEngine);
        }
        Ok(Identity {
            folding,
            fingerprint: (status & STATUS_CONFIGURED != 0).then_some(fingerprint),
            frames,
        })
    }

    /// What the engine was built with, beside its folding.
    ///
    /// # Errors
    /// A failed transfer.
    pub fn instance(&mut self) -> Outcome<T, Instance> {
        let (mut memories, mut others) = ([0; 3], [0; 3]);
        self.transfer(|transport| {
            transport.read_registers(Register::FEATURE_WORDS, &mut memories)
        })?;
        self.transfer(|transport| transport.read_registers(Register::STORE_WORDS, &mut others))?;
        let ([feature, weights, channels], [store, side, units]) = (memories, others);
        Ok(Instance::from_words([
            feature, weights, channels, store, side, units,
        ]))
    }

    /// Stops whatever the engine does; what has been loaded stays.
    ///
    /// # Errors
    /// A failed transfer.
    pub fn reset(&mut self) -> Outcome<T, ()> {
        self.write(Register::CONTROL, CONTROL_RESET)?;
        // Even if the engine stays in reset.
        self.transport.ports_were_reset();
        self.write(Register::CONTROL, 0)?;
        self.lost = false;
        self.rows_left = 0;
        Ok(())
    }

    /// Resets the engine and loads a model.
    ///
    /// Every block for the configuration bus is checked by the CRC-32 that the engine makes of it. Weights outside are not read
    /// back: over SPI each of their transfers has its CRC; memory-mapped, the processor writes them, and nothing checks them.
    ///
    /// The word by which the engine knows that there is a model is taken away first and comes last: when loading breaks off,
    /// there is none, and [`select`](Self::select) says so.
    ///
    /// # Errors
    /// [`DeviceError::NotAnEngine`], [`DeviceError::Folding`], [`DeviceError::Instance`], [`DeviceError::Verify`],
    /// [`DeviceError::NotConfigured`], [`DeviceError::Image`], or a failed transfer.
    pub fn load(&mut self, configuration: &Configuration<'_>) -> Outcome<T, ()> {
        self.row_bytes = 0;
        if self.identify()?.folding != configuration.folding() {
            return Err(DeviceError::Folding);
        }
        // What lies beyond a memory's end would be written over its beginning, or nowhere; and read back as it was sent.
        if !self.instance()?.runs(&configuration.instance()) {
            return Err(DeviceError::Instance);
        }
        self.reset()?;
        self.write(Register::CONFIG_ADDRESS, MODEL_WORD)?;
        self.transfer(|transport| transport.push(Port::Config, &[0]))?;
        let mut last = None;
        for mut block in configuration.blocks() {
            if !block.external
                && block.address == MODEL_WORD
                && let Some((first, behind)) = block.split_first()
            {
                last = Some(first);
                block = behind;
            }
            self.send(block)?;
        }
        if let Some(block) = last {
            self.send(block)?;
        }
        // Without another reset: words for the memory outside may still be on their way.
        self.adopt(configuration)
    }

    /// Writes a block where it belongs.
    fn send(&mut self, block: Block<'_>) -> Outcome<T, ()> {
        let (port, register) = if block.external {
            (Port::External, Register::EXTERNAL_ADDRESS)
        } else {
            (Port::Config, Register::CONFIG_ADDRESS)
        };
        self.write(register, block.address)?;
        let mut words = block.words();
        let mut chunk = [0; TRANSFER_WORDS];
        loop {
            let filled = fill(&mut chunk, &mut words);
            if filled.is_empty() {
                break;
            }
            self.transfer(|transport| transport.push(port, filled))?;
        }
        if !block.external && !self.comes_to(Register::CONFIG_CHECK, block.check())? {
            return Err(DeviceError::Verify);
        }
        Ok(())
    }

    /// Uses what is loaded already, and resets the engine: whatever was under way ends.
    ///
    /// # Errors
    /// [`DeviceError::NotAnEngine`], [`DeviceError::NotConfigured`] when another model is loaded, [`DeviceError::Image`], or a
    /// failed transfer.
    pub fn select(&mut self, configuration: &Configuration<'_>) -> Outcome<T, ()> {
        self.adopt(configuration)?;
        self.reset()
    }

    /// Checks that this is what is loaded, and takes its numbers over.
    fn adopt(&mut self, configuration: &Configuration<'_>) -> Outcome<T, ()> {
        let identity = self.identify()?;
        if identity.folding != configuration.folding()
            || identity.fingerprint != Some(configuration.fingerprint())
        {
            return Err(DeviceError::NotConfigured);
        }
        if configuration.channels() > u16::from(u8::MAX)
            || configuration.row_bytes() > u32::from(u16::MAX)
        {
            return Err(DeviceError::Image);
        }
        self.channels = configuration.channels();
        self.rows = configuration.rows();
        self.row_bytes = configuration.row_bytes() as usize;
        self.classes = configuration.classes();
        Ok(())
    }

    /// Whether a register takes a value in time.
    fn comes_to(&mut self, register: Register, value: u32) -> Outcome<T, bool> {
        let mut waited = 0;
        loop {
            if self.read(register)? == value {
                return Ok(true);
            }
            if waited >= self.policy.timeout_us {
                return Ok(false);
            }
            self.wait(&mut waited);
        }
    }

    /// Lets the engine begin one frame.
    ///
    /// # Errors
    /// [`DeviceError::NotConfigured`] when it does not begin, [`DeviceError::Timeout`] when the frame before does not end,
    /// [`DeviceError::Lost`] when a transfer of the frame before has failed and there was no [`reset`](Self::reset) since, or a
    /// failed transfer.
    pub fn begin_frame(&mut self) -> Outcome<T, ()> {
        if self.row_bytes == 0 {
            return Err(DeviceError::NotConfigured);
        }
        self.check_whole()?;
        let mut waited = 0;
        while self.read(Register::STATUS)? & STATUS_IDLE == 0 {
            if waited >= self.policy.timeout_us {
                return Err(DeviceError::Timeout);
            }
            self.wait(&mut waited);
        }
        self.write(Register::CONTROL, CONTROL_ENABLE)?;
        // The next frame is another call's.
        self.write(Register::CONTROL, 0)?;
        // Now, and not once for all frames: after a reset that nobody noticed they would be gone. One that comes from here on
        // ends the frame.
        self.write(Register::IMAGE_CHANNELS, u32::from(self.channels))?;
        self.write(Register::IMAGE_ROW_BYTES, self.row_bytes as u32)?;
        match self.read(Register::STATUS)? & STATUS_IDLE {
            0 => {
                self.rows_left = self.rows;
                Ok(())
            }
            _ => Err(DeviceError::NotConfigured),
        }
    }

    /// Pushes the next row of the image: `width * channels` samples.
    ///
    /// When it fails, the frame is lost, for some of the row may have come: everything but a reset returns [`DeviceError::Lost`].
    ///
    /// # Errors
    /// [`DeviceError::Argument`] for another length, and for a row before [`begin_frame`](Self::begin_frame) or behind the
    /// image's last; [`DeviceError::Lost`] after a failed transfer, or a failed transfer.
    pub fn push_row(&mut self, row: &[u8]) -> Outcome<T, ()> {
        if row.len() != self.row_bytes {
            return Err(DeviceError::Argument);
        }
        self.check_whole()?;
        // It would be taken for the next frame's, and every one behind it would be one row too low.
        let Some(left) = self.rows_left.checked_sub(1) else {
            return Err(DeviceError::Argument);
        };
        self.rows_left = left;
        let mut words = row.chunks(4).map(|samples| {
            let mut word = [0; 4];
            word.iter_mut()
                .zip(samples)
                .for_each(|(to, &from)| *to = from);
            u32::from_le_bytes(word)
        });
        let mut chunk = [0; TRANSFER_WORDS];
        loop {
            let filled = fill(&mut chunk, &mut words);
            if filled.is_empty() {
                return Ok(());
            }
            let pushed = self.transfer(|transport| transport.push(Port::Image, filled));
            self.lost |= pushed.is_err();
            pushed?;
        }
    }

    /// Refuses to go on with a frame of which a transfer has failed.
    const fn check_whole(&self) -> Outcome<T, ()> {
        if self.lost {
            Err(DeviceError::Lost)
        } else {
            Ok(())
        }
    }

    /// Begins to score segments; `logits` has one element per class, or nothing is done with it but to return
    /// [`DeviceError::Argument`].
    pub fn scoring<'d>(&'d mut self, logits: &'d mut [i16]) -> Scoring<'d, T, D> {
        Scoring {
            device: self,
            logits,
            at: 0,
            pushed: 0,
            finished: 0,
        }
    }

    /// Cycles of the last frame: all; with a product; waiting for the image; waiting for weights from outside.
    ///
    /// # Errors
    /// A failed transfer.
    pub fn cycles(&mut self) -> Outcome<T, [u32; 4]> {
        let mut cycles = [0; 4];
        self.transfer(|transport| transport.read_registers(Register::CYCLES, &mut cycles))?;
        Ok(cycles)
    }
}

/// The next words of an iterator, as many as fit.
fn fill<'c>(
    chunk: &'c mut [u32; TRANSFER_WORDS],
    words: &mut impl Iterator<Item = u32>,
) -> &'c [u32] {
    let mut filled = 0;
    for (slot, word) in chunk.iter_mut().zip(words) {
        *slot = word;
        filled += 1;
    }
    chunk.get(..filled).unwrap_or(&[])
}

/// Segments on their way in, logits on their way out.
#[derive(Debug)]
pub struct Scoring<'d, T, D> {
    device: &'d mut Device<T, D>,
    logits: &'d mut [i16],
    /// Words of the segment at hand that have come.
    at: usize,
    pushed: u32,
    finished: u32,
}

impl<T: Transport, D: DelayNs> Scoring<'_, T, D> {
    /// Pushes the words of a segment, and hands on what has been scored: `scored(index, logits, arg max)`.
    ///
    /// The engine believes what it is told, so nothing is sent of a box that does not lie inside the image. The words behind
    /// the box must be as many as it takes; when they are not, the frame is lost, as it is after a failed transfer.
    ///
    /// # Errors
    /// [`DeviceError::Argument`] for such a box or such words, and where the slice for the logits has not as many elements as the
    /// model classes; [`DeviceError::Lost`] when logits come in another order than segments went, or when the frame is lost
    /// already; or a failed transfer.
    pub fn push(
        &mut self,
        words: impl Iterator<Item = u32>,
        mut scored: impl FnMut(usize, &[i16], usize),
    ) -> Outcome<T, ()> {
        self.check_logits()?;
        self.device.check_whole()?;
        let mut words = words.into_iter();
        let (Some(first), Some(second)) = (words.next(), words.next()) else {
            return Err(DeviceError::Argument);
        };
        let width = self.device.row_bytes as u32 / u32::from(self.device.channels).max(1);
        let height = u32::from(self.device.rows);
        let behind = words_behind(first, second, width, height).ok_or(DeviceError::Argument)?;
        let mut sent = 0;
        let rows = words.by_ref().take(behind).inspect(|_| sent += 1);
        self.pushed += 1;
        let words_sent = self.push_words([first, second].into_iter().chain(rows), &mut scored);
        self.or_lost(words_sent)?;
        if sent != behind || words.next().is_some() {
            return self.or_lost(Err(DeviceError::Argument));
        }
        let drained = self.drain(&mut scored);
        self.or_lost(drained).map(|_| ())
    }

    /// Notes that the frame is lost if this has failed.
    fn or_lost<R>(&mut self, result: Outcome<T, R>) -> Outcome<T, R> {
        self.device.lost |= result.is_err();
        result
    }

    /// Ends the frame, and hands on the rest of the logits.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`DeviceError::Timeout`] when logits are missing,
    /// [`DeviceError::Weights`] when the logits cannot be trusted.
    pub fn finish(mut self, mut scored: impl FnMut(usize, &[i16], usize)) -> Outcome<T, ()> {
        self.check_logits()?;
        self.device.check_whole()?;
        let rest = self.rest(&mut scored);
        self.or_lost(rest)
    }

    fn rest(&mut self, scored: &mut impl FnMut(usize, &[i16], usize)) -> Outcome<T, ()> {
        self.push_words(core::iter::once(END_OF_FRAME), scored)?;
        let mut waited = 0;
        while self.finished < self.pushed {
            if self.drain(scored)? {
                waited = 0;
            } else if waited >= self.device.policy.timeout_us {
                return Err(DeviceError::Timeout);
            } else {
                self.device.wait(&mut waited);
            }
        }
        let status = self.device.read(Register::STATUS)?;
        if status & STATUS_WEIGHTS_FAILED != 0 {
            return Err(DeviceError::Weights);
        }
        if status & STATUS_OVERFLOW != 0 {
            return Err(DeviceError::Lost);
        }
        Ok(())
    }

    /// The engine sends one word per class, whatever the slice has room for.
    fn check_logits(&self) -> Outcome<T, ()> {
        if self.logits.len() == self.device.classes {
            Ok(())
        } else {
            Err(DeviceError::Argument)
        }
    }

    fn push_words(
        &mut self,
        mut words: impl Iterator<Item = u32>,
        scored: &mut impl FnMut(usize, &[i16], usize),
    ) -> Outcome<T, ()> {
        let mut chunk = [0; TRANSFER_WORDS];
        loop {
            let filled = fill(&mut chunk, &mut words);
            if filled.is_empty() {
                return Ok(());
            }
            let mut waited = 0;
            // A port that stays full may wait for logits to be taken.
            loop {
                let patience = core::mem::replace(&mut self.device.policy.timeout_us, 0);
                let pushed = self.device.transfer(|t| t.push(Port::Masks, filled));
                self.device.policy.timeout_us = patience;
                match pushed {
                    Ok(()) => break,
                    Err(DeviceError::Timeout) if waited < patience => {
                        if self.drain(scored)? {
                            waited = 0;
                        } else {
                            self.device.wait(&mut waited);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes what is there; whether anything was.
    fn drain(&mut self, scored: &mut impl FnMut(usize, &[i16], usize)) -> Outcome<T, bool> {
        let mut any = false;
        loop {
            let available = self.device.transfer(Transport::logits_available)?;
            let wanted = available
                .min(TRANSFER_WORDS)
                .min(self.logits.len() + 1 - self.at);
            let mut words = [0; TRANSFER_WORDS];
            let Some(words) = words.get_mut(..wanted).filter(|words| !words.is_empty()) else {
                return Ok(any);
            };
            self.device
                .transfer(|transport| transport.take_logits(words))?;
            any = true;
            for &word in &*words {
                if let Some(logit) = self.logits.get_mut(self.at) {
                    *logit = word.cast_signed() as i16;
                    self.at += 1;
                    continue;
                }
                let (index, best) = (word >> 16, word & 0xFFFF);
                if index != self.finished & 0xFFFF || self.finished >= self.pushed {
                    return Err(DeviceError::Lost);
                }
                scored(self.finished as usize, self.logits, best as usize);
                self.finished += 1;
                self.at = 0;
            }
        }
    }
}
