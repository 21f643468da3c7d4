//! The language of the descriptions in `schema/`, one line a field:
//!
//! ```text
//! /// What the field means.
//! 4-8 (null 5+)  name: Option<Str> = None,
//! ```
//!
//! First the versions that carry the field (`4+` or `4-8`), then, where needed, in brackets: `null 5+`, an `Option`
//! that may be null only from version 5 on (other `Option`s in all versions); `tag 0`, a tagged field (KIP-482),
//! written only if it differs from its default; `records`, record bytes that are passed on without a copy. Then name,
//! type and, if it is not the type's own, the default: what stands in versions without the field. A value set for a
//! version that has no such field is not written.
//!
//! A new API is a file in `schema/`, its lines in `schema/mod.rs`, and its names in `conformance/mod.rs`.

/// Structs of the wire, in the language above. `struct Name<P>` carries record bytes of type `P`, `Bytes` when read.
macro_rules! wire {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident $(<$p:ident>)? {$(
            $(#[$field_doc:meta])*
            $min:literal $(- $max:literal)? $(+)? $(($($kind:tt)*))? $field:ident: $type:ty $(= $default:expr)?
        ),* $(,)?}
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name $(<$p = ::bytes::Bytes>)? {$(
            $(#[$field_doc])*
            #[doc = concat!("\n\nFrom version ", $min $(, " to ", $max)?, ".")]
            pub $field: $type,
        )*}

        impl $(<$p>)? Default for $name $(<$p>)? {
            fn default() -> Self {
                $name {$($field: $crate::description::default!($($default)?),)*}
            }
        }

        impl $crate::reader::Read for $name {
            const MIN_SIZE: usize = 1;

            #[inline]
            #[allow(unused_mut, unused_variables)]
            fn read(r: &mut $crate::reader::Reader<'_>) -> Result<Self, $crate::reader::Fault> {
                let version = r.version();
                $(
                    let mut $field = if $crate::description::carried!(version, $min $(- $max)?) {
                        $crate::description::read_field!(r, ($($($kind)*)?), $crate::description::default!($($default)?))
                    } else {
                        $crate::description::default!($($default)?)
                    };
                )*
                if r.flexible() {
                    r.tagged_fields(|tag, r| {
                        $($crate::description::read_tagged!(
                            r, tag, ($($($kind)*)?), $field, $crate::description::carried!(version, $min $(- $max)?)
                        );)*
                        Ok(false)
                    })?;
                }
                Ok($name {$($field,)*})
            }
        }

        impl $(<$p: $crate::frame::Payload>)? $crate::writer::Write for $name $(<$p>)? {
            #[allow(unused_mut)]
            fn write(&self, w: &mut $crate::writer::Writer) {
                let version = w.version();
                $(
                    if $crate::description::carried!(version, $min $(- $max)?) {
                        $crate::description::write_field!(w, ($($($kind)*)?), self.$field);
                    }
                )*
                if w.flexible() {
                    let mut tagged = 0;
                    $($crate::description::write_tagged!(
                        w, ($($($kind)*)?), self.$field, $crate::description::default!($($default)?),
                        $crate::description::carried!(version, $min $(- $max)?), count tagged
                    );)*
                    w.unsigned_varint(tagged);
                    $($crate::description::write_tagged!(
                        w, ($($($kind)*)?), self.$field, $crate::description::default!($($default)?),
                        $crate::description::carried!(version, $min $(- $max)?), write
                    );)*
                }
            }
        }

        #[cfg(test)]
        impl $crate::conformance::fill::Fill for $name {
            fn fill(rng: &mut $crate::conformance::fill::Rng, version: i16) -> Self {
                $name {$(
                    $field: if $crate::description::carried!(version, $min $(- $max)?) {
                        $crate::description::fill_field!(rng, version, ($($($kind)*)?))
                    } else {
                        $crate::description::default!($($default)?)
                    },
                )*}
            }
        }
    )+};
}

/// A field's default.
macro_rules! default {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

/// Whether a version carries a field. Nothing is asked of a field that all versions have.
macro_rules! carried {
    ($version:ident, 0) => {
        true
    };
    ($version:ident, $min:literal) => {
        $version >= $min
    };
    ($version:ident, 0 - $max:literal) => {
        $version <= $max
    };
    ($version:ident, $min:literal - $max:literal) => {
        ($min..=$max).contains(&$version)
    };
}

/// Reads a field in its place, or leaves a tagged one at its default.
macro_rules! read_field {
    ($r:ident, (), $default:expr) => {
        $crate::reader::Read::read($r)?
    };
    ($r:ident, (records), $default:expr) => {
        $crate::reader::Read::read($r)?
    };
    ($r:ident, (null $null:literal +), $default:expr) => {{
        let value: Option<_> = $crate::reader::Read::read($r)?;
        if value.is_none() && $r.version() < $null {
            return Err($crate::reader::Fault::Null);
        }
        value
    }};
    ($r:ident, (tag $tag:literal), $default:expr) => {
        $default
    };
}

/// Reads a tagged field if `tag` is its own.
macro_rules! read_tagged {
    ($r:ident, $tag_read:ident, (tag $tag:literal), $field:ident, $carried:expr) => {
        if $tag_read == $tag && $carried {
            $field = $crate::reader::Read::read($r)?;
            return Ok(true);
        }
    };
    ($r:ident, $tag_read:ident, $kind:tt, $field:ident, $carried:expr) => {};
}

/// Writes a field that has a place of its own. Null where the version has none becomes an empty value.
macro_rules! write_field {
    ($w:ident, (), $value:expr) => {
        $crate::writer::Write::write(&$value, $w)
    };
    ($w:ident, (records), $value:expr) => {
        $w.records(&$value)
    };
    ($w:ident, (null $null:literal +), $value:expr) => {
        if $value.is_none() && $w.version() < $null {
            $crate::writer::Write::write(&$value.clone().or_else(|| Some(Default::default())), $w)
        } else {
            $crate::writer::Write::write(&$value, $w)
        }
    };
    ($w:ident, (tag $tag:literal), $value:expr) => {};
}

/// Counts or writes a tagged field that is not at its default.
macro_rules! write_tagged {
    ($w:ident, (tag $tag:literal), $value:expr, $default:expr, $carried:expr, count $count:ident) => {
        if $carried && $crate::writer::differs(&$value, &$default) {
            $count += 1;
        }
    };
    ($w:ident, (tag $tag:literal), $value:expr, $default:expr, $carried:expr, write) => {
        if $carried && $crate::writer::differs(&$value, &$default) {
            $w.tagged($tag, &$value);
        }
    };
    ($w:ident, $kind:tt, $($rest:tt)*) => {};
}

/// Fills a field with random content that its version can carry.
#[cfg(test)]
macro_rules! fill_field {
    ($rng:ident, $version:ident, (null $null:literal +)) => {{
        let value: Option<_> = $crate::conformance::fill::Fill::fill($rng, $version);
        if value.is_none() && $version < $null { Some(Default::default()) } else { value }
    }};
    ($rng:ident, $version:ident, $kind:tt) => {
        $crate::conformance::fill::Fill::fill($rng, $version)
    };
}

/// Names an API's two messages, its versions and the first flexible one. A message that carries record bytes says of
/// which type, and has a method `records` that yields them in the order of writing.
macro_rules! api {
    ($key:ident, versions $min:literal - $max:literal, flexible $flexible:literal +,
     $request:ident $([$($request_records:tt)*])? => $response:ident $([$($response_records:tt)*])?) => {
        $crate::description::api!(message $key, $min, $max, $flexible, $request [$($($request_records)*)?]);
        $crate::description::api!(message $key, $min, $max, $flexible, $response [$($($response_records)*)?]);

        impl $crate::message::Request for $request {
            type Response = $response;
        }
    };
    (message $key:ident, $min:literal, $max:literal, $flexible:literal, $name:ident []) => {
        impl $crate::message::Message for $name {
            $crate::description::api!(constants $key, $min, $max, $flexible, $name, ::bytes::Bytes);
        }
    };
    (message $key:ident, $min:literal, $max:literal, $flexible:literal, $name:ident [records: Bytes]) => {
        impl $crate::message::Message for $name {
            $crate::description::api!(constants $key, $min, $max, $flexible, $name, ::bytes::Bytes);

            fn for_each_payload<'a>(&'a self, visit: &mut dyn FnMut(&'a ::bytes::Bytes)) {
                self.records().for_each(visit);
            }
        }
    };
    (message $key:ident, $min:literal, $max:literal, $flexible:literal, $name:ident [records: $p:ident]) => {
        impl<$p: $crate::frame::Payload> $crate::message::Message for $name<$p> {
            $crate::description::api!(constants $key, $min, $max, $flexible, $name, $p);

            fn for_each_payload<'a>(&'a self, visit: &mut dyn FnMut(&'a $p)) {
                self.records().for_each(visit);
            }
        }
    };
    (constants $key:ident, $min:literal, $max:literal, $flexible:literal, $name:ident, $payload:ty) => {
        const KEY: $crate::ApiKey = $crate::ApiKey::$key;
        const NAME: &'static str = stringify!($name);
        const VERSIONS: ::std::ops::RangeInclusive<i16> = $min..=$max;
        const FLEXIBLE_FROM: i16 = $flexible;
        type Payload = $payload;
    };
}

#[cfg(test)]
pub(crate) use fill_field;
pub(crate) use {api, carried, default, read_field, read_tagged, wire, write_field, write_tagged};
