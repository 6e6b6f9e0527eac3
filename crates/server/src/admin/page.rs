//! Cursor paging. A cursor is sealed: it means what the page before said, for the same list, and nothing else.

use doorward_store::{Page, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::AdminError;
use crate::context::Context;

const PURPOSE: &str = "admin-cursor";
const MOST: u32 = 200;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `next` of the page before.
    pub(super) cursor: Option<String>,
    /// Rows on a page, 1 to 200. Default 50.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The rows.
    items: Vec<T>,
    /// Give it as `cursor` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl PageQuery {
    /// The page of the list `name`.
    pub(super) fn request(&self, ctx: &Context, name: &str) -> Result<PageRequest, AdminError> {
        let limit = self.limit.unwrap_or(50);
        if !(1..=MOST).contains(&limit) {
            return Err(AdminError::Invalid(format!(
                "limit must be between 1 and {MOST}."
            )));
        }
        let after = match &self.cursor {
            None => None,
            Some(cursor) => {
                let opened = ctx.secrets.open(PURPOSE, name.as_bytes(), cursor);
                let after = opened.and_then(|bytes| String::from_utf8(bytes).ok());
                Some(after.ok_or_else(|| {
                    AdminError::Invalid("cursor is not the `next` of a page of this list.".to_owned())
                })?)
            }
        };
        Ok(PageRequest { after, limit })
    }
}

impl<T> List<T> {
    /// A page of the list `name`, its rows shown by `show`.
    pub(super) fn of<R>(ctx: &Context, name: &str, page: Page<R>, show: impl FnMut(R) -> T) -> Self {
        let next = page
            .next
            .map(|next| ctx.secrets.seal(PURPOSE, name.as_bytes(), next.as_bytes()));
        Self {
            items: page.items.into_iter().map(show).collect(),
            next,
        }
    }

    /// A page of the list `name` out of all its rows, ordered by what `slug` says of them: of records that are few enough to
    /// be read together, but in an answer too long.
    pub(super) fn cut<R>(
        ctx: &Context,
        name: &str,
        query: &PageQuery,
        mut rows: Vec<R>,
        slug: impl Fn(&R) -> &str,
        show: impl FnMut(R) -> Result<T, AdminError>,
    ) -> Result<Self, AdminError> {
        let PageRequest { after, limit } = query.request(ctx, name)?;
        if let Some(after) = after {
            rows.retain(|row| slug(row) > after.as_str());
        }
        rows.sort_by(|one, other| slug(one).cmp(slug(other)));
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| slug(row).to_owned());
        let items = rows.into_iter().map(show).collect::<Result<_, _>>()?;
        Ok(Self::of(ctx, name, Page { items, next }, |item| item))
    }

    /// A list that has one page.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
