//! `DebugDump`: prints requests and responses.
//!
//! [`Formatter`] prints recorded exchanges in the same form.

mod block;
mod body;
mod formatter;
mod future;
mod in_flight;
mod layer;
mod message;
mod output;
mod printer;
mod service;
mod terminal;

pub use self::{
    body::{RequestBody, ResponseBody},
    formatter::Formatter,
    future::ResponseFuture,
    layer::DebugDump,
    printer::Printer,
    service::DebugDumpService,
};
