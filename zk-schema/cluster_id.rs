//! `/cluster/id`: the id of the cluster.

use serde_json::json;

use crate::document::{self, DecodeError, Document};

/// The folder of the id; no data.
pub const PARENT: &str = "/cluster";

/// The node of the cluster's id, never changed.
pub const PATH: &str = "/cluster/id";

/// Reads the id: 22 characters of URL-safe base64.
pub fn decode(path: &str, data: &[u8]) -> Result<String, DecodeError> {
    let remedy = "write back the cluster.id of a broker's meta.properties";
    Ok(Document::parse(path, remedy, data)?.text("id")?.into())
}

/// Version "1": the one node whose version is text.
pub fn encode(id: &str) -> Vec<u8> {
    document::encode(&json!({"version": "1", "id": id}))
}
