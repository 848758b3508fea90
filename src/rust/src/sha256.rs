//! SHA-256 over the `sha2` crate (hardware instructions where the processor has them).

use crate::edge::{bytes, quietly};
use sha2::{Digest, Sha256};

#[no_mangle]
pub extern "C" fn mlxe_sha256_new() -> *mut Sha256 {
    quietly(|| Box::into_raw(Box::new(Sha256::new()))).unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `hash` is live; `data` points to `size` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxe_sha256_update(hash: *mut Sha256, data: *const u8, size: usize) {
    let _ = quietly(|| (*hash).update(bytes(data, size)));
}

/// # Safety
/// `hash` is live; `digest` points to 32 writable bytes.
#[no_mangle]
pub unsafe extern "C" fn mlxe_sha256_finish(hash: *mut Sha256, digest: *mut u8) {
    let _ = quietly(|| {
        let result = (*hash).finalize_reset();
        std::ptr::copy_nonoverlapping(result.as_ptr(), digest, 32);
    });
}

/// # Safety
/// `hash` is null or live, and is not used afterwards.
#[no_mangle]
pub unsafe extern "C" fn mlxe_sha256_free(hash: *mut Sha256) {
    if !hash.is_null() {
        drop(Box::from_raw(hash));
    }
}
