//! What all charts share: series and lines of values; paper, title, legend, colours, text and numbers.

use plotters::coord::ranged1d::BoldPoints;
use plotters::coord::types::RangedCoordf64;
use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::Deserialize;
use std::ops::Range;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub name: String,
    pub points: Vec<(Option<f64>, Option<f64>)>,
}

/// A drawing error as text. The SVG backend writes to memory and has no errors of its own.
pub type Drawn<T> = Result<T, String>;

pub fn failed(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub const WIDTH: i32 = 760;
pub const MARGIN: i32 = 24;
pub const INK: RGBColor = RGBColor(0x1f, 0x29, 0x33);
pub const MUTED: RGBColor = RGBColor(0x52, 0x60, 0x6d);
pub const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
pub const AXIS: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);
const FONT: &str = "system-ui, Segoe UI, Helvetica Neue, Helvetica, Arial, sans-serif";
pub const SMALL: i32 = 12; // pixels
const TITLE: i32 = 16;

const PALETTE: [RGBColor; 8] = [
    RGBColor(0x4e, 0x79, 0xa7),
    RGBColor(0xe0, 0x90, 0x5a),
    RGBColor(0x6a, 0xa5, 0x6e),
    RGBColor(0x9b, 0x7f, 0xb3),
    RGBColor(0xc9, 0x66, 0x6a),
    RGBColor(0x5f, 0xa8, 0xa8),
    RGBColor(0xa5, 0x84, 0x62),
    RGBColor(0x8f, 0x9a, 0xa6),
];

pub fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

/// Text of `pixels` height; plotters counts in units of its own.
fn font(pixels: i32, colour: RGBColor, across: HPos, along: VPos) -> TextStyle<'static> {
    let size = pixels as f64 * 1.24;
    let font = (FONT, size).into_font();
    TextStyle { font, color: colour.to_backend_color(), pos: Pos::new(across, along) }
}

pub fn small(colour: RGBColor, across: HPos, along: VPos) -> TextStyle<'static> {
    font(SMALL, colour, across, along)
}

/// The approximate width of `text` in pixels; the reader's font is unknown.
pub fn text_width(text: &str, pixels: i32) -> i32 {
    let width: f64 = text.chars().map(|c| if c as u32 >= 0x1100 { 1.0 } else { 0.57 }).sum();
    (width * pixels as f64).ceil() as i32
}

/// `text` cut to about `pixels`, with an ellipsis.
pub fn fitted(text: &str, pixels: i32) -> String {
    if text_width(text, SMALL) <= pixels {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.len() > 1 && text_width(&kept.iter().collect::<String>(), SMALL) > pixels - SMALL {
        kept.pop();
    }
    kept.into_iter().chain(['…']).collect()
}

/// Replaces characters that XML forbids by spaces. Plotters escapes the others.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c })
        .collect()
}

/// At most `digits` significant digits: 0.9992, 12,000, 1.5e-5.
pub fn number(value: f64, digits: usize) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:.0$e}", digits.saturating_sub(1).min(2));
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", without_zeros(mantissa));
    }
    let before = magnitude.log10().floor() as i32 + 1;
    let decimals = (digits as i32 - before).clamp(0, 9) as usize;
    let text = without_zeros(&format!("{value:.decimals$}")).to_owned();
    match text == "-0" {
        true => "0".to_owned(),
        false => grouped(&text),
    }
}

/// Writes the numbers of an axis of about `count` labels over `range`, with as many decimals as they need.
pub fn axis_numbers(range: &Range<f64>, count: usize) -> impl Fn(&f64) -> String {
    let width = range.end - range.start;
    let ticks = RangedCoordf64::from(range.clone()).key_points(BoldPoints(count));
    let enough = |decimals: &usize| {
        let scale = 10f64.powi(*decimals as i32);
        ticks.iter().all(|tick| ((tick * scale).round() / scale - tick).abs() < width * 1e-4)
    };
    let decimals = (0..9).find(enough).unwrap_or(9);
    let plain = (1e-3..1e7).contains(&range.end.abs().max(range.start.abs()));
    move |value| match plain {
        true => grouped(&format!("{:.decimals$}", if value.abs() < width * 1e-9 { 0.0 } else { *value })),
        false => number(*value, 6),
    }
}

fn without_zeros(text: &str) -> &str {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text,
    }
}

fn grouped(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let mut result = sign.to_owned();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            result.push(',');
        }
        result.push(digit);
    }
    if let Some(fraction) = fraction {
        result.push('.');
        result.push_str(fraction);
    }
    result
}

/// The drawing area with title and legend drawn. The chart goes below `top`.
pub struct Canvas<'a> {
    pub area: Area<'a>,
    pub height: i32,
    pub top: i32,
}

impl<'a> Canvas<'a> {
    /// `body`: height in pixels below title and legend. A single series has no legend.
    pub fn new(text: &'a mut String, body: i32, title: &str, names: &[&str]) -> Drawn<Self> {
        let places = match names.len() > 1 {
            true => legend_places(names),
            false => Vec::new(),
        };
        let top = 52 + places.last().map_or(0, |place| place.1 + 22);
        let height = top + body - 60;
        let area = SVGBackend::with_string(text, (WIDTH as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let canvas = Canvas { area, height, top };
        let heading = font(TITLE, INK, HPos::Left, VPos::Center);
        let heading = TextStyle { font: heading.font.style(FontStyle::Bold), ..heading };
        let room = (WIDTH - 2 * MARGIN) * SMALL / (TITLE + 1); // bold letters are a little wider
        canvas.styled(&fitted(title, room), (MARGIN, 28), &heading)?;
        for (i, (name, (x, y))) in names.iter().zip(&places).enumerate() {
            let (x, y) = (*x, *y + 56);
            canvas.rectangle((x, y - 6), (x + 12, y + 6), colour(i).filled())?;
            canvas.text(name, (x + 18, y), MUTED, HPos::Left, VPos::Center)?;
        }
        Ok(canvas)
    }

    pub fn text(&self, text: &str, at: (i32, i32), colour: RGBColor, across: HPos, along: VPos) -> Drawn<()> {
        self.styled(text, at, &small(colour, across, along))
    }

    fn styled(&self, text: &str, at: (i32, i32), style: &TextStyle) -> Drawn<()> {
        self.area.draw_text(&printable(text), style, at).map_err(failed)
    }

    pub fn rectangle(&self, from: (i32, i32), to: (i32, i32), style: impl Into<ShapeStyle>) -> Drawn<()> {
        self.draw(&Rectangle::new([from, to], style))
    }

    pub fn draw<'b, E>(&self, element: &'b E) -> Drawn<()>
    where
        &'b E: PointCollection<'b, (i32, i32)>,
        E: Drawable<SVGBackend<'a>>,
    {
        self.area.draw(element).map_err(failed)
    }

    pub fn nothing_to_draw(&self) -> Drawn<()> {
        let middle = (WIDTH / 2, (self.top + self.height) / 2);
        self.text("no data", middle, MUTED, HPos::Center, VPos::Center)
    }
}

/// Where each legend entry begins, in as many lines as it takes.
fn legend_places(names: &[&str]) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (MARGIN, 0);
    names
        .iter()
        .map(|name| {
            let width = 18 + text_width(name, SMALL) + 22;
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + 20);
            }
            let place = (x, y);
            x += width;
            place
        })
        .collect()
}
