//! Code that a page shows of a file: `<!-- test:same PATH -->` above a block says that the file has these lines, one after the
//! other. Indentation and the marks around what the tests count do not matter.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::markdown::blocks;
use crate::suite::Outcome;

const MARK: &str = "test:same ";

/// Every such block of a page.
pub(super) fn check(root: &Path, page: &str, text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for block in blocks(text) {
        let Some(file) = block.comment.and_then(|comment| comment.strip_prefix(MARK)) else {
            continue;
        };
        match same(root, file.trim(), &block.text) {
            Ok(()) => outcome.passed += 1,
            Err(error) => outcome.failures.push(format!("{page}: {error:#}")),
        }
    }
    outcome
}

fn same(root: &Path, file: &str, shown: &str) -> Result<()> {
    let text = fs::read_to_string(root.join(file)).with_context(|| format!("{file} is not there"))?;
    ensure!(has(&text, shown), "a block is not what {file} says:\n{shown}");
    Ok(())
}

/// Whether a text has these lines, one after the other.
fn has(text: &str, shown: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let plain = text.lines().map(|line| line.trim().to_owned());
        plain
            .filter(|line| {
                !line.is_empty() && !line.contains("doorward:begin") && !line.contains("doorward:end")
            })
            .collect()
    };
    let (text, shown) = (lines(text), lines(shown));
    !shown.is_empty() && text.windows(shown.len()).any(|window| window == shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_run_of_lines_of_its_file() {
        let file =
            "fn main() {\n    // doorward:begin\n    a();\n\n    b();\n    // doorward:end\n    c();\n}\n";
        assert!(has(file, "a();\nb();\nc();\n"));
        assert!(!has(file, "a();\nc();\n"));
        assert!(!has(file, "a()\n"));
        assert!(!has(file, "\n"));
    }
}
