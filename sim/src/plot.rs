//! Line plots as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// Size of a panel in SVG units.
const SIZE: (u32, u32) = (560, 400);

/// Colours of the series, in turn; they differ for colour-blind people, too (Okabe and Ito).
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// A named line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Its points, by x.
    pub points: Vec<(f64, f64)>,
}

/// One plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Below the x axis.
    pub x: String,
    /// Beside the y axis.
    pub y: String,
    /// Whether equal distances along x are equal ratios; points at or below 0 are left out then.
    pub logarithmic: bool,
    /// First and last y; what the points need without it.
    pub y_range: Option<(f64, f64)>,
    /// The lines.
    pub series: Vec<Series>,
}

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// No series has a point with finite coordinates.
    #[error("there is nothing to plot")]
    Empty,
    /// The plot cannot be drawn.
    #[error("the plot cannot be drawn: {0}")]
    Draw(String),
}

/// Draws panels side by side as an SVG document. Points that are not finite are left out.
///
/// # Errors
/// [`PlotError::Empty`] when a panel has nothing to show; [`PlotError::Draw`] is not known to occur.
pub fn svg(panels: &[Panel]) -> Result<String, PlotError> {
    let count = u32::try_from(panels.len()).map_err(|_| PlotError::Empty)?;
    if count == 0 {
        return Err(PlotError::Empty);
    }
    let mut text = String::new();
    {
        let size = (SIZE.0.saturating_mul(count), SIZE.1);
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let failed = |error: Draw<'_>| PlotError::Draw(error.to_string());
        area.fill(&WHITE).map_err(failed)?;
        for (part, panel) in area.split_evenly((1, panels.len())).iter().zip(panels) {
            let (x, y, series) = ranges(panel).ok_or(PlotError::Empty)?;
            if panel.logarithmic {
                draw(part, panel, &series, x.log_scale(), y).map_err(failed)?;
            } else {
                draw(part, panel, &series, x, y).map_err(failed)?;
            }
        }
        area.present().map_err(failed)?;
    }
    Ok(text)
}

type Ranges = (Range<f64>, Range<f64>, Vec<Series>);

/// What the axes show, and the points that can be drawn.
fn ranges(panel: &Panel) -> Option<Ranges> {
    let drawn =
        |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (x > 0.0 || !panel.logarithmic);
    let series: Vec<Series> = panel
        .series
        .iter()
        .map(|series| Series {
            name: series.name.clone(),
            points: series.points.iter().copied().filter(drawn).collect(),
        })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let (left, mut right) = extent(points().map(|point| point.0))?;
    let (low, high) = extent(points().map(|point| point.1))?;
    // A range without length has no scale.
    if left == right {
        right += left.abs().max(1.0);
    }
    let margin = if low < high {
        high - low
    } else {
        low.abs().max(1.0)
    } * 0.05;
    let (low, high) = panel.y_range.unwrap_or((low - margin, high + margin));
    Some((left..right, low..high, series))
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Draw<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw<'a, X>(
    area: &Area<'a>,
    panel: &Panel,
    series: &[Series],
    x: X,
    y: Range<f64>,
) -> Result<(), Draw<'a>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 18))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|x| x.to_string())
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .draw()?;
    for (series, &color) in series.iter().zip(COLORS.iter().cycle()) {
        let style = color.stroke_width(2);
        let points = series.points.iter().copied();
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.4))
        .position(SeriesLabelPosition::LowerRight)
        .draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(logarithmic: bool, series: &[(&str, &[(f64, f64)])]) -> Panel {
        Panel {
            title: "a <title>".to_owned(),
            x: "number".to_owned(),
            y: "share".to_owned(),
            logarithmic,
            y_range: None,
            series: series
                .iter()
                .map(|&(name, points)| Series {
                    name: name.to_owned(),
                    points: points.to_vec(),
                })
                .collect(),
        }
    }

    /// The points of all thick lines: a series each, and its sample in the legend.
    fn polylines(svg: &str) -> Vec<Vec<(f64, f64)>> {
        svg.split("<polyline ")
            .skip(1)
            .filter(|line| line.contains("stroke-width=\"2\""))
            .map(|line| {
                let points = line.split("points=\"").nth(1).unwrap();
                let points = points.split('"').next().unwrap().split_whitespace();
                points
                    .map(|point| {
                        let (x, y) = point.split_once(',').unwrap();
                        (x.parse().unwrap(), y.parse().unwrap())
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn every_series_is_a_line_with_a_name() {
        let first = panel(
            false,
            &[
                ("first", &[(1.0, 2.0), (2.0, 3.0), (5.0, -1.0)]),
                ("second", &[(1.0, 5.0), (f64::NAN, 3.0), (4.0, 4.0)]),
            ],
        );
        let second = panel(false, &[("third", &[(0.0, 0.0), (1.0, 1.0)])]);
        let svg = svg(&[first, second]).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for word in [
            "a &lt;title&gt;",
            "number",
            "share",
            "first",
            "second",
            "third",
        ] {
            assert!(svg.contains(word), "{word}");
        }
        assert_eq!(polylines(&svg).len(), 6, "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn points_lie_where_the_axes_say() {
        // Equal ratios are equal distances; y grows upwards; the middle of y is in the middle.
        let mut panel = panel(true, &[("line", &[(1.0, 0.0), (10.0, 0.5), (100.0, 1.0)])]);
        panel.y_range = Some((0.0, 1.0));
        let svg = svg(&[panel]).unwrap();
        let line = &polylines(&svg)[0];
        let near = |a: f64, b: f64| (a - b).abs() <= 1.5;
        assert!(
            near(line[1].0 - line[0].0, line[2].0 - line[1].0),
            "{line:?}"
        );
        assert!(
            near(line[0].1 - line[1].1, line[1].1 - line[2].1),
            "{line:?}"
        );
        assert!(line[2].0 > line[0].0 + 300.0 && line[2].1 < line[0].1 - 200.0);
    }

    #[test]
    fn single_values_are_drawn() {
        for logarithmic in [false, true] {
            for points in [&[(10.0, 0.5), (1000.0, 0.5)][..], &[(7.0, 0.0)]] {
                assert!(svg(&[panel(logarithmic, &[("flat", points)])]).is_ok());
            }
        }
    }

    #[test]
    fn nothing_is_no_plot() {
        let refused = |panels: &[Panel]| matches!(svg(panels), Err(PlotError::Empty));
        for points in [&[][..], &[(f64::NAN, 1.0)], &[(1.0, f64::INFINITY)]] {
            assert!(refused(&[panel(false, &[("x", points)])]));
        }
        assert!(refused(&[panel(
            true,
            &[("x", &[(0.0, 1.0), (-3.0, 1.0)])]
        )]));
        assert!(refused(&[panel(false, &[])]) && refused(&[]));
    }
}
