//! Lines over numbers, and histograms.

use crate::chart_canvas::*;
use plotters::chart::ChartContext;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::ops::Range;

const MARKED: usize = 40; // points a line may have to get a dot each

pub fn draw_lines(
    canvas: Canvas,
    x_label: &str,
    y_label: &str,
    logarithmic: bool,
    lines: &[Line],
) -> Drawn<()> {
    let drawable = |(x, y): (Option<f64>, Option<f64>)| Some((x?, y?)).filter(|p| !logarithmic || p.1 > 0.0);
    let points = || lines.iter().flat_map(|line| &line.points).filter_map(|point| drawable(*point));
    let (Some(xs), Some(ys)) = (range(points().map(|p| p.0)), range(points().map(|p| p.1))) else {
        return canvas.nothing_to_draw();
    };
    let xs = padded(xs, 0.02);
    let plot = frame(&canvas, x_label, y_label)?;
    let mut builder = ChartBuilder::on(&plot);
    builder.x_label_area_size(26).y_label_area_size(60);
    // Each line in pieces, with a gap where a value can't be drawn.
    let pieces: Vec<Vec<Vec<(f64, f64)>>> = lines
        .iter()
        .map(|line| {
            let all: Vec<_> = line.points.iter().map(|point| drawable(*point)).collect();
            all.split(Option::is_none).map(|piece| piece.iter().flatten().copied().collect()).collect()
        })
        .collect();
    if logarithmic {
        let ys = ys.start / 1.6..ys.end * 1.6;
        let mut chart = builder.build_cartesian_2d(xs.clone(), ys.log_scale()).map_err(failed)?;
        mesh(&mut chart, &xs, &|value| number(*value, 6))?;
        draw_pieces(&canvas, &pieces, |point| chart.backend_coord(point))
    } else {
        let ys = padded(ys, 0.06);
        let mut chart = builder.build_cartesian_2d(xs.clone(), ys.clone()).map_err(failed)?;
        mesh(&mut chart, &xs, &axis_numbers(&ys, 6))?;
        draw_pieces(&canvas, &pieces, |point| chart.backend_coord(point))
    }
}

fn draw_pieces(
    canvas: &Canvas,
    lines: &[Vec<Vec<(f64, f64)>>],
    place: impl Fn(&(f64, f64)) -> (i32, i32),
) -> Drawn<()> {
    for (which, pieces) in lines.iter().enumerate() {
        let points = pieces.iter().map(Vec::len).sum::<usize>();
        for piece in pieces {
            let path: Vec<_> = piece.iter().map(&place).collect();
            if points <= MARKED || path.len() == 1 {
                for &dot in &path {
                    canvas.draw(&Circle::new(dot, 3, colour(which).filled()))?;
                }
            }
            canvas.draw(&PathElement::new(path, colour(which).stroke_width(2)))?;
        }
    }
    Ok(())
}

/// A histogram of each series: the share of its values in each bin. All series have the same bins.
pub fn draw_histogram(canvas: Canvas, x_label: &str, bins: usize, series: &[Series]) -> Drawn<()> {
    let Some(all) = range(series.iter().flat_map(|one| one.values.iter().flatten().copied())) else {
        return canvas.nothing_to_draw();
    };
    let all = padded(all, 0.0);
    let width = (all.end - all.start) / bins as f64;
    let shares: Vec<Vec<f64>> = series.iter().map(|one| share_of_bins(one, &all, bins)).collect();
    let highest = shares.iter().flatten().copied().fold(0.0, f64::max);

    let plot = frame(&canvas, x_label, "share of values, %")?;
    let height = 0.0..highest * 1.06;
    let mut chart = ChartBuilder::on(&plot)
        .x_label_area_size(26)
        .y_label_area_size(60)
        .build_cartesian_2d(all.clone(), height.clone())
        .map_err(failed)?;
    mesh(&mut chart, &all, &axis_numbers(&height, 6))?;
    for (which, shares) in shares.iter().enumerate() {
        let mut outline = vec![chart.backend_coord(&(all.start, 0.0))];
        for (bin, share) in shares.iter().enumerate() {
            let left = all.start + bin as f64 * width;
            outline.push(chart.backend_coord(&(left, *share)));
            outline.push(chart.backend_coord(&(left + width, *share)));
        }
        outline.push(chart.backend_coord(&(all.end, 0.0)));
        canvas.draw(&Polygon::new(outline.clone(), colour(which).mix(0.3).filled()))?;
        canvas.draw(&PathElement::new(outline, colour(which).stroke_width(2)))?;
    }
    let zero = |x| chart.backend_coord(&(x, 0.0));
    canvas.draw(&PathElement::new([zero(all.start), zero(all.end)], AXIS))
}

fn share_of_bins(series: &Series, all: &Range<f64>, bins: usize) -> Vec<f64> {
    let mut counts = vec![0usize; bins];
    for value in series.values.iter().flatten() {
        let bin = (value - all.start) / (all.end - all.start) * bins as f64;
        counts[(bin as usize).min(bins - 1)] += 1;
    }
    let total = counts.iter().sum::<usize>().max(1) as f64;
    counts.into_iter().map(|count| 100.0 * count as f64 / total).collect()
}

/// The area of the plot, with the axes' names around it.
fn frame<'a>(canvas: &Canvas<'a>, x_label: &str, y_label: &str) -> Drawn<Area<'a>> {
    canvas.text(y_label, (MARGIN, canvas.top + 4), MUTED, HPos::Left, VPos::Center)?;
    canvas.text(x_label, (WIDTH - MARGIN, canvas.height - 18), MUTED, HPos::Right, VPos::Center)?;
    Ok(canvas.area.margin(canvas.top + 18, 32, MARGIN, MARGIN + 8))
}

fn mesh<Y>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, Y>>,
    xs: &Range<f64>,
    y_number: &dyn Fn(&f64) -> String,
) -> Drawn<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let x_number = axis_numbers(xs, 9);
    chart
        .configure_mesh()
        .x_labels(9)
        .y_labels(6)
        .x_label_formatter(&x_number)
        .y_label_formatter(&y_number)
        .x_label_style(small(MUTED, HPos::Center, VPos::Top))
        .y_label_style(small(MUTED, HPos::Right, VPos::Center))
        .axis_style(TRANSPARENT)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(failed)
}

fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    values.fold(None, |seen: Option<Range<f64>>, value| {
        Some(seen.map_or(value..value, |r| r.start.min(value)..r.end.max(value)))
    })
}

/// Widens a range a little on both sides. The result is never empty.
fn padded(range: Range<f64>, share: f64) -> Range<f64> {
    let width = range.end - range.start;
    // With steps as small as the last digits of a double, a loop would never reach the end of the axis.
    if width <= range.end.abs().max(range.start.abs()) * 1e-9 {
        let half = if range.end == 0.0 { 0.5 } else { range.end.abs() * 0.05 };
        return range.start - half..range.end + half;
    }
    range.start - width * share..range.end + width * share
}
