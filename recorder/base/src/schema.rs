//! What the words that are strings in JSON look like in OpenAPI.

use std::borrow::Cow;

use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{Endpoint, RecordingId, Timestamp};

fn string(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        string("RFC 3339, UTC, microseconds.")
            .format(Some(format))
            .examples(["2026-11-23T10:15:30.123456Z"])
            .into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

impl PartialSchema for RecordingId {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
        string("A UUID, version 7.")
            .format(Some(format))
            .examples(["01900000-0000-7000-8000-000000000001"])
            .into()
    }
}

impl ToSchema for RecordingId {}

impl PartialSchema for Endpoint {
    fn schema() -> RefOr<Schema> {
        string("IP address and port.").examples(["192.0.2.1:5060", "[2001:db8::1]:5060"]).into()
    }
}

impl ToSchema for Endpoint {}
