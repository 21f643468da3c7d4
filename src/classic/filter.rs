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
        let java = translate(&pattern)
            .map_err(|reason| FilterError::Syntax { pattern: cut(&pattern), reason: reason.to_owned() })?;
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
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut depth = 0usize;
    let mut after_class_escape = false;
    let mut braces_belong = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let was_class_escape = std::mem::take(&mut after_class_escape);
        let braces_belonged = std::mem::take(&mut braces_belong);
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
                    // Escaped angle brackets are borders of words here and themselves in Java.
                    if !rest.starts_with(['<', '>']) {
                        out.push('\\');
                    }
                    if let Some(escaped) = rest.chars().next() {
                        out.push(escaped);
                        rest = &rest[escaped.len_utf8()..];
                        after_class_escape = matches!(escaped, 'w' | 'W' | 'd' | 'D' | 's' | 'S');
                        braces_belong = matches!(escaped, 'p' | 'P' | 'x');
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
            '{' if depth == 0 && !braces_belonged && !is_count(rest) => {
                return Err("braces hold one number here, since commas are read as '|', or are escaped");
            }
            // Java knows no difference of sets, and a range cannot begin with a class.
            '-' if depth > 0 && (was_class_escape || rest.starts_with('-')) => out.push_str(r"\-"),
            '~' if depth > 0 => out.push_str(r"\~"),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Whether a brace was opened for `<number>}`; anything else is an error in Java, and a literal in fancy-regex.
fn is_count(rest: &str) -> bool {
    rest.split_once('}').is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|digit| digit.is_ascii_digit()))
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        let filter = TopicFilter::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        filter.matches(&TopicName::new(topic).unwrap()).unwrap()
    }

    #[test]
    fn patterns_are_normalised_as_kafka_does() {
        for (raw, normal) in [
            (" a , b ", "a|b"),
            ("\"a,b\"", "a|b"),
            ("'\"a.*'\"", "a.*"),
            ("\ta b\u{1}", "ab"),
            ("a\tb", "a\tb"),
            ("a'b", "a'b"),
            ("' a'", "a"),
            ("", ""),
        ] {
            let filter = TopicFilter::new(raw).unwrap();
            assert_eq!(filter.pattern(), normal, "{raw:?}");
            assert_eq!(TopicFilter::new(filter.pattern()).unwrap(), filter, "{raw:?} is read back as it was written");
        }
    }

    #[test]
    fn the_whole_name_must_match() {
        for (pattern, topic, expected) in [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders", "my-orders", false),
            ("a,b", "b", true),
            ("a|b", "ab", false),
            ("a|ab", "ab", true),
            ("a.c", "abc", true),
            ("^a$", "a", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn java_syntax_means_what_java_means() {
        for (pattern, topic, expected) in [
            ("(?!__).*", "__consumer_offsets", false),
            ("(?!__).*", "orders", true),
            ("(?<!x)orders", "orders", true),
            (".*(?<=-v2)", "orders-v2", true),
            (r"(\w)\1", "aa", true),
            (r"(\w)\1", "ab", false),
            ("(?i)ORDERS", "orders", true),
            ("a++b", "aab", true),
            ("(?>a|ab)c", "abc", false),
            (r"\Qa.b\E.*", "a.b-c", true),
            (r"\Qa.b\E.*", "axb-c", false),
            (r"a\Q.b", "a.b", true),
            (r"\p{Alnum}+", "a1", true),
            (r"\p{Alnum}+", "a_1", false),
            (r"[\p{Alnum}_]+", "a_1", true),
            (r"[^\p{Digit}]+", "a_", true),
            (r"[^\p{Digit}]+", "a1", false),
            (r"\P{Upper}+", "aB", false),
            (r"[\w-.]+", "a-b.c", true),
            (r"[\w-]+", "a-b", true),
            ("[a-z0-9._-]+", "a-b.c_1", true),
            ("[a-z--]+", "a-", true),
            ("[a-z~~]+", "a", true),
            ("a{2}", "aa", true),
            (r"\p{Lu}+", "AB", true),
            (r"\x{61}[{]?", "a", true),
            ("[-a]+", "a-", true),
            ("[a-z&&[^b]]+", "ac", true),
            ("[a-z&&[^b]]+", "abc", false),
            ("[ab[cd]]+", "abcd", true),
            (r"a\.b", "a.b", true),
            (r"a\.b", "axb", false),
            (r"a\-b\_c", "a-b_c", true),
            (r"a\.b\Z", "a.b", true),
            (r"\<a", "a", false),
            (r"\Q<\Ea", "a", false),
        ] {
            assert_eq!(matches(pattern, topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn a_doubled_backslash_is_read_as_it_stands() {
        // What 1.1 writes for `a\.b`, as everybody reads it: a backslash, which no name holds.
        assert!(!matches(r"a\\.b", "a.b"));
    }

    #[test]
    fn what_does_not_compile_is_refused_with_a_reason() {
        let long = "a".repeat(MAX_LENGTH + 1);
        let deep = "(".repeat(30_000) + &")".repeat(30_000);
        let nested = "[".repeat(30_000) + "a" + &"]".repeat(30_000);
        for pattern in [
            "*",
            "(",
            "a)|(b",
            "[",
            "[z-a]",
            r"\",
            "a{1,2}",
            "a{",
            "a{b}",
            "(a{1000}){1000}{1000}",
            &long,
            &deep,
            &nested,
        ] {
            let error = TopicFilter::new(pattern).unwrap_err().to_string();
            assert!(error.contains("does not compile: ") || error.contains("65536 are allowed"), "{error}");
            assert!(error.len() < 2_000, "{} bytes", error.len());
        }
    }

    #[test]
    fn a_pattern_that_backtracks_without_end_is_given_up() {
        let filter = TopicFilter::new(r"(?=(a+)+$)(a|aa)+\1b").unwrap();
        let topic = TopicName::new(&"a".repeat(200)).unwrap();
        assert!(matches!(filter.matches(&topic), Err(FilterError::TooSlow { .. })));
    }
}
