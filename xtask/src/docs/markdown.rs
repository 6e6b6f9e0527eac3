//! As much of Markdown as the checks need.

use std::path::Path;

/// A fenced code block, and the comment on the line above it, if there is one. Or what a comment over several lines
/// hides from the reader, when it begins with `test:setup`; its language is `sh`.
pub(super) struct Block<'a> {
    pub(super) comment: Option<&'a str>,
    pub(super) language: &'a str,
    pub(super) text: String,
}

/// The fenced code blocks of a page.
pub(super) fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    let mut hidden = false;
    let mut above = "";
    for line in page.lines() {
        if open.is_none() && line.trim() == "<!-- test:setup" {
            hidden = true;
            open = Some(Block {
                comment: Some("test:setup"),
                language: "sh",
                text: String::new(),
            });
            continue;
        }
        if hidden && line.trim() == "-->" {
            hidden = false;
            blocks.extend(open.take());
            continue;
        }
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => {
                let comment = above
                    .trim()
                    .strip_prefix("<!--")
                    .and_then(|rest| rest.strip_suffix("-->"));
                open = Some(Block {
                    comment: comment.map(str::trim),
                    language: language.trim(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
        above = line;
    }
    blocks
}

/// The code spans of a page, without its fenced blocks.
pub(super) fn spans(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut spans = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}

/// The page without code: neither fenced blocks nor code spans.
pub(super) fn prose(page: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// Where the links and images of a page lead.
pub(super) fn targets(page: &str) -> Vec<String> {
    let prose = prose(page);
    let inline = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next());
    let reference = prose.lines().filter_map(|line| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        (!label.contains(']')).then(|| target.trim())
    });
    inline.chain(reference).map(str::to_owned).collect()
}

/// Links to Rust files whose text is the name of a function: the name, and the file.
pub(super) fn named_functions(page: &str) -> Vec<(&str, &str)> {
    let links = page.split("[`").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        Some((name, rest.split(')').next()?))
    });
    let is_function = |name: &str| {
        name.contains('_')
            && name
                .bytes()
                .all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    links
        .filter(|(name, file)| {
            Path::new(file).extension().is_some_and(|kind| kind == "rs") && is_function(name)
        })
        .collect()
}

/// The files that a page includes by mdBook's directive.
pub(super) fn includes(page: &str) -> Vec<&str> {
    page.split("{{#include ")
        .skip(1)
        .filter_map(|rest| rest.split(['}', ':']).next())
        .map(str::trim)
        .collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
pub(super) fn anchors(page: &str) -> Vec<String> {
    let mut fenced = false;
    let mut anchors: Vec<String> = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let Some(heading) = line
            .trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#') && !fenced)
        else {
            continue;
        };
        let kept = heading
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let same = anchors.iter().filter(|other| **other == anchor).count();
        anchors.push(if same == 0 {
            anchor
        } else {
            format!("{anchor}-{same}")
        });
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One `two`\n\nA [link](a.md#b) and `[code](no.md)`.\n\n<!-- test:x -->\n```sh\n# no heading\n[no](no.md)\n```\n\n## Next step?\n";

    #[test]
    fn code_is_no_prose() {
        assert_eq!(targets(PAGE), ["a.md#b"]);
        assert_eq!(anchors(PAGE), ["one-two", "next-step"]);
        assert_eq!(spans(PAGE), ["two", "[code](no.md)"]);
    }

    #[test]
    fn a_block_knows_the_comment_above_it() {
        let blocks = blocks(PAGE);
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].comment, Some("test:x"));
        assert_eq!(blocks[0].language, "sh");
        assert_eq!(blocks[0].text, "# no heading\n[no](no.md)\n");
    }

    #[test]
    fn a_comment_can_hide_commands() {
        let page = "text\n<!-- test:setup\none\ntwo\n-->\n```json\n{}\n```\n";
        let blocks = blocks(page);
        assert_eq!(blocks.len(), 2);
        assert_eq!(
            (blocks[0].comment, &*blocks[0].text),
            (Some("test:setup"), "one\ntwo\n")
        );
        assert_eq!((blocks[1].comment, blocks[1].language), (None, "json"));
    }

    #[test]
    fn a_link_can_name_a_function() {
        let page = "[`a_test`](a.rs)<br>[`mod.rs`](mod.rs) [`a_page`](b.md) [text](c.rs)";
        assert_eq!(named_functions(page), [("a_test", "a.rs")]);
    }

    #[test]
    fn includes_name_their_file() {
        assert_eq!(
            includes("{{#include ../a.rs:3:9}} {{#include b.md}}"),
            ["../a.rs", "b.md"]
        );
    }
}
