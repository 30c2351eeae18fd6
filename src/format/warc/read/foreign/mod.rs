//! Records of other tools: which ones are a pair, and the exchange in a pair.
//!
//! This crate's records are in pairs, and have the message as the layer saw it. Other tools store
//! the bytes on the wire, in records that name each other in any order.

mod http_head;
mod message;
mod revisit;

use std::{
    collections::{HashMap, VecDeque},
    time::SystemTime,
};

use bytes::Bytes;
use http::{Method, Response};

use self::message::Record;
pub(crate) use self::revisit::{Original, OriginalKey, Revisit};
pub(super) use self::{message::is_http, revisit::keys};
use super::{SegmentItem, Start, head::RecordHead};
use crate::message::{Exchange, RecordedResponse};

/// Limits of the records that wait for their pair.
const MAX_WAITING: usize = 64;
const MAX_WAITING_BYTES: usize = 64 << 20;

/// The maximum number of record ids that are remembered.
const MAX_IDS: usize = 4096;

/// A record that waits for its pair.
pub(super) struct Waiting {
    pub(super) start: Start,
    event: u64,
    record: Record,
}

impl Waiting {
    fn is_request(&self) -> bool {
        self.record.head.kind == "request"
    }

    /// Whether one of two records names the other.
    fn names(&self, other: &Self) -> bool {
        let (head, other) = (&self.record.head, &other.record.head);
        head.concurrent_to.contains(&other.id) || other.concurrent_to.contains(&head.id)
    }

    /// Returns the note that there is no exchange with this record.
    pub(super) fn noted(&self) -> SegmentItem {
        let kind = &self.record.head.kind;
        let other = if self.is_request() {
            "response"
        } else {
            "request"
        };
        let note = format!("{kind} without a {other} record; the {kind} is left out");
        SegmentItem::Noted(self.start.place, note)
    }
}

/// Finds the pairs among records.
#[derive(Default)]
pub(super) struct Pairing {
    waiting: VecDeque<Waiting>,
    events: Events,
}

impl Pairing {
    /// Adds a request, a response or a revisit. Returns it with its pair, the request first, or
    /// remembers it.
    pub(super) fn add(
        &mut self,
        start: Start,
        head: RecordHead,
        block: Bytes,
    ) -> Option<(Waiting, Waiting)> {
        let new = Waiting {
            start,
            event: self.events.join(start, &head),
            record: Record { head, block },
        };
        match self.take_pair(&new) {
            Some(other) if new.is_request() => Some((new, other)),
            Some(other) => Some((other, new)),
            None => {
                self.waiting.push_back(new);
                None
            }
        }
    }

    /// Remembers which records a record of another kind, such as `metadata`, names. Returns the
    /// pairs that this joins.
    pub(super) fn join(&mut self, start: Start, head: &RecordHead) -> Vec<(Waiting, Waiting)> {
        let mut pairs = Vec::new();
        if head.concurrent_to.is_empty() {
            return pairs;
        }
        let event = self.events.join(start, head);
        let event = self.events.root(event);
        let mut next = 0;
        while let Some(waiting) = self.waiting.get(next) {
            let (is_request, of) = (waiting.is_request(), waiting.event);
            if is_request
                && self.events.root(of) == event
                && let Some(request) = self.waiting.remove(next)
            {
                match self.take_pair(&request) {
                    // The next record may have moved to any place before this one.
                    Some(response) => {
                        pairs.push((request, response));
                        next = 0;
                        continue;
                    }
                    None => self.waiting.insert(next, request),
                }
            }
            next += 1;
        }
        pairs
    }

    fn take_pair(&mut self, new: &Waiting) -> Option<Waiting> {
        let found = self.find(new)?;
        let mut other = self.waiting.remove(found)?;
        if !new.names(&other) {
            // A reader that begins at this exchange needs the record that joins the pair.
            let event = self.events.root(new.event);
            let start = self.events.starts.remove(&event);
            other.start = other.start.min(start.unwrap_or(other.start));
        }
        Some(other)
    }

    fn find(&mut self, new: &Waiting) -> Option<usize> {
        let Self { waiting, events } = self;
        let mut others = waiting.iter().enumerate();
        let is_other = |other: &Waiting| other.is_request() != new.is_request();
        let named = others
            .clone()
            .find(|(_, other)| is_other(other) && new.names(other));
        // Records of one event may also name a third one, or be named by it.
        let event = events.root(new.event);
        let joined = || {
            others.find(|(_, other)| {
                is_other(other)
                    && events.root(other.event) == event
                    && other.record.head.target_uri == new.record.head.target_uri
            })
        };
        let (found, _) = named.or_else(joined)?;
        Some(found)
    }

    /// Removes the oldest record: one that has waited too long, or any if `is_over`.
    pub(super) fn expired(&mut self, is_over: bool) -> Option<Waiting> {
        let bytes = || -> usize {
            let blocks = self.waiting.iter().map(|waiting| &waiting.record.block);
            blocks.map(Bytes::len).sum()
        };
        let is_full = self.waiting.len() > MAX_WAITING
            || (self.waiting.len() > 1 && bytes() > MAX_WAITING_BYTES);
        if is_over || is_full {
            self.waiting.pop_front()
        } else {
            None
        }
    }
}

/// The capture events of records. The records of one event name each other, directly or by way of a
/// third one.
#[derive(Default)]
struct Events {
    /// The event in which an id was seen first.
    by_id: HashMap<String, u64>,
    /// The earlier events of which events turned out to be a part.
    parents: HashMap<u64, u64>,
    /// The first record of each event.
    starts: HashMap<u64, Start>,
    next: u64,
}

impl Events {
    /// Returns the event of a record.
    fn join(&mut self, start: Start, head: &RecordHead) -> u64 {
        if self.by_id.len() > MAX_IDS {
            self.by_id.clear();
            self.parents.clear();
            self.starts.clear();
        }
        let event = self.next;
        self.next += 1;
        let ids = head.concurrent_to.iter().chain([&head.id]);
        for id in ids.filter(|id| !id.is_empty()) {
            if let Some(&known) = self.by_id.get(id) {
                let (event, known) = (self.root(event), self.root(known));
                if event != known {
                    self.parents.insert(event, known);
                    if let Some(start) = self.starts.remove(&event) {
                        let first = self.starts.entry(known).or_insert(start);
                        *first = start.min(*first);
                    }
                }
            } else {
                self.by_id.insert(id.clone(), event);
            }
        }
        let root = self.root(event);
        self.starts.entry(root).or_insert(start);
        event
    }

    fn root(&mut self, event: u64) -> u64 {
        let mut root = event;
        while let Some(parent) = self.parents.get(&root) {
            root = *parent;
        }
        if root != event {
            self.parents.insert(event, root);
        }
        root
    }
}

/// The exchange in a pair of records.
pub(super) enum Pair {
    Exchange(Exchange),
    /// The content is in another record.
    Revisit(Revisit),
}

/// Reads the exchange of a request and a response. The error is the reason why they are
/// not HTTP.
pub(super) fn exchange(
    request: &Waiting,
    response: &Waiting,
    notes: &mut Vec<String>,
) -> Result<Pair, String> {
    let (request, response) = (&request.record, &response.record);
    let recorded = message::request(request, &response.head, notes)?;
    let is_revisit = response.head.kind == "revisit";
    let has_head = !is_revisit || !response.block.is_empty();
    let answer = if has_head {
        message::response(response, &recorded.method, Some(&request.head), notes)?
    } else {
        RecordedResponse::from(Response::new(Bytes::new()))
    };
    let began = request.head.date.or(response.head.date).unwrap_or_else(|| {
        notes.push("missing or invalid WARC-Date: 1970 is assumed".to_owned());
        SystemTime::UNIX_EPOCH
    });
    let mut exchange = Exchange::new(recorded, answer);
    exchange.began = began;
    exchange.time_to_head = None;
    Ok(if is_revisit {
        Pair::Revisit(Revisit::new(exchange, has_head, &response.head))
    } else {
        Pair::Exchange(exchange)
    })
}

/// Returns the response in a record, if it is one, for the revisits that refer to it.
pub(super) fn original(head: RecordHead, block: Bytes) -> Option<Original> {
    if head.kind != "response" || head.is_marked || !is_http(&head) {
        return None;
    }
    let keys = keys(&head);
    let record = Record { head, block };
    // Notes are reported where the record has its own exchange.
    let response = message::response(&record, &Method::GET, None, &mut Vec::new()).ok()?;
    Some(Original { keys, response })
}
