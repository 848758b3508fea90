//! TOML as JSON by the `toml` crate, with the line of every value for error messages.

use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use serde_json::{Map, Value};
use std::ffi::c_char;
use toml::de::{DeTable, DeValue};

const DEEPEST: usize = 64; // tables in tables; also what C++ accepts of JSON

/// # Safety
/// `toml` holds `size` bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_toml_json(
    toml: *const c_char,
    size: usize,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let text = std::str::from_utf8(bytes(toml.cast(), size)).map_err(|reason| {
            let lines = LineStarts::of(bytes(toml.cast(), size));
            lines.failure(reason.valid_up_to(), "bytes that are not UTF-8; save the file as UTF-8")
        })?;
        json.write(OwnedString::from(to_json(text)?));
        Ok(())
    })
}

fn to_json(text: &str) -> Result<String, Failure> {
    let starts = LineStarts::of(text.as_bytes());
    let document = DeTable::parse(text).map_err(|reason| {
        let at = reason.span().map_or(0, |span| span.start);
        starts.failure(at, &reason.message().replace('\n', ", "))
    })?;
    let mut reader = Reader { starts, lines: Map::new() };
    let values = reader.table(document.get_ref(), "", 0)?;
    Ok(serde_json::json!({ "values": values, "lines": reader.lines }).to_string())
}

struct Reader {
    starts: LineStarts,
    lines: Map<String, Value>,
}

impl Reader {
    fn table(&mut self, table: &DeTable, path: &str, depth: usize) -> Result<Value, Failure> {
        let mut object = Map::new();
        for (key, value) in table {
            let below = format!("{path}/{}", key.get_ref().replace('~', "~0").replace('/', "~1"));
            let at = key.span().start;
            self.note(&below, at);
            object.insert(key.get_ref().to_string(), self.value(value.get_ref(), at, &below, depth + 1)?);
        }
        Ok(Value::Object(object))
    }

    fn value(&mut self, value: &DeValue, at: usize, path: &str, depth: usize) -> Result<Value, Failure> {
        if depth > DEEPEST {
            return Err(self.starts.failure(at, &format!("nested deeper than {DEEPEST} levels")));
        }
        match value {
            DeValue::String(text) => Ok(Value::from(text.as_ref())),
            DeValue::Boolean(truth) => Ok(Value::from(*truth)),
            DeValue::Datetime(time) => Ok(Value::from(time.to_string())),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Value::from)
                .map_err(|_| self.starts.failure(at, &format!("{number}, an integer of more than 64 bits"))),
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(finite) if finite.is_finite() => Ok(Value::from(finite)),
                _ => Err(self.starts.failure(at, &format!("{number}, expected a finite number"))),
            },
            DeValue::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let below = format!("{path}/{index}");
                    self.note(&below, item.span().start);
                    list.push(self.value(item.get_ref(), item.span().start, &below, depth + 1)?);
                }
                Ok(Value::Array(list))
            }
            DeValue::Table(table) => self.table(table, path, depth),
        }
    }

    fn note(&mut self, path: &str, at: usize) {
        self.lines.insert(path.to_owned(), Value::from(self.starts.line_and_column(at).0));
    }
}

/// Where lines begin, in bytes.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &[u8]) -> Self {
        let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        LineStarts(std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect())
    }

    /// Both from 1; the column in bytes.
    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= at);
        (line, at - self.0[line - 1] + 1)
    }

    fn failure(&self, at: usize, message: &str) -> Failure {
        let (line, column) = self.line_and_column(at);
        Failure::new(Status::Format, format!("{line}:{column}: {message}"))
    }
}
