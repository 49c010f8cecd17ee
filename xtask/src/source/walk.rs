//! Walks through the tokens of a file. They know as much of Rust's grammar as the checks need:
//! attributes, items, paths and macro calls.

use proc_macro2::{Delimiter, Group, TokenTree};

use super::{Documented, Name};

/// The outer attributes at the head of some tokens, and what follows them.
pub(super) fn attributes(tokens: &[TokenTree]) -> (Vec<&Group>, &[TokenTree]) {
    let mut found = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Punct(hash), TokenTree::Group(group), tail @ ..] = rest {
        if hash.as_char() != '#' || group.delimiter() != Delimiter::Bracket {
            break;
        }
        found.push(group);
        rest = tail;
    }
    (found, rest)
}

/// Whether a file begins with `#![cfg(test)]`.
pub(super) fn is_test_module(tokens: &[TokenTree]) -> bool {
    tokens.windows(3).any(|window| match window {
        [
            TokenTree::Punct(hash),
            TokenTree::Punct(not),
            TokenTree::Group(group),
        ] => hash.as_char() == '#' && not.as_char() == '!' && is_for_tests(group),
        _ => false,
    })
}

/// Whether an attribute is `cfg(test)`, `cfg(all(test, ..))`, `test` or `tokio::test`.
pub(super) fn is_for_tests(attribute: &Group) -> bool {
    let is_cfg = match inside(attribute).as_slice() {
        [TokenTree::Ident(word), TokenTree::Group(condition)] if word == "cfg" => {
            holds_in_tests_alone(&inside(condition))
        }
        _ => false,
    };
    is_cfg || is_test_attribute(attribute)
}

fn holds_in_tests_alone(condition: &[TokenTree]) -> bool {
    match condition {
        [TokenTree::Ident(word)] => word == "test",
        [TokenTree::Ident(word), TokenTree::Group(group)] => {
            let inner = inside(group);
            let mut parts = inner
                .split(|token| is_punct(token, ','))
                .filter(|part| !part.is_empty());
            match word.to_string().as_str() {
                "all" => parts.any(holds_in_tests_alone),
                "any" => parts.all(holds_in_tests_alone),
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_test_attribute(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    let path = text.split('(').next().unwrap_or_default();
    path == "test" || path.ends_with("::test")
}

pub(super) fn without_tests(tokens: &[TokenTree]) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        let (found, item) = attributes(rest);
        if found.iter().any(|group| is_for_tests(group)) {
            rest = after_item(item);
            continue;
        }
        kept.push(match first {
            TokenTree::Group(group) => {
                let inner = without_tests(&inside(group));
                let mut copy = Group::new(group.delimiter(), inner.into_iter().collect());
                copy.set_span(group.span());
                TokenTree::Group(copy)
            }
            other => other.clone(),
        });
        rest = rest.get(1..).unwrap_or_default();
    }
    kept
}

/// What follows the item at the head of some tokens: it ends with its braces, or with `;`.
fn after_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let ends_with_braces = !tokens.iter().take(3).any(|token| {
        matches!(token, TokenTree::Ident(word) if word == "use" || word == "const" || word == "static")
    }) || tokens.iter().take(6).any(|token| matches!(token, TokenTree::Ident(word) if word == "fn"));
    for (index, token) in tokens.iter().enumerate() {
        let is_end = match token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => ends_with_braces && group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        if is_end {
            return tokens.get(index + 1..).unwrap_or_default();
        }
    }
    &[]
}

pub(super) fn collect_names(tokens: &[TokenTree], names: &mut Vec<Name>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => names.push(name(word)),
            TokenTree::Group(group) => collect_names(&inside(group), names),
            _ => {}
        }
    }
}

pub(super) fn collect_paths(tokens: &[TokenTree], depth: usize, paths: &mut Vec<Name>) {
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let tail = tokens.get(index + 1..).unwrap_or_default();
        match token {
            TokenTree::Ident(word) if word == "crate" => first_parts(tail, paths),
            TokenTree::Ident(word) if word == "super" => {
                let (supers, tail) = climb(tail);
                if supers >= depth {
                    first_parts(tail, paths);
                }
                index += (supers - 1) * 3;
            }
            TokenTree::Group(group) => {
                let is_module =
                    group.delimiter() == Delimiter::Brace && names_a_module(tokens, index);
                collect_paths(&inside(group), depth + usize::from(is_module), paths);
            }
            _ => {}
        }
        index += 1;
    }
}

/// Whether the tokens before an index are `mod name`.
fn names_a_module(tokens: &[TokenTree], index: usize) -> bool {
    let before = index
        .checked_sub(2)
        .and_then(|start| tokens.get(start..index));
    matches!(before, Some([TokenTree::Ident(word), TokenTree::Ident(_)]) if word == "mod")
}

/// How many `super` follow one another, the first of them taken already, and what is after them.
fn climb(tail: &[TokenTree]) -> (usize, &[TokenTree]) {
    match after_colons(tail) {
        Some([TokenTree::Ident(word), rest @ ..]) if word == "super" => {
            let (supers, rest) = climb(rest);
            (supers + 1, rest)
        }
        _ => (1, tail),
    }
}

fn after_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [TokenTree::Punct(one), TokenTree::Punct(two), rest @ ..]
            if one.as_char() == ':' && two.as_char() == ':' =>
        {
            Some(rest)
        }
        _ => None,
    }
}

/// The part after `crate::`, or each part where braces follow.
fn first_parts(tail: &[TokenTree], paths: &mut Vec<Name>) {
    match after_colons(tail) {
        Some([TokenTree::Ident(word), ..]) => paths.push(name(word)),
        Some([TokenTree::Group(group), ..]) => {
            let inner = inside(group);
            let parts = inner.split(|token| is_punct(token, ','));
            for part in parts {
                if let Some(TokenTree::Ident(word)) = part.first() {
                    paths.push(name(word));
                }
            }
        }
        _ => {}
    }
}

pub(super) fn collect_panics(tokens: &[TokenTree], found: &mut Vec<Name>) {
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => collect_panics(&inside(group), found),
            TokenTree::Ident(word) => {
                let before = index.checked_sub(1).and_then(|before| tokens.get(before));
                let is_call = matches!(before, Some(TokenTree::Punct(p)) if p.as_char() == '.')
                    && matches!(tokens.get(index + 1), Some(TokenTree::Group(_)));
                let is_macro = matches!(tokens.get(index + 1), Some(TokenTree::Punct(p)) if p.as_char() == '!');
                let text = word.to_string();
                let ends = match text.as_str() {
                    "unwrap" | "unwrap_err" => is_call,
                    "panic" | "todo" | "unimplemented" | "unreachable" | "dbg" => is_macro,
                    _ => false,
                };
                if ends {
                    found.push(name(word));
                }
            }
            _ => {}
        }
    }
}

pub(super) fn collect_documented(tokens: &[TokenTree], items: &mut Vec<Documented>) {
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        let (found, item) = attributes(rest);
        if found.is_empty() {
            if let TokenTree::Group(group) = first {
                collect_documented(&inside(group), items);
            }
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let doc: Vec<String> = found.iter().filter_map(|group| doc_text(group)).collect();
        let is_test = found.iter().any(|group| is_test_attribute(group));
        if is_test || !doc.is_empty() {
            items.push(Documented {
                name: name_of(item),
                doc: doc.join("\n"),
                is_test,
                is_ignored: found.iter().any(|group| is_named(group, "ignore")),
                line: item.first().map_or(0, line),
            });
        }
        rest = item;
    }
}

/// The name of the item at the head of some tokens; a field or a variant has its own first word.
fn name_of(item: &[TokenTree]) -> String {
    const KINDS: [&str; 9] = [
        "fn", "struct", "enum", "trait", "mod", "type", "const", "static", "union",
    ];
    let words: Vec<String> = item
        .iter()
        .take(12)
        .take_while(
            |token| !matches!(token, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace),
        )
        .filter_map(|token| match token {
            TokenTree::Ident(word) => Some(word.to_string()),
            _ => None,
        })
        .collect();
    let kind = words
        .iter()
        .rposition(|word| KINDS.contains(&word.as_str()));
    let at = kind.map_or_else(
        || usize::from(words.first().is_some_and(|word| word == "pub")),
        |at| at + 1,
    );
    words.get(at).cloned().unwrap_or_default()
}

fn is_named(attribute: &Group, text: &str) -> bool {
    matches!(inside(attribute).first(), Some(TokenTree::Ident(word)) if word == text)
}

fn doc_text(attribute: &Group) -> Option<String> {
    match inside(attribute).as_slice() {
        [
            TokenTree::Ident(word),
            TokenTree::Punct(_),
            TokenTree::Literal(text),
        ] if word == "doc" => Some(text.to_string().trim_matches('"').to_owned()),
        _ => None,
    }
}

pub(super) fn inner_doc(tokens: &[TokenTree]) -> Option<String> {
    let mut lines = Vec::new();
    for window in tokens.windows(3) {
        match window {
            [
                TokenTree::Punct(hash),
                TokenTree::Punct(not),
                TokenTree::Group(group),
            ] if hash.as_char() == '#' && not.as_char() == '!' => {
                lines.extend(doc_text(group));
            }
            _ => {}
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn name(word: &proc_macro2::Ident) -> Name {
    Name {
        text: word.to_string(),
        line: word.span().start().line,
    }
}

fn line(token: &TokenTree) -> usize {
    token.span().start().line
}
