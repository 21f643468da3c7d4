//! House rules that a machine can keep, so that no reviewer has to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most lines a file may have.
const MAX_LINES: usize = 600;

/// Rooms that decide: no runtime, no sockets, no clock, no randomness, no order by accident.
const PURE: &[&str] = &[
    "zk-schema",
    "src/types",
    "src/records",
    "src/protocol",
    "src/replication",
    "src/controller",
    "src/assignor",
    "src/classic",
    "src/znodes",
    "src/view",
    "src/producer",
    "src/jute",
    "src/tree",
];

/// What a pure room must not name outside its tests.
const IMPURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "ToSocketAddrs",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "rand::",
    "HashMap",
    "HashSet",
];

/// What nobody may leave behind.
const LEFTOVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore", "allow(dead_code", "allow(unused"];

/// Where one of them may stay, and why. The list may only shrink.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("src/protocol/description.rs", "a macro's expansion cannot know which of its variables a message uses"),
    ("src/controller/tests/world/mod.rs", "shared by test programs of which each uses a part"),
    ("src/records/tests/golden/mod.rs", "shared by test programs of which each uses a part"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

/// Every Rust source of the project with its path below the root.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
    paths.iter().map(|path| (relative(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The part of a file before its unit tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn is_test(path: &str) -> bool {
    let folders = ["/tests/", "/benches/", "/examples/", "/conformance/"];
    folders.iter().any(|folder| path.contains(folder)) || path.ends_with("tests.rs") || path.ends_with("golden.rs")
}

#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn files_are_short() {
    none(
        sources()
            .iter()
            .filter(|(_, text)| text.lines().count() > MAX_LINES)
            .map(|(path, text)| {
                format!(
                    "{path} has {} lines, {MAX_LINES} are allowed: which noun is hiding in it?",
                    text.lines().count()
                )
            })
            .collect(),
    );
}

#[test]
fn pure_rooms_are_pure() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if !PURE.iter().any(|room| path.starts_with(&format!("{room}/"))) || is_test(&path) {
            continue;
        }
        for (number, line) in production(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if let Some(word) = IMPURE.iter().find(|word| code.contains(*word)) {
                found.push(format!("{path}:{}: a pure room names {word}", number + 1));
            }
        }
    }
    for room in PURE {
        let manifest = std::fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        if dependencies.contains("tokio") || dependencies.contains("rand.") {
            found.push(format!("{room}/Cargo.toml: a pure room depends on a runtime or on chance"));
        }
    }
    none(found);
}

#[test]
fn only_the_seam_names_the_zookeeper_client() {
    none(
        sources()
            .iter()
            .filter(|(path, text)| {
                text.contains("zookeeper_client") && !path.starts_with("src/ottla/zk/") && !path.contains("tidy.rs")
            })
            .map(|(path, _)| format!("{path} names the ZooKeeper client; only zk::live may"))
            .collect(),
    );
}

#[test]
fn nothing_is_left_behind() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if path.ends_with("tests/tidy.rs") || EXCEPTIONS.iter().any(|(exception, _)| path == *exception) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let reminder = ["TO", "DO"].concat();
            if let Some(word) = LEFTOVERS.iter().copied().chain([reminder.as_str()]).find(|word| line.contains(word)) {
                found.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    none(found);
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("# Other people's work").unwrap();
    let (section, _) = rest.split_once("\n[").unwrap();
    none(
        section
            .lines()
            .skip(1)
            .filter(|line| !line.is_empty() && !line.contains(" # "))
            .map(|line| format!("Cargo.toml: {line}: say why, in half a line"))
            .collect(),
    );
}

#[test]
fn pure_means_what_it_says() {
    assert_eq!(production("use a;\n#[cfg(test)]\nmod tests { use tokio; }"), "use a;\n");
    assert!(is_test("src/tree/tests/x.rs") && !is_test("src/tree/tree.rs"));
}
