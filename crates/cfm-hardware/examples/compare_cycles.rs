//! The cycle model beside a simulation of the RTL.
//!
//!     cargo run --release -p cfm-hardware --example compare_cycles -- LOGS PROJECT...
//!
//! LOGS is the folder that `hls/rtl/run.sh --stall 0 --timing LOGS PROJECT...` has written. Exit status 1 when the model of
//! an image, of a batch or of a frame is off by more than 3 %, or the multipliers do less than 85 % (convolution) or 80 %
//! (fully connected layers) of what they could.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use cfm_hardware::cycles::{Cycles, Overheads};
use cfm_hardware::description::Description;
use cfm_hardware::simulation::{Simulated, number_after};

/// Most that the model may be off.
const ERROR: f64 = 0.03;
/// Least that the multipliers have to do: over an image, and over a batch.
const USEFUL: [f64; 2] = [0.85, 0.80];

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let logs = arguments.next().context("compare_cycles LOGS PROJECT...")?;
    let mut good = true;
    println!(
        "project  cycles of the model / simulated: image, batch, frame; useful products: image, batch"
    );
    let mut projects = 0;
    for project in arguments {
        let project = Path::new(&project);
        let name = project.file_name().context("a project has a name")?;
        let log = Path::new(&logs).join(name).with_extension("log");
        let text = fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let description = project.join("description.json");
        let description =
            fs::read_to_string(&description).with_context(|| description.display().to_string())?;
        let description: Description = serde_json::from_str(&description)?;
        let parameters = fs::read_to_string(project.join("parameters.txt"))?;
        let segments = parameters
            .lines()
            .find_map(|line| number_after(line, "SEGMENTS "));
        let segments = u32::try_from(segments.context("SEGMENTS")?)?;
        let found =
            Simulated::parse(&text, description.head().len()).context("the log is not whole")?;
        let folding = description.parameters.folding;
        // The bench's memory answers with a word a cycle.
        let cycles = Cycles::of(&description, 8 * folding.pe, &Overheads::RTL);
        let useful = |products: u64, cycles: u64| {
            products as f64 / (cycles * u64::from(folding.products())) as f64
        };
        let products = |stages: &[_]| {
            stages
                .iter()
                .map(|stage: &cfm_hardware::description::Stage| stage.products)
                .sum::<u64>()
        };
        let useful = [
            useful(products(description.backbone()), found.image),
            useful(
                products(description.head()) * u64::from(folding.lanes),
                found.batch,
            ),
        ];
        let pairs = [
            (cycles.image, found.image),
            (cycles.batch, found.batch),
            (cycles.frame(segments, folding), found.frame),
        ];
        print!("{}", name.display());
        for (model, simulated) in pairs {
            let error = model as f64 / simulated as f64 - 1.0;
            print!("  {model}/{simulated} ({:+.2} %)", 100.0 * error);
            good &= error.abs() <= ERROR;
        }
        print!(
            "; busy {:.1} %, {:.1} %",
            100.0 * found.image_busy as f64 / found.image as f64,
            100.0 * found.batch_busy as f64 / found.batch as f64
        );
        println!(
            "; useful {:.1} %, {:.1} %",
            100.0 * useful[0],
            100.0 * useful[1]
        );
        let busy = [
            found.image_busy as f64 / found.image as f64,
            found.batch_busy as f64 / found.batch as f64,
        ];
        good &= busy.iter().zip(USEFUL).all(|(busy, least)| *busy >= least);
        projects += 1;
    }
    ensure!(projects > 0, "no projects");
    if !good {
        eprintln!(
            "beyond {} %, or too little use of the multipliers",
            100.0 * ERROR
        );
    }
    Ok(ExitCode::from(u8::from(!good)))
}
