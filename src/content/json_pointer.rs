//! Places in JSON, by name.

/// A place: a JSON pointer (RFC 6901), in which `*` is any name or number, and `**` any number of
/// them, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Any,
    AnyDepth,
}

/// A step on the way to a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// Of an object's member, as the text has it between the quotes.
    Name(&'a [u8]),
    /// Of an array's element.
    Index(usize),
}

impl Pointer {
    /// Reads a pointer. Without the slash before it, it is taken as if it were there.
    pub(crate) fn new(text: &str) -> Self {
        let tokens = text.strip_prefix('/').unwrap_or(text);
        let token = |token: &str| match token {
            "*" => Token::Any,
            "**" => Token::AnyDepth,
            name => Token::Name(name.replace("~1", "/").replace("~0", "~")),
        };
        Self {
            tokens: if text.is_empty() {
                Vec::new()
            } else {
                tokens.split('/').map(token).collect()
            },
        }
    }

    /// Whether it leads to the value at the end of these steps.
    pub(crate) fn leads_to<'a>(
        &self,
        steps: impl Fn(usize) -> Option<Step<'a>>,
        len: usize,
    ) -> bool {
        // Mostly this decides.
        if let Some(Token::Name(name)) = self.tokens.last()
            && len
                .checked_sub(1)
                .and_then(&steps)
                .is_none_or(|step| !step.is(name))
        {
            return false;
        }
        let (mut token, mut step) = (0, 0);
        // The last token for any depth, and how many steps it takes.
        let mut back: Option<(usize, usize)> = None;
        while step < len {
            let is_match = match self.tokens.get(token) {
                Some(Token::AnyDepth) => {
                    back = Some((token, step));
                    token += 1;
                    continue;
                }
                Some(Token::Any) => true,
                Some(Token::Name(name)) => steps(step).is_some_and(|step| step.is(name)),
                None => false,
            };
            if is_match {
                token += 1;
                step += 1;
            } else if let Some((at, taken)) = &mut back {
                *taken += 1;
                token = *at + 1;
                step = *taken;
            } else {
                return false;
            }
        }
        self.tokens[token..]
            .iter()
            .all(|token| *token == Token::AnyDepth)
    }
}

impl Step<'_> {
    fn is(self, name: &str) -> bool {
        match self {
            // No escape is longer, and a name is asked for again with every value under it.
            Self::Name(found) if found.len() > 6 * name.len() => false,
            Self::Name(found) => *super::json::unescaped(found) == *name.as_bytes(),
            // A number has no leading zeros (RFC 6901, section 4).
            Self::Index(index) => {
                !(name.len() > 1 && name.starts_with('0')) && name.parse() == Ok(index)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(pointer: &str, steps: &[&str]) -> bool {
        let step = |at: usize| {
            let step = *steps.get(at)?;
            Some(match step.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Name(step.as_bytes()),
            })
        };
        Pointer::new(pointer).leads_to(step, steps.len())
    }

    #[test]
    fn pointers_lead_where_they_say() {
        for (pointer, steps, expected) in [
            ("", &[][..], true),
            ("", &["a"], false),
            ("/a", &["a"], true),
            ("a", &["a"], true),
            ("/a", &["b"], false),
            ("/a", &["a", "b"], false),
            ("/a/b", &["a"], false),
            ("/a~1b/m~0n", &["a/b", "m~n"], true),
            ("/~01", &["~1"], true),
            ("/", &[""], true),
            ("/a/1", &["a", "1"], true),
            ("/a/01", &["a", "1"], false),
            ("/a/*/b", &["a", "7", "b"], true),
            ("/a/*/b", &["a", "x", "b"], true),
            ("/a/*/b", &["a", "b"], false),
            ("/**/b", &["b"], true),
            ("/**/b", &["a", "1", "b"], true),
            ("/**/b", &["a", "b", "c"], false),
            ("/a/**/c/d", &["a", "c", "c", "b", "c", "d"], true),
            ("/a/**/c/*", &["a", "c", "c", "b", "c", "d"], true),
            ("/a/**", &["a"], true),
            ("/a/**", &["a", "b", "c"], true),
            ("/**/a/**/b", &["x", "a", "y", "a", "z", "b"], true),
            ("/**/a/**/b", &["x", "b", "y", "a", "z"], false),
            ("/caf\u{e9}", &["caf\\u00e9"], true),
        ] {
            assert_eq!(leads(pointer, steps), expected, "{pointer} to {steps:?}");
        }
    }
}
