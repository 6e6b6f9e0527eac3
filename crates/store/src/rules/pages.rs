//! Lists in pages.

use uuid::Uuid;

use crate::{Page, PageRequest, Result, StoreError};

/// Rows on a page: what was asked for, within the bounds of [`PageRequest::limit`].
fn rows_shown(page: &PageRequest) -> u32 {
    page.limit.clamp(1, 200)
}

/// How many rows to fetch for a page: one more than it shows, to know whether there is a next one.
pub(crate) fn rows_to_fetch(page: &PageRequest) -> u32 {
    rows_shown(page) + 1
}

/// The page out of rows fetched with [`rows_to_fetch`].
pub(crate) fn page<T>(mut items: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> String) -> Page<T> {
    let limit = rows_shown(request) as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(key) } else { None };
    Page { items, next }
}

/// The id that a page begins after.
pub(crate) fn page_start(request: &PageRequest) -> Result<Option<Uuid>> {
    let parse = |text: &String| {
        Uuid::try_parse(text).map_err(|_| StoreError::Invalid("this page token was given by no page"))
    };
    request.after.as_ref().map(parse).transpose()
}
