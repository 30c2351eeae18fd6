//! Removal of secrets from what is stored.

mod bodies;
mod functions;
mod hash;
mod headers_and_query;
mod property;
