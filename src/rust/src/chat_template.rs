//! Chat templates of model folders by the `minijinja` crate, with the settings that transformers gives Jinja.

use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use std::ffi::c_char;

const MOST_WORK: u64 = 10_000_000; // steps of a template: a file may hold an endless loop
const MOST_BYTES: usize = 128 << 10; // of a template; published ones have a few thousand
const STACK: usize = 256 << 20; // minijinja recurses over an expression: 128 KiB hold one of 64,000 terms

/// # Safety
/// `template` and `variables` hold their sizes in bytes; the outputs are writable.
#[no_mangle]
pub unsafe extern "C" fn mlxe_chat_template_render(
    template: *const c_char,
    size: usize,
    variables: *const c_char,
    variables_size: usize,
    text: *mut OwnedString,
    error: *mut OwnedString,
) -> i32 {
    guard(error, || {
        let failed = |reason: String| Failure::new(Status::Format, reason);
        let template =
            std::str::from_utf8(bytes(template.cast(), size)).map_err(|e| failed(e.to_string()))?;
        if template.len() > MOST_BYTES {
            return Err(failed(format!(
                "the template has {} bytes, expected at most {MOST_BYTES}",
                template.len()
            )));
        }
        let variables: serde_json::Value = serde_json::from_slice(bytes(variables.cast(), variables_size))
            .map_err(|e| failed(e.to_string()))?;
        let rendered = on_a_large_stack(|| {
            render(template, Value::from(Serde(&variables))).map_err(|e| format!("{e:#}"))
        });
        text.write(OwnedString::from(rendered.map_err(failed)?));
        Ok(())
    })
}

fn on_a_large_stack(work: impl FnOnce() -> Result<String, String> + Send) -> Result<String, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| format!("no thread for the template: {e}"))?;
        thread.join().unwrap_or_else(|_| Err("the template made its reader fail".into()))
    })
}

fn render(template: &str, variables: Value) -> Result<String, Error> {
    let mut jinja = Environment::new();
    jinja.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    jinja.set_auto_escape_callback(|_| AutoEscape::None);
    jinja.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    jinja.set_fuel(Some(MOST_WORK));
    jinja.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    jinja.render_str(template, variables)
}
