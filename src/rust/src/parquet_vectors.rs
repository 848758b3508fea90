//! Parquet files of vectors, by the `parquet` crate.

use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use bytes::Bytes;
use parquet::basic::{Compression, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, Type, TypePtr};
use serde::Deserialize;
use std::io::Write;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const GROUP_BYTES: usize = 16 << 20; // of vectors in a row group, which waits in memory
const BATCH_VALUES: usize = 1 << 16; // that are converted at a time

/// The columns of a file.
#[derive(Deserialize)]
struct Columns {
    dtype: String,        // of the vectors: F32, F16, I8 or U8
    width: usize,         // values of a vector
    numbers: Vec<String>, // whole numbers
}

impl Columns {
    fn size(&self) -> Result<usize, Failure> {
        match self.dtype.as_str() {
            "F32" => Ok(4),
            "F16" => Ok(2),
            "I8" | "U8" => Ok(1),
            _ => Err(Failure::new(Status::Internal, format!("no vectors of {}", self.dtype))),
        }
    }

    fn schema(&self) -> Result<TypePtr, ParquetError> {
        let element = match self.dtype.as_str() {
            "F16" => "fixed_len_byte_array(2) element (FLOAT16)",
            "I8" => "int32 element (INTEGER(8,true))",
            "U8" => "int32 element (INTEGER(8,false))",
            _ => "float element",
        };
        let vectors = parse_message_type(&format!(
            "message m {{ required group embedding (LIST) {{ repeated group list {{ required {element}; }} }} }}"
        ))?;
        let number = |name: &String| {
            Type::primitive_type_builder(name, Physical::INT64).with_repetition(Repetition::REQUIRED).build()
        };
        let mut fields = Vec::new();
        for field in self.numbers.iter().map(number) {
            fields.push(Arc::new(field?));
        }
        fields.extend(vectors.get_fields().iter().cloned());
        Ok(Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?))
    }

    /// Vectors do not compress. A dictionary has 8 bits for each value of 8 bits, which Parquet has no type for.
    fn properties(&self) -> WriterProperties {
        let vectors =
            ColumnPath::new(["embedding", "list", "element"].iter().map(|part| (*part).to_owned()).collect());
        WriterProperties::builder()
            .set_created_by("mlx-encoder".to_owned())
            .set_compression(Compression::UNCOMPRESSED)
            .set_dictionary_enabled(false)
            .set_column_dictionary_enabled(vectors.clone(), matches!(self.dtype.as_str(), "I8" | "U8"))
            .set_column_statistics_enabled(vectors, EnabledStatistics::None)
            .build()
    }
}

/// Where the crate writes, and C++ takes from.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The rows of a group that is not full yet.
#[derive(Default)]
struct Rows {
    count: usize,
    vectors: Vec<u8>,
    numbers: Vec<Vec<i64>>, // of each column
}

pub struct ParquetWriter {
    columns: Columns,
    file: SerializedFileWriter<Sink>,
    sink: Sink,
    row_bytes: usize,
    rows: Rows,
}

impl ParquetWriter {
    fn new(columns: Columns) -> Result<Self, Failure> {
        let row_bytes = columns.width * columns.size()?;
        let sink = Sink::default();
        let schema = columns.schema().map_err(internal)?;
        let file = SerializedFileWriter::new(sink.clone(), schema, Arc::new(columns.properties()));
        let mut writer =
            ParquetWriter { file: file.map_err(internal)?, sink, row_bytes, rows: Rows::default(), columns };
        writer.start_group();
        Ok(writer)
    }

    fn start_group(&mut self) {
        let numbers = vec![Vec::new(); self.columns.numbers.len()];
        self.rows = Rows { numbers, ..Rows::default() };
    }

    fn add(&mut self, vector: &[u8], numbers: impl Iterator<Item = i64>) -> Result<(), Failure> {
        self.rows.count += 1;
        self.rows.vectors.extend_from_slice(vector);
        self.rows.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
        if self.rows.vectors.len() + self.row_bytes > GROUP_BYTES {
            self.write_group().map_err(internal)?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let rows = take(&mut self.rows);
        self.start_group();
        let mut group = self.file.next_row_group()?;
        for numbers in &rows.numbers {
            let mut column = next(group.next_column()?)?;
            if let ColumnWriter::Int64ColumnWriter(writer) = column.untyped() {
                writer.write_batch(numbers, None, None)?;
            }
            column.close()?;
        }
        let mut column = next(group.next_column()?)?;
        write_vectors(column.untyped(), &self.columns, Bytes::from(rows.vectors), self.row_bytes)?;
        column.close()?;
        group.close()?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.rows.count > 0 {
            self.write_group().map_err(internal)?;
        }
        self.file.finish().map(|_| ()).map_err(internal)
    }
}

fn next<T>(column: Option<T>) -> Result<T, ParquetError> {
    column.ok_or_else(|| ParquetError::General("a column is missing".to_owned()))
}

fn write_vectors(
    writer: &mut ColumnWriter,
    columns: &Columns,
    vectors: Bytes,
    row_bytes: usize,
) -> Result<(), ParquetError> {
    let rows = (BATCH_VALUES / columns.width).max(1);
    // Each value is there (1), and begins a list (0) or not (1).
    let there = vec![1; rows * columns.width];
    let begins: Vec<i16> = (0..there.len()).map(|at| i16::from(at % columns.width != 0)).collect();
    for begin in (0..vectors.len()).step_by(rows * row_bytes) {
        let batch = vectors.slice(begin..vectors.len().min(begin + rows * row_bytes));
        let count = batch.len() / row_bytes * columns.width;
        let levels = (Some(&there[..count]), Some(&begins[..count]));
        match writer {
            ColumnWriter::FloatColumnWriter(writer) => {
                let bits = batch.chunks_exact(4).map(|part| [part[0], part[1], part[2], part[3]]);
                let values: Vec<f32> = bits.map(f32::from_le_bytes).collect();
                writer.write_batch(&values, levels.0, levels.1)?;
            }
            ColumnWriter::Int32ColumnWriter(writer) => {
                let signed = columns.dtype == "I8";
                let values: Vec<i32> = batch
                    .iter()
                    .map(|byte| if signed { i32::from(*byte as i8) } else { i32::from(*byte) })
                    .collect();
                writer.write_batch(&values, levels.0, levels.1)?;
            }
            ColumnWriter::FixedLenByteArrayColumnWriter(writer) => {
                let values: Vec<FixedLenByteArray> =
                    (0..count).map(|at| ByteArray::from(batch.slice(2 * at..2 * at + 2)).into()).collect();
                writer.write_batch(&values, levels.0, levels.1)?;
            }
            _ => return Err(ParquetError::General("vectors of another type".to_owned())),
        }
    }
    Ok(())
}

fn internal(reason: ParquetError) -> Failure {
    Failure::new(Status::Internal, reason.to_string())
}

/// # Safety
/// `json` holds `size` bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_writer_new(
    json: *const u8,
    size: usize,
    writer: *mut *mut ParquetWriter,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let columns = serde_json::from_slice(bytes(json, size))
            .map_err(|reason| Failure::new(Status::Internal, reason.to_string()))?;
        let made = ParquetWriter::new(columns)?;
        writer.write(Box::into_raw(Box::new(made)));
        Ok(())
    })
}

/// # Safety
/// `writer` came from `mlxe_parquet_writer_new` and is used by one thread; the inputs hold `rows` rows; the outputs are
/// writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_write(
    writer: *mut ParquetWriter,
    rows: usize,
    vectors: *const u8,
    numbers: *const i64,
    file: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let writer = &mut *writer;
        let columns = writer.columns.numbers.len();
        let vectors = bytes(vectors, rows * writer.row_bytes);
        let numbers = if rows == 0 { &[] } else { std::slice::from_raw_parts(numbers, rows * columns) };
        for row in 0..rows {
            let vector = &vectors[row * writer.row_bytes..][..writer.row_bytes];
            writer.add(vector, (0..columns).map(|column| numbers[column * rows + row]))?;
        }
        file.write(OwnedString::from(take(&mut *writer.sink.lock())));
        Ok(())
    })
}

/// # Safety
/// `writer` came from `mlxe_parquet_writer_new` and is used by one thread; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_finish(
    writer: *mut ParquetWriter,
    file: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let writer = &mut *writer;
        writer.finish()?;
        file.write(OwnedString::from(take(&mut *writer.sink.lock())));
        Ok(())
    })
}

/// # Safety
/// `writer` is null or came from `mlxe_parquet_writer_new`, and is given back once.
#[no_mangle]
pub unsafe extern "C" fn mlxe_parquet_writer_free(writer: *mut ParquetWriter) {
    if !writer.is_null() {
        drop(Box::from_raw(writer));
    }
}
