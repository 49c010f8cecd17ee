//! Rust files as tokens, so that comments and strings are not mistaken for code.

mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{LexError, TokenStream, TokenTree};

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
        walk::collect_names(&self.tokens, &mut names);
        names.into_iter().map(|name| name.text).collect()
    }

    /// The file as users compile it: without what is under `#[cfg(test)]` and without tests.
    pub(crate) fn without_tests(self) -> Self {
        let tokens = if walk::is_test_module(&self.tokens) {
            Vec::new()
        } else {
            walk::without_tests(&self.tokens)
        };
        Self { tokens, ..self }
    }

    /// The modules that this file declares with `mod name;` for tests alone.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let mut modules = Vec::new();
        let mut rest = self.tokens.as_slice();
        while !rest.is_empty() {
            let (attributes, item) = walk::attributes(rest);
            if attributes.iter().any(|group| walk::is_for_tests(group)) {
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
        walk::collect_names(&self.tokens, &mut names);
        names
    }

    /// The paths that begin at the root of the crate, by their first part: `crate::error::Error` and
    /// `super::super::error::Error` are `error`.
    pub(crate) fn paths_from_the_root(&self) -> Vec<Name> {
        let mut paths = Vec::new();
        walk::collect_paths(&self.tokens, module_of(&self.path).len(), &mut paths);
        paths
    }

    /// Calls that end the program: `.unwrap()`, `panic!` and its kin. Others than the standard library
    /// have methods named `expect`, so that one is left to clippy, which knows types.
    pub(crate) fn panics(&self) -> Vec<Name> {
        let mut found = Vec::new();
        walk::collect_panics(&self.tokens, &mut found);
        found
    }

    /// Every item that has a doc comment, and every test.
    pub(crate) fn documented(&self) -> Vec<Documented> {
        let mut items = Vec::new();
        if let Some(doc) = walk::inner_doc(&self.tokens) {
            items.push(Documented {
                name: String::from("the module"),
                doc,
                is_test: false,
                is_ignored: false,
                line: 1,
            });
        }
        walk::collect_documented(&self.tokens, &mut items);
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
