//! Why a tokenizer.json can't be used, in one sentence. Also collects the warnings that the crate logs.

use crate::edge::{lend, with_lent, Failure, Slot, Status};
use log::{Level, Log, Metadata, Record};
use serde::Deserialize;
use serde_json::{json, Value};
use std::ptr::null_mut;
use std::sync::Once;

const KNOWN: [(&str, &[&str]); 5] = [
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

/// The parts of a tokenizer.json that have a type; the model's vocabulary is skipped.
#[derive(Deserialize)]
struct Types {
    model: Option<Kind>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
}

#[derive(Deserialize)]
struct Kind {
    r#type: Option<String>,
}

/// Refuses parts that the crate would read as another type, and parts that would fill the memory.
pub fn check_parts(json: &[u8]) -> Result<(), Failure> {
    let Ok(types) = serde_json::from_slice::<Types>(json) else {
        return Ok(()); // the crate refuses it too, and `explain` says why
    };
    check_growth(&types)?;
    check_charsmaps(types.normalizer.as_ref())?;
    check_types(types)
}

/// Refuses a part of an unknown type. The crate would read it as any type that has the same fields.
fn check_types(types: Types) -> Result<(), Failure> {
    let model = types.model.and_then(|model| model.r#type).map(|kind| json!({ "type": kind }));
    let parts = [model, types.normalizer, types.pre_tokenizer, types.post_processor, types.decoder];
    for ((name, known), part) in KNOWN.iter().zip(&parts) {
        if let Some(kind) = part.as_ref().and_then(|part| unknown_type(part, known)) {
            return Err(Failure::new(
                Status::Unsupported,
                format!("{name} of type {kind:?} is not supported"),
            ));
        }
    }
    Ok(())
}

/// Refuses a sequence of replacements that can make a short text fill the memory.
fn check_growth(types: &Types) -> Result<(), Failure> {
    const MOST: u64 = 1000;
    for (name, part) in [("normalizer", &types.normalizer), ("decoder", &types.decoder)] {
        let times = part.as_ref().map_or(1, growth);
        if times > MOST {
            return Err(Failure::new(
                Status::Unsupported,
                format!(
                    "{name}: its replacements can make a text {times} times as long, expected at most {MOST}"
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses a charsmap whose first four bytes claim a longer table than it holds. The crate would allocate that table.
fn check_charsmaps(part: Option<&Value>) -> Result<(), Failure> {
    let Some(part) = part else {
        return Ok(());
    };
    for member in part.get("normalizers").and_then(Value::as_array).into_iter().flatten() {
        check_charsmaps(Some(member))?;
    }
    let bytes = part.get("precompiled_charsmap").and_then(Value::as_str).map(base64::decode);
    let Some((claimed, table)) = bytes.as_ref().and_then(|b| b.as_ref().ok()?.split_first_chunk::<4>())
    else {
        return Ok(()); // none, or one the crate refuses
    };
    let claimed = u32::from_le_bytes(*claimed);
    if claimed as usize > table.len() {
        return Err(Failure::new(
            Status::Format,
            format!(
                "normalizer: precompiled_charsmap claims a table of {claimed} bytes and holds {}; is the file complete?",
                table.len()
            ),
        ));
    }
    Ok(())
}

/// How many times longer a text can get, in characters, by the replacements of `part`.
fn growth(part: &Value) -> u64 {
    let members = ["normalizers", "decoders"];
    let sequence = members.iter().filter_map(|name| part.get(name).and_then(Value::as_array)).flatten();
    let inner = sequence.map(growth).fold(1, u64::saturating_mul);
    let characters = |text: &Value| text.as_str().map(|text| text.chars().count() as u64);
    let Some(content) = part.get("content").and_then(characters) else {
        return inner;
    };
    // A regular expression may match the empty string before each character.
    match part.get("pattern").and_then(|pattern| pattern.get("String")).and_then(characters) {
        Some(pattern) if pattern > 0 => inner.saturating_mul(content.div_ceil(pattern).max(1)),
        _ => inner.saturating_mul(content.max(1)),
    }
}

/// The failure to report for a tokenizer.json the crate refused for `reason`.
pub fn explain(json: &[u8], reason: &str) -> Failure {
    let say = |text: String| Failure::new(Status::Format, text);
    match serde_json::from_slice::<Value>(json) {
        Err(error) => say(format!("not valid JSON: {error}")),
        Ok(Value::Object(object)) if object.contains_key("model") => {
            say(format!("not a tokenizer: {reason}"))
        }
        Ok(Value::Object(_)) => say("has no \"model\"".to_string()),
        Ok(_) => say("not a JSON object".to_string()),
    }
}

/// The first type of `part`, or of its members if it is a sequence, that is not in `known`.
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

thread_local!(static NOTES: Slot<Vec<String>> = const { Slot::new(null_mut()) });

struct Notebook;

impl Log for Notebook {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Warn
    }
    fn log(&self, record: &Record) {
        let text = record.args().to_string();
        with_lent(&NOTES, |notes| notes.push(text.trim_start_matches("Warning: ").to_string()));
    }
    fn flush(&self) {}
}

/// Runs `body`. Returns its result and the warnings that were logged on this thread meanwhile.
pub fn notes_during<T>(body: impl FnOnce() -> T) -> (T, Vec<String>) {
    static NOTEBOOK: Notebook = Notebook;
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        if log::set_logger(&NOTEBOOK).is_ok() {
            log::set_max_level(log::LevelFilter::Warn);
        }
    });
    let mut notes = Vec::new();
    let result = lend(&NOTES, &mut notes, body);
    (result, notes)
}
