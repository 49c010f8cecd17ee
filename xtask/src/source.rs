//! Rust files as tokens, so that comments and strings are not mistaken for code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, LexError, TokenStream, TokenTree};

use crate::run;

/// One Rust file of the repository.
pub(crate) struct File {
    /// Its path from the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) lines: usize,
    tokens: Vec<TokenTree>,
}

/// A name in the code, and the line it stands in.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// An item with a doc comment.
pub(crate) struct Documented {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) is_test: bool,
    pub(crate) is_ignored: bool,
    pub(crate) line: usize,
}

/// The Rust files under a folder of the repository, in order. A folder that is not there has none.
pub(crate) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(run::root().join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                if !matches!(entry.file_name().to_str(), Some("node_modules" | "target")) {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

impl File {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let name: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let name = name.join("/");
        let text =
            fs::read_to_string(run::root().join(path)).map_err(|e| format!("{name}: {e}"))?;
        Self::parse(&name, &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self, String> {
        let tokens: TokenStream = text
            .parse()
            .map_err(|error: LexError| format!("{path}:{}: {error}", error.span().start().line))?;
        Ok(Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            tokens: tokens.into_iter().collect(),
        })
    }

    /// Every identifier.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let mut names = Vec::new();
        collect_names(&self.tokens, &mut names);
        names.into_iter().map(|name| name.text).collect()
    }

    /// The file as users compile it: without what is under `#[cfg(test)]` and without tests.
    pub(crate) fn without_tests(self) -> Self {
        let tokens = if is_test_module(&self.tokens) {
            Vec::new()
        } else {
            without_tests(&self.tokens)
        };
        Self { tokens, ..self }
    }

    /// The modules that this file declares with `mod name;` for tests alone.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let mut modules = Vec::new();
        let mut rest = self.tokens.as_slice();
        while !rest.is_empty() {
            let (attributes, item) = attributes(rest);
            if attributes.iter().any(|group| is_for_tests(group)) {
                let words: Vec<String> = item.iter().take(6).map(ToString::to_string).collect();
                let at = words.iter().position(|word| word == "mod");
                if let Some([name, end, ..]) = at.and_then(|at| words.get(at + 1..))
                    && end == ";"
                {
                    modules.push(name.clone());
                }
            }
            rest = item.get(1..).unwrap_or_default();
        }
        modules
    }

    /// Every identifier with its line.
    pub(crate) fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        collect_names(&self.tokens, &mut names);
        names
    }

    /// The paths that begin at the root of the crate, by their first part: `crate::error::Error` and
    /// `super::super::error::Error` are `error`.
    pub(crate) fn paths_from_the_root(&self) -> Vec<Name> {
        let mut paths = Vec::new();
        collect_paths(&self.tokens, module_of(&self.path).len(), &mut paths);
        paths
    }

    /// Calls that end the program: `.unwrap()`, `panic!` and its kin. Others than the standard library
    /// have methods named `expect`, so that one is left to clippy, which knows types.
    pub(crate) fn panics(&self) -> Vec<Name> {
        let mut found = Vec::new();
        collect_panics(&self.tokens, &mut found);
        found
    }

    /// Every item that has a doc comment, and every test.
    pub(crate) fn documented(&self) -> Vec<Documented> {
        let mut items = Vec::new();
        if let Some(doc) = inner_doc(&self.tokens) {
            items.push(Documented {
                name: String::from("the module"),
                doc,
                is_test: false,
                is_ignored: false,
                line: 1,
            });
        }
        collect_documented(&self.tokens, &mut items);
        items
    }
}

/// The module that a file of `src/` is: `src/jose/jwk.rs` is `jose`, `jwk`.
pub(crate) fn module_of(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut parts: Vec<&str> = inner.split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib"))) {
        parts.pop();
    }
    parts
}

/// The outer attributes at the head of some tokens, and what follows them.
fn attributes(tokens: &[TokenTree]) -> (Vec<&Group>, &[TokenTree]) {
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
fn is_test_module(tokens: &[TokenTree]) -> bool {
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
fn is_for_tests(attribute: &Group) -> bool {
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

fn without_tests(tokens: &[TokenTree]) -> Vec<TokenTree> {
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

fn collect_names(tokens: &[TokenTree], names: &mut Vec<Name>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => names.push(name(word)),
            TokenTree::Group(group) => collect_names(&inside(group), names),
            _ => {}
        }
    }
}

fn collect_paths(tokens: &[TokenTree], depth: usize, paths: &mut Vec<Name>) {
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

fn collect_panics(tokens: &[TokenTree], found: &mut Vec<Name>) {
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

fn collect_documented(tokens: &[TokenTree], items: &mut Vec<Documented>) {
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

fn inner_doc(tokens: &[TokenTree]) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::File;

    fn file(path: &str, text: &str) -> File {
        File::parse(path, text).unwrap()
    }

    fn roots(path: &str, text: &str) -> Vec<String> {
        let file = file(path, text).without_tests();
        file.paths_from_the_root()
            .into_iter()
            .map(|name| name.text)
            .collect()
    }

    #[test]
    fn paths_are_found_in_groups_in_code_and_through_super() {
        let text = r#"
            use crate::{error::{Error, Kind}, secret::Token};
            use super::sibling::Thing;
            use super::super::store::Lock;
            /// [`crate::client::Client`] in a comment is not an import.
            fn f() -> crate::time::Timestamp { println!("crate::transport"); matches!(x, crate::keys::K) }
            mod inner { use super::super::near; use super::super::super::protocol::P; }
            #[cfg(test)]
            mod tests { use crate::client::Client; }
        "#;
        let expected = ["error", "secret", "store", "time", "keys", "protocol"];
        assert_eq!(roots("src/jose/jwk.rs", text), expected);
    }

    #[test]
    fn panics_in_tests_do_not_count() {
        let text = "
            fn f() { x.unwrap(); y.unwrap_or(1); unreachable!(); \"panic!\"; }
            #[cfg(test)]
            use crate::{a, b};
            fn g() { todo!() }
            #[cfg(test)]
            mod tests { fn h() { panic!() } }
            #[cfg(not(test))]
            fn k() { todo!() }
            #[cfg(all(test, any(feature = \"ring\", unix)))]
            fn l() { panic!() }
        ";
        let found: Vec<_> = file("src/a.rs", text).without_tests().panics();
        let found: Vec<_> = found
            .iter()
            .map(|name| (name.text.as_str(), name.line))
            .collect();
        assert_eq!(
            found,
            [("unwrap", 2), ("unreachable", 2), ("todo", 5), ("todo", 9)]
        );
    }

    #[test]
    fn tests_are_found_with_their_comments() {
        let text = "
            //! The module's own.
            mod tests {
                /// SP-5.3.3.2-5: first line,
                /// second line.
                #[tokio::test(flavor = \"current_thread\")]
                async fn one() { let x = #[allow(unused)] 1; }
                #[test]
                #[ignore = \"slow\"]
                fn two() {}
            }
            /// A type.
            pub struct Plain { /** a field */ pub field: u8 }
        ";
        let items = file("src/a.rs", text).documented();
        let tests: Vec<_> = items
            .iter()
            .filter(|item| item.is_test)
            .map(|item| item.name.as_str())
            .collect();
        assert_eq!(tests, ["one", "two"]);
        let one = items.iter().find(|item| item.name == "one").unwrap();
        assert_eq!(one.doc, " SP-5.3.3.2-5: first line,\n second line.");
        assert!(
            items
                .iter()
                .any(|item| item.name == "two" && item.is_ignored)
        );
        assert!(
            items
                .iter()
                .any(|item| item.name == "Plain" && !item.is_test)
        );
        assert!(items.iter().any(|item| item.name == "field"));
        assert!(items.iter().any(|item| item.name == "the module"));
    }

    #[test]
    fn test_modules_in_files_of_their_own_are_known() {
        let text = "mod a; #[cfg(test)] mod tests; #[cfg(test)] mod inline { } mod b;";
        assert_eq!(file("src/a/mod.rs", text).test_modules(), ["tests"]);
    }
}
