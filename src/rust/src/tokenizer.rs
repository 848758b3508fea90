//! Exact Hugging Face tokenization over the `tokenizers` crate.
//!
//! The crate's own `encode` truncates by a setting of the tokenizer and keeps every cut-off piece; here truncation
//! belongs to the call and the pieces are dropped, so the same steps are composed from the crate's public parts.

use crate::edge::{bytes, guard, quietly, sentence, Failure, OwnedString, Status};
use crate::tokenizer_error::{check_growth, check_types, explain, notes_during};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::ffi::c_char;
use tokenizers::tokenizer::{OffsetType, PreTokenizer};
use tokenizers::utils::truncation::{
    truncate_encodings, TruncationDirection, TruncationParams, TruncationStrategy,
};
use tokenizers::{
    AddedToken, Encoding, Model, ModelWrapper, NormalizerWrapper, PostProcessor, PostProcessorWrapper,
    PreTokenizerWrapper, Tokenizer,
};

/// A tokenizer in C++'s hands.
pub struct Loaded {
    tokenizer: Tokenizer,
    truncation_side: Option<&'static str>, // as stored in the file; transformers takes it for a default
}

/// One token as C++ reads it; see `MlxeToken` in the header.
#[repr(C)]
pub struct Token {
    id: i32,
    type_id: i32,
    sequence: i32,
    word: i32,
    byte_begin: i32,
    byte_end: i32,
    code_point_begin: i32,
    code_point_end: i32,
}

#[repr(C)]
pub struct Tokens {
    data: *mut Token,
    size: usize,
    dropped: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct EncodeOptions {
    add_special_tokens: i32,
    max_length: usize,
    strategy: i32,
    keep_end: i32,
}

/// # Safety
/// `json` holds `size` bytes; the three outputs are writable. `*tokenizer` is set on success only.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_load(
    json: *const c_char,
    size: usize,
    tokenizer: *mut *mut Loaded,
    notes: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let json = bytes(json.cast(), size);
        check_types(json)?;
        check_growth(json)?;
        let (loaded, mut said) = notes_during(|| quietly(|| Tokenizer::from_bytes(json)));
        let mut loaded = match loaded {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(reason)) => return Err(explain(json, &reason.to_string())),
            Err(panic) => return Err(explain(json, &panic)),
        };
        let truncation_side = loaded.get_truncation().map(|stored| match stored.direction {
            TruncationDirection::Left => "left",
            TruncationDirection::Right => "right",
        });
        // Both are the caller's business at every call; what a file happened to be saved with must not leak in.
        loaded.with_padding(None);
        let _ = loaded.with_truncation(None);
        if let ModelWrapper::BPE(model) = loaded.get_model() {
            if let Some(dropout) = model.dropout.filter(|&p| p > 0.0) {
                said.push(format!("BPE dropout {dropout} is noise for training; it is turned off"));
                let mut model = model.clone();
                model.dropout = None;
                loaded.with_model(model);
            }
        }
        // A post-processor that contradicts itself shows at the first text; better here than there.
        let nothing = EncodeOptions { add_special_tokens: 1, max_length: 0, strategy: 0, keep_end: 0 };
        for pair in [None, Some("")] {
            match quietly(|| encode(&loaded, "", pair, nothing)) {
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => return Err(explain(json, &failure.message)),
                Err(panic) => return Err(explain(json, &panic)),
            }
        }
        let said: Vec<String> = said.iter().map(|note| sentence(note)).collect();
        notes.write(OwnedString::from(said.join("\n")));
        tokenizer.write(Box::into_raw(Box::new(Loaded { tokenizer: loaded, truncation_side })));
        Ok(())
    })
}

/// # Safety
/// `tokenizer` is null or live, and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_free(tokenizer: *mut Loaded) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

/// # Safety
/// `tokenizer` is live; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_describe(
    tokenizer: *const Loaded,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let Loaded { tokenizer, truncation_side } = &*tokenizer;
        let added: Map<String, Value> = tokenizer
            .get_added_tokens_decoder()
            .iter()
            .map(|(id, token)| (id.to_string(), json!(token)))
            .collect();
        let added_beyond_model = tokenizer
            .get_added_vocabulary()
            .get_vocab()
            .keys()
            .filter(|token| tokenizer.get_model().token_to_id(token).is_none())
            .count();
        let description = json!({
            "normalizer": tokenizer.get_normalizer(),
            "pre_tokenizer": tokenizer.get_pre_tokenizer(),
            "post_processor": tokenizer.get_post_processor(),
            "added_tokens": added,
            "truncation_side": truncation_side,
            "vocab_size": tokenizer.get_vocab_size(false) + added_beyond_model,
        });
        json.write(OwnedString::from(description.to_string()));
        Ok(())
    })
}

/// What `mlxe_tokenizer_change` understands.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Change {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    post_processor: Option<PostProcessorWrapper>,
    add_tokens: Vec<AddedToken>,
    split_special_tokens: bool,
}

/// # Safety
/// `tokenizer` is live and used by nobody else; `json` holds `size` bytes; `error` is writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_change(
    tokenizer: *mut Loaded,
    json: *const c_char,
    size: usize,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let tokenizer = &mut (*tokenizer).tokenizer;
        let change: Change = serde_json::from_slice(bytes(json.cast(), size))
            .map_err(|reason| Failure::new(Status::Format, reason.to_string()))?;
        if change.normalizer.is_some() {
            tokenizer.with_normalizer(change.normalizer);
        }
        if change.pre_tokenizer.is_some() {
            tokenizer.with_pre_tokenizer(change.pre_tokenizer);
        }
        if change.post_processor.is_some() {
            tokenizer.with_post_processor(change.post_processor);
        }
        if !change.add_tokens.is_empty() {
            tokenizer.add_tokens(&change.add_tokens);
        }
        if change.split_special_tokens {
            tokenizer.set_encode_special_tokens(true);
        }
        Ok(())
    })
}

/// # Safety
/// `tokenizer` is live; `token` holds `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_id(
    tokenizer: *const Loaded,
    token: *const c_char,
    size: usize,
) -> i64 {
    quietly(|| {
        let token = std::str::from_utf8(bytes(token.cast(), size)).ok()?;
        (*tokenizer).tokenizer.token_to_id(token).map(i64::from)
    })
    .ok()
    .flatten()
    .unwrap_or(-1)
}

/// # Safety
/// `tokenizer` is live; `token` is writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_token(
    tokenizer: *const Loaded,
    id: u32,
    token: *mut OwnedString,
) -> i32 {
    match quietly(|| (*tokenizer).tokenizer.id_to_token(id)) {
        Ok(Some(text)) => {
            token.write(OwnedString::from(text));
            1
        }
        _ => 0,
    }
}

/// # Safety
/// `tokenizer` is live; `ids` holds `size` values; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_decode(
    tokenizer: *const Loaded,
    ids: *const u32,
    size: usize,
    skip_special_tokens: i32,
    text: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let ids = if size == 0 { &[] } else { std::slice::from_raw_parts(ids, size) };
        let decoded = crate_work(|| {
            (*tokenizer)
                .tokenizer
                .decode(ids, skip_special_tokens != 0)
                .map_err(|reason| Failure::new(Status::Format, reason.to_string()))
        })?;
        text.write(OwnedString::from(decoded));
        Ok(())
    })
}

/// # Safety
/// `tokenizer` is live; `text` holds `size` bytes; `pair` is null (no second text) or holds `pair_size` bytes;
/// the outputs are writable. `*tokens` is set on success only.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_encode(
    tokenizer: *const Loaded,
    text: *const c_char,
    size: usize,
    pair: *const c_char,
    pair_size: usize,
    options: EncodeOptions,
    tokens: *mut Tokens,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let text = utf8(bytes(text.cast(), size), "text")?;
        let pair = match pair.is_null() {
            true => None,
            false => Some(utf8(bytes(pair.cast(), pair_size), "second text")?),
        };
        let (encoded, dropped) = crate_work(|| encode(&(*tokenizer).tokenizer, text, pair, options))?;
        let encoded = to_c(&encoded, text, pair).into_boxed_slice();
        let size = encoded.len();
        tokens.write(Tokens { data: Box::into_raw(encoded).cast(), size, dropped });
        Ok(())
    })
}

/// # Safety
/// `tokens` came from `mlxe_tokenizer_encode` and is given back once.
#[no_mangle]
pub unsafe extern "C" fn mlxe_free_tokens(tokens: Tokens) {
    if !tokens.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(tokens.data, tokens.size)));
    }
}

fn utf8<'a>(raw: &'a [u8], what: &str) -> Result<&'a str, Failure> {
    if raw.len() > i32::MAX as usize {
        return Err(Failure::new(Status::Usage, format!("{what} is longer than 2 GiB")));
    }
    std::str::from_utf8(raw).map_err(|reason| {
        let place = reason.valid_up_to();
        Failure::new(Status::Format, format!("{what} is not UTF-8 at byte {place}"))
    })
}

/// Some tokenizer.json files make the crate panic at a text only (a piece length of 0, a regular expression that gives
/// up): the file's fault, not ours.
fn crate_work<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    quietly(body).unwrap_or_else(|panic| {
        Err(Failure::new(Status::Format, format!("the tokenizer fails on it: {panic}")))
    })
}

fn encode(
    tokenizer: &Tokenizer,
    text: &str,
    pair: Option<&str>,
    options: EncodeOptions,
) -> Result<(Encoding, usize), Failure> {
    let failed = |reason: tokenizers::Error| Failure::new(Status::Format, format!("tokenizer: {reason}"));
    let mut first = encode_one(tokenizer, text, 0).map_err(failed)?;
    let mut second = pair.map(|pair| encode_one(tokenizer, pair, 1)).transpose().map_err(failed)?;
    let count =
        |first: &Encoding, second: &Option<Encoding>| first.len() + second.as_ref().map_or(0, Encoding::len);
    let before = count(&first, &second);
    let add_special_tokens = options.add_special_tokens != 0;

    if options.max_length > 0 {
        let special =
            tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(pair.is_some()));
        let special = if add_special_tokens { special } else { 0 };
        let room = options.max_length.checked_sub(special).ok_or_else(|| {
            let limit = options.max_length;
            Failure::new(
                Status::Usage,
                format!("a maximum of {limit} tokens leaves no room for {special} special ones"),
            )
        })?;
        let params = TruncationParams {
            max_length: room,
            stride: 0,
            strategy: match options.strategy {
                1 => TruncationStrategy::OnlyFirst,
                2 => TruncationStrategy::OnlySecond,
                _ => TruncationStrategy::LongestFirst,
            },
            direction: match options.keep_end {
                0 => TruncationDirection::Right,
                _ => TruncationDirection::Left,
            },
        };
        (first, second) = truncate_encodings(first, second, &params).map_err(|reason| {
            Failure::new(Status::Usage, format!("{reason} ({} tokens)", options.max_length))
        })?;
        first.take_overflowing();
        if let Some(second) = &mut second {
            second.take_overflowing();
        }
    }
    let dropped = before - count(&first, &second);
    let encoded = tokenizer.post_process(first, second, add_special_tokens).map_err(failed)?;
    Ok((encoded, dropped))
}

/// One text, without special tokens; offsets count code points, as the post-processors expect them.
fn encode_one(tokenizer: &Tokenizer, text: &str, type_id: u32) -> tokenizers::Result<Encoding> {
    let mut pieces = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut pieces)?;
    }
    pieces.tokenize(|piece| tokenizer.get_model().tokenize(piece.get()))?;
    let mut encoding = pieces.into_encoding(None, type_id, OffsetType::Byte)?;
    if !text.is_ascii() {
        let code_points = code_point_of_byte(text);
        for offsets in encoding.get_offsets_mut() {
            // Hugging Face leaves an empty token at the very end as it is; so do we, and `to_c` clamps it.
            if offsets.0 < text.len() {
                *offsets = (code_points[offsets.0], code_points[offsets.1.min(text.len())]);
            }
        }
    }
    Ok(encoding)
}

/// For each byte the index of the code point it belongs to; one more entry, the number of code points, at the end.
fn code_point_of_byte(text: &str) -> Vec<usize> {
    let mut result = Vec::with_capacity(text.len() + 1);
    for (index, character) in text.chars().enumerate() {
        result.resize(result.len() + character.len_utf8(), index);
    }
    result.push(result.last().map_or(0, |last| last + 1));
    result
}

/// From code points back to bytes of one text; a position past the end is the end.
struct Bytes {
    begin_of_code_point: Vec<usize>, // empty for ASCII, where both counts agree
    size: usize,
}

impl Bytes {
    fn of(text: &str) -> Self {
        let begin_of_code_point = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().map(|(byte, _)| byte).collect(),
        };
        Bytes { begin_of_code_point, size: text.len() }
    }

    fn at(&self, code_point: usize) -> usize {
        match self.begin_of_code_point.is_empty() {
            true => code_point.min(self.size),
            false => self.begin_of_code_point.get(code_point).copied().unwrap_or(self.size),
        }
    }
}

fn to_c(encoding: &Encoding, text: &str, pair: Option<&str>) -> Vec<Token> {
    let bytes = [Bytes::of(text), Bytes::of(pair.unwrap_or_default())];
    let sequences = encoding.get_sequence_ids();
    (0..encoding.len())
        .map(|i| {
            let special = encoding.get_special_tokens_mask()[i] != 0;
            let sequence = if special { None } else { sequences[i] };
            let (begin, end) = encoding.get_offsets()[i];
            let byte_of = |code_point| sequence.map_or(0, |s| bytes[s.min(1)].at(code_point) as i32);
            Token {
                id: encoding.get_ids()[i] as i32,
                type_id: encoding.get_type_ids()[i] as i32,
                sequence: sequence.map_or(-1, |s| s as i32),
                word: encoding.get_word_ids()[i].map_or(-1, |w| w as i32),
                byte_begin: byte_of(begin),
                byte_end: byte_of(end),
                code_point_begin: begin as i32,
                code_point_end: end as i32,
            }
        })
        .collect()
}
