//! Messages and the small store that programs share.

use serde::{Deserialize, Serialize};

/// One server-sent event of `GET /v1/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDto {
    /// Its topic.
    pub topic: String,
    /// Who published it: an instance, or `operator`.
    pub from: String,
    /// What was published: one line of text, mostly JSON.
    pub data: String,
}

/// The answer to `POST /v1/messages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedDto {
    /// To how many subscribers it was handed.
    pub subscribers: u64,
}

/// A key of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvDto {
    /// The key.
    pub key: String,
    /// Counts its changes from 1; never used twice.
    pub version: u64,
    /// Its value: one line of text, mostly JSON. Left out in the answer to a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}
