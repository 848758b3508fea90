//! A text, or two, to tokens.
//!
//! The crate's own `encode` truncates by a setting of the tokenizer and keeps every piece that it cuts off. Here
//! truncation is an argument of the call, and those pieces are dropped. The steps are the crate's public functions.

use crate::cut::CutRule;
use crate::edge::{Failure, Status};
use tokenizers::tokenizer::{OffsetType, PreTokenizer};
use tokenizers::utils::truncation::{
    truncate_encodings, TruncationDirection, TruncationParams, TruncationStrategy,
};
use tokenizers::{Encoding, Model, PostProcessor, Tokenizer};

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
#[derive(Clone, Copy)]
pub struct EncodeOptions {
    pub add_special_tokens: i32,
    pub max_length: usize,
    pub strategy: i32,
    pub keep_end: i32,
}

/// The tokens of a call. `dropped`: number of tokens that truncation removed. With `at_least`, the end of a text was
/// not tokenized, and its tokens are not counted.
pub struct Encoded {
    pub tokens: Vec<Token>,
    pub dropped: usize,
    pub at_least: bool,
}

/// Tokens of `text`, which is the whole text or (`cut`) as much of it as matters.
struct Part<'a> {
    text: &'a str,
    encoding: Encoding,
    cut: bool,
}

/// `cut`: where texts may be cut before they are tokenized. None: they are tokenized whole.
pub fn encode(
    tokenizer: &Tokenizer,
    cut: Option<&CutRule>,
    text: &str,
    pair: Option<&str>,
    options: EncodeOptions,
) -> Result<Encoded, Failure> {
    let limit = options.max_length;
    let add_special_tokens = options.add_special_tokens != 0;
    let special = match (tokenizer.get_post_processor(), add_special_tokens) {
        (Some(processor), true) => processor.added_tokens(pair.is_some()),
        _ => 0,
    };
    if limit > 0 && limit < special {
        return Err(Failure::new(
            Status::Usage,
            format!("found a limit of {limit} tokens, expected at least the {special} special tokens; raise the limit"),
        ));
    }
    // What is kept of the end of a text depends on all of it.
    let cut = cut.filter(|_| limit > 0 && options.keep_end == 0);
    let mut parts = parts(tokenizer, cut, text, pair, limit)?;
    // Of two texts that are both too long one keeps a token more where their room is odd: the longer one. Which that
    // is only whole texts tell.
    let longest_first = !matches!(options.strategy, 1 | 2);
    if let (true, Some(second)) = (longest_first && limit.wrapping_sub(special) % 2 == 1, &parts.1) {
        if (parts.0.cut || second.cut) && parts.0.encoding.len().min(second.encoding.len()) > limit {
            parts = self::parts(tokenizer, None, text, pair, limit)?;
        }
    }
    let (first, second) = parts;
    let (first_text, second_text) = (first.text, second.as_ref().map(|part| part.text));
    let at_least = first.cut || second.as_ref().is_some_and(|part| part.cut);
    let (mut first, mut second) = (first.encoding, second.map(|part| part.encoding));

    let count =
        |first: &Encoding, second: &Option<Encoding>| first.len() + second.as_ref().map_or(0, Encoding::len);
    let before = count(&first, &second);
    if limit > 0 {
        let params = TruncationParams {
            max_length: limit - special,
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
        (first, second) = truncate_encodings(first, second, &params)
            .map_err(|reason| Failure::new(Status::Usage, format!("{reason} ({limit} tokens)")))?;
        first.take_overflowing();
        if let Some(second) = &mut second {
            second.take_overflowing();
        }
    }
    let dropped = before - count(&first, &second);
    let encoding = tokenizer.post_process(first, second, add_special_tokens).map_err(failed)?;
    Ok(Encoded { tokens: to_c(&encoding, first_text, second_text), dropped, at_least })
}

fn failed(reason: tokenizers::Error) -> Failure {
    Failure::new(Status::Format, format!("tokenizer: {reason}"))
}

fn parts<'a>(
    tokenizer: &Tokenizer,
    cut: Option<&CutRule>,
    text: &'a str,
    pair: Option<&'a str>,
    limit: usize,
) -> Result<(Part<'a>, Option<Part<'a>>), Failure> {
    let part = |text, type_id| encode_part(tokenizer, cut, text, type_id, limit).map_err(failed);
    Ok((part(text, 0)?, pair.map(|pair| part(pair, 1)).transpose()?))
}

/// The tokens of a text, or, if `cut` allows it, of a beginning of the text that has more than `limit` tokens. Those
/// are the first tokens of the whole text.
fn encode_part<'a>(
    tokenizer: &Tokenizer,
    cut: Option<&CutRule>,
    text: &'a str,
    type_id: u32,
    limit: usize,
) -> tokenizers::Result<Part<'a>> {
    // Tokens of 16 bytes are long ones; where that is not enough, four times as much is tried, so that all trials
    // together cost a third of the last.
    let mut size = 4096 + 16 * limit.min(text.len());
    while let Some(cut) = cut.filter(|_| size < text.len() / 4) {
        if let Some(part) = cut.before(text, size) {
            let encoding = encode_one(tokenizer, part, type_id)?;
            if encoding.len() > limit {
                return Ok(Part { text: part, encoding, cut: true });
            }
        }
        size *= 4;
    }
    Ok(Part { text, encoding: encode_one(tokenizer, text, type_id)?, cut: false })
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
            // The offsets of an empty token at the very end stay in bytes, as in Hugging Face; `to_c` clamps them.
            if offsets.0 < text.len() {
                *offsets = (code_points[offsets.0], code_points[offsets.1.min(text.len())]);
            }
        }
    }
    Ok(encoding)
}

/// For each byte the index of its code point. One more entry at the end: the number of code points.
fn code_point_of_byte(text: &str) -> Vec<usize> {
    let mut result = Vec::with_capacity(text.len() + 1);
    for (index, character) in text.chars().enumerate() {
        result.resize(result.len() + character.len_utf8(), index);
    }
    result.push(result.last().map_or(0, |last| last + 1));
    result
}

/// Converts code points of one text to bytes. A position past the end becomes the end.
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
