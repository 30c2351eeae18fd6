//! HTTP messages: the recorded exchange, header lists, and the protocol's rules for messages.

pub(crate) mod chunked;
pub(crate) mod client;
mod exchange;
pub(crate) mod head;
mod header_list;
pub(crate) mod whole_body;

pub(crate) use self::header_list::HeaderText;
pub use self::{
    exchange::{
        BodyEnd, Exchange, ExchangeEnd, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
    },
    header_list::HeaderList,
};
