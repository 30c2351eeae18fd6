//! Reads the items of a list in YAML, one at a time.
//!
//! Scalars are not resolved to numbers or dates: a
//! cassette has `http_version: 1.10` and `string: 007`, which are texts.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use crate::format::{
    ReadFault,
    json_list::{FIRST_KEYS, Item, UNPAIRED, replace_unpaired},
    node::{At, Node},
};

/// The maximum nesting depth.
const MAX_DEPTH: usize = 64;

/// The maximum number of bytes copied for YAML aliases. Ruby writes an alias where a string occurs
/// twice.
const MAX_COPIED_BYTES: usize = 16 << 20;

/// The name of a list that is the whole file.
pub(super) const WHOLE_FILE: &str = "$";

/// Called with the path of the list, the index of the item, and the item. Returns false to stop the
/// reader.
type OnNode<'a> = &'a mut dyn FnMut(&str, usize, Node) -> bool;

/// Parses a cassette, and calls `on_item` with each item of the top-level lists named in `lists`, or
/// of a list that is the whole file.
///
/// After a syntax error, the items from the damaged one on are parsed one by one. An item that has an
/// alias of another item's value is then invalid.
pub(super) fn items(
    text: &[u8],
    lists: &'static [&'static str],
    on_item: &mut dyn FnMut(Item<'_>) -> bool,
) -> Result<(), ReadFault> {
    let mut parsed = 0;
    let fault = match str::from_utf8(text) {
        Ok(text) => {
            let result = nodes(text, lists, 0, &mut |list, index, node| {
                parsed = index + 1;
                let at = At::item_of(list, index, &node);
                let notes = Vec::new();
                on_item(Item::Entry { at, notes })
            });
            match result {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(no_list(lists)),
                Err(fault) => fault,
            }
        }
        Err(error) => {
            let good = &text[..error.valid_up_to()];
            Fault {
                line: 1 + memchr::memchr_iter(b'\n', good).count(),
                column: good.len() - memchr::memrchr(b'\n', good).map_or(0, |at| at + 1) + 1,
                reason: "expected UTF-8".to_owned(),
            }
        }
    };
    let (name, blocks) = blocks(text, lists);
    let mut is_reported = false;
    for (index, (line, block)) in blocks.into_iter().enumerate().skip(parsed) {
        let mut on_node = |list: &str, index: usize, node: Node, is_replaced: bool| {
            is_reported |= is_replaced;
            let at = At::item_of(list, index, &node);
            let note = is_replaced.then(|| at.bad(UNPAIRED));
            let notes = note.into_iter().collect();
            on_item(Item::Entry { at, notes })
        };
        match alone(name, block, lists, index, &mut on_node) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(fault) => {
                is_reported = true;
                let error = Item::Syntax {
                    line: line + fault.line,
                    column: fault.column,
                    reason: fault.reason,
                };
                if !on_item(error) {
                    return Ok(());
                }
            }
        }
    }
    if is_reported {
        return Ok(());
    }
    Err(ReadFault::Syntax {
        line: fault.line,
        column: fault.column,
        reason: fault.reason,
    })
}

/// Whether a text has the syntax of YAML.
pub(super) fn is_valid(text: &[u8]) -> bool {
    str::from_utf8(text)
        .is_ok_and(|text| Parser::new_from_str_with_options(text, options()).all(|e| e.is_ok()))
}

/// Parses an item without the others; its fault counts lines from 0. Returns false if `on_node` has
/// stopped the reader.
fn alone(
    name: Option<&str>,
    block: &[u8],
    lists: &'static [&'static str],
    index: usize,
    on_node: &mut dyn FnMut(&str, usize, Node, bool) -> bool,
) -> Result<bool, Fault> {
    let mut text = name
        .map_or(String::new(), |name| format!("{name}:\n"))
        .into_bytes();
    text.extend_from_slice(block);
    let mut is_replaced = false;
    let mut goes_on = true;
    loop {
        let result = match str::from_utf8(&text) {
            Ok(text) => nodes(text, lists, index, &mut |list, index, node| {
                goes_on = on_node(list, index, node, is_replaced);
                goes_on
            })
            .and_then(|has_list| {
                has_list.then_some(()).ok_or_else(|| Fault {
                    line: 1,
                    column: 1,
                    reason: "expected an interaction".to_owned(),
                })
            }),
            Err(_) => Err(Fault {
                line: 1 + usize::from(name.is_some()),
                column: 1,
                reason: "expected UTF-8".to_owned(),
            }),
        };
        let Err(mut fault) = result else {
            return Ok(goes_on);
        };
        let was_replaced = std::mem::replace(&mut is_replaced, false);
        if !was_replaced {
            replace_unpaired(&mut text, true, |_| is_replaced = true);
        }
        if !is_replaced {
            fault.line = fault.line.saturating_sub(1 + usize::from(name.is_some()));
            return Err(fault);
        }
    }
}

/// Splits a list in block style into its items, each with the number of its first line. Returns the
/// name of the list too.
fn blocks<'a>(
    text: &'a [u8],
    lists: &'static [&'static str],
) -> (Option<&'static str>, Vec<(usize, &'a [u8])>) {
    let mut name = None;
    let mut items = Vec::new();
    let mut at = 0;
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let indent = line.iter().take_while(|&&byte| byte == b' ').count();
        let named = lists.iter().find(|name| {
            let rest = line.strip_prefix(name.as_bytes());
            rest.is_some_and(|rest| rest.trim_ascii_end() == b":")
        });
        if let (Some(named), None) = (named, name) {
            name = Some(*named);
            items.clear();
        } else if let [b'-', rest @ ..] = &line[indent..]
            && rest.first().is_none_or(u8::is_ascii_whitespace)
        {
            items.push((number + 1, at, indent, rest.trim_ascii()));
        }
        at += line.len();
    }
    // Other lists, and damaged lines, have another indentation.
    let is_interaction = |rest: &[u8]| {
        let mut keys = FIRST_KEYS.iter();
        rest.is_empty()
            || rest.starts_with(b"{")
            || keys.any(|key| {
                let rest = rest.strip_prefix(key.as_bytes());
                rest.is_some_and(|rest| rest.starts_with(b":"))
            })
    };
    let mut indents: Vec<_> = items
        .iter()
        .filter(|item| is_interaction(item.3))
        .map(|item| item.2)
        .collect();
    indents.sort_unstable();
    let indent = indents.get(indents.len() / 2).copied();
    let starts: Vec<_> = items
        .iter()
        .filter(|item| Some(item.2) == indent)
        .map(|(number, at, ..)| (*number, *at))
        .collect();
    let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([at]);
    let blocks = starts
        .iter()
        .zip(ends)
        .map(|(&(line, start), end)| (line, &text[start..end]))
        .collect();
    (name, blocks)
}

struct Fault {
    line: usize,
    column: usize,
    reason: String,
}

fn options() -> granit_parser::Options {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options
}

fn no_list(lists: &[&str]) -> ReadFault {
    let lists = lists.join("` or `");
    ReadFault::Syntax {
        line: 1,
        column: 1,
        reason: format!("invalid cassette: missing list `{lists}`"),
    }
}

/// Parses `text`, and calls `on_node` with each item of a list; the first has the index `first`.
/// Returns whether `text` has one of the lists, or an error if the YAML is invalid, after `on_node`
/// was called with the items before the error.
fn nodes(
    text: &str,
    lists: &'static [&'static str],
    first: usize,
    on_node: OnNode<'_>,
) -> Result<bool, Fault> {
    let mut builder = Builder {
        lists,
        on_node,
        open: Vec::new(),
        anchored: HashMap::new(),
        copied: 0,
        index: first,
        has_list: false,
    };
    for event in Parser::new_from_str_with_options(text, options()) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        let place = |reason: String| Fault {
            line: span.start.line(),
            column: span.start.col() + 1,
            reason,
        };
        if !builder.event(event).map_err(place)? {
            return Ok(true);
        }
    }
    Ok(builder.has_list)
}

fn syntax(error: &ScanError) -> Fault {
    Fault {
        line: error.marker().line(),
        column: error.marker().col() + 1,
        reason: error.kind().to_string(),
    }
}

struct Builder<'a> {
    lists: &'static [&'static str],
    on_node: OnNode<'a>,
    /// The lists and maps that have begun and not ended.
    open: Vec<Open>,
    anchored: HashMap<usize, Node>,
    copied: usize,
    index: usize,
    has_list: bool,
}

struct Open {
    anchor: usize,
    collection: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map {
        fields: Vec<(String, Node)>,
        key: Option<String>,
    },
}

impl Builder<'_> {
    /// Handles a parser event. Returns false if `on_item` has stopped the reader.
    fn event(&mut self, event: Event<'_>) -> Result<bool, String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(text.into_owned(), style, tag.as_deref());
                self.value(node, anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchored.get(&anchor).cloned();
                let node = node.ok_or("invalid alias: inside of its anchor")?;
                self.count(&node)?;
                self.value(node, 0)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.has_list |= self.open.len() == 1 && self.list().is_some();
                self.begin(anchor, Collection::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                let fields = Vec::new();
                self.begin(anchor, Collection::Map { fields, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(true);
                };
                let node = match open.collection {
                    Collection::List(items) => Node::List(items),
                    Collection::Map { fields, .. } => Node::Map(fields),
                };
                self.value(node, open.anchor)
            }
            Event::DocumentEnd => {
                self.anchored.clear();
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    fn begin(&mut self, anchor: usize, collection: Collection) -> Result<bool, String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.open.push(Open { anchor, collection });
        Ok(true)
    }

    fn value(&mut self, node: Node, anchor: usize) -> Result<bool, String> {
        if anchor != 0 {
            self.count(&node)?;
            self.anchored.insert(anchor, node.clone());
        }
        if let Some(list) = self.list_of(&node) {
            let index = self.index;
            self.index += 1;
            return Ok((self.on_node)(&list, index, node));
        }
        match self.open.last_mut().map(|open| &mut open.collection) {
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map { fields, key }) => match key.take() {
                Some(key) => fields.push((key, node)),
                None => *key = Some(name(node)),
            },
            None => {}
        }
        Ok(true)
    }

    /// Returns the path of the list, if `node` is one of its items.
    fn list_of(&mut self, node: &Node) -> Option<String> {
        match &self.open[..] {
            [
                _,
                Open {
                    collection: Collection::List(_),
                    ..
                },
            ] => Some(format!("$.{}", self.list()?)),
            [
                Open {
                    collection: Collection::List(_),
                    ..
                },
            ] => {
                // Any list can be the whole file.
                self.has_list |= matches!(node, Node::Map(fields)
                    if fields.iter().any(|(name, _)| name == "request"));
                self.has_list.then(|| WHOLE_FILE.to_owned())
            }
            _ => None,
        }
    }

    /// Returns the name of the top-level list that begins or is open.
    fn list(&self) -> Option<&'static str> {
        let Collection::Map { key: Some(key), .. } = &self.open.first()?.collection else {
            return None;
        };
        self.lists.iter().find(|list| *list == key).copied()
    }

    /// Counts copied bytes: a few lines of aliases can expand to gigabytes.
    fn count(&mut self, node: &Node) -> Result<(), String> {
        self.copied = self.copied.saturating_add(weight(node));
        if self.copied > MAX_COPIED_BYTES {
            return Err(format!(
                "anchors and aliases copy more than {MAX_COPIED_BYTES} bytes"
            ));
        }
        Ok(())
    }
}

fn weight(node: &Node) -> usize {
    let inner: usize = match node {
        Node::Text(text) | Node::Binary(text) => text.len(),
        Node::List(items) => items.iter().map(weight).sum(),
        Node::Map(fields) => fields
            .iter()
            .map(|(name, node)| name.len() + weight(node))
            .sum(),
        Node::Null | Node::Bool(_) | Node::Number(_) => 0,
    };
    size_of::<Node>() + inner
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Node {
    // Ruby writes `!binary`.
    let is_binary = tag.is_some_and(|tag| tag.suffix() == "binary");
    match text.as_str() {
        _ if is_binary => Node::Binary(text),
        "" | "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain && tag.is_none() => {
            Node::Null
        }
        _ => Node::Text(text),
    }
}

fn name(node: Node) -> String {
    match node {
        Node::Text(text) | Node::Binary(text) => text,
        _ => String::new(),
    }
}
