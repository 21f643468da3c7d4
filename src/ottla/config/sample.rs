use std::fmt::Write;

use super::{Key, Kind, Support, table};

const HEAD: &str = "\
# Ottla: the keys of a broker, each with its default. `ottla start FILE` reads such a file; an existing server.properties
# of Apache Kafka works as well. Format: Java properties. This file is written by `ottla sample-config`.
#
# One machine needs no line of it: the broker then has its own keeper instead of ZooKeeper. In a cluster set at least
# broker.id, listeners, log.dirs and zookeeper.connect.
";

/// Columns of the file.
const WIDTH: usize = 120;

/// The commented sample file with every key: supported ones with sentence, values and default, the others by name.
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    for (title, keys) in table::SECTIONS {
        let supported: Vec<&Key> = keys.iter().filter(|key| key.support.is_supported()).collect();
        if !supported.is_empty() {
            let _ = write!(text, "\n\n######## {title}\n");
        }
        supported.into_iter().for_each(|key| row(&mut text, key));
    }
    text.push_str("\n\n######## The keeper's other settings, as in zoo.cfg\n");
    for key in ottla_keeper::KEYS {
        let name = format!("keeper.{}", key.name);
        if table::find(&name).is_none() {
            text.push('\n');
            comment(&mut text, key.sentence);
            let _ = writeln!(text, "#{name}={}", key.default);
        }
    }
    for (support, title) in [
        (
            Support::WeakensSafety,
            "Not supported yet; the start is refused when one is set, unless --allow-unsupported names it",
        ),
        (Support::IgnoredHarmless, "Known and without effect: a warning"),
    ] {
        let _ = write!(text, "\n\n######## {title}\n\n");
        let names: Vec<&str> = table::keys().filter(|key| key.support == support).map(|key| key.name).collect();
        comment(&mut text, &names.join(" "));
    }
    text
}

/// Appends a key: its sentence, what it takes, its default.
pub(crate) fn row(text: &mut String, key: &Key) {
    text.push('\n');
    let unit = key.unit().map(|unit| format!(", in {unit}")).unwrap_or_default();
    let change = if key.support == Support::Dynamic { " Can change while the broker runs." } else { "" };
    let takes = match key.kind {
        Kind::Text => String::new(),
        kind => format!(" Takes {kind}{unit}."),
    };
    comment(text, &format!("{}{takes}{change}", key.sentence));
    let _ = writeln!(text, "#{}={}", key.name, key.default.unwrap_or_default());
}

/// Appends words as comment lines that keep to the width.
pub(crate) fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::properties;

    #[test]
    fn the_sample_file_is_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/server.properties");
        let file = std::fs::read_to_string(&path).unwrap();
        let remedy =
            "config/server.properties is not what the table says: cargo run -- sample-config >config/server.properties";
        assert!(file == sample(), "{remedy}");
    }

    #[test]
    fn the_sample_sets_nothing_and_each_line_taken_in_is_accepted() {
        assert_eq!(properties::parse(sample().as_bytes()).unwrap(), []);
        let lines = sample()
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| !line.starts_with([' ', '#']))
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        for property in properties::parse(lines.as_bytes()).unwrap() {
            assert!(table::support(&property.key).is_some_and(Support::is_supported), "{}", property.key);
            if let Some(row) = table::find(&property.key) {
                assert_eq!(property.value, row.default.unwrap_or_default(), "{}", property.key);
            }
        }
    }
}
