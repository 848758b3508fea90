//! Charts as SVG text over the `plotters` crate: what a chart says, and the C edge.

use crate::chart_bars::{draw_bars, draw_stacked_bars};
use crate::chart_canvas::{Canvas, Drawn, Line, Series};
use crate::chart_lines::{draw_histogram, draw_lines};
use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use serde::Deserialize;
use std::ffi::c_char;

/// The JSON that `src/report/chart.cpp` writes. A null stands for NaN or infinity; nothing is drawn for it.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Chart {
    Bars { title: String, y_label: String, categories: Vec<String>, series: Vec<Series> },
    StackedBars { title: String, x_label: String, rows: Vec<String>, series: Vec<Series> },
    Lines { title: String, x_label: String, y_label: String, logarithmic: bool, lines: Vec<Line> },
    Histogram { title: String, x_label: String, bins: usize, series: Vec<Series> },
}

/// # Safety
/// `json` holds `size` bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_chart_svg(
    json: *const c_char,
    size: usize,
    svg: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let chart: Chart = serde_json::from_slice(bytes(json.cast(), size))
            .map_err(|reason| Failure::new(Status::Usage, format!("chart: {reason}")))?;
        let text =
            draw(&chart).map_err(|reason| Failure::new(Status::Internal, format!("chart: {reason}")))?;
        svg.write(OwnedString::from(text));
        Ok(())
    })
}

fn draw(chart: &Chart) -> Drawn<String> {
    let mut text = String::new();
    match chart {
        Chart::Bars { title, y_label, categories, series } => {
            let canvas = Canvas::new(&mut text, 380, title, &names(series))?;
            draw_bars(canvas, y_label, categories, series)?;
        }
        Chart::StackedBars { title, x_label, rows, series } => {
            let canvas = Canvas::new(&mut text, 120 + 40 * rows.len() as i32, title, &names(series))?;
            draw_stacked_bars(canvas, x_label, rows, series)?;
        }
        Chart::Lines { title, x_label, y_label, logarithmic, lines } => {
            let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
            let canvas = Canvas::new(&mut text, 380, title, &names)?;
            draw_lines(canvas, x_label, y_label, *logarithmic, lines)?;
        }
        Chart::Histogram { title, x_label, bins, series } => {
            let canvas = Canvas::new(&mut text, 380, title, &names(series))?;
            draw_histogram(canvas, x_label, (*bins).clamp(1, 500), series)?;
        }
    }
    Ok(text)
}

fn names(series: &[Series]) -> Vec<&str> {
    series.iter().map(|one| one.name.as_str()).collect()
}
