//! `Pointer`: JSON pointers with wildcards.

/// A JSON pointer (RFC 6901) in which `*` is any name or index, and `**` any number of steps,
/// including none.
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

/// One step of a path: from a container to a value in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// The name of a member, escaped, without quotes.
    Name(&'a [u8]),
    /// The index of an array's element.
    Index(usize),
}

impl Pointer {
    /// Parses a pointer. The leading slash may be left out.
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

    /// Whether the pointer leads to the value that `steps` lead to, after `len` steps.
    pub(crate) fn leads_to<'a>(
        &self,
        steps: impl Fn(usize) -> Option<Step<'a>>,
        len: usize,
    ) -> bool {
        // Decides most cases.
        if let Some(Token::Name(name)) = self.tokens.last()
            && len
                .checked_sub(1)
                .and_then(&steps)
                .is_none_or(|step| !step.is(name))
        {
            return false;
        }
        let (mut token, mut step) = (0, 0);
        // The last `**`, and the number of steps that it takes.
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
            // An escape is at most six times as long as its character. This check is cheap, and
            // names are compared again for every value below them.
            Self::Name(found) if found.len() > 6 * name.len() => false,
            Self::Name(found) => *super::json::unescaped(found) == *name.as_bytes(),
            // An index has no leading zeros (RFC 6901, section 4).
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
    fn a_pointer_selects_its_value() {
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
