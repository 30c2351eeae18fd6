//! `TextPattern`: a regular expression with a bound on the time of a match.

use std::sync::Arc;

use regex_automata::{
    Anchored, Input,
    dfa::{Automaton, StartKind, dense},
    nfa::thompson::{self, WhichCaptures},
};
use regex_lite::RegexBuilder;
use regex_syntax::{
    ast::{
        Assertion, AssertionKind, Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl,
        ClassPerlKind, ClassSet, ClassSetItem, Flag, Flags, FlagsItem, FlagsItemKind, Group,
        GroupKind, parse::Parser,
    },
    hir::{Hir, Look, translate::Translator},
};

/// The maximum size of a table, in bytes. It fits into a processor's cache, so that a match reads
/// 1 KiB in about 2 \u{b5}s: see the benchmark `chaos_patterns`.
const MAX_TABLE_BYTES: usize = 64 << 10;
/// The maximum memory for building a table, in bytes.
const MAX_BUILD_BYTES: usize = 1 << 20;

const TOO_LARGE: &str = "compiled regex exceeds size limit";

/// A regular expression that must match the whole text, as the table of a deterministic automaton:
/// a match looks at each byte once, whatever the pattern.
#[derive(Clone, Debug)]
pub(super) struct TextPattern(Arc<dense::DFA<Vec<u32>>>);

impl TextPattern {
    /// Compiles a pattern in the syntax of `regex_lite`, or returns the error.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        // The authority on the syntax.
        let checked = RegexBuilder::new(text).size_limit(MAX_BUILD_BYTES).build();
        checked.map_err(|error| error.to_string())?;
        let mut ast = Parser::new()
            .parse(text)
            .map_err(|e| e.kind().to_string())?;
        make_ascii(&mut ast);
        let hir = Translator::new().translate(text, &ast);
        let hir = hir.map_err(|error| error.kind().to_string())?;
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let nfa = thompson::Config::new()
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(MAX_BUILD_BYTES));
        let nfa = thompson::Compiler::new()
            .configure(nfa)
            .build_from_hir(&whole)
            .map_err(|_| TOO_LARGE)?;
        let table = dense::Config::new()
            .start_kind(StartKind::Anchored)
            // Its search for the next byte of interest is slow where such bytes are frequent.
            .accelerate(false)
            .dfa_size_limit(Some(MAX_TABLE_BYTES))
            .determinize_size_limit(Some(MAX_BUILD_BYTES));
        let dfa = dense::Builder::new()
            .configure(table)
            .build_from_nfa(&nfa)
            .map_err(|_| TOO_LARGE)?;
        Ok(Self(Arc::new(dfa)))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes);
        // The automaton has no byte at which it gives up.
        matches!(self.0.try_search_fwd(&input), Ok(Some(_)))
    }
}

/// Restricts `\d`, `\s`, `\w` and `\b` to ASCII, as in `regex_lite`.
fn make_ascii(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(class) => {
            *ast = Ast::class_bracketed(ClassBracketed {
                span: class.span,
                negated: false,
                kind: ClassSet::Item(ClassSetItem::Ascii(ascii(class))),
            });
        }
        Ast::Assertion(assertion) if is_about_words(assertion) => {
            let span = assertion.span;
            let item = |kind| FlagsItem { span, kind };
            let flags = Flags {
                span,
                items: vec![
                    item(FlagsItemKind::Negation),
                    item(FlagsItemKind::Flag(Flag::Unicode)),
                ],
            };
            *ast = Ast::group(Group {
                span,
                kind: GroupKind::NonCapturing(flags),
                ast: Box::new(Ast::assertion(Assertion::clone(assertion))),
            });
        }
        Ast::ClassBracketed(class) => make_class_ascii(&mut class.kind),
        Ast::Repetition(repetition) => make_ascii(&mut repetition.ast),
        Ast::Group(group) => make_ascii(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(make_ascii),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(make_ascii),
        _ => {}
    }
}

fn make_class_ascii(class: &mut ClassSet) {
    match class {
        ClassSet::Item(item) => make_item_ascii(item),
        ClassSet::BinaryOp(operation) => {
            make_class_ascii(&mut operation.lhs);
            make_class_ascii(&mut operation.rhs);
        }
    }
}

fn make_item_ascii(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(class) => *item = ClassSetItem::Ascii(ascii(class)),
        ClassSetItem::Bracketed(class) => make_class_ascii(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(make_item_ascii),
        _ => {}
    }
}

fn ascii(class: &ClassPerl) -> ClassAscii {
    ClassAscii {
        span: class.span,
        kind: match class.kind {
            ClassPerlKind::Digit => ClassAsciiKind::Digit,
            ClassPerlKind::Space => ClassAsciiKind::Space,
            ClassPerlKind::Word => ClassAsciiKind::Word,
        },
        negated: class.negated,
    }
}

fn is_about_words(assertion: &Assertion) -> bool {
    !matches!(
        assertion.kind,
        AssertionKind::StartLine
            | AssertionKind::EndLine
            | AssertionKind::StartText
            | AssertionKind::EndText
    )
}

/// Returns the literal text with which every match of the pattern begins; may be empty.
pub(in crate::chaos) fn literal_start(pattern: &str) -> &str {
    if pattern.contains('|') {
        return "";
    }
    let end = pattern.find([
        '.', '*', '+', '?', '(', ')', '[', ']', '{', '}', '^', '$', '\\',
    ]);
    let (start, rest) = pattern.split_at(end.unwrap_or(pattern.len()));
    if rest.starts_with(['*', '?', '{']) {
        // The last character is optional.
        let mut chars = start.chars();
        chars.next_back();
        return chars.as_str();
    }
    start
}

/// Whether a match of the pattern can be longer than the pattern.
pub(in crate::chaos) fn is_unbounded(pattern: &str) -> bool {
    pattern.contains(['*', '+']) || pattern.contains(",}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_regex_lite_does() {
        let patterns = [
            "",
            "a",
            "a|bc",
            ".",
            ".*",
            "a.c",
            "[^a]",
            r"\d+",
            r"\D",
            r"\w+",
            r"[\w-]+",
            r"\W",
            r"\s",
            r"[^\s]",
            r".*\bb\b.*",
            r"a\Bb",
            "(?i)aB",
            "(?s).*",
            "a{2,3}",
            "(a|b)*c",
            "^a$",
            "(?m)a$\n^b",
            "\u{e4}+",
            "[\u{e4}\u{f6}]",
            "a?b+?",
            r"\x41",
            r"\.",
            "[[:alpha:]]+",
        ];
        let texts = [
            "",
            "a",
            "b",
            "bc",
            "abc",
            "a\u{e4}c",
            "aab",
            "aaaa",
            "A",
            "AB",
            "ab",
            "12",
            "\u{664}",
            "_x-1",
            "\u{e4}",
            "\u{e4}\u{e4}",
            " ",
            "\t",
            "\u{a0}",
            "a\nb",
            "\n",
            "x b y",
            "xby",
            "aabbc",
            ".",
            "\u{1f600}",
        ];
        for pattern in patterns {
            let table = TextPattern::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            let regex = regex_lite::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            for text in texts {
                let expected = regex.is_match(text);
                assert_eq!(table.matches(text), expected, "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn patterns_that_need_a_large_table_are_errors() {
        for pattern in [
            "(?:a|b)*a(?:a|b){12}",
            "(a{1,50}){1,50}",
            "(.{1,100}){1,100}",
            &"(\u{e4}|b)*".repeat(100_000),
        ] {
            let error = TextPattern::new(pattern).unwrap_err();
            assert!(error.ends_with("size limit"), "{error}");
        }
        for pattern in ["(", "a)(b", "*", "[b-a]", r"\k"] {
            TextPattern::new(pattern).unwrap_err();
        }
    }

    #[test]
    fn literal_starts() {
        for (pattern, start) in [
            ("/orders/.*", "/orders/"),
            ("/orders*", "/order"),
            ("/orders?", "/order"),
            ("/orders+", "/orders"),
            ("/a|/b", ""),
            (".*", ""),
            (r"a\.b", "a"),
            ("\u{e4}*", ""),
            ("abc", "abc"),
        ] {
            assert_eq!(literal_start(pattern), start, "{pattern}");
        }
    }
}
