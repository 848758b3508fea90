//! Where to cut a text that is far longer than its limit, before it is tokenized.
//!
//! A cut lies before a single space between two ASCII letters or digits, before ASCII punctuation between two, or
//! (`ideographs`) between two unified CJK ideographs. The tokens of the text before the cut are then the first tokens
//! of the whole text:
//! - The allowed normalizers change single characters, or runs of combining marks or of spaces. A letter and one
//!   space end every such run. BERT's normalizer puts spaces around ideographs.
//! - The allowed pre-tokenizers end a word at a space, whatever follows. Every model tokenizes word by word.
//! - No added token spans a cut, because none holds a letter beside a space, a single space, or an ideograph.
//!   An added token that strips the spaces beside it strips at most the space after the cut.
//! - Punctuation allows a cut if the normalizer keeps it, the pre-tokenizer ends a word before it, and no Replace and
//!   no added token holds it. Only such punctuation may stand between the cut and the next letter, because a combining
//!   mark may change it.
//! The normalizer is run on each letter, because a Precompiled normalizer may map any text to any other. Normalizer and
//! pre-tokenizer are run on each punctuation character, too.
//! Other tokenizers get the whole text. No word is cut, because the BPE and Unigram tokens of its beginning depend on
//! the whole word; shorten.rs has the one exception.

use crate::shorten::ShortenRule;
use serde_json::{json, Value};
use tokenizers::tokenizer::{NormalizedString, Normalizer, PreTokenizedString, PreTokenizer};
use tokenizers::{NormalizerWrapper, Tokenizer};

#[derive(Default)]
pub struct CutRule {
    spaces: bool,
    ideographs: bool,
    punctuation: u128, // a bit for each ASCII character
    pub shorten: Option<ShortenRule>,
}

/// Most punctuation characters between the letters on both sides of a cut.
const MOST_PUNCTUATION: usize = 16;

impl CutRule {
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let normalizer = json!(tokenizer.get_normalizer());
        let pre_tokenizer = json!(tokenizer.get_pre_tokenizer());
        let known = is_local(&normalizer) && splits_at_spaces(&pre_tokenizer);
        if !known || !keeps_letters_and_spaces(tokenizer) {
            return CutRule::default();
        }
        let mut rule = CutRule {
            spaces: true,
            ideographs: isolates_ideographs(&normalizer),
            punctuation: punctuation(tokenizer, &normalizer),
            shorten: ShortenRule::of(tokenizer),
        };
        for token in tokenizer.get_added_tokens_decoder().values() {
            for content in [token.content.clone(), normalized(tokenizer.get_normalizer(), &token.content)] {
                let only_spaces = content.bytes().all(|byte| byte == b' ');
                rule.spaces &= !content.contains(' ') || (only_spaces && content.len() > 1);
                rule.ideographs &= !content.chars().any(is_ideograph);
                for byte in content.bytes().filter(u8::is_ascii) {
                    rule.punctuation &= !(1 << byte);
                }
            }
        }
        rule
    }

    /// The longest part of `text` that ends at a cut and has `size / 2` to `size` bytes. `text` has more than `size`.
    pub fn before<'a>(&self, text: &'a str, size: usize) -> Option<&'a str> {
        let last = |cuts: &dyn Fn(usize) -> bool| (size / 2..=size).rev().find(|&at| cuts(at));
        let cut = last(&|at| self.cuts_at(text, at))
            .or_else(|| last(&|at| self.cuts_at_punctuation(text.as_bytes(), at)))?;
        Some(&text[..cut])
    }

    fn cuts_at(&self, text: &str, at: usize) -> bool {
        let bytes = text.as_bytes();
        let letter = |at: usize| bytes[at].is_ascii_alphanumeric();
        if bytes[at] == b' ' {
            return self.spaces && letter(at - 1) && letter(at + 1);
        }
        self.ideographs
            && text.is_char_boundary(at)
            && text[at..].starts_with(is_ideograph)
            && text[..at].ends_with(is_ideograph)
    }

    fn cuts_at_punctuation(&self, text: &[u8], at: usize) -> bool {
        let splits = |byte: u8| byte.is_ascii() && (self.punctuation >> byte) & 1 == 1;
        let mut rest = text[at..].iter().take(MOST_PUNCTUATION);
        splits(text[at])
            && text[at - 1].is_ascii_alphanumeric()
            && rest.find(|&&byte| !splits(byte)).is_some_and(u8::is_ascii_alphanumeric)
    }
}

/// The block U+4E00. No character of it decomposes, combines or changes case.
fn is_ideograph(character: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&character)
}

pub fn kind(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or_default()
}

pub fn members<'a>(part: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    part.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Whether the normalized text before a cut is independent of the text after it.
pub fn is_local(normalizer: &Value) -> bool {
    if normalizer.is_null() {
        return true;
    }
    match kind(normalizer) {
        "BertNormalizer" | "Lowercase" | "NFC" | "NFD" | "NFKC" | "NFKD" | "StripAccents" | "Nmt"
        | "Strip" | "Precompiled" => true,
        "Sequence" => members(normalizer, "normalizers").all(is_local),
        "Replace" => {
            let pattern = |form| normalizer["pattern"].get(form).and_then(Value::as_str);
            let beside_a_cut = |c: char| c == ' ' || c.is_ascii_alphanumeric() || is_ideograph(c);
            let several_spaces = |text: &str| text.len() > 1 && text.bytes().all(|byte| byte == b' ');
            let elsewhere = |text: &str| !text.is_empty() && !text.contains(beside_a_cut);
            pattern("String").is_some_and(|text| elsewhere(text) || several_spaces(text))
                || pattern("Regex") == Some(" {2,}")
        }
        _ => false,
    }
}

/// Whether a pre-tokenizer ends a word at every space between letters, whatever follows the space.
fn splits_at_spaces(pre_tokenizer: &Value) -> bool {
    let is = |part: &Value, flag| part.get(flag) == Some(&Value::Bool(true));
    let only_splits_more = |part: &&Value| matches!(kind(part), "Punctuation" | "Digits");
    match kind(pre_tokenizer) {
        "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" => true,
        "ByteLevel" => is(pre_tokenizer, "use_regex"),
        "Metaspace" => is(pre_tokenizer, "split"),
        // The first member that does more than split off punctuation or digits must split at spaces. Later members
        // work inside words.
        "Sequence" => {
            let mut rest = members(pre_tokenizer, "pretokenizers").skip_while(only_splits_more);
            let works_in_words = |part: &Value| {
                only_splits_more(&part)
                    || splits_at_spaces(part)
                    || matches!(kind(part), "ByteLevel" | "Metaspace")
            };
            rest.next().is_some_and(splits_at_spaces) && rest.all(works_in_words)
        }
        _ => false,
    }
}

fn isolates_ideographs(normalizer: &Value) -> bool {
    match kind(normalizer) {
        "BertNormalizer" => normalizer["handle_chinese_chars"] == Value::Bool(true),
        "Sequence" => {
            let (bert, rest): (Vec<_>, Vec<_>) =
                members(normalizer, "normalizers").partition(|part| kind(part) == "BertNormalizer");
            bert.iter().any(|part| isolates_ideographs(part))
                && rest.iter().all(|part| kind(part) == "Lowercase")
        }
        _ => false,
    }
}

/// Whether the normalizer keeps two letters with a space between them, and the pre-tokenizer makes two words of
/// them.
pub fn keeps_letters_and_spaces(tokenizer: &Tokenizer) -> bool {
    let letters = ('0'..='9').chain('A'..='Z').chain('a'..='z');
    let mut pairs = letters.map(|letter| format!("{letter} {letter}"));
    pairs.all(|text| {
        let text = normalized(tokenizer.get_normalizer(), &text);
        text.len() == 3
            && text.bytes().enumerate().all(|(i, byte)| match i {
                1 => byte == b' ',
                _ => byte.is_ascii_alphanumeric(),
            })
    }) && words(tokenizer, "a b") == Some(2)
}

pub fn normalized(normalizer: Option<&NormalizerWrapper>, text: &str) -> String {
    let mut text = NormalizedString::from(text);
    match normalizer.map_or(Ok(()), |normalizer| normalizer.normalize(&mut text)) {
        Ok(()) => text.get().to_string(),
        Err(_) => String::new(),
    }
}

fn words(tokenizer: &Tokenizer, text: &str) -> Option<usize> {
    Some(word_ends(tokenizer, text)?.len())
}

fn word_ends(tokenizer: &Tokenizer, text: &str) -> Option<Vec<usize>> {
    let mut pieces = PreTokenizedString::from(text);
    tokenizer.get_pre_tokenizer()?.pre_tokenize(&mut pieces).ok()?;
    let words = pieces.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
    Some(words.iter().map(|(_, (_, end), _)| *end).collect())
}

/// The punctuation before which a word of letters or digits ends, whatever follows. Some pre-tokenizers take "_" for a
/// letter.
fn punctuation(tokenizer: &Tokenizer, normalizer: &Value) -> u128 {
    let splits = |mark: char| {
        ["a", "1"].iter().all(|letter| {
            let text = format!("{letter}{mark}{letter}");
            normalized(tokenizer.get_normalizer(), &text) == text
                && word_ends(tokenizer, &text).is_some_and(|ends| ends.first() == Some(&1))
        })
    };
    let marks = (0..128u8).map(char::from).filter(|c| c.is_ascii_punctuation() && *c != '_');
    let marks = marks.filter(|mark| !is_replaced(normalizer, *mark) && splits(*mark));
    marks.fold(0, |bits, mark| bits | 1 << mark as u32)
}

/// Whether a Replace of the normalizer looks for `mark`, alone or beside others.
fn is_replaced(normalizer: &Value, mark: char) -> bool {
    let pattern = normalizer["pattern"].get("String").and_then(Value::as_str);
    pattern.is_some_and(|text| text.contains(mark))
        || members(normalizer, "normalizers").any(|member| is_replaced(member, mark))
}
