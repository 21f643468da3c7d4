use std::fmt;

/// What a value of a key may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number of 16 bits, within these bounds.
    Short(i64, i64),
    /// A whole number of 32 bits, within these bounds.
    Int(i64, i64),
    /// A whole number of 64 bits, within these bounds.
    Long(i64, i64),
    /// A number with a fraction, within these bounds.
    Double(f64, f64),
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Words between commas.
    List,
    /// Words between commas, each one of these; at least one.
    ListOf(&'static [&'static str]),
    /// The name of a Java class.
    Class,
    /// A secret: never shown.
    Password,
}

/// A table `KEYS`, of rows `"name": kind => default, support, sentence;`.
macro_rules! rows {
    ($($name:literal: $kind:expr_2021 => $default:expr_2021, $support:ident, $sentence:literal;)*) => {
        pub(super) const KEYS: &[crate::config::key::Key] = &[$(crate::config::key::Key {
            name: $name,
            kind: $kind,
            default: $default,
            support: crate::config::key::Support::$support,
            sentence: $sentence,
        }),*];
    };
}
pub(crate) use rows;

/// A whole number of 32 bits, from `min`.
pub(crate) const fn int(min: i64) -> Kind {
    Kind::Int(min, i32::MAX as i64)
}

/// A whole number of 64 bits, from `min`.
pub(crate) const fn long(min: i64) -> Kind {
    Kind::Long(min, i64::MAX)
}

/// Any whole number of 32 bits.
pub(crate) const INT: Kind = int(i32::MIN as i64);
/// Any whole number of 64 bits.
pub(crate) const LONG: Kind = long(i64::MIN);
/// A number from 0 to 1.
pub(crate) const FRACTION: Kind = Kind::Double(0.0, 1.0);

impl Kind {
    /// Checks a value, and says in Kafka's words what is wrong with it (`ConfigDef.java`: what follows
    /// "Invalid value V for configuration K: ").
    pub fn check(&self, value: &str) -> Result<(), String> {
        let value = value.trim();
        let whole = |bits: u32, name: &str, min: i64, max: i64| {
            let limit = 1i128 << (bits - 1);
            match value.parse::<i128>() {
                Ok(n) if (-limit..limit).contains(&n) => match n {
                    n if n < min as i128 => Err(format!("Value must be at least {min}")),
                    n if n > max as i128 => Err(format!("Value must be no more than {max}")),
                    _ => Ok(()),
                },
                _ => Err(format!("Not a number of type {name}")),
            }
        };
        match *self {
            Kind::Boolean => match value.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(()),
                _ => Err("Expected value to be either true or false".into()),
            },
            Kind::Short(min, max) => whole(16, "SHORT", min, max),
            Kind::Int(min, max) => whole(32, "INT", min, max),
            Kind::Long(min, max) => whole(64, "LONG", min, max),
            Kind::Double(min, max) => match value.parse::<f64>() {
                Ok(n) if n.is_nan() => Err("Not a number of type DOUBLE".into()),
                Ok(n) if n < min => Err(format!("Value must be at least {min}")),
                Ok(n) if n > max => Err(format!("Value must be no more than {max}")),
                Ok(_) => Ok(()),
                Err(_) => Err("Not a number of type DOUBLE".into()),
            },
            Kind::OneOf(words) if words.contains(&value) => Ok(()),
            Kind::OneOf(words) => Err(format!("String must be one of: {}", words.join(", "))),
            Kind::ListOf(words) => {
                for word in split_list(value) {
                    if !words.contains(&word) {
                        return Err(format!("String must be one of: {}", words.join(", ")));
                    }
                }
                Ok(())
            }
            Kind::Text | Kind::List | Kind::Class | Kind::Password => Ok(()),
        }
    }

    /// Kafka's name of the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::Short(..) => "SHORT",
            Kind::Int(..) => "INT",
            Kind::Long(..) => "LONG",
            Kind::Double(..) => "DOUBLE",
            Kind::Text | Kind::OneOf(_) => "STRING",
            Kind::List | Kind::ListOf(_) => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }

    /// The number of the type in DescribeConfigs answers (`DescribeConfigsResponse.ConfigType`).
    pub fn wire_id(&self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::Text | Kind::OneOf(_) => 2,
            Kind::Int(..) => 3,
            Kind::Short(..) => 4,
            Kind::Long(..) => 5,
            Kind::Double(..) => 6,
            Kind::List | Kind::ListOf(_) => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

/// Says what is expected, for a person: "a whole number from 1".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |f: &mut fmt::Formatter<'_>, min: i64, max: i64, bits: u32| {
            let (least, most) = (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1);
            match (min as i128 > least, (max as i128) < most) {
                (true, true) => write!(f, "a whole number from {min} to {max}"),
                (true, false) => write!(f, "a whole number from {min}"),
                (false, true) => write!(f, "a whole number up to {max}"),
                (false, false) => write!(f, "a whole number"),
            }
        };
        match *self {
            Kind::Boolean => write!(f, "true or false"),
            Kind::Short(min, max) => whole(f, min, max, 16),
            Kind::Int(min, max) => whole(f, min, max, 32),
            Kind::Long(min, max) => whole(f, min, max, 64),
            Kind::Double(min, max) if max == f64::MAX => write!(f, "a number from {min}"),
            Kind::Double(min, max) => write!(f, "a number from {min} to {max}"),
            Kind::Text => write!(f, "text"),
            Kind::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Kind::List => write!(f, "words between commas"),
            Kind::ListOf(words) => write!(f, "some of {}, between commas", words.join(", ")),
            Kind::Class => write!(f, "a Java class"),
            Kind::Password => write!(f, "a secret"),
        }
    }
}

/// Splits a list as Kafka does: at commas, blanks trimmed; an empty text is an empty list.
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    value.split(',').map(str::trim).filter(move |_| !value.is_empty())
}

/// What this broker does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// Read when the broker starts.
    Supported,
    /// Read when the broker starts, and again when `/config/brokers` changes.
    Dynamic,
    /// Known and without effect; whoever sets it loses neither data nor protection. A warning.
    IgnoredHarmless,
    /// Known and without effect, and whoever sets it relies on a protection that is not there. The start is refused.
    WeakensSafety,
}

impl Support {
    /// Whether the key has an effect.
    pub fn is_supported(self) -> bool {
        matches!(self, Support::Supported | Support::Dynamic)
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Kafka's spelling.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The value when nobody sets one; `None`: another key or the situation decides.
    pub default: Option<&'static str>,
    /// What this broker does with it.
    pub support: Support,
    /// What it is for, in one sentence.
    pub sentence: &'static str,
}

impl Key {
    /// What the number counts, from the key's name.
    pub fn unit(&self) -> Option<&'static str> {
        if !matches!(self.kind, Kind::Int(..) | Kind::Long(..) | Kind::Short(..)) {
            return None;
        }
        let unit = self.name.rsplit('.').next()?;
        match unit {
            "ms" => Some("milliseconds"),
            "bytes" => Some("bytes"),
            "hours" => Some("hours"),
            "minutes" => Some("minutes"),
            "seconds" => Some("seconds"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_in_kafkas_words() {
        let says = |kind: Kind, value| kind.check(value).err().unwrap_or_default();
        assert_eq!(says(int(1), "1"), "");
        assert_eq!(says(int(1), " 7 "), "");
        assert_eq!(says(int(1), "0"), "Value must be at least 1");
        assert_eq!(says(int(1), "2147483648"), "Not a number of type INT");
        assert_eq!(says(LONG, "-9223372036854775808"), "");
        assert_eq!(says(LONG, "9223372036854775808"), "Not a number of type LONG");
        assert_eq!(says(Kind::Int(-1, 9), "10"), "Value must be no more than 9");
        assert_eq!(says(FRACTION, "1.5"), "Value must be no more than 1");
        assert_eq!(says(FRACTION, "NaN"), "Not a number of type DOUBLE");
        assert_eq!(says(Kind::Boolean, "TRUE"), "");
        assert_eq!(says(Kind::Boolean, "yes"), "Expected value to be either true or false");
        assert_eq!(says(Kind::ListOf(&["compact", "delete"]), "compact, delete"), "");
        assert_eq!(says(Kind::ListOf(&["compact", "delete"]), "keep"), "String must be one of: compact, delete");
    }

    #[test]
    fn kinds_say_what_they_expect() {
        assert_eq!(int(1).to_string(), "a whole number from 1");
        assert_eq!(INT.to_string(), "a whole number");
        assert_eq!(Kind::Int(-1, 9).to_string(), "a whole number from -1 to 9");
        assert_eq!(FRACTION.to_string(), "a number from 0 to 1");
    }

    #[test]
    fn an_empty_list_has_no_words() {
        assert_eq!(split_list(" ").count(), 0);
        assert_eq!(split_list("a, b").collect::<Vec<_>>(), ["a", "b"]);
    }
}
