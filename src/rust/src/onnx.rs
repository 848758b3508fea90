//! The graph of an ONNX model (a protocol buffer) as JSON. Tensors stay where they are: the JSON says where their bytes
//! lie. Fields of numbers ("float_data") are read as the bytes they are packed into.

use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use prost::bytes::Bytes;
use prost::encoding::decode_varint;
use prost::Message;
use serde::Serialize;
use std::collections::BTreeMap;

// The fields of onnx.proto that say what the weights are.

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(string, tag = "2")]
    producer: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    tensors: Vec<Tensor>,
    #[prost(bytes = "bytes", repeated, tag = "15")]
    sparse: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    outputs: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
    #[prost(message, repeated, tag = "9")]
    metadata: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    float: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    int: Option<i64>,
    #[prost(message, optional, tag = "5")]
    tensor: Option<Tensor>,
    #[prost(message, optional, boxed, tag = "6")]
    graph: Option<Box<Graph>>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    floats: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    int32s: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    int64s: Vec<Bytes>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "bytes", optional, tag = "9")]
    raw: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "10")]
    doubles: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "11")]
    uint64s: Vec<Bytes>,
    #[prost(message, repeated, tag = "13")]
    external: Vec<Entry>,
    #[prost(int32, tag = "14")]
    location: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

const EXTERNAL: i32 = 1; // location of a tensor
const MOST: usize = 1_000_000; // operators and tensors; a model of 100 layers has 20,000

#[derive(Serialize)]
struct JsonModel {
    producer: String,
    nodes: Vec<JsonNode>,
    tensors: Vec<JsonTensor>,
    sparse: usize,
}

#[derive(Serialize)]
struct JsonNode {
    op: String,
    name: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    ints: BTreeMap<String, i64>,
    floats: BTreeMap<String, f32>,
    lists: BTreeMap<String, Vec<i64>>,
    scopes: String,
    value: Option<JsonTensor>,
    matrices_inside: usize,
}

#[derive(Serialize)]
struct JsonTensor {
    name: String,
    dims: Vec<i64>,
    #[serde(rename = "type")]
    kind: i32,
    #[serde(rename = "in")]
    place: &'static str, // "raw", "numbers", "varints", "external", "many" (not read)
    begin: usize,
    size: usize,
    external: BTreeMap<String, String>,
}

/// # Safety
/// `model` holds `size` bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_onnx_graph(
    model: *const u8,
    size: usize,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        // Borrowed as if for ever: no part of it outlives this call.
        let file: &'static [u8] = bytes(model, size);
        let read = Model::decode(Bytes::from_static(file)).map_err(|reason| {
            Failure::new(Status::Format, format!("no ONNX model: {reason}; is the download complete?"))
        })?;
        let text = serde_json::to_string(&to_json(read, file)?)
            .map_err(|reason| Failure::new(Status::Internal, reason.to_string()))?;
        json.write(OwnedString::from(text));
        Ok(())
    })
}

/// # Safety
/// `packed` holds `size` bytes, `numbers` has room for `count`; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_onnx_varints(
    packed: *const u8,
    size: usize,
    numbers: *mut i64,
    count: usize,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let mut rest = bytes(packed, size);
        for i in 0..count {
            let number = decode_varint(&mut rest)
                .map_err(|_| Failure::new(Status::Format, format!("ends after {i} of {count} numbers")))?;
            numbers.add(i).write(number as i64);
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(Status::Format, format!("has more than {count} numbers"))),
        }
    })
}

fn to_json(model: Model, file: &[u8]) -> Result<JsonModel, Failure> {
    let graph = model.graph.ok_or_else(|| {
        Failure::new(Status::Format, "no ONNX model: it has no graph; is the download complete?")
    })?;
    let count = graph.nodes.len() + graph.tensors.len();
    if count > MOST {
        let message = format!("has {count} operators and tensors, expected at most {MOST}");
        return Err(Failure::new(Status::Format, message));
    }
    Ok(JsonModel {
        producer: model.producer,
        nodes: graph.nodes.into_iter().map(|node| node_json(node, file)).collect(),
        tensors: graph.tensors.into_iter().map(|tensor| tensor_json(tensor, file)).collect(),
        sparse: graph.sparse.len(),
    })
}

fn node_json(node: Node, file: &[u8]) -> JsonNode {
    let scopes = node.metadata.into_iter().find(|entry| entry.key == "pkg.torch.onnx.name_scopes");
    let mut result = JsonNode {
        op: node.op,
        name: node.name,
        inputs: node.inputs,
        outputs: node.outputs,
        ints: BTreeMap::new(),
        floats: BTreeMap::new(),
        lists: BTreeMap::new(),
        scopes: scopes.map(|entry| entry.value).unwrap_or_default(),
        value: None,
        matrices_inside: 0,
    };
    for attribute in node.attributes {
        if let Some(int) = attribute.int {
            result.ints.insert(attribute.name.clone(), int);
        }
        if let Some(float) = attribute.float.filter(|float| float.is_finite()) {
            result.floats.insert(attribute.name.clone(), float);
        }
        if !attribute.ints.is_empty() {
            result.lists.insert(attribute.name.clone(), attribute.ints);
        }
        if let Some(graph) = attribute.graph {
            result.matrices_inside += matrices_in(&graph);
        }
        if let (Some(tensor), true) = (attribute.tensor, attribute.name == "value") {
            result.value = Some(tensor_json(tensor, file));
        }
    }
    result
}

/// How many tensors of two or more rows and columns a graph holds.
fn matrices_in(graph: &Graph) -> usize {
    let is_matrix = |tensor: &Tensor| tensor.dims.iter().filter(|&&dim| dim > 1).count() > 1;
    let attributes = || graph.nodes.iter().flat_map(|node| &node.attributes);
    graph.tensors.iter().filter(|tensor| is_matrix(tensor)).count()
        + attributes().filter_map(|a| a.tensor.as_ref()).filter(|tensor| is_matrix(tensor)).count()
        + attributes().filter_map(|a| a.graph.as_ref()).map(|inner| matrices_in(inner)).sum::<usize>()
}

fn tensor_json(tensor: Tensor, file: &[u8]) -> JsonTensor {
    let numbers = [("numbers", &tensor.floats), ("numbers", &tensor.doubles)];
    let varints = [("varints", &tensor.int32s), ("varints", &tensor.int64s), ("varints", &tensor.uint64s)];
    let mut found: Vec<(&str, &Bytes)> = Vec::new();
    found.extend(tensor.raw.as_ref().map(|raw| ("raw", raw)));
    for (place, parts) in numbers.into_iter().chain(varints) {
        found.extend(parts.iter().map(|part| (place, part)));
    }
    let (place, part) = match (tensor.location == EXTERNAL, found.as_slice()) {
        (true, _) => ("external", None),
        (false, []) => ("raw", None),
        (false, &[(place, part)]) => (place, Some(part)),
        (false, _) => ("many", None),
    };
    // What `decode` gives are slices of the file; an empty one may point anywhere.
    let part = part.filter(|part| !part.is_empty());
    JsonTensor {
        place,
        begin: part.map_or(0, |part| part.as_ptr() as usize - file.as_ptr() as usize),
        size: part.map_or(0, |part| part.len()),
        external: tensor.external.into_iter().map(|entry| (entry.key, entry.value)).collect(),
        name: tensor.name,
        dims: tensor.dims,
        kind: tensor.kind,
    }
}
