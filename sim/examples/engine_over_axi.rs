//! An image labelled by the engine behind AXI, which is simulated at its pins and driven through `cfm-device`; compared with
//! the host's labels, with pauses on every channel, after injected faults and resets.
//!
//!     cargo run --release -p cfm-sim --example engine_over_axi -- SIMULATOR PE LANES [MODEL.cfm | faults]
//!
//! SIMULATOR is a program that `hls/rtl/run.sh axi` builds; it checks the protocol's rules itself. Without a model, small
//! random ones are taken. Exit status 1 on the first difference, and when a fault does not lead to what the driver promises.
//! With `faults`, every deliberate mistake that `engine_axi.sv` knows must be noticed.

mod engine_pins;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use cfm_core::model::Model;
use cfm_device::{
    Backend, Bus, Configuration, Device, DeviceError, MmioTransport, Port, Register, Transport,
    TransportError, WeightMemory,
};
use cfm_hardware::Folding;
use engine_pins::{Case, Clock, POLICY, Shared, Simulation, load};

/// The mistakes in `engine_axi.sv` (`+fault=N`) that can show with ports, and those that need streams.
const FAULTS: [u32; 7] = [1, 2, 6, 7, 8, 10, 11];
const STREAM_FAULTS: [u32; 4] = [3, 4, 5, 9];

/// `CONTROL`'s reset.
const RESET: u32 = 2;
/// In `STATUS`: a port was written while it was full.
const OVERFLOW: u32 = 8;
/// In `STATUS`: the memory for weights answered with an error.
const WEIGHTS_FAILED: u32 = 16;
/// Beats that wait for the engine, at most: the depth of a DMA, so to say.
const QUEUE: usize = 64;

/// Why the bus refused: the simulation's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused(String);

/// What happens at an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The reset pin.
    Reset,
    /// The weight memory stops to answer.
    Stuck,
    /// The weight memory answers with errors.
    Weights,
    /// The access is refused.
    Refused,
    /// Nobody takes logits from their stream.
    Logits,
}

/// The register map: AXI4-Lite at the simulation's pins, and a fault at some access.
struct Pins {
    simulation: Shared,
    weights: WeightMemory,
    accesses: Rc<Cell<usize>>,
    fault: Option<(usize, Fault)>,
    /// The reset pin was used: what was under way is gone.
    pin_reset: Rc<Cell<bool>>,
}

impl Pins {
    fn ask(&self, command: &str) -> Result<String, Refused> {
        self.simulation
            .borrow_mut()
            .ask(command)
            .map_err(|error| Refused(error.to_string()))
    }

    /// One access is about to be made.
    fn step(&mut self) -> Result<(), Refused> {
        let access = self.accesses.get();
        self.accesses.set(access + 1);
        let Some((_, fault)) = self.fault.take_if(|(at, _)| *at <= access) else {
            return Ok(());
        };
        match fault {
            Fault::Reset => {
                self.pin_reset.set(true);
                self.ask("r")
            }
            Fault::Logits => self.ask("o 1"),
            Fault::Stuck => self.ask("h 1"),
            Fault::Weights => self.ask("e 1"),
            Fault::Refused => Err(Refused("a fault".to_owned())),
        }
        .map(drop)
    }
}

impl Bus for Pins {
    type Error = Refused;

    fn read(&mut self, offset: usize) -> Result<u32, Refused> {
        self.step()?;
        let answer = self.ask(&format!("R {offset:x}"))?;
        match answer.split_once(' ') {
            Some((value, "0")) => u32::from_str_radix(value, 16).map_err(|_| Refused(answer)),
            _ => Err(Refused(answer)),
        }
    }

    fn write(&mut self, offset: usize, value: u32) -> Result<(), Refused> {
        self.step()?;
        match self.ask(&format!("W {offset:x} {value:x}"))?.as_str() {
            "0" => Ok(()),
            answer => Err(Refused(answer.to_owned())),
        }
    }

    fn weights(&self) -> Option<WeightMemory> {
        Some(self.weights)
    }

    fn write_weight(&mut self, index: usize, value: u32) -> Result<(), Refused> {
        self.ask(&format!("m {index:x} {value:x}")).map(drop)
    }
}

/// Image, masks and logits as the board moves them: through the register map, or as AXI4-Stream.
struct Board {
    registers: MmioTransport<Pins>,
    simulation: Shared,
    streams: bool,
    channels: usize,
    row_bytes: usize,
    beat_bytes: usize,
    /// Samples of the row at hand that have no beat yet, and where in the row they begin.
    samples: Vec<u8>,
    at: usize,
    /// Words of logits that have come.
    logits: VecDeque<u32>,
    classes: usize,
    /// Words of the segment at hand.
    of_segment: Rc<Cell<usize>>,
    /// Segments that a reset has cut off, and whose packet was ended.
    cut_off: Rc<Cell<usize>>,
    pin_reset: Rc<Cell<bool>>,
}

type Failure = TransportError<Refused>;

impl Board {
    fn ask(&self, command: &str) -> Result<String, Failure> {
        self.simulation
            .borrow_mut()
            .ask(command)
            .map_err(|error| TransportError::Bus(Refused(error.to_string())))
    }

    /// Beats of image and masks that wait, and logits that have come.
    fn queues(&self) -> Result<[usize; 3], Failure> {
        let answer = self.ask("q")?;
        let mut numbers = answer
            .split(' ')
            .filter_map(|number| usize::from_str_radix(number, 16).ok());
        Ok([(); 3].map(|()| numbers.next().unwrap_or(usize::MAX)))
    }

    /// Takes `count` words of the stream; whether each is the last of its packet.
    fn words(&self, count: usize) -> Result<Vec<(u32, bool)>, Failure> {
        let answer = self.ask(&format!("l {count:x}"))?;
        answer
            .split_whitespace()
            .map(|word| {
                let digits = word.trim_end_matches('!');
                let value = u32::from_str_radix(digits, 16)
                    .map_err(|_| TransportError::Bus(Refused(answer.clone())))?;
                Ok((value, digits != word))
            })
            .collect()
    }

    /// Beats of one group of one cell each, as far as the samples reach.
    fn push_image(&mut self, words: &[u32]) -> Result<(), Failure> {
        let mut beats = String::new();
        for sample in words.iter().flat_map(|word| word.to_le_bytes()) {
            // A row ends within a word.
            if self.at == self.row_bytes {
                continue;
            }
            self.samples.push(sample);
            self.at += 1;
            let group_ends = self.samples.len() == self.beat_bytes;
            if group_ends || self.at.is_multiple_of(self.channels) {
                beats.push(' ');
                // What lies beyond the channels is anything.
                for at in (0..self.beat_bytes).rev() {
                    let byte = self.samples.get(at).copied().unwrap_or(0xA5);
                    beats.push_str(&format!("{byte:02x}"));
                }
                self.samples.clear();
            }
        }
        if self.at == self.row_bytes {
            self.at = 0;
        }
        self.ask(&format!("i{beats}")).map(drop)
    }

    /// What a driver does with its DMA while the engine is in reset: nothing of the old frame may stay.
    fn reset_streams(&mut self) -> Result<(), Failure> {
        let fails = |message: String| Err(TransportError::Bus(Refused(message)));
        self.ask("d")?;
        self.ask("o 0")?;
        self.ask("w 400")?;
        let [image, masks, come] = self.queues()?;
        if [image, masks] != [0, 0] {
            return fails(format!("{image} and {masks} beats stay in the streams"));
        }
        if self.pin_reset.replace(false) {
            self.of_segment.set(0);
        }
        for (word, last) in self.words(come)? {
            self.of_segment.set(self.of_segment.get() + 1);
            let whole = self.of_segment.get() == self.classes + 1;
            // A packet that is cut off ends all the same.
            if last && !whole && word == u32::MAX {
                self.cut_off.set(self.cut_off.get() + 1);
            } else if last != whole {
                return fails(format!(
                    "tlast at word {} of a segment",
                    self.of_segment.get()
                ));
            }
            if last {
                self.of_segment.set(0);
            }
        }
        if self.of_segment.get() != 0 {
            return fails(format!(
                "a packet of {} words does not end",
                self.of_segment.get()
            ));
        }
        self.samples.clear();
        self.at = 0;
        self.logits.clear();
        Ok(())
    }
}

impl Transport for Board {
    type Error = Refused;

    fn read_registers(&mut self, first: Register, values: &mut [u32]) -> Result<(), Failure> {
        self.registers.read_registers(first, values)
    }

    fn write_register(&mut self, register: Register, value: u32) -> Result<(), Failure> {
        self.registers.write_register(register, value)?;
        match register {
            Register::CONTROL if value & RESET != 0 && self.streams => self.reset_streams(),
            Register::IMAGE_CHANNELS => {
                self.channels = value as usize;
                Ok(())
            }
            Register::IMAGE_ROW_BYTES => {
                self.row_bytes = value as usize;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, port: Port, words: &[u32]) -> Result<(), Failure> {
        if !self.streams || matches!(port, Port::Config | Port::External) {
            return self.registers.push(port, words);
        }
        // Time passes on the register map, so that the simulation goes on.
        self.registers.read_registers(Register::STATUS, &mut [0])?;
        let [image, masks, _] = self.queues()?;
        if image.max(masks) > QUEUE {
            return Err(TransportError::Busy);
        }
        match port {
            Port::Image => self.push_image(words),
            _ => {
                let words: String = words.iter().map(|word| format!(" {word:x}")).collect();
                self.ask(&format!("k{words}")).map(drop)
            }
        }
    }

    fn logits_available(&mut self) -> Result<usize, Failure> {
        if !self.streams {
            return self.registers.logits_available();
        }
        self.registers.read_registers(Register::STATUS, &mut [0])?;
        let come = self.queues()?[2];
        for (word, last) in self.words(come)? {
            self.of_segment.set(self.of_segment.get() + 1);
            if last != (self.of_segment.get() == self.classes + 1) {
                // Not within the protocol: the driver's business ends here.
                panic!("tlast at word {} of a segment", self.of_segment.get());
            }
            if last {
                self.of_segment.set(0);
            }
            self.logits.push_back(word);
        }
        Ok(self.logits.len())
    }

    fn take_logits(&mut self, words: &mut [u32]) -> Result<(), Failure> {
        if !self.streams {
            return self.registers.take_logits(words);
        }
        if self.logits_available()? < words.len() {
            return Err(TransportError::Busy);
        }
        for word in words {
            *word = self.logits.pop_front().unwrap_or(0);
        }
        Ok(())
    }

    fn ports_were_reset(&mut self) {
        self.registers.ports_were_reset();
    }
}

/// A simulation, and what it says of itself.
struct Bench {
    simulation: Shared,
    weights: WeightMemory,
    streams: bool,
    folding: Folding,
    accesses: Rc<Cell<usize>>,
    cut_off: Rc<Cell<usize>>,
    /// Words of a packet of logits that the device before has taken.
    of_segment: Rc<Cell<usize>>,
    pin_reset: Rc<Cell<bool>>,
}

impl Bench {
    fn start(program: &str, fault: u32, folding: Folding) -> Result<Self> {
        let simulation = Simulation::start(program, &[format!("+fault={fault}")])?;
        let answer = simulation.borrow_mut().ask("a")?;
        let numbers = answer
            .split(' ')
            .map(|number| u32::from_str_radix(number, 16))
            .collect::<Result<Vec<_>, _>>()?;
        let [address, words, streams] = numbers[..] else {
            bail!("what is {answer}?");
        };
        Ok(Self {
            simulation,
            weights: WeightMemory {
                address,
                words: words as usize,
            },
            streams: streams != 0,
            folding,
            accesses: Rc::default(),
            cut_off: Rc::default(),
            of_segment: Rc::default(),
            pin_reset: Rc::default(),
        })
    }

    fn ask(&self, command: &str) -> Result<String> {
        self.simulation.borrow_mut().ask(command)
    }

    /// The driver's transport, with a fault so many accesses from now.
    fn board(&self, classes: usize, fault: Option<(usize, Fault)>) -> Board {
        let pins = Pins {
            simulation: Rc::clone(&self.simulation),
            weights: self.weights,
            accesses: Rc::clone(&self.accesses),
            pin_reset: Rc::clone(&self.pin_reset),
            fault: fault.map(|(after, fault)| (self.accesses.get() + after, fault)),
        };
        Board {
            registers: MmioTransport::over(pins),
            simulation: Rc::clone(&self.simulation),
            streams: self.streams,
            channels: 1,
            row_bytes: 0,
            beat_bytes: self.folding.pe as usize,
            samples: Vec::new(),
            at: 0,
            logits: VecDeque::new(),
            classes,
            of_segment: Rc::clone(&self.of_segment),
            cut_off: Rc::clone(&self.cut_off),
            pin_reset: Rc::clone(&self.pin_reset),
        }
    }

    /// A device for the next frame, reset and ready.
    fn device(
        &self,
        configuration: &Configuration<'_>,
        fault: Option<(usize, Fault)>,
    ) -> Result<Device<Board, Clock>> {
        let board = self.board(configuration.classes(), fault);
        let mut device = Device::new(board, Clock(Rc::clone(&self.simulation)), POLICY);
        device
            .select(configuration)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(device)
    }

    fn read(&self, offset: usize) -> Result<(u32, char)> {
        let answer = self.ask(&format!("R {offset:x}"))?;
        let (value, response) = answer.split_once(' ').context("no response")?;
        let response = response.chars().next().context("no response")?;
        Ok((u32::from_str_radix(value, 16)?, response))
    }

    fn write(&self, offset: usize, value: u32, strobes: u32) -> Result<char> {
        let answer = self.ask(&format!("W {offset:x} {value:x} {strobes:x}"))?;
        answer.chars().next().context("no response")
    }

    /// What REGISTERS.md says of single accesses.
    fn check_register_map(&self) -> Result<()> {
        let (control, status) = (4 * 3, 4 * 4);
        let (channels, row_bytes) = (4 * 14, 4 * 15);
        let space = |port: usize| 4 * (24 + port);
        ensure!(self.ask("r")? == "ok", "reset");
        ensure!(self.read(0)? == (Register::ENGINE_ID, '0'), "ID");
        ensure!(self.read(control)? == (RESET, '0'), "CONTROL after reset");
        // Held in reset, a port takes nothing; so the check of what CONFIG took stays as it was.
        let check_of = |word| -> Result<u32> {
            ensure!(self.write(4 * 11, 0, 15)? == '0', "CONFIG_ADDRESS");
            ensure!(self.write(0x100, word, 15)? == '0', "CONFIG");
            Ok(self.read(4 * 12)?.0)
        };
        ensure!(check_of(1)? == check_of(2)?, "CONFIG takes words in reset");
        ensure!(self.write(control, 0, 15)? == '0', "CONTROL");
        ensure!(check_of(1)? != check_of(2)?, "CONFIG takes no words");
        ensure!(self.write(row_bytes, 0x1234, 15)? == '0', "a register");
        ensure!(self.read(row_bytes)? == (0x1234, '0'), "a register");
        // Read-only registers take no notice.
        ensure!(
            self.write(0, 7, 15)? == '0' && self.read(0)?.0 == Register::ENGINE_ID,
            "ID"
        );
        // What is not whole, or not there, is refused and does nothing.
        for strobes in 0..15 {
            ensure!(
                self.write(row_bytes, 0xFFFF, strobes)? == '2',
                "{strobes:x}"
            );
        }
        ensure!(
            self.read(row_bytes)? == (0x1234, '0'),
            "a part of a register"
        );
        // Address bits that alias CONTROL and the ports if they are not looked at.
        for bit in [0x80, 0x200, 0x400, 0x800, 0x180] {
            for register in [control, row_bytes] {
                ensure!(self.write(bit + register, 3, 15)? == '2', "{bit:x} written");
                ensure!(self.read(bit + register)? == (0, '2'), "{bit:x} read");
            }
        }
        for offset in [0x114, 0x118, 0x11C, 0x120, 0x130, 0x300, 0xFFC] {
            ensure!(self.write(offset, 1, 15)? == '2', "{offset:x} written");
            ensure!(self.read(offset)? == (0, '2'), "{offset:x} read");
        }
        ensure!(
            self.read(row_bytes)?.0 == 0x1234 && self.read(control)?.0 == 0,
            "aliases"
        );
        // The ports.
        for port in 0..4 {
            ensure!(self.read(0x100 + 4 * port)? == (0, '2'), "port {port} read");
        }
        for port in [3, 4] {
            ensure!(
                self.write(0x100 + 4 * port, 1, 15)? == '2',
                "port {port} written"
            );
        }
        ensure!(self.read(0x110)? == (0, '2'), "no logits");
        ensure!(self.read(space(4))?.0 == 0, "a word of nothing was taken");
        if self.streams {
            for port in [1, 2] {
                ensure!(
                    self.write(0x100 + 4 * port, 1, 15)? == '2',
                    "port {port} written"
                );
            }
        } else {
            let room = self.read(space(2))?.0;
            ensure!(room == 128, "room for {room}");
            // No frame is under way: nothing leaves the port, but for what its reader has at hand.
            let mut words = 0;
            while self.read(space(2))?.0 != 0 {
                ensure!(words < room + 4, "masks leave the port");
                ensure!(self.write(0x108, words, 15)? == '0', "masks");
                words += 1;
            }
            ensure!(words >= room, "no room after {words} words");
            ensure!(self.read(status)?.0 & OVERFLOW == 0, "no overflow yet");
            ensure!(
                self.write(0x108, 0, 15)? == '0',
                "an overflow is no refusal"
            );
            ensure!(self.read(status)?.0 & OVERFLOW != 0, "overflow");
            self.write(control, RESET, 15)?;
            self.write(control, 0, 15)?;
            ensure!(self.read(status)?.0 & OVERFLOW == 0, "overflow after reset");
            ensure!(self.read(space(2))?.0 == room, "room after reset");
        }
        ensure!(self.write(channels, 3, 15)? == '0', "channels");
        let answer = self.ask("t 40")?;
        ensure!(answer == "ok", "reads beside writes: {answer}");
        Ok(())
    }

    /// What no driver should send: boxes that are not inside the image, and noise. Whatever the engine makes of it, a reset
    /// must bring it back, with the model unharmed. Whether the frame hung, for each.
    fn check_garbage(
        &self,
        case: &Case,
        configuration: &Configuration<'_>,
        seed: usize,
    ) -> Result<Vec<bool>> {
        let rows = u32::from(configuration.rows());
        let width = configuration.row_bytes() / u32::from(configuration.channels());
        let pair = |low: u32, high: u32| low | high << 16;
        let noise = |i: usize| ((i + 977 * seed + 1) as u32).wrapping_mul(0x9E37_79B9);
        let boxes = [
            [pair(0, 0), pair(width + 7, rows - 1)],
            [pair(0, 0), pair(width - 1, rows + 7)],
            [pair(width + 3, rows + 3), pair(width + 9, rows + 9)],
            [pair(0xFFFE, 0xFFFE), pair(0xFFFF, 0xFFFF)],
            [pair(width - 1, 0), pair(0, rows - 1)],
            [pair(0, rows - 1), pair(width - 1, 0)],
            [noise(1), noise(2)],
        ];
        let mut hung = Vec::new();
        for header in boxes {
            let mut device = self.device(configuration, None)?;
            device.begin_frame().map_err(|e| anyhow::anyhow!("{e}"))?;
            for row in case.image.pixels.chunks(configuration.row_bytes() as usize) {
                device.push_row(row).map_err(|e| anyhow::anyhow!("{e}"))?;
            }
            let (mut board, _) = device.release();
            let mut words = header.to_vec();
            words.extend((0..200).map(|i| noise(i + 5)));
            words.extend([u32::MAX; 4]);
            let mut words = &words[..];
            for _ in 0..60 {
                let (some, rest) = words.split_at(words.len().min(8));
                match board.push(Port::Masks, some) {
                    Ok(()) => words = rest,
                    Err(TransportError::Busy) => {}
                    Err(error) => bail!("{error}"),
                }
                self.ask("w 200")?;
                board
                    .logits_available()
                    .map_err(|e| anyhow::anyhow!("{e}"))?;
            }
            self.ask("w 20000")?;
            hung.push(self.read(4 * 4)?.0 & 1 == 0);
            let mut device = self.device(configuration, None)?;
            let backend = case.check(&mut device)?;
            ensure!(
                backend == Backend::Engine,
                "seed {seed}: not there again after the box {header:x?}: {backend:?}"
            );
        }
        Ok(hung)
    }

    /// Frames of random models with pauses, faults and resets.
    fn run(&self) -> Result<String> {
        self.ask("s 1 0")?;
        self.check_register_map()?;
        self.ask("s 2 5")?;
        self.check_register_map()?;
        let (mut frames, mut by_engine, mut recovered, mut outside, mut refused) = (0, 0, 0, 0, 0);
        let (mut weights_failed, mut resets) = (0, 0);
        let (mut garbage, mut hangs) = (0, [0; 7]);
        let mut of_others = 0;
        for seed in 0..16_usize {
            let case = Case::random(seed as u64)?;
            let Some(file) = case.compile(self.folding)? else {
                continue;
            };
            let configuration = Configuration::parse(&file)?;
            let reads_outside = configuration.blocks().any(|block| block.external);
            outside += usize::from(reads_outside);
            self.ask(&format!("s {:x} {:x}", seed + 3, [0, 3, 8, 12][seed % 4]))?;
            let board = self.board(configuration.classes(), None);
            let mut device = load(board, &self.simulation, &configuration)?;
            // What is loaded stays.
            of_others += case.refusals(&mut device, self.folding)?;
            device
                .select(&configuration)
                .map_err(|error| anyhow::anyhow!("select: {error}"))?;
            let mut accesses = 0;
            for round in 0..2 {
                let before = self.accesses.get();
                let backend = case.check(&mut device)?;
                ensure!(
                    backend == Backend::Engine,
                    "seed {seed}, frame {round}: {backend:?}"
                );
                accesses = self.accesses.get() - before;
                frames += 1;
                by_engine += 1;
            }
            let hung = self.check_garbage(&case, &configuration, seed)?;
            for (count, hung) in hangs.iter_mut().zip(hung) {
                *count += u32::from(hung);
                garbage += 1;
            }
            // Every fault somewhere in a frame; then the engine must be there again.
            for (number, fault) in [
                Fault::Reset,
                Fault::Stuck,
                Fault::Weights,
                Fault::Refused,
                Fault::Logits,
            ]
            .into_iter()
            .cycle()
            .take(10)
            .filter(|fault| self.streams || *fault != Fault::Logits)
            .enumerate()
            {
                let at = 12 + (accesses - 12) * ((seed * 5 + number * 7) % 16) / 16;
                let mut device = self.device(&configuration, Some((at, fault)))?;
                let backend = case.check(&mut device)?;
                frames += 1;
                match (fault, backend) {
                    (Fault::Reset, Backend::Software(_)) => {
                        recovered += 1;
                        resets += 1;
                    }
                    // Before the frame began, or after its last logits.
                    (Fault::Reset, Backend::Engine) => by_engine += 1,
                    (Fault::Refused, Backend::Software(_)) => recovered += 1,
                    (Fault::Stuck, Backend::Software(DeviceError::Timeout)) if reads_outside => {
                        recovered += 1;
                    }
                    (Fault::Logits, Backend::Software(DeviceError::Timeout)) => recovered += 1,
                    (Fault::Weights, Backend::Software(DeviceError::Weights)) if reads_outside => {
                        recovered += 1;
                        weights_failed += 1;
                    }
                    // All of the weights had come, or none are needed; a refused access may be repeated where it is safe.
                    (
                        Fault::Stuck | Fault::Weights | Fault::Refused | Fault::Logits,
                        Backend::Engine,
                    ) => {
                        by_engine += 1;
                        refused += usize::from(fault == Fault::Refused);
                    }
                    (fault, backend) => bail!("seed {seed}: {fault:?} led to {backend:?}"),
                }
                if fault == Fault::Stuck {
                    // The driver has reset the engine: what the memory still owes the frame before, now with errors, is
                    // none of the next frame's business.
                    self.ask("e 1")?;
                    self.ask("h 0")?;
                    self.ask("w 600")?;
                    ensure!(
                        self.read(4 * 4)?.0 & WEIGHTS_FAILED == 0,
                        "seed {seed}: weights of a frame that was reset are held against the next"
                    );
                }
                self.ask("o 0")?;
                // The driver resets it while what the memory owes it is still to come.
                self.ask("e 0")?;
                self.ask("h 0")?;
                let mut device = self.device(&configuration, None)?;
                let backend = case.check(&mut device)?;
                ensure!(
                    backend == Backend::Engine,
                    "seed {seed}: not there again after {fault:?}: {backend:?}"
                );
                frames += 1;
                by_engine += 1;
            }
        }
        ensure!(
            frames > 60 && resets > 15 && outside > 1 && weights_failed > 0,
            "too little was tried: {frames} frames, {resets} recovered from a reset, {outside} models with weights outside, \
             {weights_failed} frames with wrong ones"
        );
        ensure!(
            of_others > 10,
            "{of_others} configurations of other engines were refused"
        );
        ensure!(
            !self.streams || self.cut_off.get() > 0,
            "no packet of logits was cut off"
        );
        let clocks = u64::from_str_radix(&self.ask("c")?, 16)?;
        Ok(format!(
            "{frames} frames ({outside} models with weights outside, {} clocks): {by_engine} by the engine, {refused} of them \
             after a repeated access, {recovered} by software after a fault ({weights_failed} because of wrong weights), {} packets \
             cut off; {garbage} frames \
             with boxes that are none, of which {hangs:?} hung, by kind, until the reset: all labels are the host's",
            clocks,
            self.cut_off.get()
        ))
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, pe, lanes, rest @ ..] = &arguments[..] else {
        bail!("engine_over_axi SIMULATOR PE LANES [MODEL.cfm | faults]");
    };
    let folding = Folding::new(pe.parse()?, lanes.parse()?)?;
    let bench = Bench::start(program, 0, folding)?;
    match rest {
        [] => println!("{}", bench.run()?),
        [faults] if faults == "faults" => {
            bench.run().context("the bench fails without a fault")?;
            let of_streams = STREAM_FAULTS.iter().filter(|_| bench.streams);
            for &fault in FAULTS.iter().chain(of_streams) {
                let broken = Bench::start(program, fault, folding)?;
                // A panic is the bench's, too.
                let result =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| broken.run()));
                match result {
                    Ok(Ok(_)) => bail!("fault {fault}: NOT NOTICED"),
                    Ok(Err(error)) => println!("fault {fault}: noticed: {error:#}"),
                    Err(_) => println!("fault {fault}: noticed"),
                }
            }
        }
        [model] => {
            let case = Case::new(std::fs::read(model)?, 1, 20)?;
            let file = case.compile(folding)?.context("the model does not fit")?;
            let configuration = Configuration::parse(&file)?;
            bench.ask("s 1 2")?;
            let classes = Model::parse(&case.bytes)?.class_count();
            let mut device = load(
                bench.board(classes, None),
                &bench.simulation,
                &configuration,
            )?;
            let backend = case.check(&mut device)?;
            ensure!(
                backend == Backend::Engine,
                "the engine did not answer: {backend:?}"
            );
            let cycles = device
                .cycles()
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            println!("{model}: the engine's labels are the host's, {cycles:?} cycles");
        }
        _ => bail!("engine_over_axi SIMULATOR PE LANES [MODEL.cfm | faults]"),
    }
    Ok(())
}
