//! The page: one file that needs nothing else, readable without scripts.

mod accuracy;
mod cost;
mod figure;
mod format;
mod model;
mod parity;
mod quantization;
mod result;
mod segments;
mod table;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use format::{bytes, count, macs, percent};

/// What the page may load: nothing but what it holds itself.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A section of the page: its identifier, its heading, its content.
struct Section {
    id: &'static str,
    title: &'static str,
    content: Markup,
}

/// The page of a report.
#[must_use]
pub fn html(report: &Report) -> String {
    let sections = sections(report);
    let title = format!("{} seen by {}", report.subject, report.model);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) (PreEscaped(segments::choices(report))) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                header {
                    h1 { (title) }
                    (summary(report))
                    (facts(report))
                    nav aria-label="Sections" {
                        ul {
                            @for section in &sections {
                                li { a href={ "#" (section.id) } { (section.title) } }
                            }
                        }
                    }
                }
                main id="main" tabindex="-1" {
                    (segments::definitions(report))
                    @for section in &sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.content)
                        }
                    }
                }
                footer { p { "Made by cfm " (report.version) ": semantic segmentation by convolutional feature masking, in integers." } }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    }
    .into_string()
}

fn sections(report: &Report) -> Vec<Section> {
    let section = |id, title, content| Section { id, title, content };
    let mut sections = vec![
        section("result", "Result", result::content(report)),
        section("segments", "Candidate segments", segments::content(report)),
    ];
    if let Some(evaluation) = &report.evaluation {
        let content = accuracy::content(evaluation, &report.classes);
        sections.push(section("accuracy", "Accuracy", content));
    }
    sections.extend([
        section("parity", "Parity", parity::content(report)),
        section(
            "quantization",
            "Quantization",
            quantization::content(report),
        ),
        section("cost", "Time and memory", cost::content(report)),
        section("model", "Model", model::content(report)),
    ]);
    sections
}

/// The report in one paragraph.
fn summary(report: &Report) -> Markup {
    let mut found: Vec<_> = report
        .classes
        .iter()
        .filter(|class| class.kind != "background" && class.share > 0.0)
        .collect();
    found.sort_by(|a, b| b.share.total_cmp(&a.share));
    let [height, width, _] = report.inspection.input;
    html! {
        p.lead {
            "Every pixel of a picture of " (report.photo_size[0]) "×" (report.photo_size[1])
            " has been labelled at " (width) "×" (height) ". "
            @if let Some(first) = found.first() {
                "Most of it is " strong { (first.name) } " (" (percent(first.share)) ")"
                @if let Some(second) = found.get(1) {
                    ", then " strong { (second.name) } " (" (percent(second.share)) ")"
                }
                "; " (found.len()) " of " (result::known(report)) " classes were found. "
            } @else {
                "No class was found. "
            }
            @if report.is_exact() {
                "The integer core computes exactly what its float reference computes."
            } @else {
                strong { "The integer core and its float reference differ: do not trust this result." }
            }
        }
    }
}

/// What people ask first.
fn facts(report: &Report) -> Markup {
    let inspection = &report.inspection;
    html! {
        dl.facts {
            div {
                dt { "Parity" }
                dd {
                    @if report.is_exact() {
                        span.good { "✓ exact" }
                    } @else {
                        span.bad { "✗ differs" }
                    }
                    small { (count(report.parity.elements())) " numbers compared" }
                }
            }
            @if let Some(on) = &report.evaluation {
                div {
                    dt { "Mean IoU" }
                    dd { (percent(on.evaluation.miou)) small { (on.dataset) " " (on.split) ", " (on.evaluation.images) " images" } }
                }
            }
            div {
                dt { "Working memory" }
                dd { (bytes(report.arena.bytes)) small { "arena, " (count(report.arena.bytes as u64)) " bytes" } }
            }
            div {
                dt { "Model file" }
                dd { (bytes(inspection.file_bytes)) small { (count(inspection.parameters)) " parameters" } }
            }
            div {
                dt { "Work per image" }
                dd { (macs(inspection.backbone_macs)) small { "multiply-accumulates, and " (macs(inspection.segment_macs)) " a segment" } }
            }
            @if let Some(times) = &report.milliseconds {
                div {
                    dt { "Time" }
                    dd { (format!("{:.0}\u{a0}ms", times.total.as_secs_f64() * 1e3)) small { "on the computer that made this" } }
                }
            }
        }
    }
}
