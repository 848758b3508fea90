//! Rows of Parquet files, by the `parquet` crate: the columns that hold texts, numbers or lists of them.

use crate::edge::{bytes, guard, quietly, Failure, OwnedString, Status};
use crate::parquet_footer::require_plausible;
use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::{ReaderIter, TreeBuilder};
use parquet::record::Field;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use serde_json::{json, Value};
use std::sync::Arc;

const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;
const BUFFERED: usize = 256; // values of each column

pub struct Parquet {
    file: SerializedFileReader<Bytes>,
    columns: Vec<TypePtr>, // those that can be read
    chosen: Vec<TypePtr>,
    next_group: usize,
    group: Option<ReaderIter>,
    given: u64, // rows
}

impl Parquet {
    fn open(file: Bytes) -> Result<Self, Failure> {
        require_plausible(&file)?;
        let file = SerializedFileReader::new(file).map_err(damaged)?;
        let rows: i64 = file.metadata().row_groups().iter().map(|group| group.num_rows()).sum();
        if rows != file.metadata().file_metadata().num_rows() {
            return Err(unreadable("its footer has two numbers of rows"));
        }
        let fields = file.metadata().file_metadata().schema_descr().root_schema().get_fields();
        let mut names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("two columns are called \"{}\"; rename one", pair[0]);
            return Err(Failure::new(Status::Format, message));
        }
        let columns: Vec<TypePtr> = fields.iter().filter(|field| is_readable(field)).cloned().collect();
        Ok(Parquet { file, columns, chosen: Vec::new(), next_group: 0, group: None, given: 0 })
    }

    fn describe(&self) -> Value {
        let columns =
            self.columns.iter().map(|column| json!({ "name": column.name(), "bytes": is_bytes(column) }));
        json!({ "rows": self.file.metadata().file_metadata().num_rows(), "columns": columns.collect::<Value>() })
    }

    /// The next rows as JSON, a list of the chosen columns' cells each; none at the end.
    fn next(&mut self) -> Result<String, Failure> {
        let mut text = String::from("[");
        for count in 0..BATCH_ROWS {
            let Some(cells) = self.next_row()? else { break };
            if count > 0 {
                text.push(',');
            }
            text.push_str(&Value::Array(cells).to_string());
            if text.len() >= BATCH_BYTES {
                break;
            }
        }
        text.push(']');
        Ok(text)
    }

    fn next_row(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        loop {
            if self.group.is_none() {
                if self.next_group == self.file.num_row_groups() {
                    return Ok(None);
                }
                self.group = Some(self.open_group(self.next_group).map_err(damaged)?);
                self.next_group += 1;
            }
            match self.group.as_mut().and_then(|rows| rows.next()) {
                None => self.group = None,
                Some(row) => {
                    self.given += 1;
                    let cells = row.map_err(|reason| in_row(self.given, reason))?.into_columns();
                    let values = cells.into_iter().map(|(column, cell)| self.value(&column, cell));
                    return values.collect::<Result<_, _>>().map(Some);
                }
            }
        }
    }

    fn open_group(&self, index: usize) -> Result<ReaderIter, ParquetError> {
        let schema = Type::group_type_builder("rows").with_fields(self.chosen.clone()).build()?;
        let descriptor = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        let group = self.file.get_row_group(index)?;
        TreeBuilder::new().with_batch_size(BUFFERED).as_iter(descriptor, group.as_ref())
    }

    fn value(&self, column: &str, cell: Field) -> Result<Value, Failure> {
        Ok(match cell {
            Field::Null => Value::Null,
            Field::Bool(value) => value.into(),
            Field::Byte(value) => value.into(),
            Field::Short(value) => value.into(),
            Field::Int(value) => value.into(),
            Field::Long(value) => value.into(),
            Field::UByte(value) => value.into(),
            Field::UShort(value) => value.into(),
            Field::UInt(value) => value.into(),
            Field::ULong(value) => value.into(),
            Field::Float16(value) => float(value.to_f32()),
            Field::Float(value) => float(value),
            Field::Double(value) => value.into(),
            Field::Str(text) => text.into(),
            Field::Bytes(text) => match std::str::from_utf8(text.data()) {
                Ok(text) => text.into(),
                Err(reason) => {
                    let at = reason.valid_up_to() + 1;
                    let message = format!("row {}: \"{column}\": byte {at} is not UTF-8", self.given);
                    return Err(Failure::new(Status::Format, message));
                }
            },
            Field::ListInternal(list) => {
                let elements = list.elements().iter().map(|element| self.value(column, element.clone()));
                Value::Array(elements.collect::<Result<_, _>>()?)
            }
            decimal => decimal.to_string().into(),
        })
    }
}

/// A float's shortest digits, as a double: 0.1 stays 0.1.
fn float(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// Bytes that may be a text, but are not said to be one.
fn is_bytes(field: &Type) -> bool {
    field.is_primitive()
        && field.get_physical_type() == Physical::BYTE_ARRAY
        && field.get_basic_info().converted_type() == ConvertedType::NONE
}

fn is_readable(field: &Type) -> bool {
    match field.get_basic_info().repetition() {
        Repetition::REPEATED => field.is_primitive() && is_readable_value(field),
        _ if field.is_primitive() => is_readable_value(field),
        _ => is_readable_list(field),
    }
}

/// LIST, with or without a group around the element.
fn is_readable_list(field: &Type) -> bool {
    let [repeated] = field.get_fields() else { return false };
    if field.get_basic_info().converted_type() != ConvertedType::LIST
        || repeated.get_basic_info().repetition() != Repetition::REPEATED
    {
        return false;
    }
    if repeated.is_primitive() {
        return is_readable_value(repeated);
    }
    // An older rule: the group is the element if it is called so.
    let is_element = repeated.name() == "array" || repeated.name().ends_with("_tuple");
    match repeated.get_fields() {
        [element] if !is_element && element.is_primitive() => {
            element.get_basic_info().repetition() != Repetition::REPEATED && is_readable_value(element)
        }
        _ => false,
    }
}

fn is_readable_value(field: &Type) -> bool {
    let converted = field.get_basic_info().converted_type();
    if let (ConvertedType::DECIMAL, Type::PrimitiveType { scale, precision, .. }) = (converted, field) {
        return (0..*precision).contains(scale);
    }
    match field.get_physical_type() {
        Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE => true,
        Physical::INT32 => matches!(
            converted,
            ConvertedType::NONE
                | ConvertedType::INT_8
                | ConvertedType::INT_16
                | ConvertedType::INT_32
                | ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
        ),
        Physical::INT64 => {
            matches!(converted, ConvertedType::NONE | ConvertedType::INT_64 | ConvertedType::UINT_64)
        }
        Physical::BYTE_ARRAY => matches!(
            converted,
            ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON
        ),
        Physical::FIXED_LEN_BYTE_ARRAY => {
            field.get_basic_info().logical_type_ref() == Some(&LogicalType::Float16)
        }
        Physical::INT96 => false,
    }
}

fn damaged(reason: ParquetError) -> Failure {
    let text = reason.to_string();
    let unsupported =
        |what: &str| Failure::new(Status::Unsupported, format!("{what}; write it in another way"));
    if let Some((_, codec)) = text.split_once("Disabled feature at compile time: ") {
        return unsupported(&format!("is compressed with {codec}, expected zstd, snappy, gzip or LZ4"));
    }
    match reason {
        ParquetError::NYI(what) => unsupported(&format!("has something that is not read ({what})")),
        _ => unreadable(&text),
    }
}

fn unreadable(reason: &str) -> Failure {
    let reason = reason.trim_start_matches("Parquet error: ");
    Failure::new(Status::Format, format!("is no whole Parquet file ({reason}); was it written to its end?"))
}

fn in_row(row: u64, reason: ParquetError) -> Failure {
    let text = reason.to_string();
    if text.contains("Error reading BYTE_ARRAY as String") {
        return Failure::new(Status::Format, format!("row {row}: a text is not UTF-8"));
    }
    let failure = damaged(reason);
    Failure::new(failure.status, format!("row {row}: {}", failure.message))
}

/// A damaged file may make the crate panic.
fn caught<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    quietly(body).unwrap_or_else(|panic| Err(unreadable(&panic)))
}

/// # Safety
/// `file` holds `size` bytes that outlive the reader; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_open(
    file: *const u8,
    size: usize,
    reader: *mut *mut Parquet,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let file = Bytes::from_static(bytes(file, size));
        let opened = caught(|| Parquet::open(file))?;
        json.write(OwnedString::from(opened.describe().to_string()));
        reader.write(Box::into_raw(Box::new(opened)));
        Ok(())
    })
}

/// # Safety
/// `reader` came from `mlxe_parquet_open` and is used by one thread; `columns` holds `count` indexes.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_choose(
    reader: *mut Parquet,
    columns: *const usize,
    count: usize,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let reader = &mut *reader;
        let indexes = if count == 0 { &[] } else { std::slice::from_raw_parts(columns, count) };
        reader.chosen = indexes.iter().map(|index| reader.columns[*index].clone()).collect();
        Ok(())
    })
}

/// # Safety
/// `reader` came from `mlxe_parquet_open` and is used by one thread; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_next(
    reader: *mut Parquet,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        json.write(OwnedString::from(caught(|| (*reader).next())?));
        Ok(())
    })
}

/// # Safety
/// `reader` is null or came from `mlxe_parquet_open`, and is given back once.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_free(reader: *mut Parquet) {
    if !reader.is_null() {
        let reader = Box::from_raw(reader);
        let _ = quietly(|| drop(reader));
    }
}
