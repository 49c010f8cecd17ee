//! What cargo says about the packages of the workspace and of the registry.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::run::{self, minutes};

#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) rust_version: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl Edge {
    fn is_for_tests_alone(&self) -> bool {
        self.dep_kinds
            .iter()
            .all(|kind| kind.kind.as_deref() == Some("dev"))
    }
}

/// All packages, with all features, for all platforms.
pub(crate) fn metadata() -> Result<Metadata, String> {
    let arguments = [
        "metadata",
        "--locked",
        "--format-version",
        "1",
        "--all-features",
    ];
    let text = run::read(run::cargo(&arguments), minutes(5))?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

impl Metadata {
    /// What users of a package compile: the package and everything it needs, tests left out.
    pub(crate) fn graph_of(&self, name: &str) -> Vec<&Package> {
        let nodes: BTreeMap<&str, &Node> = self
            .resolve
            .nodes
            .iter()
            .map(|node| (node.id.as_str(), node))
            .collect();
        let mut open: Vec<&str> = self
            .packages
            .iter()
            .filter(|package| package.name == name)
            .map(|package| package.id.as_str())
            .collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if let Some(node) = nodes.get(id).filter(|_| seen.insert(id)) {
                let needed = node.deps.iter().filter(|edge| !edge.is_for_tests_alone());
                open.extend(needed.map(|edge| edge.pkg.as_str()));
            }
        }
        self.packages
            .iter()
            .filter(|package| seen.contains(package.id.as_str()))
            .collect()
    }
}
