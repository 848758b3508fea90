//! Where the entries of a zip archive lie, by the `zip` crate.

use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use serde::Serialize;
use std::io::Cursor;
use zip::{result::ZipError, CompressionMethod, ZipArchive};

#[derive(Serialize)]
struct Entry {
    name: String,
    begin: u64,
    size: u64, // in the archive
    stored: bool,
}

/// # Safety
/// `archive` holds `size` bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_zip_entries(
    archive: *const u8,
    size: usize,
    json: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let entries = read(bytes(archive, size)).map_err(|reason| {
            let message = format!("the zip archive is damaged ({reason}); is the download complete?");
            Failure::new(Status::Format, message)
        })?;
        let text = serde_json::to_string(&entries)
            .map_err(|reason| Failure::new(Status::Internal, reason.to_string()))?;
        json.write(OwnedString::from(text));
        Ok(())
    })
}

fn read(archive: &[u8]) -> Result<Vec<Entry>, ZipError> {
    let mut zip = ZipArchive::new(Cursor::new(archive))?;
    let mut entries = Vec::with_capacity(zip.len());
    for index in 0..zip.len() {
        let file = zip.by_index_raw(index)?;
        entries.push(Entry {
            name: file.name().to_owned(),
            begin: file.data_start(),
            size: file.compressed_size(),
            stored: file.compression() == CompressionMethod::Stored && !file.encrypted(),
        });
    }
    Ok(entries)
}
