//! A text, or two, to tokens.
//!
//! The crate's own `encode` truncates by a setting of the tokenizer and keeps every piece that it cuts off. Here
//! truncation is an argument of the call, and those pieces are dropped. The steps are the crate's public functions.

use crate::cut::CutRule;
use crate::edge::{Failure, Status};
use crate::shorten::{ShortenRule, Shortened};
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
    window: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct EncodeOptions {
    pub add_special_tokens: i32,
    pub max_length: usize,
    pub strategy: i32,
    pub keep_end: i32,
    pub stride: i64,
}

/// The tokens of a call, window by window. `dropped`: number of tokens that truncation removed. With `at_least`, the end of a text was
/// not tokenized, and its tokens are not counted.
pub struct Encoded {
    pub tokens: Vec<Token>,
    pub dropped: usize,
    pub at_least: bool,
}

/// Tokens of the first `size` bytes of a shortened text: of the whole text, or (`cut`) only of its beginning.
struct Part<'a> {
    text: Shortened<'a>,
    size: usize,
    encoding: Encoding,
    cut: bool,
}

impl Part<'_> {
    fn text(&self) -> &str {
        &self.text.text[..self.size]
    }
}

/// How much of a text is tokenized.
#[derive(Clone, Copy)]
struct Work<'r> {
    shorten: Option<&'r ShortenRule>,
    cut: Option<&'r CutRule>,
    limit: usize, // in tokens
}

/// Without a `rule`, texts are tokenized whole.
pub fn encode(
    tokenizer: &Tokenizer,
    rule: Option<&CutRule>,
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
    let stride = usize::try_from(options.stride).ok();
    if let Some(stride) = stride.filter(|stride| pair.is_none() && limit > 0 && *stride >= limit - special) {
        return Err(Failure::new(
            Status::Usage,
            format!(
                "found a stride of {stride} tokens, expected less than the {} of a window beside its special tokens",
                limit - special
            ),
        ));
    }
    // Windows need the whole text.
    let rule = rule.filter(|_| limit > 0 && stride.is_none());
    // Which tokens of the end are kept depends on the whole text.
    let cut = rule.filter(|_| options.keep_end == 0);
    let work = Work { shorten: rule.and_then(|rule| rule.shorten.as_ref()), cut, limit };
    let mut parts = parts(tokenizer, work, text, pair)?;
    // If both texts are too long and the room for tokens is odd, the longer text keeps one token more. To know the
    // longer one, both texts must be tokenized whole.
    let longest_first = !matches!(options.strategy, 1 | 2);
    if let (true, Some(second)) = (longest_first && limit.wrapping_sub(special) % 2 == 1, &parts.1) {
        if (parts.0.cut || second.cut) && parts.0.encoding.len().min(second.encoding.len()) > limit {
            parts = self::parts(tokenizer, Work { cut: None, ..work }, text, pair)?;
        }
    }
    let (mut first_part, mut second_part) = parts;
    let at_least = first_part.cut || second_part.as_ref().is_some_and(|part| part.cut);
    let mut first = std::mem::take(&mut first_part.encoding);
    let mut second = second_part.as_mut().map(|part| std::mem::take(&mut part.encoding));

    let count =
        |first: &Encoding, second: &Option<Encoding>| first.len() + second.as_ref().map_or(0, Encoding::len);
    let before = count(&first, &second);
    if limit > 0 {
        if let Some(stride) = stride.filter(|_| second.is_some() && before > limit - special) {
            let whole = match options.strategy {
                1 => before - first.len(),
                _ => first.len(),
            };
            check_window(limit, special, whole, stride)?;
        }
        let params = TruncationParams {
            max_length: limit - special,
            stride: stride.unwrap_or(0),
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
        if stride.is_none() {
            first.take_overflowing();
            if let Some(second) = &mut second {
                second.take_overflowing();
            }
        }
    }
    let dropped = if stride.is_some() { 0 } else { before - count(&first, &second) };
    let mut encoding = tokenizer.post_process(first, second, add_special_tokens).map_err(failed)?;
    let mut windows = vec![];
    let others = encoding.take_overflowing();
    windows.push(encoding);
    windows.extend(others);
    Ok(Encoded { tokens: to_c(&windows, &first_part, second_part.as_ref()), dropped, at_least })
}

/// A window holds all of one text, `whole` tokens, and a part of the other that is longer than what it shares with the
/// next window.
fn check_window(limit: usize, special: usize, whole: usize, stride: usize) -> Result<(), Failure> {
    let room = (limit - special).saturating_sub(whole);
    if room > stride {
        return Ok(());
    }
    Err(Failure::new(
        Status::Usage,
        format!(
            "the text that is kept whole has {whole} tokens, which leaves {room} of {limit} for a part of the other \
             one, expected more than the stride of {stride}; shorten that text, lower the stride or raise the limit"
        ),
    ))
}

fn failed(reason: tokenizers::Error) -> Failure {
    Failure::new(Status::Format, format!("tokenizer: {reason}"))
}

fn parts<'a>(
    tokenizer: &Tokenizer,
    work: Work,
    text: &'a str,
    pair: Option<&'a str>,
) -> Result<(Part<'a>, Option<Part<'a>>), Failure> {
    let part = |text, type_id| encode_part(tokenizer, work, text, type_id).map_err(failed);
    Ok((part(text, 0)?, pair.map(|pair| part(pair, 1)).transpose()?))
}

/// Tokens of a text. If `cut` finds a cut, only of a beginning that has more than `limit` tokens; they are the first
/// tokens of the whole text.
fn encode_part<'a>(
    tokenizer: &Tokenizer,
    work: Work,
    text: &'a str,
    type_id: u32,
) -> tokenizers::Result<Part<'a>> {
    let short = work.shorten.map_or_else(|| Shortened::whole(text), |rule| rule.apply(text));
    let text: &str = &short.text;
    // 16 bytes a token is a generous guess. If they are too few, four times as many are tried: all earlier trials
    // together cost a third of the last.
    let mut size = 4096 + 16 * work.limit.min(text.len());
    while let Some(cut) = work.cut.filter(|_| size < text.len() / 4) {
        if let Some(part) = cut.before(text, size) {
            let encoding = encode_one(tokenizer, part, type_id)?;
            if encoding.len() > work.limit {
                let size = part.len();
                return Ok(Part { text: short, size, encoding, cut: true });
            }
        }
        size *= 4;
    }
    let (size, encoding) = (text.len(), encode_one(tokenizer, text, type_id)?);
    Ok(Part { text: short, size, encoding, cut: false })
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

fn to_c(windows: &[Encoding], first: &Part, second: Option<&Part>) -> Vec<Token> {
    let parts = [first, second.unwrap_or(first)];
    let bytes = parts.map(|part| Bytes::of(part.text()));
    let tokens_of = |(window, encoding): (usize, &Encoding)| {
        let sequences = encoding.get_sequence_ids();
        let token = |i: usize| {
            let special = encoding.get_special_tokens_mask()[i] != 0;
            let sequence = if special { None } else { sequences[i] };
            let (begin, end) = encoding.get_offsets()[i];
            let byte_of = |code_point| {
                let byte = |s: usize| parts[s].text.byte_in_text(bytes[s].at(code_point));
                sequence.map_or(0, |s| byte(s.min(1)) as i32)
            };
            let code_point_of = |code_point| {
                sequence.map_or(code_point, |s| parts[s.min(1)].text.code_point_in_text(code_point)) as i32
            };
            Token {
                id: encoding.get_ids()[i] as i32,
                type_id: encoding.get_type_ids()[i] as i32,
                sequence: sequence.map_or(-1, |s| s as i32),
                word: encoding.get_word_ids()[i].map_or(-1, |w| w as i32),
                byte_begin: byte_of(begin),
                byte_end: byte_of(end),
                code_point_begin: code_point_of(begin),
                code_point_end: code_point_of(end),
                window: window as i32,
            }
        };
        (0..encoding.len()).map(token).collect::<Vec<Token>>()
    };
    windows.iter().enumerate().flat_map(tokens_of).collect()
}
