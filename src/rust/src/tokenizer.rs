//! Exact Hugging Face tokenization over the `tokenizers` crate.
//!
//! The functions at the C edge; `encode.rs` makes tokens.

use crate::cut::CutRule;
use crate::edge::{bytes, guard, quietly, sentence, Failure, OwnedString, Status};
use crate::encode::{encode, EncodeOptions, Token};
use crate::tokenizer_error::{check_parts, explain, notes_during};
use serde::Deserialize;
use serde_json::{json, Map, Value};
use std::ffi::c_char;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{
    AddedToken, Model, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
};

/// A tokenizer owned by C++.
pub struct Loaded {
    tokenizer: Tokenizer,
    cut: CutRule,
    truncation_side: Option<&'static str>, // as stored in the file; transformers takes it for a default
}

#[repr(C)]
pub struct Tokens {
    data: *mut Token,
    size: usize,
    dropped: usize,
    at_least: i32,
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
        check_parts(json)?;
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
        // Padding and truncation are arguments of each call. Settings saved in the file must not apply.
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
        // An invalid post-processor fails at the first text. Report it when the file is loaded.
        let nothing =
            EncodeOptions { add_special_tokens: 1, max_length: 0, strategy: 0, keep_end: 0, stride: -1 };
        for pair in [None, Some("")] {
            match quietly(|| encode(&loaded, None, "", pair, nothing)) {
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => return Err(explain(json, &failure.message)),
                Err(panic) => return Err(explain(json, &panic)),
            }
        }
        let said: Vec<String> = said.iter().map(|note| sentence(note)).collect();
        notes.write(OwnedString::from(said.join("\n")));
        let cut = cut_rule(&loaded);
        tokenizer.write(Box::into_raw(Box::new(Loaded { tokenizer: loaded, cut, truncation_side })));
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
        let Loaded { tokenizer, truncation_side, .. } = &*tokenizer;
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
        // Empty is none, as in transformers.
        let prefix = match tokenizer.get_model() {
            ModelWrapper::BPE(model) => model.continuing_subword_prefix.clone(),
            ModelWrapper::WordPiece(model) => Some(model.continuing_subword_prefix.clone()),
            _ => None,
        };
        let description = json!({
            "normalizer": tokenizer.get_normalizer(),
            "pre_tokenizer": tokenizer.get_pre_tokenizer(),
            "post_processor": tokenizer.get_post_processor(),
            "added_tokens": added,
            "truncation_side": truncation_side,
            "marks_subwords": prefix.is_some_and(|prefix| !prefix.is_empty()),
            "vocab_size": tokenizer.get_vocab_size(false) + added_beyond_model,
        });
        json.write(OwnedString::from(description.to_string()));
        Ok(())
    })
}

/// # Safety
/// `tokenizer` is live; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_tokenizer_json(
    tokenizer: *const Loaded,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let text = (*tokenizer).tokenizer.to_string(true);
        json.write(OwnedString::from(text.map_err(|e| Failure::new(Status::Internal, e.to_string()))?));
        Ok(())
    })
}

/// The JSON of `mlxe_tokenizer_change`.
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
        let Loaded { tokenizer, cut, .. } = &mut *tokenizer;
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
        *cut = cut_rule(tokenizer);
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
        let Loaded { tokenizer, cut, .. } = &*tokenizer;
        let encoded = crate_work(|| encode(tokenizer, Some(cut), text, pair, options))?;
        let (dropped, at_least) = (encoded.dropped, encoded.at_least as i32);
        let encoded = encoded.tokens.into_boxed_slice();
        let size = encoded.len();
        tokens.write(Tokens { data: Box::into_raw(encoded).cast(), size, dropped, at_least });
        Ok(())
    })
}

/// # Safety
/// `text` holds `size` bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_lower_case(
    text: *const c_char,
    size: usize,
    lower: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        lower.write(OwnedString::from(utf8(bytes(text.cast(), size), "text")?.to_lowercase()));
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

/// Some tokenizer.json files load but make the crate panic at a text (a piece length of 0, a regular expression that
/// gives up). The panic is reported as an error of the file.
fn crate_work<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    quietly(body).unwrap_or_else(|panic| {
        Err(Failure::new(Status::Format, format!("the tokenizer fails on it: {panic}")))
    })
}

/// If the tokenizer panics on the rule's test texts, no text is cut. The panic is reported at the first text.
fn cut_rule(tokenizer: &Tokenizer) -> CutRule {
    quietly(|| CutRule::of(tokenizer)).unwrap_or_default()
}
