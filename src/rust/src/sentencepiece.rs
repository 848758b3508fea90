//! The file of a SentencePiece model (a protocol buffer) as JSON.

use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use prost::Message;
use serde_json::json;
use std::ffi::c_char;

// The fields of sentencepiece_model.proto that make a tokenizer.

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<Normalizer>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Trainer {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(int32, optional, tag = "40")]
    unk_id: Option<i32>,
    #[prost(string, optional, tag = "45")]
    unk_piece: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Normalizer {
    #[prost(bytes = "vec", optional, tag = "2")]
    charsmap: Option<Vec<u8>>,
}

const NORMAL: i32 = 1; // kind of a piece
const UNIGRAM: i32 = 1; // type of a model

/// # Safety
/// `model` holds `size` bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_sentencepiece_json(
    model: *const c_char,
    size: usize,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let model = Model::decode(bytes(model.cast(), size))
            .map_err(|reason| Failure::new(Status::Format, format!("no SentencePiece model: {reason}")))?;
        json.write(OwnedString::from(to_json(&model).to_string()));
        Ok(())
    })
}

fn to_json(model: &Model) -> serde_json::Value {
    let trainer = model.trainer.clone().unwrap_or_default();
    let charsmap = model.normalizer.clone().unwrap_or_default().charsmap.unwrap_or_default();
    let pieces: Vec<_> = model
        .pieces
        .iter()
        .map(|p| {
            json!([p.text.clone().unwrap_or_default(), p.score.unwrap_or(0.0), p.kind.unwrap_or(NORMAL)])
        })
        .collect();
    json!({
        "pieces": pieces,
        "model_type": trainer.model_type.unwrap_or(UNIGRAM),
        "byte_fallback": trainer.byte_fallback.unwrap_or(false),
        "unk_id": trainer.unk_id.unwrap_or(0),
        "unk_piece": trainer.unk_piece.unwrap_or_else(|| "<unk>".into()),
        "charsmap": base64::encode(charsmap),
    })
}
