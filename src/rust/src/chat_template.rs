//! Chat templates of model folders by the `minijinja` crate, with the settings that transformers gives Jinja.

use crate::edge::{bytes, guard, Failure, OwnedString, Status};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use std::ffi::c_char;

const MOST_WORK: u64 = 10_000_000; // steps of a template: a file may hold an endless loop

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
        let variables: serde_json::Value = serde_json::from_slice(bytes(variables.cast(), variables_size))
            .map_err(|e| failed(e.to_string()))?;
        let rendered = render(template, Value::from(Serde(&variables)));
        text.write(OwnedString::from(rendered.map_err(|e| failed(format!("{e:#}")))?));
        Ok(())
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
