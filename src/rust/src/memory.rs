//! Calls a handler when an allocation fails.
//!
//! Rust code can't catch a failed allocation: Rust ends the process with a message of its own. To end it in another
//! way, register a handler that does not return. Without a handler nothing changes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

type Handler = extern "C" fn(usize);

static HANDLER: AtomicUsize = AtomicUsize::new(0);

struct Allocator;

/// Calls the handler if `memory` is null.
fn checked(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() {
        let handler = HANDLER.load(Ordering::Relaxed);
        if handler != 0 {
            // SAFETY: only `mlxe_on_out_of_memory` stores, and it stores a Handler.
            unsafe { std::mem::transmute::<usize, Handler>(handler)(size) }
        }
    }
    memory
}

// SAFETY: the system's allocator, whose results are passed on.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        checked(System.alloc(layout), layout.size())
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        checked(System.alloc_zeroed(layout), layout.size())
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        checked(System.realloc(memory, layout, size), size)
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        System.dealloc(memory, layout)
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[no_mangle]
pub extern "C" fn mlxe_on_out_of_memory(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Relaxed);
}
