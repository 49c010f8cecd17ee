//! The rules of FAPI 2.0 and the tests that prove them, in `docs/requirements.md`.
//!
//! `docs/requirements.toml` lists the rules. A test proves a rule when its doc comment cites the
//! rule's id (`/// SP-5.3.3.2-5: ...`), and so does a `compile_fail` example; a rule that only sums
//! others up names them. Every binding rule has one of these, or the reason why it has none yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::run::{self, Outcome};
use crate::source::{self, File};

const SOURCE: &str = "docs/requirements.toml";
const FILE: &str = "docs/requirements.md";
/// Where the tests are.
const PLACES: &[&str] = &["src", "tests", "testkit"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    section: Vec<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    id: String,
    level: Level,
    /// The rule, in one line.
    #[serde(rename = "rule")]
    text: String,
    /// Other rules that say the same together: their tests prove this one.
    #[serde(default)]
    by: Vec<String>,
    /// Why no test proves it.
    left_out: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// The specification says "shall" or "must".
    Shall,
    /// The specification says "should".
    Should,
    /// The specification leaves it open.
    May,
    /// A duty of the server that the client builds on or watches over.
    Server,
    /// This client's own rule, which follows from the others.
    Own,
}

impl Register {
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.section.iter().flat_map(|section| &section.rules)
    }
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Shall => "shall",
            Self::Should => "should",
            Self::May => "may",
            Self::Server => "server",
            Self::Own => "own",
        }
    }

    const fn binds(self) -> bool {
        matches!(self, Self::Shall | Self::Own)
    }
}

/// A test, or an example that must not compile, and what its doc comment says.
struct Proof {
    /// `tests/login.rs::a_response_from_another_issuer_is_refused`
    name: String,
    /// Where to look, for messages.
    place: String,
    doc: String,
}

impl Proof {
    /// The testkit's own tests show that its servers are strict, which proves nothing of the client.
    fn is_of_the_client(&self) -> bool {
        !self.name.starts_with("testkit/") || self.name.starts_with("testkit/src/contract")
    }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if arguments.iter().any(|argument| argument == "--check") {
        return check();
    }
    let (text, problems) = build()?;
    fs::write(run::root().join(FILE), &text).map_err(|error| format!("{FILE}: {error}"))?;
    if problems.is_empty() {
        Ok(format!("{FILE} is written"))
    } else {
        Err(format!(
            "{FILE} is written, and says what is amiss:\n{}",
            problems.join("\n")
        ))
    }
}

pub(crate) fn check() -> Outcome {
    let (text, mut problems) = build()?;
    if fs::read_to_string(run::root().join(FILE)).unwrap_or_default() != text {
        problems.push(format!(
            "{FILE} is out of date; `cargo xtask requirements` writes it"
        ));
    }
    if problems.is_empty() {
        Ok(String::from(
            "every binding rule has its tests, or says why not",
        ))
    } else {
        Err(problems.join("\n"))
    }
}

fn build() -> Result<(String, Vec<String>), String> {
    let text =
        fs::read_to_string(run::root().join(SOURCE)).map_err(|e| format!("{SOURCE}: {e}"))?;
    let register: Register = toml::from_str(&text).map_err(|e| format!("{SOURCE}: {e}"))?;
    Ok(report(&register, &proofs()?))
}

fn proofs() -> Result<Vec<Proof>, String> {
    let mut proofs = Vec::new();
    for place in PLACES {
        for path in source::rust_files(Path::new(place))? {
            let file = File::read(&path)?;
            for item in file.documented() {
                let is_example = item.doc.contains("```compile_fail");
                if item.is_test || is_example {
                    let suffix = if item.is_test {
                        ""
                    } else {
                        " (must not compile)"
                    };
                    proofs.push(Proof {
                        name: format!("{}::{}{suffix}", file.path, item.name),
                        place: format!("{}:{}", file.path, item.line),
                        doc: item.doc,
                    });
                }
            }
        }
    }
    Ok(proofs)
}

/// The text of the page, and what is wrong with the register or with the tests.
fn report(register: &Register, proofs: &[Proof]) -> (String, Vec<String>) {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for rule in register.rules() {
        if !ids.insert(rule.id.as_str()) {
            problems.push(format!("{SOURCE}: {} stands there twice", rule.id));
        }
    }
    let mut cited = Cited::new();
    for proof in proofs {
        let (known, unknown) = citations(&proof.doc, &ids);
        for id in known {
            cited.entry(id).or_default().push(proof);
        }
        // The testkit's tests prove no rule of the client, and may cite those of servers.
        let unknown = if proof.is_of_the_client() {
            unknown
        } else {
            BTreeSet::new()
        };
        let place = &proof.place;
        problems.extend(
            unknown
                .iter()
                .map(|id| format!("{place}: cites {id}, which is no rule's id")),
        );
    }
    for rule in register.rules() {
        let unknown = rule.by.iter().filter(|id| !ids.contains(id.as_str()));
        problems.extend(
            unknown.map(|id| format!("{SOURCE}: {} names {id}, which is no rule", rule.id)),
        );
        match (&rule.left_out, is_proved(rule, &cited)) {
            (None, false) if rule.level.binds() => {
                let missing = rule.by.iter().filter(|id| !has_test(id, &cited));
                let missing: Vec<&str> = missing.map(String::as_str).collect();
                let what = if missing.is_empty() {
                    String::from("has neither a test nor a reason")
                } else {
                    format!("has no test, since these have none: {}", missing.join(", "))
                };
                problems.push(format!("{}: {what}", rule.id));
            }
            (Some(_), true) => {
                problems.push(format!(
                    "{}: has a test, so {SOURCE} needs no reason",
                    rule.id
                ));
            }
            _ => {}
        }
    }
    (page(register, &cited), problems)
}

type Cited<'a> = BTreeMap<&'a str, Vec<&'a Proof>>;

fn has_test(id: &str, cited: &Cited<'_>) -> bool {
    cited
        .get(id)
        .is_some_and(|proofs| proofs.iter().any(|proof| proof.is_of_the_client()))
}

fn is_proved(rule: &Rule, cited: &Cited<'_>) -> bool {
    let by_others = !rule.by.is_empty() && rule.by.iter().all(|id| has_test(id, cited));
    by_others || has_test(&rule.id, cited)
}

/// The ids that a doc comment cites: those that are known, and words that look like one.
fn citations<'a>(doc: &str, ids: &BTreeSet<&'a str>) -> (BTreeSet<&'a str>, BTreeSet<String>) {
    let families: BTreeSet<&str> = ids.iter().filter_map(|id| id.split('-').next()).collect();
    // The ids stand before the first colon; elsewhere a word is one only if it is known, or if it
    // has a number where ids have theirs.
    let head = doc.find(':').unwrap_or(0);
    let is_in_an_id = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
    let mut known = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    let mut from = 0;
    for piece in doc.split(|c: char| !is_in_an_id(c)) {
        let at = from;
        from += piece.len()
            + doc
                .get(at + piece.len()..)
                .and_then(|t| t.chars().next())
                .map_or(0, char::len_utf8);
        let word = piece.trim_end_matches(['.', '-']);
        let Some((family, rest)) = word.split_once('-') else {
            continue;
        };
        if let Some(id) = ids.get(word) {
            known.insert(*id);
        } else if families.contains(family)
            && (at < head || rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            unknown.insert(word.to_owned());
        }
    }
    (known, unknown)
}

fn page(register: &Register, cited: &Cited<'_>) -> String {
    let proved = register
        .rules()
        .filter(|rule| is_proved(rule, cited))
        .count();
    let left_out = register
        .rules()
        .filter(|rule| rule.left_out.is_some())
        .count();
    let mut text = format!(
        "# The rules and their tests\n\n\
         Written by `cargo xtask requirements` from `docs/requirements.toml` and from the doc comments\n\
         of the tests; change those, not this page.\n\n\
         `shall` and `should` are the specifications' words, `may` is what they leave open, `server` is a\n\
         duty of the server that the client builds on or watches over, `own` is a rule of this crate that\n\
         follows from theirs. Of {} rules, {proved} have tests, {left_out} say why they have none.\n",
        register.rules().count(),
    );
    for section in &register.section {
        let _ = write!(
            text,
            "\n## {}\n\n| id | level | rule | kept by |\n|---|---|---|---|\n",
            section.title
        );
        for rule in &section.rules {
            let proofs = cited
                .get(rule.id.as_str())
                .map(Vec::as_slice)
                .unwrap_or_default();
            let kept = kept_by(rule, proofs);
            let (id, level) = (&rule.id, rule.level.name());
            let _ = writeln!(text, "| {id} | {level} | {} | {kept} |", cell(&rule.text));
        }
    }
    text
}

fn kept_by(rule: &Rule, proofs: &[&Proof]) -> String {
    let mut parts: Vec<String> = proofs
        .iter()
        .map(|proof| format!("`{}`", proof.name))
        .collect();
    if !rule.by.is_empty() {
        parts.push(format!("as {}", rule.by.join(", ")));
    }
    if let Some(reason) = &rule.left_out {
        parts.push(format!("No test: {}", cell(reason)));
    }
    if parts.is_empty() {
        parts.push(String::from("-"));
    }
    parts.join("<br>")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: &str = r#"
        [[section]]
        title = "One"
        rules = [
          { id = "SP-5.3.3.2-5", level = "shall", rule = "iss is checked" },
          { id = "ISS-2.4a", level = "shall", rule = "to the letter" },
          { id = "K-13", level = "shall", rule = "polling", left_out = "no CIBA yet" },
        ]
    "#;

    fn proof(name: &str, doc: &str) -> Proof {
        Proof {
            name: name.to_owned(),
            place: String::from("x:1"),
            doc: doc.to_owned(),
        }
    }

    fn problems(doc: &str, name: &str) -> Vec<String> {
        let register: Register = toml::from_str(REGISTER).unwrap();
        report(&register, &[proof(name, doc)]).1
    }

    #[test]
    fn several_ids_in_one_comment_all_count() {
        assert!(problems(" SP-5.3.3.2-5, ISS-2.4a: refused.", "tests/a.rs::t").is_empty());
    }

    #[test]
    fn a_rule_without_a_test_is_reported() {
        let found = problems(" SP-5.3.3.2-5: refused.", "tests/a.rs::t");
        assert_eq!(found, ["ISS-2.4a: has neither a test nor a reason"]);
    }

    #[test]
    fn a_test_of_the_testkit_proves_nothing_of_the_client() {
        let found = problems(" SP-5.3.3.2-5, ISS-2.4a: refused.", "testkit/src/a.rs::t");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_unknown_id_is_reported_with_its_place() {
        let found = problems(
            " SP-5.3.3.2-5, ISS-2.4a, SP-9.9: refused, see RFC-1.",
            "tests/a.rs::t",
        );
        assert_eq!(found, ["x:1: cites SP-9.9, which is no rule's id"]);
        let found = problems(
            " SP-5.3.3.2-5, ISS-2.4a: not ISS-based, as K-99 says.",
            "tests/a.rs::t",
        );
        assert_eq!(found, ["x:1: cites K-99, which is no rule's id"]);
    }

    #[test]
    fn a_sum_of_rules_is_proved_when_each_is() {
        let sum = r#"
            [[section]]
            title = "Two"
            rules = [{ id = "OFTEN-2", level = "shall", rule = "iss", by = ["ISS-2.4a", "SP-5.3.3.2-5"] }]
        "#;
        let register: Register = toml::from_str(&[REGISTER, sum].concat()).unwrap();
        let both = proof("tests/a.rs::t", " SP-5.3.3.2-5, ISS-2.4a: refused.");
        assert!(report(&register, &[both]).1.is_empty());
        let one = proof("tests/a.rs::t", " SP-5.3.3.2-5: refused.");
        let found = report(&register, &[one]).1;
        assert_eq!(
            found.last().unwrap(),
            "OFTEN-2: has no test, since these have none: ISS-2.4a"
        );
    }

    #[test]
    fn a_reason_beside_a_test_is_reported() {
        let found = problems(" SP-5.3.3.2-5, ISS-2.4a, K-13: x.", "tests/a.rs::t");
        assert_eq!(found.len(), 1);
    }
}
