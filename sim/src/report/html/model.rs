//! Which model it was, what it is made of, and how the report was made.

use maud::{Markup, html};

use super::format::{bytes, count, macs, shape};
use super::table;
use super::table::Column::{Number, Text};
use crate::report::Report;

pub(super) fn content(report: &Report) -> Markup {
    let model = &report.inspection;
    let head = &model.head;
    let levels = |levels: &[u8]| {
        let levels: Vec<String> = levels.iter().map(|n| format!("{n}×{n}")).collect();
        levels.join(", ")
    };
    html! {
        dl.properties {
            dt { "Name" } dd { (report.model) }
            dt { "Checksum" } dd { code { (report.fingerprint) } " (CRC-32)" }
            dt { "File" } dd { (count(model.file_bytes as u64)) " bytes" }
            dt { "Image" } dd { (shape(model.input)) " (height, width, channels)" }
            dt { "Feature map" } dd { (shape(model.feature_map)) ", a cell every " (model.stride[0]) "×" (model.stride[1]) " pixels" }
            dt { "Work" } dd { (count(model.backbone_macs)) " multiply-accumulates an image, " (count(model.segment_macs)) " a segment" }
            dt { "Head" } dd { "design " (head.design) ", " (head.classifier) ", masks: " (head.mask_rule) }
            dt { "Pyramid" } dd {
                (levels(&head.segment_levels))
                @if !head.region_levels.is_empty() { "; region " (levels(&head.region_levels)) }
            }
            dt { "Proposals" } dd { (model.proposals) }
            dt { "Labelling" } dd { code { (model.labelling) } }
            dt { "Command" } dd { code.command { (command(&report.command)) } }
        }
        details {
            summary { "Layers" }
            table {
                (table::head(
                    "The backbone, then the fully connected layers of the head.",
                    &[Text("Layer"), Text("Output"), Number("Parameters"), Number("MACs")],
                ))
                tbody {
                    @for (at, layer) in model.layers.iter().enumerate() {
                        tr {
                            th scope="row" {
                                "layer " (at)
                                small {
                                    (layer.kind.replace('_', " "))
                                    @if layer.kind != "add" { " " (layer.kernel[0]) "×" (layer.kernel[1]) }
                                    @if layer.stride != [1, 1] { ", stride " (layer.stride[0]) }
                                    @if layer.dilation != [1, 1] { ", dilation " (layer.dilation[0]) }
                                    @if layer.groups > 1 { ", " (layer.groups) " groups" }
                                }
                            }
                            td { (shape(layer.output)) }
                            td.number { (count(layer.parameters)) }
                            td.number { (macs(layer.macs)) }
                        }
                    }
                    @for layer in &head.layers {
                        tr {
                            th scope="row" { (layer.path) small { "fully connected, per segment" } }
                            td { (layer.inputs) " → " (layer.outputs) }
                            td.number { (count(layer.parameters)) }
                            td.number { (macs(layer.macs)) }
                        }
                    }
                }
            }
        }
        details {
            summary { "Parts of the file" }
            table {
                (table::head(
                    "Sections of the model file, which lies in flash as it is.",
                    &[Text("Section"), Text("Content"), Number("Bytes")],
                ))
                tbody {
                    @for section in &model.flash {
                        tr {
                            th scope="row" { (section.section) }
                            td { (section.content) }
                            td.number { (bytes(section.bytes)) }
                        }
                    }
                }
            }
        }
        details {
            summary { "Provenance" }
            @if model.provenance.is_empty() {
                p { "The model does not say how it was made." }
            } @else {
                dl.properties {
                    @for (key, value) in &model.provenance {
                        dt { @if key.is_empty() { "–" } @else { (key) } }
                        dd { (value) }
                    }
                }
            }
        }
    }
}

/// A command as a shell would read it.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    let words = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn commands_can_be_pasted() {
        let words = ["cfm", "report", "a b's.png", ""].map(str::to_owned);
        assert_eq!(command(&words), r"cfm report 'a b'\''s.png' ''");
    }
}
