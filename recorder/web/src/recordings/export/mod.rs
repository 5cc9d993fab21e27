//! The whole list, as a file.
//!
//! It is read and sent a page at a time, so that a million recordings take no more memory than one page; a client
//! that stops reading stops the search. A catalog that fails on the way ends the answer unfinished (the connection
//! breaks off): half a list must not look like a whole one.

mod csv;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use base::limits::EXPORT_PAGE_RECORDINGS;
use futures_util::stream;
use store::catalog::Cursor;
use store::{Filter, Order};

use super::list::{Found, find};
use super::query::{ExportFormat, ExportQuery};
use super::shape::{Column, Page, Summary};
use crate::app::{Act, App, Query};
use crate::auth::{Caller, Right};
use crate::problem::Answer;

/// All recordings that pass a filter, as a file.
#[utoipa::path(
    get,
    path = "/recordings/export",
    tag = "recordings",
    operation_id = "exportRecordings",
    params(ExportQuery),
    responses(
        (status = 200, description = "The list. CSV: RFC 4180, UTF-8, with a header line; cells that a spreadsheet \
            would take for a formula have an apostrophe in front.",
            content((String = "text/csv"), (Page = "application/json"))),
    )
)]
pub(super) async fn export(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> Answer<Response> {
    let (filter, order) = (query.filter()?, query.order());
    app.allow(&caller, Right::SeeRecordings, Act::Export, "recordings")?;
    app.note(&caller, Act::Export, "recordings", query.detail())?;
    let list = List { filter, order };
    let first = list.page(&app, None).await?;
    let (kind, name) = match query.format() {
        ExportFormat::Csv => ("text/csv; charset=utf-8; header=present", "recordings.csv"),
        ExportFormat::Json => ("application/json", "recordings.json"),
    };
    let writer = Writer { format: query.format(), columns: query.columns().to_vec(), written: 0 };
    let rest = Rest { app, list, writer, page: Some(first) };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(stream::try_unfold(rest, Rest::chunk))).into_response())
}

/// Which recordings.
#[derive(Clone)]
struct List {
    filter: Filter,
    order: Order,
}

impl List {
    async fn page(&self, app: &App, after: Option<Cursor>) -> Answer<Found> {
        let List { filter, order } = self.clone();
        app.blocking(move |app| find(app, &filter, order, after.as_ref(), EXPORT_PAGE_RECORDINGS))
            .await
    }
}

/// What is yet to be sent.
struct Rest {
    app: App,
    list: List,
    writer: Writer,
    /// Read, not sent yet; `None` after the last.
    page: Option<Found>,
}

impl Rest {
    async fn chunk(mut self) -> Result<Option<(Bytes, Self)>, std::io::Error> {
        let Some(Found { summaries, next }) = self.page.take() else { return Ok(None) };
        let text = self.writer.page(&summaries, next.is_none());
        if next.is_some() {
            let page = self.list.page(&self.app, next).await;
            self.page = Some(page.map_err(|problem| std::io::Error::other(problem.detail))?);
        }
        Ok(Some((text.into(), self)))
    }
}

/// Writes pages, the header before the first and the end behind the last.
struct Writer {
    format: ExportFormat,
    columns: Vec<Column>,
    written: u64,
}

impl Writer {
    fn page(&mut self, summaries: &[Summary], last: bool) -> String {
        match self.format {
            ExportFormat::Csv => self.csv(summaries),
            ExportFormat::Json => self.json(summaries, last),
        }
    }

    fn csv(&mut self, summaries: &[Summary]) -> String {
        let mut text = if self.written == 0 { csv::header(&self.columns) } else { String::new() };
        for summary in summaries {
            self.written += 1;
            text += &csv::row(summary, &self.columns);
        }
        text
    }

    /// A line for each recording.
    fn json(&mut self, summaries: &[Summary], last: bool) -> String {
        let mut text = String::new();
        for summary in summaries {
            text += if self.written == 0 { "{\"recordings\":[\n" } else { ",\n" };
            self.written += 1;
            // Numbers, strings and lists of them: there is nothing in it that JSON could not say.
            text += &serde_json::to_string(summary).unwrap_or_default();
        }
        match (last, self.written) {
            (false, _) => text,
            (true, 0) => "{\"recordings\":[],\"next\":null}\n".to_owned(),
            (true, _) => text + "\n],\"next\":null}\n",
        }
    }
}
