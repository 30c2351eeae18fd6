//! Reads the items of a list in YAML, one at a time.
//!
//! JSON is YAML too (YAML 1.2, section 1.3). Scalars are not resolved to numbers or dates: a
//! cassette has `http_version: 1.10` and `string: 007`, which are texts.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use crate::format::{ReadFault, node::Node};

/// The maximum nesting depth.
const DEEPEST: usize = 64;

/// The maximum number of bytes copied for YAML aliases. Ruby writes an alias where a string occurs
/// twice.
const COPIED: usize = 16 << 20;

/// Called with the name of the list, the index of the item, and the item. Returns false to stop the
/// reader.
pub(super) type OnItem<'a> = &'a mut dyn FnMut(&'static str, usize, Node) -> bool;

/// Parses `text`, and calls `on_item` with each item of the top-level lists named in `lists`.
/// Returns an error if the YAML is invalid, after `on_item` was called with the items before the
/// error, or if `text` has none of the lists.
pub(super) fn items(
    text: &str,
    lists: &'static [&'static str],
    on_item: OnItem<'_>,
) -> Result<(), ReadFault> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    let mut builder = Builder {
        lists,
        on_item,
        open: Vec::new(),
        anchored: HashMap::new(),
        copied: 0,
        index: 0,
        has_list: false,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        let place = |reason: String| ReadFault::Syntax {
            line: span.start.line(),
            column: span.start.col() + 1,
            reason,
        };
        if !builder.event(event).map_err(place)? {
            return Ok(());
        }
    }
    if builder.has_list {
        return Ok(());
    }
    let lists = lists.join("` or `");
    Err(ReadFault::Syntax {
        line: 1,
        column: 1,
        reason: format!("invalid cassette: missing list `{lists}`"),
    })
}

fn syntax(error: &ScanError) -> ReadFault {
    ReadFault::Syntax {
        line: error.marker().line(),
        column: error.marker().col() + 1,
        reason: error.kind().to_string(),
    }
}

struct Builder<'a> {
    lists: &'static [&'static str],
    on_item: OnItem<'a>,
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
        if self.open.len() >= DEEPEST {
            return Err(format!("nested deeper than {DEEPEST}"));
        }
        self.open.push(Open { anchor, collection });
        Ok(true)
    }

    fn value(&mut self, node: Node, anchor: usize) -> Result<bool, String> {
        if anchor != 0 {
            self.count(&node)?;
            self.anchored.insert(anchor, node.clone());
        }
        if self.open.len() == 2
            && let Some(list) = self.list()
            && let Collection::List(_) = self.open[1].collection
        {
            let index = self.index;
            self.index += 1;
            return Ok((self.on_item)(list, index, node));
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
        if self.copied > COPIED {
            return Err(format!("anchors and aliases copy more than {COPIED} bytes"));
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
