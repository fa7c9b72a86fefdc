//! What the integers of every layer lose, and which values they take.

use std::fmt::Write;

use maud::{Markup, html};

use super::figure::bar;
use super::format::small_percent;
use super::table::Column::Text;
use super::table::head;
use crate::post_training::LayerReport;
use crate::report::values::LayerValues;
use crate::report::{Noise, Report};

/// Values that share a bar of a histogram.
const VALUES_PER_BAR: usize = 4;

/// The signal-to-noise ratio that fills a bar, in dB: what 8 bits give a full-scale signal at best.
const FULL_SQNR: f64 = 50.0;

pub(super) fn content(report: &Report) -> Markup {
    let measured: &[LayerReport] = match &report.noise {
        Noise::Measured { layers, .. } => layers,
        Noise::NotMeasured(_) => &[],
    };
    let noise = |layer: &str| measured.iter().find(|noise| noise.layer == layer);
    // The classifier's outputs have 16 bits and no histogram.
    let logits = measured.last().filter(|last| {
        report
            .values
            .iter()
            .all(|values| values.layer != last.layer)
    });
    let worst = measured
        .iter()
        .filter_map(|layer| Some((layer, layer.sqnr_db?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b));
    html! {
        @match &report.noise {
            Noise::NotMeasured(why) => {
                p.note { "Not compared with the float network before quantization: " (why) "." }
            }
            Noise::Measured { same_labels, .. } => {
                p {
                    "The float network before quantization gives " strong { (small_percent(*same_labels)) }
                    " of the pixels the same class as the integers, on the same segments."
                }
                p {
                    "Signal to quantization noise compares each layer's integers with the float network's output on this picture, everything that came in from earlier layers included. More is better; 6 dB are a bit. "
                    @if let Some((layer, sqnr)) = worst {
                        "The noisiest output is that of " strong { (layer.layer) } " (" (layer.kind) ") with "
                        strong { (format!("{sqnr:.1}\u{a0}dB")) } "."
                    }
                }
            }
        }
        p {
            "The histograms show how often the layer's output takes each of the 256 integers, from −128 on the left to 127 on the right; heights are square roots of counts. The thin line is the integer that stands for zero. "
            "Values at an end that do not stand for zero may have been clipped: they are "
            span.hot { "marked" } " and counted as saturated."
        }
        table.layers {
            (head(
                "Every layer's output.",
                &[Text("Layer"), Text("Signal to noise"), Text("Values −128 … 127")],
            ))
            tbody {
                @for (values, place) in report.values.iter().zip(0..) {
                                    tr {
                        th scope="row" {
                            (values.layer)
                            small {
                                @if let Some(layer) = report.inspection.layers.get(place) { (layer.kind.replace('_', " ")) br; }
                                "step 2" sup { (values.exponent) } ", zero " (values.zero_point)
                            }
                        }
                        td { (decibels(noise(&values.layer))) }
                        td { (histogram(values)) }
                    }
                }
                @if let Some(logits) = logits {
                    tr {
                        th scope="row" { (logits.layer) small { "logits, 16 bits" } }
                        td { (decibels(Some(logits))) }
                        td { "–" }
                    }
                }
            }
        }
    }
}

fn decibels(noise: Option<&LayerReport>) -> Markup {
    html! {
        @match noise {
            None => { "–" }
            Some(noise) => {
                @match noise.sqnr_db {
                    Some(sqnr) => { (bar(sqnr / FULL_SQNR)) span.value { (format!("{sqnr:.1}\u{a0}dB")) } }
                    None => { span.value { "no noise" } }
                }
                small { "clipped " (small_percent(noise.clipped)) }
            }
        }
    }
}

fn histogram(values: &LayerValues) -> Markup {
    let last = values.counts.len().saturating_sub(1);
    let bars: Vec<u64> = values
        .counts
        .chunks(VALUES_PER_BAR)
        .map(|counts| counts.iter().sum())
        .collect();
    let largest = bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let path = |bars: &mut dyn Iterator<Item = (usize, u64)>| {
        let mut path = String::new();
        for (at, count) in bars.filter(|(_, count)| *count > 0) {
            // What occurs is visible.
            let height = (30.0 * (count as f64 / largest).sqrt()).max(0.6);
            let x = at * 2;
            // Writing to a string cannot fail.
            let _ = write!(path, "M{x} 32v-{height:.1}h1.6v{height:.1}z");
        }
        path
    };
    // Values at the ends are drawn once more, over the bar that holds them.
    let zero = (i16::from(values.zero_point) + 128) as usize;
    let ends = [0, last].into_iter().filter(|&end| end != zero);
    let mut ends = ends.map(|end| {
        let count = values.counts.get(end).copied().unwrap_or(0);
        (end / VALUES_PER_BAR, count)
    });
    let zero_x = format!("{:.2}", zero as f64 / VALUES_PER_BAR as f64 * 2.0);
    html! {
        svg.histogram viewBox="0 0 128 34" preserveAspectRatio="none" role="img"
            aria-label={ "Histogram: zeros " (small_percent(values.zero_share())) ", saturated " (small_percent(values.saturated_share())) } {
            path.axis d="M0 32.5h128" {}
            path.fill d=(path(&mut bars.iter().copied().enumerate())) {}
            path.zero d={ "M" (zero_x) " 0v34" } {}
            path.hot d=(path(&mut ends)) {}
        }
        small {
            "zeros " (small_percent(values.zero_share())) ", saturated "
            span.hot[values.saturated > 0] { (small_percent(values.saturated_share())) }
        }
    }
}
