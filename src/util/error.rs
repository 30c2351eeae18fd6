//! Boxed errors and their sources.

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Returns the texts of an error and of its sources, joined by `: `; a source whose text ends the
/// text before it is left out.
pub(crate) fn source_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let source = error.to_string();
        if !text.ends_with(&source) {
            text.push_str(": ");
            text.push_str(&source);
        }
        next = error.source();
    }
    text
}
