//! Redaction: removal of secrets before messages are stored.

mod bodies;
mod functions;
mod hash;
mod headers_and_query;
mod planted;
mod property;
