//! Bar charts: grouped vertical bars and stacked horizontal bars.

use crate::chart_canvas::*;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

const X_LABELS: i32 = 28;
const GROUP: f64 = 0.76; // of its slot a category's bars take

/// Vertical bars, side by side within a category. They begin at zero.
pub fn draw_bars(canvas: Canvas, y_label: &str, categories: &[String], series: &[Series]) -> Drawn<()> {
    let values = || series.iter().flat_map(|one| one.values.iter().take(categories.len())).flatten();
    let (low, high) = values().fold((0.0f64, 0.0f64), |(low, high), &v| (low.min(v), high.max(v)));
    if categories.is_empty() || low == high {
        return canvas.nothing_to_draw();
    }
    let count = categories.len() as f64;
    let room = (high - low) * 0.08; // for the values on top
    let (low, high) = (if low < 0.0 { low - room } else { 0.0 }, if high > 0.0 { high + room } else { 0.0 });

    canvas.text(y_label, (MARGIN, canvas.top + 4), MUTED, HPos::Left, VPos::Center)?;
    let plot = canvas.area.margin(canvas.top + 16, 12, MARGIN, MARGIN);
    let mut chart = ChartBuilder::on(&plot)
        .x_label_area_size(X_LABELS)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..count, low..high)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(6)
        .y_label_formatter(&axis_numbers(&(low..high), 6))
        .y_label_style(small(MUTED, HPos::Right, VPos::Center))
        .axis_style(TRANSPARENT)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(failed)?;

    let slot = chart.plotting_area().dim_in_pixel().0 as f64 / count;
    let bar = GROUP / series.len() as f64;
    let mut longest = 0;
    for (which, one) in series.iter().enumerate() {
        for (category, value) in one.values.iter().take(categories.len()).enumerate() {
            let Some(value) = *value else { continue };
            let left = category as f64 + (1.0 - GROUP) / 2.0 + which as f64 * bar;
            let from = chart.backend_coord(&(left, value.max(0.0)));
            let to = chart.backend_coord(&(left + bar, value.min(0.0)));
            let gap = if bar * slot > 6.0 { 1 } else { 0 };
            canvas.rectangle((from.0 + gap, from.1), (to.0 - gap, to.1), colour(which).filled())?;
            longest = longest.max(text_width(&number(value, 4), SMALL));
        }
    }
    if f64::from(longest) <= bar * slot + 6.0 {
        for (which, one) in series.iter().enumerate() {
            for (category, value) in one.values.iter().take(categories.len()).enumerate() {
                let Some(value) = *value else { continue };
                let middle = category as f64 + (1.0 - GROUP) / 2.0 + (which as f64 + 0.5) * bar;
                let (x, y) = chart.backend_coord(&(middle, value));
                let (y, along) = if value < 0.0 { (y + 4, VPos::Top) } else { (y - 4, VPos::Bottom) };
                canvas.text(&number(value, 4), (x, y), INK, HPos::Center, along)?;
            }
        }
    }
    let zero = |x| chart.backend_coord(&(x, 0.0));
    canvas.draw(&PathElement::new([zero(0.0), zero(count)], AXIS))?;

    // Names that do not fit: up to 12 are cut short; of more, only every `step`-th is written.
    let widest = categories.iter().map(|name| text_width(name, SMALL)).max().unwrap_or(0);
    let step = match categories.len() > 12 {
        true => (f64::from(widest + 8) / slot).ceil().max(1.0) as usize,
        false => 1,
    };
    for (category, name) in categories.iter().enumerate().step_by(step) {
        let (x, y) = chart.backend_coord(&(category as f64 + 0.5, low));
        let name = fitted(name, (slot * step as f64) as i32 - 4);
        canvas.text(&name, (x, y + 10), MUTED, HPos::Center, VPos::Top)?;
    }
    Ok(())
}

/// Horizontal bars, one a row, each stacked from the parts of a total.
pub fn draw_stacked_bars(canvas: Canvas, x_label: &str, rows: &[String], series: &[Series]) -> Drawn<()> {
    let part = |one: &Series, row: usize| one.values.get(row).copied().flatten().unwrap_or(0.0).max(0.0);
    let total = |row: usize| series.iter().map(|one| part(one, row)).sum::<f64>();
    let longest = (0..rows.len()).map(total).fold(0.0, f64::max);
    if longest <= 0.0 {
        return canvas.nothing_to_draw();
    }
    let names = rows.iter().map(|name| text_width(name, SMALL)).max().unwrap_or(0).clamp(20, 220);
    let totals = (0..rows.len()).map(|row| text_width(&number(total(row), 4), SMALL)).max().unwrap_or(0);
    let plot = canvas.area.margin(canvas.top - 8, 34, MARGIN, MARGIN + totals + 8);
    let count = rows.len() as f64;
    let mut chart = ChartBuilder::on(&plot)
        .x_label_area_size(20)
        .y_label_area_size(names + 10)
        .build_cartesian_2d(0.0..longest, 0.0..count)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(7)
        .x_label_formatter(&axis_numbers(&(0.0..longest), 7))
        .x_label_style(small(MUTED, HPos::Center, VPos::Top))
        .axis_style(TRANSPARENT)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(failed)?;

    for (row, name) in rows.iter().enumerate() {
        let middle = count - row as f64 - 0.5; // the first row on top
        let mut begin = 0.0;
        for (which, one) in series.iter().enumerate() {
            let value = part(one, row);
            if value == 0.0 {
                continue;
            }
            let from = chart.backend_coord(&(begin, middle + 0.32));
            let to = chart.backend_coord(&(begin + value, middle - 0.32));
            canvas.rectangle(from, to, colour(which).filled())?;
            let text = number(value, 4);
            if to.0 - from.0 > text_width(&text, SMALL) + 8 {
                let place = ((from.0 + to.0) / 2, (from.1 + to.1) / 2);
                canvas.text(&text, place, WHITE, HPos::Center, VPos::Center)?;
            }
            begin += value;
        }
        let (left, y) = chart.backend_coord(&(0.0, middle));
        let (right, _) = chart.backend_coord(&(begin, middle));
        canvas.text(&fitted(name, names), (left - 10, y), INK, HPos::Right, VPos::Center)?;
        canvas.text(&number(begin, 4), (right + 6, y), INK, HPos::Left, VPos::Center)?;
    }
    let bottom = |y| chart.backend_coord(&(0.0, y));
    canvas.draw(&PathElement::new([bottom(0.0), bottom(count)], AXIS))?;
    canvas.text(x_label, (WIDTH - MARGIN, canvas.height - 18), MUTED, HPos::Right, VPos::Center)
}
