//! The engine's side of the SPI protocol, written from `hls/REGISTERS.md`, with the core's kernels behind it and a line that
//! can be disturbed.

use std::collections::{BTreeMap, VecDeque};

use cfm_core::executor::Executor;
use cfm_core::image::ImageView;
use cfm_core::model::Model;
use cfm_core::scorer::Scorer;
use cfm_core::segment::{Run, Segment};
use embedded_hal::spi::{ErrorType, Operation, SpiDevice};

/// What happens to the next transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A bit of the request is flipped.
    Request(usize),
    /// A bit of the response is flipped.
    Response(usize),
    /// The response is all zeros, though the request was executed.
    NoResponse,
    /// The bus reports an error, though the request was executed.
    Bus,
    /// Nothing happens: the engine is dead from here on.
    Dead,
    /// The engine is reset before the request.
    Reset,
    /// Every port stays full from here on.
    Stuck,
}

/// First word of the control store where there is a model.
pub const MAGIC: u32 = 0x314D_4643;

pub struct FakeEngine<'m> {
    model: Model<'m>,
    /// Of the register map.
    pub version: u32,
    registers: [u32; 16],
    sequences: [u16; 5],
    image: Vec<u32>,
    masks: Vec<u32>,
    /// Words of masks that have come in all.
    pub masks_seen: usize,
    /// Configuration words as they came: address, word.
    pub configuration: Vec<(u32, u32)>,
    pub external: Vec<(u32, u32)>,
    /// What the check is of: all that came since the address was written.
    checked: Vec<u8>,
    check: u32,
    logits: VecDeque<u32>,
    running: bool,
    scored: usize,
    /// The first words of the control store.
    header: [u32; 3],
    stuck: bool,
    dead: bool,
    frames: u32,
    transfers: usize,
    /// At which transfer what happens.
    pub faults: Vec<(usize, Fault)>,
    /// Every how many logit words the FIFO is full.
    pub logit_room: usize,
}

fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for &byte in bytes {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            };
        }
    }
    crc
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0xEDB8_8320
            };
        }
    }
    !crc
}

/// The parameters of the instance, as registers 21 to 23 and 29 to 31 have them; a configuration's are the same.
pub const INSTANCE: [u32; 6] = [4096, 256, 1024, 4096, 256, 16 | 3 << 16];

/// A configuration of these blocks: outside of the engine or not, first address, number of words.
pub fn configuration(model: &Model<'_>, folding: u32, blocks: &[(bool, u32, u32)]) -> Vec<u8> {
    let input = model.input();
    let mut words = vec![
        model.fingerprint(),
        folding,
        u32::from(input.channels) | u32::from(input.height) << 16,
        input.row_len() as u32,
        model.class_count() as u32,
        blocks.len() as u32,
    ];
    words.extend(INSTANCE);
    for &(external, address, length) in blocks {
        words.extend([external.into(), address, length]);
        let header = [MAGIC, model.fingerprint(), folding];
        let word = |at: u32| {
            let known = header.get(at as usize).filter(|_| !external);
            known.copied().unwrap_or(at.wrapping_mul(0x9E37_79B9))
        };
        words.extend((address..).take(length as usize).map(word));
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut file = 0x3246_4643_u32.to_le_bytes().to_vec();
    file.extend(crc32(&bytes).to_le_bytes());
    file.extend(bytes);
    file
}

impl<'m> FakeEngine<'m> {
    pub fn new(model: &'m [u8], folding: u32) -> Self {
        let mut registers = [0; 16];
        registers[0] = 0x314D_4643;
        registers[2] = folding;
        registers[3] = 2;
        Self {
            model: Model::parse(model).unwrap(),
            version: 0x0001_0001,
            registers,
            sequences: [0; 5],
            image: Vec::new(),
            masks: Vec::new(),
            masks_seen: 0,
            configuration: Vec::new(),
            external: Vec::new(),
            checked: Vec::new(),
            check: 0,
            logits: VecDeque::new(),
            running: false,
            scored: 0,
            header: [0; 3],
            stuck: false,
            dead: false,
            frames: 0,
            transfers: 0,
            faults: Vec::new(),
            logit_room: 256,
        }
    }

    /// Whether no sample waits for a frame.
    pub fn image_is_empty(&self) -> bool {
        self.image.is_empty()
    }

    pub fn transfers(&self) -> usize {
        self.transfers
    }

    fn reset(&mut self) {
        self.sequences = [0; 5];
        self.image.clear();
        self.masks.clear();
        self.logits.clear();
        self.running = false;
        self.scored = 0;
    }

    fn configured(&self) -> bool {
        self.header[0] == MAGIC && self.header[2] == self.registers[2]
    }

    /// What the configuration's words are now, by address.
    pub fn loaded(&self) -> BTreeMap<u32, u32> {
        self.configuration.iter().copied().collect()
    }

    fn space(&self, port: usize) -> usize {
        let full_image = self.image.len() >= 128;
        match port {
            _ if self.stuck => 0,
            4 => self.logits.len().min(self.logit_room),
            1 if self.running => 128,
            1 if full_image => 0,
            1 => 128 - self.image.len(),
            // Masks wait for the logits to be taken.
            2 if self.logits.len() >= self.logit_room => 0,
            _ => 128,
        }
    }

    fn register(&self, register: usize) -> u32 {
        match register {
            1 => self.version,
            4 => u32::from(!self.running) | u32::from(self.configured()) << 2,
            5 => self.header[1],
            6 => self.frames,
            12 => self.check,
            0..16 => self.registers[register],
            16..21 => u32::from(self.sequences[register - 16]),
            21..24 => INSTANCE[register - 21],
            29..32 => INSTANCE[register - 26],
            24..29 => self.space(register - 24) as u32,
            _ => 0,
        }
    }

    fn set_register(&mut self, register: usize, value: u32) {
        match register {
            3 => {
                self.registers[3] = value;
                if value & 2 != 0 {
                    self.reset();
                } else if value & 1 != 0 && self.configured() {
                    self.running = true;
                }
            }
            11 => {
                self.registers[11] = value;
                self.checked.clear();
                self.check = 0;
            }
            13..16 => self.registers[register] = value,
            _ => {}
        }
    }

    fn push(&mut self, port: usize, words: &[u32]) {
        match port {
            0 => {
                for &word in words {
                    let address = self.registers[11];
                    self.configuration.push((address, word));
                    if let Some(known) = self.header.get_mut(address as usize) {
                        *known = word;
                    }
                    self.registers[11] += 1;
                }
                self.checked
                    .extend(words.iter().flat_map(|word| word.to_le_bytes()));
                self.check = crc32(&self.checked);
            }
            1 => self.image.extend(words),
            2 => {
                self.masks_seen += words.len();
                self.masks.extend(words);
            }
            3 => {
                for &word in words {
                    self.external.push((self.registers[13], word));
                }
            }
            _ => {}
        }
        self.score();
    }

    /// Scores every segment that is complete.
    fn score(&mut self) {
        let input = self.model.input();
        let row_words = input.row_len().div_ceil(4);
        if !self.running || self.image.len() < row_words * usize::from(input.height) {
            return;
        }
        let samples: Vec<u8> = self
            .image
            .chunks(row_words)
            .flat_map(|row| {
                let bytes: Vec<u8> = row.iter().flat_map(|word| word.to_le_bytes()).collect();
                bytes[..input.row_len()].to_vec()
            })
            .collect();
        loop {
            let Some(&first) = self.masks.first() else {
                return;
            };
            if first == u32::MAX {
                self.running = false;
                self.frames += 1;
                self.image.clear();
                self.masks.clear();
                self.scored = 0;
                return;
            }
            let Some(&second) = self.masks.get(1) else {
                return;
            };
            let (left, top) = (first & 0xFFFF, first >> 16);
            let (right, bottom) = (second & 0xFFFF, second >> 16);
            let per_row = ((right - left + 1) as usize).div_ceil(32);
            let length = 2 + per_row * (bottom - top + 1) as usize;
            if self.masks.len() < length {
                return;
            }
            let words: Vec<u32> = self.masks.drain(..length).collect();
            let mut runs = Vec::new();
            for (y, row) in (top..).zip(words[2..].chunks(per_row)) {
                for x in left..=right {
                    let at = (x - left) as usize;
                    if row[at / 32] >> (at % 32) & 1 == 1 {
                        runs.push(Run {
                            y: y as u16,
                            x0: x as u16,
                            x1: x as u16 + 1,
                        });
                    }
                }
            }
            let mut arena = vec![0; self.model.arena_bytes()];
            let mut executor = Executor::new(&self.model, &mut arena).unwrap();
            let view = ImageView::new(&samples, input.width, input.height, input.channels).unwrap();
            executor.push_image(&view).unwrap();
            let (features, scratch) = executor.finish().unwrap();
            let mut scorer = Scorer::new(&self.model, features, scratch).unwrap();
            let mut logits = vec![0; self.model.class_count()];
            scorer
                .score(&Segment::Runs(&runs), &[], &mut logits)
                .unwrap();
            let best = (0..logits.len())
                .rev()
                .max_by_key(|&i| logits[i])
                .unwrap_or(0);
            self.logits
                .extend(logits.iter().map(|&logit| i32::from(logit).cast_unsigned()));
            self.logits
                .push_back((self.scored as u32) << 16 | best as u32);
            self.scored += 1;
        }
    }

    fn respond(&mut self, request: &[u8]) -> Vec<u8> {
        let reply = |status: u8, sequence: u16, payload: &[u32]| {
            let mut bytes = vec![status];
            bytes.extend(sequence.to_le_bytes());
            bytes.extend(payload.iter().flat_map(|word| word.to_le_bytes()));
            bytes.extend(crc16(&bytes).to_le_bytes());
            bytes
        };
        let (checked, crc) = request.split_at(request.len() - 2);
        if crc != crc16(checked).to_le_bytes() {
            return reply(0x96, 0, &[]);
        }
        let (command, index) = (request[0], usize::from(request[1]));
        let sequence = u16::from_le_bytes([request[2], request[3]]);
        let count = usize::from(request[4]);
        let words: Vec<u32> = checked[5..]
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        if count == 0 || count > 64 {
            return reply(0x3C, 0, &[]);
        }
        match command {
            0x52 if index + count <= 32 => {
                let values: Vec<u32> = (index..index + count).map(|r| self.register(r)).collect();
                reply(0x5A, 0, &values)
            }
            0x57 if index + count <= 32 && words.len() == count => {
                for (register, &word) in (index..).zip(&words) {
                    self.set_register(register, word);
                }
                reply(0x5A, 0, &[])
            }
            0x50 if index < 4 && words.len() == count => {
                let expected = self.sequences[index];
                if sequence.wrapping_add(count as u16) == expected {
                    return reply(0x69, expected, &[]);
                }
                if sequence != expected {
                    return reply(0xC3, expected, &[]);
                }
                if self.space(index) < count {
                    return reply(0xA5, expected, &[]);
                }
                self.sequences[index] = expected.wrapping_add(count as u16);
                self.push(index, &words);
                reply(0x5A, self.sequences[index], &[])
            }
            0x47 if index == 4 => {
                let behind = usize::from(sequence.wrapping_sub(self.sequences[4]));
                if behind > self.space(4) {
                    return reply(0xC3, self.sequences[4], &[]);
                }
                self.logits.drain(..behind);
                self.sequences[4] = sequence;
                if self.space(4) < count {
                    return reply(0xA5, sequence, &[]);
                }
                let words: Vec<u32> = self.logits.iter().take(count).copied().collect();
                reply(0x5A, sequence, &words)
            }
            _ => reply(0x3C, 0, &[]),
        }
    }
}

impl ErrorType for FakeEngine<'_> {
    type Error = embedded_hal::spi::ErrorKind;
}

impl SpiDevice for FakeEngine<'_> {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Self::Error> {
        let [
            Operation::Write(request),
            Operation::Read(gap),
            Operation::Read(response),
        ] = operations
        else {
            panic!("a request, a gap, a response")
        };
        let transfer = self.transfers;
        self.transfers += 1;
        let fault = self
            .faults
            .iter()
            .find(|(at, _)| *at == transfer)
            .map(|(_, fault)| *fault);
        gap.fill(0);
        response.fill(0);
        let mut request = request.to_vec();
        match fault {
            Some(Fault::Request(bit)) => {
                let bit = bit % (8 * request.len());
                request[bit / 8] ^= 1 << (bit % 8);
            }
            Some(Fault::Reset) => {
                self.reset();
                self.registers[3] = 0;
            }
            Some(Fault::Stuck) => self.stuck = true,
            Some(Fault::Dead) => self.dead = true,
            _ => {}
        }
        if self.dead {
            return Ok(());
        }
        let reply = self.respond(&request);
        let shown = reply.len().min(response.len());
        match fault {
            Some(Fault::NoResponse) => {}
            Some(Fault::Bus) => return Err(embedded_hal::spi::ErrorKind::Other),
            _ => response[..shown].copy_from_slice(&reply[..shown]),
        }
        if let Some(Fault::Response(bit)) = fault {
            let bit = bit % (8 * response.len());
            response[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(())
    }
}
