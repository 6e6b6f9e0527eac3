//! Runs the tutorial as it is written: every `sh` block under a comment `test:tutorial`, in order, with the built
//! programs, on free ports and in a fresh folder.
//!
//! `background URL [PROGRAM]` starts a server and waits until the URL answers 200; PROGRAM stands for what the reader
//! has compiled. `expect TEXT` demands the text in the output. A directory that a block enters and a variable
//! that it exports stay for the blocks after it.

use std::fs;

use anyhow::{Result, bail, ensure};

use super::markdown::{Block, blocks};
use super::reader::Reader;
use crate::install;
use crate::suite::Outcome;
use crate::workspace::root;

const PAGE: &str = "docs/src/tutorial/first-mcp-server.md";
const MARK: &str = "test:tutorial";

pub(super) fn run() -> Result<Outcome> {
    install::curl()?;
    let page = fs::read_to_string(root().join(PAGE))?;
    let mut reader = Reader::new("tutorial")?;
    let mut outcome = Outcome::default();
    let marked = blocks(&page)
        .into_iter()
        .filter(|block| block.comment.is_some_and(|comment| comment.starts_with(MARK)));
    for (number, block) in marked.enumerate() {
        if let Err(error) = follow(&mut reader, number + 1, &block) {
            // What comes next builds on this.
            outcome
                .failures
                .push(format!("{PAGE}, block {}: {error:#}\n{}", number + 1, block.text));
            return Ok(outcome);
        }
        outcome.passed += 1;
    }
    ensure!(outcome.passed > 0, "{PAGE} has no block under `{MARK}`");
    Ok(outcome)
}

fn follow(reader: &mut Reader, number: usize, block: &Block<'_>) -> Result<()> {
    ensure!(block.language == "sh", "the block is no `sh`");
    let mark = block.comment.unwrap_or_default().trim_start_matches(MARK).trim();
    let (kind, rest) = mark.split_once(' ').unwrap_or((mark, ""));
    let commands = reader.moved(&block.text);
    match kind {
        "" => reader.foreground(number, &commands, "").map(drop),
        "expect" => reader
            .foreground(number, &commands, &reader.moved(rest))
            .map(drop),
        "background" => {
            let rest = reader.moved(rest);
            reader.background(number, &commands, &rest)
        }
        _ => bail!("`{MARK} {kind}` is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_blocks_to_run() -> Result<()> {
        let page = fs::read_to_string(root().join(PAGE))?;
        let marked = blocks(&page)
            .iter()
            .filter(|block| block.comment.is_some())
            .count();
        assert!(marked >= 8, "only {marked}");
        Ok(())
    }
}
