//! Lists in pages.

use uuid::Uuid;

use crate::{Page, PageRequest, Result, StoreError};

/// How many rows to fetch for a page: one more than it shows, to know whether there is a next one.
pub(crate) fn rows_to_fetch(page: &PageRequest) -> i64 {
    i64::from(page.limit.clamp(1, 200)) + 1
}

/// The page out of rows fetched with [`rows_to_fetch`].
pub(crate) fn page<T>(mut items: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> String) -> Page<T> {
    let limit = request.limit.clamp(1, 200) as usize;
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
