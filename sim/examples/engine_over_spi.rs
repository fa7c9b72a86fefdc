//! An image labelled by the engine, which is simulated at its pins and driven through `cfm-device`; compared with the
//! host's labels, also after injected faults.
//!
//!     cargo run --release -p cfm-sim --example engine_over_spi -- SIMULATOR PE LANES [MODEL.cfm]
//!
//! SIMULATOR is a program that `hls/rtl/run.sh pins` builds. Without a model, small random ones are taken. Exit status 1 on
//! the first difference, and when a fault does not lead to what the driver promises.

mod engine_pins;

use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use cfm_device::{
    Backend, Configuration, Device, DeviceError, Port, Register, SpiTransport, Transport,
    TransportError,
};
use cfm_hardware::Folding;
use embedded_hal::spi::{ErrorKind, ErrorType, Operation, SpiDevice};
use engine_pins::{Case, POLICY, Shared, Simulation, load};

/// What happens to a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A bit on its way to the engine is flipped.
    Request(usize),
    /// A bit on its way back is flipped.
    Response(usize),
    /// The transfer ends with the request: its response is not waited for.
    Cut,
    /// The engine's reset pin, before the transfer.
    Reset,
    /// The weight memory stops to answer.
    Stuck,
}

/// The bus: the simulation's pins, and faults at some transfers.
struct Pins {
    simulation: Shared,
    transfers: usize,
    faults: Vec<(usize, Fault)>,
}

impl Pins {
    fn over(simulation: &Shared) -> SpiTransport<Self> {
        SpiTransport::new(Self {
            simulation: Rc::clone(simulation),
            transfers: 0,
            faults: Vec::new(),
        })
    }
}

impl ErrorType for Pins {
    type Error = ErrorKind;
}

impl SpiDevice for Pins {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
        let transfer = self.transfers;
        self.transfers += 1;
        let fault = self.faults.iter().find(|(at, _)| *at == transfer);
        let fault = fault.map(|(_, fault)| *fault);
        let mut simulation = self.simulation.borrow_mut();
        let mut ask = |command: &str| simulation.ask(command).map_err(|_| ErrorKind::Other);
        match fault {
            Some(Fault::Reset) => {
                ask("r")?;
            }
            Some(Fault::Stuck) => {
                ask("h 1")?;
            }
            _ => {}
        }
        let mut bytes: Vec<u8> = Vec::new();
        for operation in &*operations {
            match operation {
                Operation::Write(sent) => bytes.extend_from_slice(sent),
                Operation::Read(received) => bytes.extend(vec![0; received.len()]),
                _ => return Err(ErrorKind::Other),
            }
        }
        let written = operations.first().map_or(0, |first| match first {
            Operation::Write(sent) => sent.len(),
            _ => 0,
        });
        if let Some(Fault::Request(bit)) = fault {
            let bit = bit % (8 * written);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if fault == Some(Fault::Cut) {
            bytes.truncate(written);
        }
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = ask(&format!("x {hex}"))?;
        let mut back = (0..bytes.len())
            .map(|i| {
                answer
                    .get(2 * i..2 * i + 2)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or(ErrorKind::Other)?;
        if fault == Some(Fault::Cut) {
            return Ok(());
        }
        if let Some(Fault::Response(bit)) = fault {
            let bit = 8 * (written + 1) + bit % (8 * (bytes.len() - written - 1));
            back[bit / 8] ^= 1 << (bit % 8);
        }
        let mut back = back.into_iter();
        for operation in operations {
            match operation {
                Operation::Write(sent) => back.by_ref().take(sent.len()).for_each(drop),
                Operation::Read(received) => received
                    .iter_mut()
                    .for_each(|to| *to = back.next().unwrap_or(0)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A push whose response is not waited for, and at once one to another port, while the engine still moves the first one's words.
fn cut_push(simulation: &Shared) -> Result<()> {
    let mut transport = Pins::over(simulation);
    // Out of the reset in which the engine begins; to where nothing is that would be missed.
    transport
        .write_register(Register::CONTROL, 0)
        .map_err(lost)?;
    let unused = 3 << 17;
    transport
        .write_register(Register::CONFIG_ADDRESS, unused)
        .map_err(lost)?;
    let mut pins = transport.release();
    pins.faults = vec![(pins.transfers, Fault::Cut)];
    let mut transport = SpiTransport::new(pins);
    let cut = transport.push(Port::Config, &[0; 64]);
    ensure!(
        cut == Err(TransportError::Disturbed),
        "a push without a response: {cut:?}"
    );
    transport.push(Port::Masks, &[0]).map_err(lost)?;
    for (port, expected) in [(Port::Config, 64), (Port::Masks, 1), (Port::Image, 0)] {
        let mut words = [0];
        transport
            .read_registers(Register::sequence(port), &mut words)
            .map_err(lost)?;
        ensure!(
            words == [expected],
            "{port:?} has taken {words:?} words, and not {expected}"
        );
    }
    // The driver finds an engine as after power-up.
    simulation.borrow_mut().ask("r")?;
    Ok(())
}

/// Half a period of the SPI clock in clocks of the engine.
fn speed(simulation: &Shared, clocks: u32) -> Result<()> {
    simulation.borrow_mut().ask(&format!("f {clocks}"))?;
    Ok(())
}

fn lost(error: TransportError<ErrorKind>) -> anyhow::Error {
    anyhow::anyhow!("a transfer without a fault: {error}")
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, pe, lanes, rest @ ..] = &arguments[..] else {
        bail!("engine_over_spi SIMULATOR PE LANES [MODEL.cfm]");
    };
    let folding = Folding::new(pe.parse()?, lanes.parse()?)?;
    let simulation = Simulation::start(program, &[])?;
    if let [model] = rest {
        let case = Case::new(std::fs::read(model)?, 1, 20)?;
        let file = case.compile(folding)?.context("the model does not fit")?;
        let mut device = load(
            Pins::over(&simulation),
            &simulation,
            &Configuration::parse(&file)?,
        )?;
        ensure!(
            case.check(&mut device)? == Backend::Engine,
            "the engine did not answer"
        );
        println!(
            "{model}: the engine's labels are the host's, {:?} cycles",
            device.cycles()?
        );
        return Ok(());
    }

    for clocks in [1, 2, 3, 4, 5, 6, 7, 8, 9, 40] {
        speed(&simulation, clocks)?;
        cut_push(&simulation).with_context(|| format!("{clocks} clocks for half a bit"))?;
    }
    let (mut frames, mut by_engine, mut recovered, mut refused) = (0, 0, 0, 0);
    for seed in 0..12 {
        let case = Case::random(seed)?;
        let Some(file) = case.compile(folding)? else {
            continue;
        };
        let configuration = Configuration::parse(&file)?;
        let clocks = [1, 1, 4, 1, 2, 7][seed as usize % 6];
        speed(&simulation, clocks)?;
        let mut device = load(Pins::over(&simulation), &simulation, &configuration)?;
        // What is loaded stays.
        refused += case.refusals(&mut device, folding)?;
        device.select(&configuration)?;
        for round in 0..2 {
            ensure!(
                case.check(&mut device)? == Backend::Engine,
                "seed {seed}, frame {round}: no engine"
            );
            frames += 1;
            by_engine += 1;
        }
        // Every fault at some transfer of a frame; then the engine must be there again.
        for (number, fault) in [
            Fault::Request(17 + 5 * seed as usize),
            Fault::Response(9 + 3 * seed as usize),
            Fault::Reset,
            Fault::Stuck,
        ]
        .into_iter()
        .enumerate()
        {
            let (transport, clock) = device.release();
            let mut pins = transport.release();
            let at = pins.transfers + 6 + number + seed as usize % 3;
            pins.faults = vec![(at, fault)];
            device = Device::new(SpiTransport::new(pins), clock, POLICY);
            device.select(&configuration)?;
            let backend = case.check(&mut device)?;
            frames += 1;
            match (fault, backend) {
                (Fault::Request(_) | Fault::Response(_), Backend::Engine) => by_engine += 1,
                (Fault::Reset, Backend::Software(_)) => recovered += 1,
                (Fault::Stuck, Backend::Engine) => by_engine += 1,
                (Fault::Stuck, Backend::Software(DeviceError::Timeout)) => recovered += 1,
                _ => bail!("seed {seed}: {fault:?} led to {backend:?}"),
            }
            simulation.borrow_mut().ask("h 0")?;
            // The reset pin clears the driver's registers, not the model.
            device.select(&configuration)?;
            ensure!(
                case.check(&mut device)? == Backend::Engine,
                "seed {seed}: not there again after {fault:?}"
            );
            frames += 1;
            by_engine += 1;
        }
    }
    ensure!(
        frames > 20 && recovered > 2 && refused > 10,
        "too few of the models fit: {frames} frames, {recovered} recovered, {refused} refused"
    );
    println!(
        "{frames} frames, {by_engine} by the engine, {recovered} by software after a fault: all labels are the host's"
    );
    Ok(())
}
