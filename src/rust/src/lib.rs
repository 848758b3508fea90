//! The Rust half of the library: functions of Rust crates behind a C header.
//!
//! `mlxe_rust.h` is the contract; every function here is declared and documented there.

mod base64_text;
mod chart;
mod chart_bars;
mod chart_canvas;
mod chart_lines;
mod chat_template;
mod cut;
mod edge;
mod encode;
mod memory;
mod onnx;
mod parquet_footer;
mod parquet_rows;
mod parquet_vectors;
mod progress;
mod sentencepiece;
mod sha256;
mod shorten;
mod tokenizer;
mod tokenizer_error;
mod toml_text;
mod zip_entries;
