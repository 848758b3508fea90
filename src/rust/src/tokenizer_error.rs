//! Why a tokenizer.json can't be used, in one sentence; and what the crate only logs.

use crate::edge::{Failure, Status};
use log::{Level, Log, Metadata, Record};
use serde_json::Value;
use std::cell::RefCell;
use std::sync::Once;

const PARTS: [(&str, &[&str]); 5] = [
    ("model", &["BPE", "WordPiece", "WordLevel", "Unigram"]),
    (
        "normalizer",
        &[
            "BertNormalizer",
            "Strip",
            "StripAccents",
            "NFC",
            "NFD",
            "NFKC",
            "NFKD",
            "Sequence",
            "Lowercase",
            "Nmt",
            "Precompiled",
            "Replace",
            "Prepend",
            "ByteLevel",
        ],
    ),
    (
        "pre_tokenizer",
        &[
            "BertPreTokenizer",
            "ByteLevel",
            "CharDelimiterSplit",
            "Metaspace",
            "Whitespace",
            "Sequence",
            "Split",
            "Punctuation",
            "WhitespaceSplit",
            "Digits",
            "UnicodeScripts",
            "FixedLength",
        ],
    ),
    (
        "post_processor",
        &["RobertaProcessing", "BertProcessing", "ByteLevel", "TemplateProcessing", "Sequence"],
    ),
    (
        "decoder",
        &[
            "BPEDecoder",
            "ByteLevel",
            "WordPiece",
            "Metaspace",
            "CTC",
            "Sequence",
            "Replace",
            "Fuse",
            "Strip",
            "ByteFallback",
        ],
    ),
];

/// The failure to report for a tokenizer.json the crate refused for `reason`. The crate's own words seldom name
/// the culprit, so a part of a type nobody knows is looked for first.
pub fn explain(json: &[u8], reason: &str) -> Failure {
    let value: Value = match serde_json::from_slice(json) {
        Ok(value) => value,
        Err(error) => return Failure::new(Status::Format, format!("not valid JSON: {error}")),
    };
    let Some(object) = value.as_object() else {
        return Failure::new(Status::Format, "not a JSON object".to_string());
    };
    if !object.contains_key("model") {
        return Failure::new(Status::Format, "has no \"model\"".to_string());
    }
    for (part, known) in PARTS {
        if let Some(kind) = object.get(part).and_then(|part| unknown_type(part, known)) {
            return Failure::new(Status::Unsupported, format!("{part} of type {kind:?} is not supported"));
        }
    }
    Failure::new(Status::Format, format!("not a tokenizer: {reason}"))
}

/// The first type in `part`, or in the sequence it is, that is not `known`.
fn unknown_type<'a>(part: &'a Value, known: &[&str]) -> Option<&'a str> {
    let members = ["normalizers", "pretokenizers", "processors", "decoders"];
    let kind = part.get("type").and_then(Value::as_str)?;
    if !known.contains(&kind) {
        return Some(kind);
    }
    members
        .iter()
        .filter_map(|name| part.get(name).and_then(Value::as_array))
        .flatten()
        .find_map(|member| unknown_type(member, known))
}

thread_local!(static NOTES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) });

struct Notebook;

impl Log for Notebook {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Warn
    }
    fn log(&self, record: &Record) {
        NOTES.with_borrow_mut(|notes| {
            if let Some(notes) = notes {
                let text = record.args().to_string();
                notes.push(text.trim_start_matches("Warning: ").to_string());
            }
        });
    }
    fn flush(&self) {}
}

/// Runs `body` and returns with it what was logged as a warning meanwhile on this thread.
pub fn notes_during<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    static NOTEBOOK: Notebook = Notebook;
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        if log::set_logger(&NOTEBOOK).is_ok() {
            log::set_max_level(log::LevelFilter::Warn);
        }
    });
    NOTES.set(Some(Vec::new()));
    let result = body();
    (result, NOTES.take().unwrap_or_default())
}
