//! The description of the API (OpenAPI 3.1): what its modules say of their operations, and what holds for all of them.
//!
//! A module says what an operation gives when all is well, and what can go wrong with it alone. What stands before
//! every handler is added here: who is not logged in gets 401, who may not gets 403, what cannot be read 400, 413 or
//! 415, too much 429, and while something behind us does not answer 503.

use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, SecurityRequirement,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::auth::COOKIE;
use crate::problem::Problem;

/// The media type of a [`Problem`] (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// A status, what it means, and which operations can give it.
type Common = (&'static str, &'static str, fn(&Operation) -> bool);

/// What can go wrong with every operation of a kind.
const COMMON: [Common; 7] = [
    ("400", "Something in the request is wrong; the detail says what.", |_| true),
    ("401", "Nobody is logged in.", is_private),
    ("403", "The caller may not do this, or another site made a browser send it.", can_be_refused),
    ("413", "The body is too large.", takes_body),
    ("415", "The body is not JSON.", takes_body),
    ("429", "Too many requests; Retry-After says when to come back.", |_| true),
    ("503", "Something behind the server does not answer; try again later.", |_| true),
];

/// The whole description, as JSON.
pub(super) fn document(mut api: OpenApi) -> Value {
    complete(&mut api);
    // Maps with string keys, strings, numbers: there is nothing in it that JSON could not say.
    serde_json::to_value(&api).unwrap_or_default()
}

/// Adds what holds for all operations.
fn complete(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            complete_operation(operation);
        }
    }
    let components = api.components.get_or_insert_with(Components::new);
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    for (status, description, _) in COMMON {
        components.responses.insert(name(status), problem(description).into());
    }
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token, spr_..., made at POST /tokens."));
    let cookie = ApiKeyValue::with_description(
        COOKIE,
        "A log-in. What changes something needs the header x-csrf-token of GET /me besides.",
    );
    let schemes = &mut components.security_schemes;
    schemes.insert("token".into(), SecurityScheme::Http(bearer.build()).into());
    schemes.insert("logIn".into(), SecurityScheme::ApiKey(ApiKey::Cookie(cookie)).into());
    let none: [&str; 0] = [];
    api.security = Some(["token", "logIn"].map(|by| SecurityRequirement::new(by, none)).to_vec());
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn complete_operation(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(Parameter { parameter_in: ParameterIn::Query, schema, .. }) = parameter
            && let Some(RefOr::T(Schema::Object(schema))) = schema
            && takes_text(&schema.schema_type)
        {
            // A key without a value is refused (query_keys).
            schema.min_length.get_or_insert(1);
        }
    }
    for (status, _, applies) in COMMON {
        if applies(operation) {
            let common = || Ref::from_response_name(name(status)).into();
            operation.responses.responses.entry(status.to_owned()).or_insert_with(common);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if !status.starts_with('2') {
            as_problem(response);
        } else if response.description.is_empty() {
            "As asked.".clone_into(&mut response.description);
        }
    }
}

fn takes_text(schema: &SchemaType) -> bool {
    match schema {
        SchemaType::Type(one) => *one == Type::String,
        SchemaType::Array(several) => several.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}

/// utoipa takes every body for `application/json`.
fn as_problem(response: &mut Response) {
    if let Some(content) = response.content.shift_remove("application/json") {
        response.content.insert(PROBLEM.to_owned(), content);
    }
}

fn problem(description: &str) -> Response {
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    ResponseBuilder::new().description(description).content(PROBLEM, content).build()
}

fn name(status: &str) -> String {
    format!("Problem{status}")
}

fn takes_body(operation: &Operation) -> bool {
    operation.request_body.is_some()
}

fn can_be_refused(operation: &Operation) -> bool {
    is_private(operation) || takes_body(operation)
}

/// `security(())` says that nobody need be logged in.
fn is_private(operation: &Operation) -> bool {
    operation.security.is_none()
}

#[cfg(test)]
mod tests {
    use utoipa::OpenApi as _;

    use super::*;

    #[derive(utoipa::OpenApi)]
    #[openapi(paths(open, private))]
    struct Example;

    #[utoipa::path(get, path = "/open", params(("name" = String, Query)), security(()),
        responses((status = 200)))]
    fn open() {}

    #[utoipa::path(put, path = "/private/{id}", params(("id" = String, Path)), request_body = String,
        responses((status = 204), (status = 409, description = "Taken", body = Problem)))]
    fn private() {}

    #[test]
    fn every_operation_says_what_stands_before_it() {
        open();
        private();
        let mut api = Example::openapi();
        complete(&mut api);
        let json = serde_json::to_value(&api).unwrap();
        assert_eq!(json["openapi"], "3.1.0");
        let answers = |path: &str, method: &str| {
            let answers = json["paths"][path][method]["responses"].as_object().unwrap();
            answers.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(answers("/open", "get"), ["200", "400", "429", "503"]);
        assert_eq!(
            answers("/private/{id}", "put"),
            ["204", "400", "401", "403", "409", "413", "415", "429", "503"]
        );
        assert_eq!(json["paths"]["/open"]["get"]["parameters"][0]["schema"]["minLength"], 1);
        let taken = &json["paths"]["/private/{id}"]["put"]["responses"]["409"]["content"];
        assert_eq!(taken[PROBLEM]["schema"]["$ref"], "#/components/schemas/Problem");
        assert!(taken.get("application/json").is_none());
        let common = &json["components"]["responses"]["Problem401"]["content"][PROBLEM]["schema"];
        assert_eq!(common["$ref"], "#/components/schemas/Problem");
        assert_eq!(json["security"], serde_json::json!([{ "token": [] }, { "logIn": [] }]));
    }
}
