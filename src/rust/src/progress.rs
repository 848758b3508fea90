//! A progress bar on the terminal, by the `indicatif` crate. Silent if stderr is not a terminal.

use crate::edge::{bytes, quietly};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ffi::c_char;

/// One bar for one stage after another.
pub struct Bar {
    stage: String,
    bar: ProgressBar,
    draws: bool,
}

impl Bar {
    fn start(&mut self, stage: &str, total: u64) {
        self.bar.finish_and_clear();
        let target = match self.draws {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let counted = total > 0; // of work without a known amount only what is done is told
        let in_bytes = ["downloading ", "embedding "].iter().any(|word| stage.starts_with(word));
        let template = match (counted, in_bytes) {
            (true, true) => {
                "{msg} {wide_bar:.cyan/dim} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left"
            }
            (true, false) => "{msg} {wide_bar:.cyan/dim} {human_pos}/{human_len}  {eta} left",
            (false, _) => "{msg} {human_pos}",
        };
        self.bar =
            ProgressBar::with_draw_target(counted.then_some(total), target).with_message(stage.to_owned());
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━╸─"));
        }
        self.stage = stage.to_owned();
    }
}

#[no_mangle]
pub extern "C" fn mlxe_progress_new(draws: i32) -> *mut Bar {
    quietly(|| {
        Box::into_raw(Box::new(Bar { stage: String::new(), bar: ProgressBar::hidden(), draws: draws != 0 }))
    })
    .unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `bar` is live and used by nobody else; `stage` holds `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxe_progress_update(
    bar: *mut Bar,
    stage: *const c_char,
    size: usize,
    done: u64,
    total: u64,
) {
    let _ = quietly(|| {
        let bar = &mut *bar;
        let stage = String::from_utf8_lossy(bytes(stage.cast(), size));
        let known = bar.bar.length().unwrap_or(0);
        if bar.stage != stage || known != total || bar.bar.is_finished() || done < bar.bar.position() {
            bar.start(&stage, total);
        }
        bar.bar.set_position(done);
        if total > 0 && done >= total {
            bar.bar.finish_and_clear();
        }
    });
}

/// # Safety
/// `bar` is live and used by nobody else; `line` holds `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxe_progress_print(bar: *mut Bar, line: *const c_char, size: usize) -> i32 {
    quietly(|| {
        let bar = &(*bar).bar;
        if bar.is_hidden() || bar.is_finished() {
            return 0;
        }
        bar.println(String::from_utf8_lossy(bytes(line.cast(), size)));
        1
    })
    .unwrap_or(0)
}

/// # Safety
/// `bar` is null or live, and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn mlxe_progress_free(bar: *mut Bar) {
    if !bar.is_null() {
        let bar = Box::from_raw(bar);
        let _ = quietly(|| bar.bar.finish_and_clear());
    }
}
