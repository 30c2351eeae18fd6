//! Exchanges that were recorded, in the same form.

use super::{
    DebugDump,
    block::Blocks,
    message::{End, Message, What},
};
use crate::message::{BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody};

impl DebugDump {
    /// What this layer would print of a recorded exchange, with the number of its call. Coloured only
    /// if [`color`](Self::color) says so.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use tower_traffic::{DebugDump, Exchange};
    ///
    /// let exchange = Exchange::new(
    ///     Request::get("/users/1?token=123").body(Bytes::new())?,
    ///     Response::new(Bytes::from_static(b"{\"name\":\"bob\"}")),
    /// );
    /// let text = DebugDump::stdout().indent_json(true).show(&exchange, 1);
    /// assert!(text.contains("#1 > GET /users/1?token=REDACTED HTTP/1.1"));
    /// assert!(text.contains("\"name\": \"bob\""));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn show(&self, exchange: &Exchange, number: u64) -> String {
        let config = &self.config;
        let is_colored = config.color.unwrap_or(false);
        let blocks = Blocks::new(config.show, config.redact.clone(), is_colored, false);
        let mut out = Vec::new();
        blocks.print(&self.request(exchange, number), &mut out);
        blocks.print(&self.response(exchange, number), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn request(&self, exchange: &Exchange, id: u64) -> Message {
        let request = &exchange.request;
        let what = What::Request {
            method: request.method.clone(),
            version: request.version,
        };
        let target = request.uri.to_string();
        let mut message = self.message(what, target.as_bytes(), &request.headers, &request.body);
        message.id = id;
        message.at = exchange.began;
        message
    }

    fn response(&self, exchange: &Exchange, id: u64) -> Message {
        let end = exchange.time_to_end;
        let mut message = match &exchange.response {
            Ok(response) => {
                let what = What::Response {
                    status: response.status,
                    version: response.version,
                    head: exchange.time_to_head.unwrap_or(end),
                    end,
                };
                self.message(what, b"", &response.headers, &response.body)
            }
            Err(why) => Message {
                what: match why {
                    NoResponse::ClientGone => What::ClientGone { after: end },
                    NoResponse::Failed(error) => What::Failed {
                        error: error.clone(),
                        after: end,
                    },
                },
                ..Message::default()
            },
        };
        message.id = id;
        message.at = exchange.began.checked_add(end).unwrap_or(exchange.began);
        message
    }

    fn message(
        &self,
        what: What,
        target: &[u8],
        headers: &HeaderList,
        body: &RecordedBody,
    ) -> Message {
        let mut message = Message {
            what,
            ..Message::default()
        };
        message.head.set_list(target, headers);
        let limit = self.config.show.limit;
        for chunk in body.chunks() {
            let room = limit - message.body.len();
            message
                .body
                .extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        message.seen = body.len() as u64;
        message.trailers.clone_from(&body.trailers);
        match &body.end {
            BodyEnd::Limit => message.end = End::Cut,
            end => message.set_end(end.clone()),
        }
        message
    }
}
