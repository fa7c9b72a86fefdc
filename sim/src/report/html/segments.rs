//! Superpixels, and some segments on their way from pixels to scores.

use maud::{Markup, html};

use super::figure::{area, border, drawing, measure, photograph};
use super::format::{count, percent};
use super::result::swatch;
use crate::report::Report;
use crate::report::segments::{Level, ShownSegment};

/// Pictures that the drawings of all segments refer to.
pub(super) fn definitions(report: &Report) -> Markup {
    let pictures = &report.pictures;
    let [height, width, _] = report.inspection.input;
    let [rows, columns, _] = report.inspection.feature_map;
    html! {
        svg.definitions width="0" height="0" aria-hidden="true" {
            defs {
                image id="photo" width=(width) height=(height) preserveAspectRatio="none"
                    href=(photograph(&pictures.input)) {}
                image id="features" width=(columns) height=(rows) preserveAspectRatio="none"
                    href=(drawing(pictures.features.clone())) {}
            }
        }
    }
}

pub(super) fn content(report: &Report) -> Markup {
    html! {
        p {
            (count(report.segments as u64)) " candidate segments were made of superpixels and scored. Each is projected onto the feature map as a mask of one bit a cell; "
            "the features under the mask are pooled and classified. The image is convolved only once."
        }
        (superpixels(report))
        h3 { "From pixels to scores" }
        (chooser(report))
    }
}

/// The superpixels of every map.
fn superpixels(report: &Report) -> Markup {
    let maps = &report.pictures.superpixels;
    let [height, width, _] = report.inspection.input;
    html! {
        h3 { "Superpixels" }
        @if maps.is_empty() {
            p { "The segments are not made of superpixels." }
        }
        div.maps {
            @for (picture, count) in maps.iter().zip(&report.superpixels) {
                figure {
                    img.wide src=(drawing(picture.clone())) width=(2 * width) height=(2 * height)
                        alt="Superpixels, outlined, in their mean colours";
                    figcaption { (count) " superpixels" }
                }
            }
        }
    }
}

/// The style that shows the panel of the chosen segment and no other, without a script.
pub(super) fn choices(report: &Report) -> String {
    let mut style = ".chooser:has([name=segment]:checked)>.panel{display:none}".to_owned();
    for at in 0..report.shown.len() {
        let chosen = format!("#segment-{at}");
        style += &format!(".chooser:has({chosen}:checked)>{chosen}-panel{{display:block}}");
    }
    style
}

fn chooser(report: &Report) -> Markup {
    if report.shown.is_empty() {
        return html! { p { "There are no segments." } };
    }
    html! {
        div.chooser {
            fieldset.thumbnails {
                legend { "Segment: the surest of every class, then the second of every class" }
                @for (at, segment) in report.shown.iter().enumerate() {
                    @let id = format!("segment-{at}");
                    label for=(id) {
                        input type="radio" name="segment" id=(id) checked[at == 0];
                        (pixel_mask(report, segment, true))
                        span { (best(report, segment)) }
                    }
                }
            }
            @for (at, segment) in report.shown.iter().enumerate() {
                div.panel.steps id={ "segment-" (at) "-panel" } {
                    (panel(report, segment))
                }
            }
        }
    }
}

/// The best class of a segment and its score, in a few words.
fn best(report: &Report, segment: &ShownSegment) -> String {
    let best = segment.scores.first();
    let named = best.and_then(|best| Some((report.classes.get(best.class)?, best.score)));
    named.map_or_else(String::new, |(class, score)| {
        format!("{} {}", class.name, self::score(report, score))
    })
}

fn score(report: &Report, score: f64) -> String {
    if report.inspection.head.classifier == "softmax" {
        percent(score)
    } else {
        format!("{score:+.2}")
    }
}

fn panel(report: &Report, segment: &ShownSegment) -> Markup {
    let [top, left, bottom, right] = segment.window;
    let set = segment.mask.iter().filter(|bit| **bit == 1).count();
    html! {
        h4 { "Segment " (segment.index) ": " (best(report, segment)) }
        div.steps-row {
            figure {
                (pixel_mask(report, segment, false))
                figcaption { strong { "1. Pixels." } " " (count(segment.area.into())) " pixels, a union of superpixels." }
            }
            figure {
                (cell_mask(report, segment))
                figcaption {
                    strong { "2. Cells." } " The mask over the feature map: " (set) " of " (segment.mask.len())
                    " cells of its window (rows " (top) " to " (bottom - 1) ", columns " (left) " to " (right - 1)
                    ") are set. Brighter cells have larger features."
                }
            }
            figure {
                (pyramids(segment))
                figcaption {
                    strong { "3. Bins." } " The pyramid pools the window into " (bins(segment, false)) " bins"
                    @if segment.pyramids.iter().any(|level| level.region) { "; the second row without the mask (region)" }
                    ". The stronger the colour, the larger a bin's maxima, averaged over the channels."
                }
            }
            figure {
                (scores(report, segment))
                figcaption { strong { "4. Scores." } " The best classes." }
            }
        }
    }
}

fn bins(segment: &ShownSegment, region: bool) -> String {
    let levels = segment
        .pyramids
        .iter()
        .filter(|level| level.region == region);
    let levels: Vec<String> = levels.map(|level| format!("{0}×{0}", level.side)).collect();
    levels.join(", ")
}

/// The segment bright in the dark photograph.
fn pixel_mask(report: &Report, segment: &ShownSegment, thumbnail: bool) -> Markup {
    let [height, width, _] = report.inspection.input;
    let outside: Vec<bool> = segment.pixels.iter().map(|inside| !inside).collect();
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } role=[(!thumbnail).then_some("img")] aria-hidden=[thumbnail.then_some("true")]
            aria-label=[(!thumbnail).then_some("The segment's pixels bright, all others dark")] {
            use href="#photo" {}
            path.shade d=(area(&outside, width.into())) {}
            @if !thumbnail {
                path.edge d=(border(&segment.pixels, width.into())) {}
            }
        }
    }
}

/// The mask over the feature map: cells outside it are dark, its border and its window are outlined.
fn cell_mask(report: &Report, segment: &ShownSegment) -> Markup {
    let [rows, columns, _] = report.inspection.feature_map;
    let [top, left, bottom, right] = segment.window;
    let (columns, rows) = (usize::from(columns), usize::from(rows));
    let window = usize::from(right - left);
    let mut set = vec![false; rows * columns];
    for (at, &bit) in segment.mask.iter().enumerate() {
        let row = usize::from(top) + at / window.max(1);
        let column = usize::from(left) + at % window.max(1);
        set[row * columns + column] = bit == 1;
    }
    let outside: Vec<bool> = set.iter().map(|set| !set).collect();
    html! {
        svg.cells viewBox={ "0 0 " (columns) " " (rows) } role="img"
            aria-label="The feature map, cells outside the mask dark, the mask and its window outlined" {
            use href="#features" {}
            path.shade d=(area(&outside, columns)) {}
            path.edge d=(border(&set, columns)) {}
            rect.window x=(left) y=(top) width=(right - left) height=(bottom - top) {}
        }
    }
}

/// The levels of the pyramid beside each other; those of the region path below.
fn pyramids(segment: &ShownSegment) -> Markup {
    let largest = segment
        .pyramids
        .iter()
        .flat_map(|level| &level.means)
        .copied()
        .max()
        .unwrap_or(0)
        .max(1);
    let rows: Vec<Vec<&Level>> = [false, true]
        .iter()
        .map(|region| {
            segment
                .pyramids
                .iter()
                .filter(|level| level.region == *region)
                .collect()
        })
        .filter(|levels: &Vec<&Level>| !levels.is_empty())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1);
    html! {
        svg.pyramid viewBox={ "0 0 " (columns * 110) " " (rows.len() * 110) } role="img"
            aria-label={ "Pooled values of every bin: " (values(segment)) } {
            @for (row, levels) in rows.iter().enumerate() {
                @for (column, level) in levels.iter().enumerate() {
                    g transform={ "translate(" (column * 110 + 5) " " (row * 110 + 5) ")" } {
                        (level_bins(level, largest))
                    }
                }
            }
        }
    }
}

fn level_bins(level: &Level, largest: u32) -> Markup {
    let side = 100.0 / f64::from(level.side);
    html! {
        @for (at, &mean) in level.means.iter().enumerate() {
            @let (row, column) = (at / usize::from(level.side), at % usize::from(level.side));
            @let masked = level.masked_out.get(at) == Some(&true);
            rect x=(format!("{:.2}", column as f64 * side)) y=(format!("{:.2}", row as f64 * side))
                width=(format!("{side:.2}")) height=(format!("{side:.2}"))
                fill-opacity=(format!("{:.2}", f64::from(mean) / f64::from(largest)))
                class=[masked.then_some("masked")] {
                title {
                    @if level.region { "region, " }
                    "bin " (row) ", " (column) " of " (level.side) "×" (level.side)
                    @if let Some([rows, columns]) = level.cells.get(at) { ": " (rows) "×" (columns) " cells" }
                    ", mean " (mean) " steps from zero" @if masked { ", masked out" }
                }
            }
        }
    }
}

/// The pooled values in words.
fn values(segment: &ShownSegment) -> String {
    let levels = segment.pyramids.iter().map(|level| {
        let means: Vec<String> = level.means.iter().map(u32::to_string).collect();
        let path = if level.region { "region " } else { "" };
        format!("{path}{0}×{0}: {1}", level.side, means.join(" "))
    });
    levels.collect::<Vec<_>>().join("; ")
}

fn scores(report: &Report, segment: &ShownSegment) -> Markup {
    let softmax = report.inspection.head.classifier == "softmax";
    let largest = segment
        .scores
        .iter()
        .map(|score| score.score.abs())
        .fold(0.0, f64::max);
    html! {
        table {
            caption.unseen { "Best classes of segment " (segment.index) }
            thead.unseen { tr { th scope="col" { "Class" } th scope="col" { "Score" } } }
            tbody {
                @for best in &segment.scores {
                    @if let Some(class) = report.classes.get(best.class) {
                        tr {
                            th scope="row" { (swatch(class.color)) " " (class.name) }
                            td {
                                @let largest = if softmax { 1.0 } else { largest.max(1e-9) };
                                (measure(best.score / largest, &score(report, best.score)))
                            }
                        }
                    }
                }
            }
        }
    }
}
