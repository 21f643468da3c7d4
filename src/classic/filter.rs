//! Which topics a pattern means: Kafka's `TopicFilter`, with Java's regular expressions.
//!
//! A filter travels in registrations, and every member evaluates every other's for itself, so all must read it alike: the
//! text is normalised as Kafka does and must match the whole name. What old members write is read as it stands. 0.8.0 and
//! 0.8.1 do not escape it, so that a backslash spoils the JSON or means something else; 1.1 escapes it twice, so that `a\.b`
//! is read back, by it as by us, as `a\\.b`: a backslash, then any character. To mend that here would part us from them.
//!
//! Java's syntax is translated where it differs and topic names can tell (`\Q…\E`, `\p{Alnum}`, a `-` after `\w`, `--` and
//! `~~` in a class). What remains foreign does not compile, and then the registration is unreadable rather than misread.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};
use ottla_types::TopicName;

/// Longest pattern, bytes: a list of some hundred topics, and far below the size limit of a znode.
const MAX_LENGTH: usize = 64 * 1024;

/// Steps of backtracking for one topic. Only look-around and back references backtrack.
const BACKTRACK_LIMIT: usize = 100_000;

/// Bytes that a compiled pattern may take: counted repetitions of counted repetitions grow without bounds.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is not a regular expression, or not one that is understood here.
    #[error("the pattern '{pattern}' does not compile: {reason}")]
    Syntax {
        /// The pattern, normalised and cut.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// It is longer than 64 KiB.
    #[error("the pattern has {0} bytes, {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// It takes too long to match.
    #[error("the pattern '{pattern}' needs more than {BACKTRACK_LIMIT} steps for the topic {topic}")]
    TooSlow {
        /// The pattern, normalised and cut.
        pattern: String,
        /// The topic.
        topic: TopicName,
    },
}

/// A pattern of topic names. Two are equal if their texts are.
#[derive(Clone)]
pub struct TopicFilter {
    pattern: String,
    regex: Regex,
}

impl TopicFilter {
    /// Normalises and compiles a pattern: blanks at the ends and all spaces go, commas become `|`, quotes at the ends go.
    pub fn new(pattern: &str) -> Result<TopicFilter, FilterError> {
        if pattern.len() > MAX_LENGTH {
            return Err(FilterError::TooLong(pattern.len()));
        }
        let pattern = normalise(pattern);
        let java = translate(&pattern);
        let compile = |text: &str| {
            RegexBuilder::new(text)
                .backtrack_limit(BACKTRACK_LIMIT)
                .delegate_size_limit(SIZE_LIMIT)
                .build()
                .map_err(|error| FilterError::Syntax { pattern: cut(&pattern), reason: error.to_string() })
        };
        // By itself first: `a)|(b` must not become right by what is put around it.
        compile(&java)?;
        let regex = compile(&format!(r"\A(?:{java})\z"))?;
        Ok(TopicFilter { pattern, regex })
    }

    /// The pattern as it is registered.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole name matches.
    pub fn matches(&self, topic: &TopicName) -> Result<bool, FilterError> {
        let slow = |_| FilterError::TooSlow { pattern: cut(&self.pattern), topic: topic.clone() };
        self.regex.is_match(topic.as_str()).map_err(slow)
    }
}

impl PartialEq for TopicFilter {
    fn eq(&self, other: &TopicFilter) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for TopicFilter {}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.pattern)
    }
}

fn normalise(pattern: &str) -> String {
    // Java's `trim` takes every control character for a blank.
    let text = pattern.trim_matches(|c| c <= ' ').replace(',', "|").replace(' ', "");
    text.trim_matches(['"', '\'']).to_owned()
}

/// For messages: hostile patterns are long.
fn cut(pattern: &str) -> String {
    const SHOWN: usize = 200;
    match pattern.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &pattern[..end]),
        None => pattern.to_owned(),
    }
}

/// Java's syntax in fancy-regex's, for what they write differently.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut depth = 0usize;
    let mut after_class_escape = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let was_class_escape = std::mem::replace(&mut after_class_escape, false);
        match c {
            '\\' if rest.starts_with('Q') => {
                let (literal, after) = rest[1..].split_once(r"\E").unwrap_or((&rest[1..], ""));
                literal.chars().for_each(|c| push_literal(&mut out, c));
                rest = after;
            }
            '\\' => {
                if let Some((class, after)) = posix_class(rest) {
                    out.push_str(class);
                    rest = after;
                } else {
                    out.push('\\');
                    if let Some(escaped) = rest.chars().next() {
                        out.push(escaped);
                        rest = &rest[escaped.len_utf8()..];
                        after_class_escape = matches!(escaped, 'w' | 'W' | 'd' | 'D' | 's' | 'S');
                    }
                }
            }
            '[' => {
                depth += 1;
                out.push('[');
            }
            ']' => {
                depth = depth.saturating_sub(1);
                out.push(']');
            }
            // Java knows no difference of sets, and a range cannot begin with a class.
            '-' if depth > 0 && (was_class_escape || rest.starts_with('-')) => out.push_str(r"\-"),
            '~' if depth > 0 => out.push_str(r"\~"),
            c => out.push(c),
        }
    }
    out
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

/// What follows the backslash of a POSIX class as Java writes them, if it is one, and the text behind it. As topic names
/// are ASCII, Java's POSIX classes hold nothing else either.
fn posix_class(rest: &str) -> Option<(&'static str, &str)> {
    let (name, after) = rest.strip_prefix("p{").or_else(|| rest.strip_prefix("P{"))?.split_once('}')?;
    let without = rest.starts_with('P');
    let class = match (name, without) {
        ("Alnum", false) => "[[:alnum:]]",
        ("Alnum", true) => "[[:^alnum:]]",
        ("Alpha", false) => "[[:alpha:]]",
        ("Alpha", true) => "[[:^alpha:]]",
        ("Digit", false) => "[[:digit:]]",
        ("Digit", true) => "[[:^digit:]]",
        ("Lower", false) => "[[:lower:]]",
        ("Lower", true) => "[[:^lower:]]",
        ("Upper", false) => "[[:upper:]]",
        ("Upper", true) => "[[:^upper:]]",
        ("Punct", false) => "[[:punct:]]",
        ("Punct", true) => "[[:^punct:]]",
        ("XDigit", false) => "[[:xdigit:]]",
        ("XDigit", true) => "[[:^xdigit:]]",
        ("Graph", false) => "[[:graph:]]",
        ("Graph", true) => "[[:^graph:]]",
        ("Print", false) => "[[:print:]]",
        ("Print", true) => "[[:^print:]]",
        ("ASCII", false) => "[[:ascii:]]",
        ("ASCII", true) => "[[:^ascii:]]",
        _ => return None,
    };
    Some((class, after))
}
