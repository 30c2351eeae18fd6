//! `Node`: a tree of JSON or YAML values, and `At`: a position in it with its path.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A parsed value of JSON or YAML. Its reader decides on the type: a number can be read as text,
/// and in YAML a text as a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    /// YAML's `!!binary`, still in base64.
    Binary(String),
    List(Vec<Node>),
    /// Fields in the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Returns the name of the type, for errors.
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Binary(_) => "binary data",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Node::Null, Node::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(field) = fields.next_entry()? {
            map.push(field);
        }
        Ok(Node::Map(map))
    }
}

/// An invalid value, and its position in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidValue {
    /// The position, such as `$.log.entries[3].request.url`.
    pub(crate) path: String,
    pub(crate) reason: String,
    /// Whether the file is damaged. Valid parts that are not of HTTP are left out with a note.
    pub(crate) is_damage: bool,
}

/// A position in a tree. A missing value is `null`.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    node: &'a Node,
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// An item of a list below the root: `$.log.entries`.
    Root(&'a str, usize),
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// Returns the item of a list that is read item by item.
    pub(crate) fn item_of(list: &'a str, index: usize, node: &'a Node) -> Self {
        Self {
            node,
            parent: None,
            step: Step::Root(list, index),
        }
    }

    pub(crate) fn get<'s>(&'s self, key: &'s str) -> At<'s> {
        // The last of several, as most readers do.
        let found = match self.node {
            Node::Map(fields) => fields.iter().rev().find(|(name, _)| name == key),
            _ => None,
        };
        At {
            node: found.map_or(&Node::Null, |(_, node)| node),
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// Returns the items of a list; empty if the list is missing.
    pub(crate) fn items<'s>(
        &'s self,
    ) -> Result<impl Iterator<Item = At<'s>> + use<'s, 'a>, InvalidValue> {
        let items: &[Node] = match self.node {
            Node::List(items) => items,
            Node::Null => &[],
            _ => return Err(self.expected("a list")),
        };
        Ok(items.iter().enumerate().map(move |(index, node)| At {
            node,
            parent: Some(self),
            step: Step::Index(index),
        }))
    }

    /// Returns the fields of an object; empty for any other value.
    pub(crate) fn fields<'s>(&'s self) -> impl Iterator<Item = (&'s str, At<'s>)> + use<'s, 'a> {
        let fields: &[(String, Node)] = match self.node {
            Node::Map(fields) => fields,
            _ => &[],
        };
        fields.iter().map(move |(name, node)| {
            let field = At {
                node,
                parent: Some(self),
                step: Step::Key(name),
            };
            (name.as_str(), field)
        })
    }

    pub(crate) fn is_missing(&self) -> bool {
        *self.node == Node::Null
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node, Node::Map(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node, Node::List(_))
    }

    /// Whether the value is a list or an object, and not empty.
    pub(crate) fn has_items(&self) -> bool {
        match self.node {
            Node::List(items) => !items.is_empty(),
            Node::Map(fields) => !fields.is_empty(),
            _ => false,
        }
    }

    /// Returns the position, unless its value is missing.
    pub(crate) fn some(self) -> Option<Self> {
        (!self.is_missing()).then_some(self)
    }

    pub(crate) fn object(self) -> Result<Self, InvalidValue> {
        if self.is_map() {
            Ok(self)
        } else {
            Err(self.expected("an object"))
        }
    }

    pub(crate) fn text(&self) -> Result<Cow<'a, str>, InvalidValue> {
        match self.node {
            Node::Text(text) | Node::Binary(text) => Ok(Cow::Borrowed(text)),
            Node::Number(number) => Ok(Cow::Owned(number.to_string())),
            Node::Bool(value) => Ok(Cow::Owned(value.to_string())),
            _ => Err(self.expected("text")),
        }
    }

    /// Returns the text; empty if the value is missing.
    pub(crate) fn text_or_empty(&self) -> Result<Cow<'a, str>, InvalidValue> {
        if self.is_missing() {
            return Ok(Cow::Borrowed(""));
        }
        self.text()
    }

    /// Returns the base64 of a binary value.
    pub(crate) fn binary(&self) -> Option<&'a str> {
        match self.node {
            Node::Binary(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Result<f64, InvalidValue> {
        let number = match self.node {
            Node::Number(number) => number.as_f64(),
            Node::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        };
        number.ok_or_else(|| self.expected("a number"))
    }

    pub(crate) fn expected(&self, what: &str) -> InvalidValue {
        match self.node {
            Node::Null => self.bad(format!("missing {what}")),
            node => self.bad(format!("expected {what}, found {}", node.kind())),
        }
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> InvalidValue {
        InvalidValue {
            path: self.to_string(),
            reason: reason.into(),
            is_damage: true,
        }
    }

    /// Returns the reason why a valid entry is not an exchange.
    pub(crate) fn left_out(&self, reason: impl fmt::Display) -> InvalidValue {
        InvalidValue {
            is_damage: false,
            ..self.bad(format!("{reason}; the entry is left out"))
        }
    }
}

/// Writes the path in the notation of `JSONPath` (RFC 9535).
impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root(list, index) => write!(f, "{list}[{index}]"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => {
                let is_plain = |c: char| c.is_alphanumeric() || c == '_';
                if !key.is_empty() && key.chars().all(is_plain) {
                    write!(f, ".{key}")
                } else {
                    write!(f, "[{key:?}]")
                }
            }
        }
    }
}
