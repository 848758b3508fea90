//! Shared by all functions of the C interface: catching panics, reporting errors, passing memory to C++ and back.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_char;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::Once;
use std::thread::LocalKey;

/// The statuses of `mlxe_rust.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Status {
    Ok = 0,
    Internal = 1,
    Usage = 2,
    Format = 6,
    Unsupported = 7,
}

/// An error on its way to C++: the status and one sentence.
#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    pub message: String,
}

impl Failure {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Failure { status, message: message.into() }
    }
}

/// A byte string given to C++, which gives it back with `mlxe_free_string`.
#[repr(C)]
pub struct OwnedString {
    data: *mut c_char,
    size: usize,
}

impl OwnedString {
    pub fn from(text: impl Into<Vec<u8>>) -> Self {
        let bytes = text.into().into_boxed_slice();
        let size = bytes.len();
        OwnedString { data: Box::into_raw(bytes).cast(), size }
    }
}

/// # Safety
/// `text` came from this library and is given back once.
#[no_mangle]
pub unsafe extern "C" fn mlxe_free_string(text: OwnedString) {
    if !text.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(text.data.cast::<u8>(), text.size)));
    }
}

/// The bytes of a (pointer, length) pair from C++; a null pointer is an empty slice.
///
/// # Safety
/// `data` is null or points to `size` readable bytes that outlive the result.
pub unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    std::slice::from_raw_parts(data, size)
}

/// Runs `body`; an error or a panic becomes a status and a message in `error` (which may be null).
///
/// # Safety
/// `error` is null or points to a writable `OwnedString`.
pub unsafe fn guard(error: *mut OwnedString, body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    let failure = match quietly(body) {
        Ok(Ok(())) => return Status::Ok as i32,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(Status::Internal, format!("internal error: {panic}")),
    };
    if !error.is_null() {
        error.write(OwnedString::from(sentence(&failure.message)));
    }
    failure.status as i32
}

/// A message as one line of limited length. Messages of the crates quote files, which may hold anything.
pub fn sentence(message: &str) -> String {
    const LONGEST: usize = 1000; // characters
    let mut line = String::new();
    for (count, character) in message.chars().enumerate() {
        if count == LONGEST {
            line.push('…');
            break;
        }
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// Runs `body`; a panic becomes its text. Nothing is printed: the library never prints.
pub fn quietly<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    thread_local!(static PLACE: Slot<String> = const { Slot::new(null_mut()) });
    static SILENCE: Once = Once::new();
    // This library has its own copy of the Rust runtime, so the hook affects no other Rust code.
    SILENCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            with_lent(&PLACE, |place| {
                if let Some(at) = info.location() {
                    *place = format!("{}:{}", short(at.file()), at.line());
                }
            });
        }));
    });
    let mut place = String::new();
    let result = lend(&PLACE, &mut place, || catch_unwind(AssertUnwindSafe(body)));
    result.map_err(|payload| format!("{} ({place})", panic_text(payload.as_ref())))
}

/// A variable that a caller lends to callbacks on its thread. It is a pointer because glibc ends the program if memory
/// runs out while it registers the destructor of a thread-local object.
pub type Slot<T> = Cell<*mut T>;

/// Runs `body`, during which `with_lent` reaches `value`.
pub fn lend<T, R>(slot: &'static LocalKey<Slot<T>>, value: &mut T, body: impl FnOnce() -> R) -> R {
    struct Restore<T: 'static>(&'static LocalKey<Slot<T>>, *mut T);
    impl<T> Drop for Restore<T> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _restore = Restore(slot, slot.replace(value));
    body()
}

/// Runs `body` on the value lent last on this thread, if there is one.
pub fn with_lent<T>(slot: &'static LocalKey<Slot<T>>, body: impl FnOnce(&mut T)) {
    // SAFETY: lend() takes the pointer back before the value's lifetime ends, and holds its only reference.
    if let Some(value) = unsafe { slot.get().as_mut() } {
        body(value);
    }
}

/// The end of a path to a source file, without the folders of the machine that built the crate.
fn short(file: &str) -> &str {
    file.rmatch_indices('/').nth(2).map_or(file, |(slash, _)| &file[slash + 1..])
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<String>() {
        return text;
    }
    payload.downcast_ref::<&str>().copied().unwrap_or("panic")
}
