//! Base64 by the `base64` crate: the standard alphabet, padded.

use crate::edge::{bytes, guard, OwnedString};

/// # Safety
/// `data` points to `size` readable bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_base64(
    data: *const u8,
    size: usize,
    text: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        text.write(OwnedString::from(base64::encode(bytes(data, size))));
        Ok(())
    })
}
