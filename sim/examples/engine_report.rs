//! A table and a plot of foldings: cycles that were simulated, and what synthesis (and placement) found that they take.
//!
//!     cargo run --release -p cfm-sim --example engine_report -- BUDGET FOLDER OUT
//!
//! `hls/report.sh` fills FOLDER: `NAME/project` (an exported project), `NAME.log` (the bench's words) and `NAME/build/cells.txt`
//! (cells, as yosys counts them); where it was placed and routed, `NAME/build/summary.txt`. OUT gets `report.md` and `report.svg`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use cfm_hardware::budget::Budget;
use cfm_hardware::cycles::{Cycles, Overheads};
use cfm_hardware::description::Description;
use cfm_hardware::resources::Resources;
use cfm_hardware::simulation::{Simulated, number_after};
use cfm_sim::output::Batch;
use cfm_sim::plot::{Panel, Series, svg};

/// A folding and what is known of it.
struct Point {
    name: String,
    products: u32,
    segments: u32,
    simulated: Simulated,
    /// Cycles of a frame whose weights come from the board's memory.
    on_board: u64,
    estimate: Resources,
    cells: Cells,
    placed: Option<String>,
}

/// Cells that synthesis has found.
struct Cells {
    multipliers: u64,
    block_rams: u64,
    /// Look-up tables of four inputs, also those of carry chains and small memories.
    luts: u64,
    flip_flops: u64,
}

impl Cells {
    fn parse(text: &str) -> Option<Self> {
        let count = |name: &str| {
            text.lines()
                .filter_map(|line| line.trim().split_once(char::is_whitespace))
                .find(|(_, cell)| cell.trim() == name)
                .and_then(|(count, _)| count.parse::<u64>().ok())
        };
        Some(Self {
            multipliers: count("MULT18X18D")?,
            block_rams: count("DP16KD")?,
            luts: count("LUT4")? + 2 * count("CCU2C")? + 4 * count("TRELLIS_DPR16X4").unwrap_or(0),
            flip_flops: count("TRELLIS_FF")?,
        })
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn point(folder: &Path, name: &str, budget: &Budget) -> Result<Point> {
    let project = folder.join(name).join("project");
    let description: Description = serde_json::from_str(&read(&project.join("description.json"))?)?;
    let parameters = read(&project.join("parameters.txt"))?;
    let segments = parameters
        .lines()
        .find_map(|line| number_after(line, "SEGMENTS "));
    let segments = u32::try_from(segments.context("SEGMENTS")?)?;
    let log = read(&folder.join(format!("{name}.log")))?;
    ensure!(log.contains("ok: "), "{name}: the bench has failed");
    let folding = description.parameters.folding;
    let build = folder.join(name).join("build");
    Ok(Point {
        name: name.to_owned(),
        products: folding.products(),
        segments,
        simulated: Simulated::parse(&log, description.head().len())
            .context("the bench's log is not whole")?,
        on_board: Cycles::of(&description, budget.external_bits, &Overheads::RTL)
            .frame(segments, folding),
        estimate: Resources::of(&description.parameters),
        cells: Cells::parse(&read(&build.join("cells.txt"))?).context("cells.txt")?,
        placed: fs::read_to_string(build.join("summary.txt")).ok(),
    })
}

/// The clock that placement and routing have reached.
fn megahertz(summary: &str) -> Option<f64> {
    let (_, found) = summary.rsplit_once("Max frequency")?;
    let (found, _) = found.split_once("MHz")?;
    found.split_whitespace().last()?.parse().ok()
}

fn report(points: &[Point], budget: &Budget) -> Result<String> {
    let mut text = String::new();
    let mhz = budget.clock_hz as f64 / 1e6;
    let rate = |cycles: u64| budget.clock_hz as f64 / cycles as f64;
    let segments = points.first().map_or(0, |point| point.segments);
    writeln!(
        text,
        "# `street` on an ECP5-85F (ULX3S): the same engine, folded differently\n\n\
         Made by `bash hls/report.sh`. Cycles are simulated (RTL, Verilator, no pauses, weights from outside at a word a cycle), with \
         {segments} segments; cells are yosys's for the whole board: engine, SPI, SDRAM. Look-up tables include those of carry \
         chains and small memories. Images a second are cycles at {mhz:.0} MHz, the clock that is asked for; in the last column \
         the weights come from the board's 16-bit SDRAM, by the cycle model.\n"
    )?;
    writeln!(
        text,
        "| folding | products a cycle | cycles, image | cycles, frame | multipliers busy | DSP | block RAM (18 Kbit) | look-up \
         tables | flip-flops | images/s | with SDRAM |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for point in points {
        let Point {
            simulated, cells, ..
        } = point;
        writeln!(
            text,
            "| {} | {} | {} | {} | {:.1} % | {} | {} | {} | {} | {:.1} | {:.1} |",
            point.name,
            point.products,
            simulated.image,
            simulated.frame,
            100.0 * simulated.image_busy as f64 / simulated.image as f64,
            cells.multipliers,
            cells.block_rams,
            cells.luts,
            cells.flip_flops,
            rate(simulated.frame),
            rate(point.on_board),
        )?;
    }
    writeln!(text, "\n![images a second](report.svg)\n")?;
    writeln!(
        text,
        "`cfm inspect --hardware` estimates without synthesis (in parentheses: of synthesis):\n\n\
         | folding | DSP | block RAM | look-up tables |\n|---|---|---|---|"
    )?;
    let share = |estimate: u64, found: u64| {
        format!(
            "{estimate} ({:.0} %)",
            100.0 * estimate as f64 / found as f64
        )
    };
    for point in points {
        let Resources {
            multipliers,
            block_rams,
            luts,
            ..
        } = point.estimate;
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            point.name,
            share(multipliers.into(), point.cells.multipliers),
            share(block_rams, point.cells.block_rams),
            share(luts.into(), point.cells.luts),
        )?;
    }
    writeln!(text, "\n## Placement and routing\n")?;
    if points.iter().all(|point| point.placed.is_none()) {
        writeln!(
            text,
            "Not run for this report (`bash hls/report.sh` without `--synthesis`)."
        )?;
    }
    for point in points {
        if let Some(placed) = &point.placed {
            writeln!(text, "{}:\n\n```text\n{}\n```", point.name, placed.trim())?;
            let megahertz = megahertz(placed).context("summary.txt has no frequency")?;
            let rate = |cycles: u64| megahertz * 1e6 / cycles as f64;
            writeln!(
                text,
                "\nAt {megahertz:.1} MHz a frame's cycles would make {:.1} images a second, {:.1} with the board's SDRAM.",
                rate(point.simulated.frame),
                rate(point.on_board),
            )?;
        }
    }
    Ok(text)
}

fn plot(points: &[Point], budget: &Budget) -> Result<String> {
    type Cost = (&'static str, fn(&Cells) -> u64);
    let costs: [Cost; 3] = [
        ("DSP", |cells| cells.multipliers),
        ("block RAM (18 Kbit)", |cells| cells.block_rams),
        ("look-up tables", |cells| cells.luts),
    ];
    let rate = |cycles: u64| budget.clock_hz as f64 / cycles as f64;
    let panels = costs.map(|(name, cost)| {
        let series = |name: &str, frame: fn(&Point) -> u64| {
            let mut points: Vec<_> = points
                .iter()
                .map(|point| (cost(&point.cells) as f64, rate(frame(point))))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            Series {
                name: name.to_owned(),
                points,
            }
        };
        Panel {
            title: format!("Images a second by {name}"),
            x: name.to_owned(),
            y: "images/s".to_owned(),
            logarithmic: false,
            y_range: None,
            series: vec![
                series("a weight word a cycle", |point| point.simulated.frame),
                series("weights in SDRAM", |point| point.on_board),
            ],
        }
    });
    Ok(svg(&panels)?)
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [budget, folder, out] = arguments.as_slice() else {
        anyhow::bail!("engine_report BUDGET FOLDER OUT");
    };
    let (folder, out) = (Path::new(folder), Path::new(out));
    let budget: Budget = serde_json::from_str(&read(Path::new(budget))?)?;
    let mut names: Vec<String> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| folder.join(name).join("project").is_dir())
        .collect();
    names.sort();
    let mut points = names
        .iter()
        .map(|name| point(folder, name, &budget))
        .collect::<Result<Vec<_>>>()?;
    ensure!(!points.is_empty(), "no foldings");
    points.sort_by_key(|point| point.products);
    let mut files = Batch::new();
    files.add(&out.join("report.svg"), plot(&points, &budget)?.as_bytes())?;
    files.add(&out.join("report.md"), report(&points, &budget)?.as_bytes())?;
    Ok(files.commit()?)
}
