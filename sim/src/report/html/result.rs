//! The photograph, its labels, and the share of every class.

use maud::{Markup, html};

use super::figure::{drawing, measure, photograph};
use super::format::percent;
use super::table::Column::{Number, Text};
use super::table::head;
use crate::report::{ClassShare, Report};

/// A class's number is written on the map only where it has so much room around it, in pixels of the network's input.
const ROOM: u32 = 4;

/// How many classes are no background.
pub(super) fn known(report: &Report) -> usize {
    let known = |class: &&ClassShare| class.kind != "background";
    report.classes.iter().filter(known).count()
}

/// A class's colour as a small square.
pub(super) fn swatch([red, green, blue]: [u8; 3]) -> Markup {
    let color = format!("#{red:02x}{green:02x}{blue:02x}");
    html! {
        svg.swatch viewBox="0 0 10 10" aria-hidden="true" {
            rect width="10" height="10" fill=(color) {}
        }
    }
}

pub(super) fn content(report: &Report) -> Markup {
    let mut found: Vec<(usize, &ClassShare)> = (1..)
        .zip(&report.classes)
        .filter(|(_, class)| class.kind != "background" && class.share > 0.0)
        .collect();
    found.sort_by(|(_, a), (_, b)| b.share.total_cmp(&a.share));
    let absent: Vec<&str> = report
        .classes
        .iter()
        .filter(|class| class.kind != "background" && class.share == 0.0)
        .map(|class| &class.name[..])
        .collect();
    let largest = found.first().map_or(0.0, |(_, class)| class.share);
    html! {
        div.columns {
            (picture(report, &found))
            div {
                table.classes {
                    (head(
                        "Classes found, largest first. The number is the one on the picture.",
                        &[Number("No."), Text("Class"), Text("Share of the pixels")],
                    ))
                    tbody {
                        @for (number, class) in &found {
                            tr {
                                td.number { (number) }
                                th scope="row" { (swatch(class.color)) " " (class.name) " " small { (class.kind) } }
                                td { (measure(class.share / largest, &percent(class.share))) }
                            }
                        }
                        @if report.unlabelled > 0.0 {
                            tr {
                                td {}
                                th scope="row" { "no class" }
                                td { (measure(report.unlabelled / largest, &percent(report.unlabelled))) }
                            }
                        }
                    }
                }
                @if !absent.is_empty() {
                    p { "Not found: " (absent.join(", ")) "." }
                }
            }
        }
    }
}

/// The photograph below its labels, with controls that work without a script.
fn picture(report: &Report, found: &[(usize, &ClassShare)]) -> Markup {
    let pictures = &report.pictures;
    let (width, height) = pictures.photo.dimensions();
    let [input_height, input_width, _] = report.inspection.input;
    let scale = f64::from(width) / f64::from(input_width);
    let down = f64::from(height) / f64::from(input_height);
    let size = f64::from(width) / 26.0;
    html! {
        figure.viewer {
            fieldset.switch {
                legend { "Show" }
                @for (id, name, checked) in [
                    ("view-photo", "photograph", false),
                    ("view-overlay", "overlay", true),
                    ("view-labels", "labels", false),
                ] {
                    label for=(id) {
                        input type="radio" name="view" id=(id) checked[checked];
                        span { (name) }
                    }
                }
            }
            div.stack {
                img src=(photograph(&pictures.photo)) width=(width) height=(height)
                    alt={ "The picture: " (report.subject) };
                img.layer src=(drawing(pictures.labels.clone())) width=(width) height=(height)
                    alt="The label map: every pixel in the colour of its class. The table lists the classes.";
                svg.layer viewBox={ "0 0 " (width) " " (height) } aria-hidden="true" {
                    @for (number, class) in found {
                        @if let Some(anchor) = class.anchor.filter(|anchor| anchor.distance >= ROOM) {
                            text x=(format!("{:.1}", (anchor.x as f64 + 0.5) * scale))
                                y=(format!("{:.1}", (anchor.y as f64 + 0.5) * down))
                                font-size=(format!("{size:.1}")) { (number) }
                        }
                    }
                }
            }
            p.slider hidden {
                label for="opacity" { "Strength of the labels" }
                input type="range" id="opacity" min="0" max="100" value="55";
            }
            figcaption {
                "The classes' colours over the picture, with an outline where the class changes. Numbers name the classes."
            }
        }
    }
}
