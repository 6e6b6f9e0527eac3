//! A list: a page of it, or all of it, page after page.

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::api::{Api, page_query};
use super::table::Table;
use crate::out;

/// Rows of a page when all of them are asked for: the most that the API gives.
const MOST: u32 = 200;

/// Which page.
#[derive(Args)]
pub struct Paging {
    /// `next` of the page before, which may begin with a hyphen.
    #[arg(long, allow_hyphen_values = true)]
    cursor: Option<String>,
    /// Rows on a page.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// All pages, printed as they come.
    #[arg(long, conflicts_with_all = ["cursor", "limit"])]
    all: bool,
}

/// A list of the API, and how it is shown.
pub struct List<'a> {
    pub path: &'a str,
    pub filters: &'a [(&'a str, Option<&'a str>)],
    pub columns: &'a [&'a str],
    /// What is done to an answer before it is printed.
    pub prepare: fn(&Api, Value) -> Value,
}

impl<'a> List<'a> {
    /// The list at `path`, as it comes.
    pub fn at(path: &'a str, columns: &'a [&'a str]) -> Self {
        Self {
            path,
            filters: &[],
            columns,
            prepare: |_, answer| answer,
        }
    }

    /// Asks for it and prints it.
    pub async fn print(&self, api: &Api, paging: &Paging) -> anyhow::Result<()> {
        if paging.all {
            return self.print_all(api).await;
        }
        let answer = self.page(api, paging.cursor.as_deref(), paging.limit).await?;
        api.print(&answer, self.columns)
    }

    async fn page(&self, api: &Api, cursor: Option<&str>, limit: u32) -> anyhow::Result<Value> {
        let query = page_query(cursor, limit, self.filters);
        let answer = api
            .call(Method::GET, &format!("{}{query}", self.path), None)
            .await?;
        anyhow::ensure!(answer["items"].is_array(), api.without("items"));
        Ok((self.prepare)(api, answer))
    }

    /// One page at a time is held, however many there are.
    async fn print_all(&self, api: &Api) -> anyhow::Result<()> {
        let (mut table, mut array) = (Table::new(self.columns), Array::default());
        let mut cursor = None::<String>;
        loop {
            let answer = self.page(api, cursor.as_deref(), MOST).await?;
            let rows = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let next = answer["next"].as_str().map(str::to_owned);
            if api.prints_json() {
                for row in rows {
                    array.add(row)?;
                }
            } else if !rows.is_empty() || (cursor.is_none() && next.is_none()) {
                out::line(table.page(rows));
            }
            if out::is_lost() {
                return Ok(());
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        if api.prints_json() {
            array.end();
        }
        Ok(())
    }
}

/// The object of a page with all rows in it, written row by row.
#[derive(Default)]
struct Array {
    /// The row before: a comma follows it when there is another.
    last: Option<String>,
}

impl Array {
    fn add(&mut self, row: &Value) -> anyhow::Result<()> {
        let text = format!(
            "    {}",
            serde_json::to_string_pretty(row)?.replace('\n', "\n    ")
        );
        match self.last.replace(text) {
            None => out::line("{\n  \"items\": ["),
            Some(before) => out::line(format!("{before},")),
        }
        Ok(())
    }

    fn end(self) {
        match self.last {
            None => out::line("{\n  \"items\": []\n}"),
            Some(last) => out::line(format!("{last}\n  ]\n}}")),
        }
    }
}
