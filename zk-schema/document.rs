use serde_json::{Map, Value};

/// A payload that cannot be used: which node, what is wrong with it, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}; {remedy}")]
pub struct DecodeError {
    /// The node, below the chroot.
    pub path: String,
    /// What is wrong, naming the key.
    pub problem: String,
    /// What an operator can do about it.
    pub remedy: &'static str,
}

/// The JSON object in a node: unknown keys are ignored, a missing mandatory one is an error that names it.
pub(crate) struct Document<'a> {
    path: &'a str,
    remedy: &'static str,
    /// Where in the document `object` lies, for messages: empty, or like `partitions[2].`.
    at: String,
    object: Map<String, Value>,
}

impl<'a> Document<'a> {
    pub(crate) fn parse(path: &'a str, remedy: &'static str, data: &[u8]) -> Result<Document<'a>, DecodeError> {
        let fail = |problem: String| DecodeError { path: path.into(), problem, remedy };
        if data.is_empty() {
            return Err(fail("the node is empty, a JSON object is expected".into()));
        }
        match serde_json::from_slice(data) {
            Ok(Value::Object(object)) => Ok(Document { path, remedy, at: String::new(), object }),
            Ok(_) => Err(fail("a JSON object is expected".into())),
            Err(error) => Err(fail(format!("not JSON: {error}"))),
        }
    }

    pub(crate) fn error(&self, key: &str, problem: &str) -> DecodeError {
        DecodeError {
            path: self.path.into(),
            problem: format!("key '{}{key}' {problem}", self.at),
            remedy: self.remedy,
        }
    }

    /// The value, unless it is absent or null.
    fn value(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn wanted<T>(&self, key: &str, found: Option<T>) -> Result<T, DecodeError> {
        found.ok_or_else(|| self.error(key, "is missing"))
    }

    pub(crate) fn optional_int(&self, key: &str) -> Result<Option<i32>, DecodeError> {
        self.value(key).map(|value| int(value).ok_or_else(|| self.error(key, "is no 32-bit integer"))).transpose()
    }

    pub(crate) fn int(&self, key: &str) -> Result<i32, DecodeError> {
        self.wanted(key, self.optional_int(key)?)
    }

    /// A 64-bit number, which Kafka writes as text; a bare number is taken too.
    pub(crate) fn optional_long(&self, key: &str) -> Result<Option<i64>, DecodeError> {
        let long = |value: &Value| match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        };
        self.value(key).map(|value| long(value).ok_or_else(|| self.error(key, "is no 64-bit integer"))).transpose()
    }

    pub(crate) fn long(&self, key: &str) -> Result<i64, DecodeError> {
        self.wanted(key, self.optional_long(key)?)
    }

    pub(crate) fn optional_text(&self, key: &str) -> Result<Option<&str>, DecodeError> {
        self.value(key).map(|value| value.as_str().ok_or_else(|| self.error(key, "is no text"))).transpose()
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, DecodeError> {
        self.wanted(key, self.optional_text(key)?)
    }

    pub(crate) fn optional_object(&self, key: &str) -> Result<Option<&Map<String, Value>>, DecodeError> {
        self.value(key).map(|value| value.as_object().ok_or_else(|| self.error(key, "is no object"))).transpose()
    }

    pub(crate) fn optional_list(&self, key: &str) -> Result<Option<&[Value]>, DecodeError> {
        let list = |value| Value::as_array(value).map(Vec::as_slice);
        self.value(key).map(|value| list(value).ok_or_else(|| self.error(key, "is no list"))).transpose()
    }

    pub(crate) fn list(&self, key: &str) -> Result<&[Value], DecodeError> {
        self.wanted(key, self.optional_list(key)?)
    }

    /// A list of integers: replicas, an ISR.
    pub(crate) fn ints(&self, key: &str) -> Result<Vec<i32>, DecodeError> {
        ints(self.wanted(key, self.value(key))?).ok_or_else(|| self.error(key, "is no list of 32-bit integers"))
    }

    /// The objects in a list, each to be read like the document itself.
    pub(crate) fn objects(&self, key: &str) -> Result<Vec<Document<'a>>, DecodeError> {
        let element = |(index, value): (usize, &Value)| match value {
            Value::Object(object) => Ok(Document {
                path: self.path,
                remedy: self.remedy,
                at: format!("{key}[{index}]."),
                object: object.clone(),
            }),
            _ => Err(self.error(&format!("{key}[{index}]"), "is no object")),
        };
        self.list(key)?.iter().enumerate().map(element).collect()
    }
}

/// A JSON integer of 32 bits.
pub(crate) fn int(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|n| n.try_into().ok())
}

/// A JSON list of 32-bit integers.
pub(crate) fn ints(value: &Value) -> Option<Vec<i32>> {
    value.as_array()?.iter().map(int).collect()
}

/// The document as Kafka writes it: no blanks, keys in the order given.
pub(crate) fn encode(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// Decimal text, as `/controller_epoch` and classic offsets hold it.
pub(crate) fn decimal<T: std::str::FromStr>(path: &str, remedy: &'static str, data: &[u8]) -> Result<T, DecodeError> {
    std::str::from_utf8(data).ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| DecodeError {
        path: path.into(),
        problem: format!("'{}' is no decimal number in range", String::from_utf8_lossy(data)),
        remedy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document<'_>, DecodeError> {
        Document::parse("/n", "mend it", text.as_bytes())
    }

    #[test]
    fn errors_name_path_key_and_remedy() {
        let document = parse(r#"{"a":"x","list":[{"b":3}],"null":null}"#).unwrap();
        assert_eq!(document.int("gone").unwrap_err().to_string(), "/n: key 'gone' is missing; mend it");
        assert_eq!(document.int("null").unwrap_err().to_string(), "/n: key 'null' is missing; mend it");
        assert_eq!(document.int("a").unwrap_err().to_string(), "/n: key 'a' is no 32-bit integer; mend it");
        let inner = &document.objects("list").unwrap()[0];
        assert_eq!(inner.text("b").unwrap_err().to_string(), "/n: key 'list[0].b' is no text; mend it");
        for bad in ["", "[]", "{", "\u{0}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_beyond_32_bits_are_refused_not_cut() {
        let document = parse(r#"{"a":4294967297,"l":"4294967297","n":4294967297}"#).unwrap();
        assert!(document.int("a").is_err());
        assert_eq!(document.long("l").unwrap(), 4294967297);
        assert_eq!(document.long("n").unwrap(), 4294967297);
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_stack_overflow() {
        assert!(parse(&format!("{{\"a\":{}", "[".repeat(100_000))).is_err());
    }
}
