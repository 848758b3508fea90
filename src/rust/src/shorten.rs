//! Shortens giant words of ASCII letters and digits before they are tokenized.
//!
//! WordPiece gives a word of more than `max_input_chars_per_word` characters one unknown token, whatever its letters
//! are. The middle of a far longer run of letters and digits is therefore removed. The word stays too long, and only
//! its length changes. `Shortened` converts offsets back to the original text. Conditions:
//! - The normalizer changes letters one by one (the conditions of cut.rs).
//! - The pre-tokenizer never splits between two letters or digits.
//! - No added token consists of letters and digits alone. Other added tokens overlap a run by less than their length.
//! No other word is shortened. The BPE and Unigram tokens of its beginning depend on the whole word, and letters beyond
//! ASCII may combine, decompose or vanish in the normalizer.

use crate::cut::{is_local, keeps_letters_and_spaces, kind, members, normalized};
use serde_json::{json, Value};
use std::borrow::Cow;
use tokenizers::{ModelWrapper, Tokenizer};

/// Shorter runs are left unchanged, because they cost little.
const LEAST_RUN: usize = 4096;

pub struct ShortenRule {
    keep: usize, // bytes that stay at each end of a run
}

impl ShortenRule {
    pub fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else {
            return None;
        };
        let local = is_local(&json!(tokenizer.get_normalizer())) && keeps_letters_and_spaces(tokenizer);
        if !local || !keeps_runs(&json!(tokenizer.get_pre_tokenizer())) {
            return None;
        }
        let mut longest = 0;
        for token in tokenizer.get_added_tokens_decoder().values() {
            for content in [token.content.clone(), normalized(tokenizer.get_normalizer(), &token.content)] {
                if content.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return None;
                }
                longest = longest.max(content.len());
            }
        }
        Some(ShortenRule { keep: longest.checked_add(model.max_input_chars_per_word)?.checked_add(1)? })
    }

    /// Tests only every `least`-th byte, because every run to shorten covers one of them.
    pub fn apply<'a>(&self, text: &'a str) -> Shortened<'a> {
        let bytes = text.as_bytes();
        let least = self.keep.saturating_mul(4).max(LEAST_RUN);
        let is_letter = |at: &usize| bytes[*at].is_ascii_alphanumeric();
        let mut short = String::new();
        let mut removed = Vec::new();
        let mut done = 0; // bytes of `text` that were copied to `short` or removed
        let mut code_points = 0; // number of them in `short`
        let mut next = 0;
        while next < bytes.len() {
            if !is_letter(&next) {
                next += least;
                continue;
            }
            let begin = (done..next).rev().take_while(is_letter).last().unwrap_or(next);
            let end = (next..bytes.len()).find(|at| !is_letter(at)).unwrap_or(bytes.len());
            if end - begin >= least {
                let kept = &text[done..begin + self.keep];
                short.push_str(kept);
                code_points += kept.chars().count();
                done = end - self.keep;
                let count = done - (begin + self.keep);
                removed.push(Removed { byte: short.len(), code_point: code_points, count });
            }
            next = (next + least).max(end);
        }
        if removed.is_empty() {
            return Shortened { text: Cow::Borrowed(text), removed };
        }
        short.push_str(&text[done..]);
        Shortened { text: Cow::Owned(short), removed }
    }
}

/// `count` ASCII characters, removed at position `byte` (in code points: `code_point`) of the shortened text.
struct Removed {
    byte: usize,
    code_point: usize,
    count: usize,
}

pub struct Shortened<'a> {
    pub text: Cow<'a, str>,
    removed: Vec<Removed>,
}

impl<'a> Shortened<'a> {
    pub fn whole(text: &'a str) -> Self {
        Shortened { text: Cow::Borrowed(text), removed: Vec::new() }
    }

    /// The position in the original text of a byte of the shortened text.
    pub fn byte_in_text(&self, byte: usize) -> usize {
        byte + self.removed.iter().filter(|r| r.byte < byte).map(|r| r.count).sum::<usize>()
    }

    pub fn code_point_in_text(&self, code_point: usize) -> usize {
        code_point + self.removed.iter().filter(|r| r.code_point < code_point).map(|r| r.count).sum::<usize>()
    }
}

/// Whether a pre-tokenizer splits only at spaces and punctuation.
fn keeps_runs(pre_tokenizer: &Value) -> bool {
    match kind(pre_tokenizer) {
        "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" | "Punctuation" => true,
        "Sequence" => members(pre_tokenizer, "pretokenizers").all(keeps_runs),
        _ => false,
    }
}
