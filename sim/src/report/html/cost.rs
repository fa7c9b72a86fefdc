//! Time and memory of every stage, and the arena.

use std::time::Duration;

use maud::{Markup, html};

use super::figure::measure;
use super::format::{bytes, count};
use super::table::Column::{Number, Text};
use super::table::head;
use crate::arena_map::{ArenaMap, Block, Use};
use crate::pipeline::Times;
use crate::report::{Report, StageMemory};

pub(super) fn content(report: &Report) -> Markup {
    html! {
        div.columns {
            div {
                h3 { "Time" }
                @match &report.milliseconds {
                    Some(times) => { (time_table(times, report)) }
                    None => { p { "Times were left out." } }
                }
            }
            div {
                h3 { "Memory" }
                (memory_table(&report.memory))
            }
        }
        h3 { "Arena" }
        (arena(&report.arena, report.inspection.arena.layer_at_a_time_bytes))
    }
}

fn time_table(times: &Times, report: &Report) -> Markup {
    let stages = [
        ("convolution", times.conv),
        ("proposals", times.proposals),
        ("masks and pyramids", times.masks_spp),
        ("fully connected", times.fc),
        ("labelling", times.labelling),
    ];
    let longest = stages
        .iter()
        .map(|(_, time)| *time)
        .max()
        .unwrap_or_default();
    let milliseconds = |time: Duration| format!("{:.2}\u{a0}ms", time.as_secs_f64() * 1e3);
    html! {
        table.times {
            (head(
                &format!("On the computer that made this report, the quickest of three runs, {} segments.", report.segments),
                &[Text("Stage"), Text("Time")],
            ))
            tbody {
                @for (stage, time) in stages {
                    tr {
                        th scope="row" { (stage) }
                        td {
                            @let share = time.as_secs_f64() / longest.as_secs_f64().max(1e-9);
                            (measure(share, &milliseconds(time)))
                        }
                    }
                }
            }
            tfoot { tr { th scope="row" { "everything" } td { div.measure { span {} span.value { (milliseconds(times.total)) } } } } }
        }
    }
}

fn memory_table(stages: &[StageMemory]) -> Markup {
    html! {
        table {
            (head(
                "Bytes that a stage works in on the target, the model and the stack left out.",
                &[Text("Stage"), Number("Arena"), Number("Outside")],
            ))
            tbody {
                @for stage in stages {
                    tr {
                        th scope="row" { (stage.stage) small { "outside: " (stage.what) } }
                        td.number { (bytes(stage.arena)) }
                        td.number { (bytes(stage.outside)) }
                    }
                }
            }
        }
    }
}

fn arena(map: &ArenaMap, layer_at_a_time: usize) -> Markup {
    html! {
        p {
            "One block of " strong { (count(map.bytes as u64)) " bytes" }
            " serves two phases. While rows of the image arrive, each layer keeps the few rows that later ones still read. "
            "Once the feature map is complete, segments are scored in the same place. Convolving layer by layer would take "
            (bytes(layer_at_a_time)) "."
        }
        (phase(map, &map.convolving, "While rows arrive"))
        (phase(map, &map.scoring, "While segments are scored"))
        ul.legend {
            @for (usage, name) in [
                (Use::FeatureMap, "feature map"),
                (Use::Ring, "rows of the image and of layers"),
                (Use::Kernel, "work of kernels"),
                (Use::Scorer, "work of the scorer"),
            ] {
                li { svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect class=(class(usage)) width="10" height="10" {} } " " (name) }
            }
        }
    }
}

const fn class(usage: Use) -> &'static str {
    match usage {
        Use::FeatureMap => "use-features",
        Use::Ring => "use-ring",
        Use::Kernel => "use-kernel",
        Use::Scorer => "use-scorer",
    }
}

/// The blocks of a phase as a strip of the arena's length, and as a table.
fn phase(map: &ArenaMap, blocks: &[Block], title: &str) -> Markup {
    let unit = 1000.0 / map.bytes.max(1) as f64;
    let used = blocks.last().map_or(0, Block::end);
    let label = format!(
        "{title}: {} of {} bytes, the table below lists the blocks",
        count(used as u64),
        count(map.bytes as u64)
    );
    html! {
        figure.arena {
            figcaption { strong { (title) } ": " (bytes(used)) " of " (bytes(map.bytes)) }
            svg viewBox="0 0 1000 90" preserveAspectRatio="none" role="img" aria-label=(label) {
                rect.track width="1000" height="90" {}
                @for block in blocks {
                    rect class=(class(block.usage)) height="90"
                        x=(format!("{:.2}", block.start as f64 * unit))
                        width=(format!("{:.2}", block.bytes as f64 * unit)) {
                        title { (block.name) ": bytes " (count(block.start as u64)) " to " (count(block.end() as u64 - 1)) }
                    }
                }
            }
            details {
                summary { "Blocks " span.unseen { (title.to_lowercase()) } }
                table {
                    (head(
                        &format!("{title}, from the beginning of the arena."),
                        &[Text("Block"), Number("From byte"), Number("Bytes")],
                    ))
                    tbody {
                        @for block in blocks {
                            tr {
                                th scope="row" { (block.name) }
                                td.number { (count(block.start as u64)) }
                                td.number { (count(block.bytes as u64)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
