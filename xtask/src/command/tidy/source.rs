//! A Rust source file, taken apart as far as the rules need: code without comments and texts, comments without
//! code, and which lines are tests.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One file. The three views have the same lines.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// The lines' code: comments, and the insides of literals, are blank.
    pub code: Vec<String>,
    /// The lines' comments: everything else is blank.
    pub comments: Vec<String>,
    /// Whether a line is a test's.
    pub test: Vec<bool>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
        let code = lines(&code);
        let test = test_lines(path, &code);
        Self {
            path: path.to_owned(),
            code,
            comments: lines(&comments),
            test,
        }
    }

    /// How many lines the file has.
    pub(super) fn len(&self) -> usize {
        self.code.len().saturating_sub(1)
    }

    /// The code of each line that is no test's, with its number from 1.
    pub(super) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().zip(&self.test).enumerate();
        lines
            .filter(|(_, (_, test))| !**test)
            .map(|(index, (code, _))| (index + 1, code.as_str()))
    }
}

/// Every Rust file that git knows, or would if it were added.
pub(super) fn all(root: &Path) -> Result<Vec<Source>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .output()
        .context("start git")?;
    ensure!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut sources = Vec::new();
    for path in String::from_utf8_lossy(&output.stdout).lines() {
        let file = root.join(path);
        // A file that was deleted and not yet committed is still listed.
        if file.is_file() {
            let text = fs::read_to_string(&file).with_context(|| format!("read {path}"))?;
            sources.push(Source::new(path, &text));
        }
    }
    Ok(sources)
}

/// What the next character belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum In {
    Code,
    LineComment,
    /// Nested so deep.
    BlockComment(u32),
    Text,
    /// Closed by a quote and so many `#`.
    RawText(usize),
}

/// The code and the comments of a text, each with the other blanked; line ends are in both.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut state = In::Code;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        let (mut is_code, mut is_comment) = (false, false);
        match state {
            In::Code => {
                is_code = true;
                if rest.starts_with("//") {
                    (state, is_code, is_comment) = (In::LineComment, false, true);
                } else if rest.starts_with("/*") {
                    (state, is_code, is_comment, length) = (In::BlockComment(1), false, true, 2);
                } else if let Some((opening, hashes)) = raw_text(rest, &code) {
                    (state, length) = (In::RawText(hashes), opening);
                } else if first == '"' {
                    state = In::Text;
                } else if first == '\'' {
                    length = character(rest);
                    is_code = length == 1;
                }
            }
            In::LineComment => {
                is_comment = true;
                if first == '\n' {
                    state = In::Code;
                }
            }
            In::BlockComment(depth) => {
                is_comment = true;
                if rest.starts_with("*/") {
                    length = 2;
                    state = if depth == 1 {
                        In::Code
                    } else {
                        In::BlockComment(depth - 1)
                    };
                } else if rest.starts_with("/*") {
                    (state, length) = (In::BlockComment(depth + 1), 2);
                }
            }
            In::Text => {
                if first == '\\' {
                    length += rest
                        .get(length..)
                        .and_then(|rest| rest.chars().next())
                        .map_or(0, char::len_utf8);
                } else if first == '"' {
                    (state, is_code) = (In::Code, true);
                }
            }
            In::RawText(hashes) => {
                if rest
                    .strip_prefix('"')
                    .is_some_and(|rest| rest.starts_with(&"#".repeat(hashes)))
                {
                    (state, length) = (In::Code, 1 + hashes);
                }
            }
        }
        let (part, after) = rest.split_at(length);
        for character in part.chars() {
            let blank = if character == '\n' { '\n' } else { ' ' };
            code.push(if is_code { character } else { blank });
            comments.push(if is_comment { character } else { blank });
        }
        rest = after;
    }
    (code, comments)
}

/// The length of `r#"` and its like at the start of `rest`, and how many `#` close it.
fn raw_text(rest: &str, before: &str) -> Option<(usize, usize)> {
    if before.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
        return None;
    }
    let after = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let text = after.trim_start_matches('#');
    let hashes = after.len() - text.len();
    text.starts_with('"')
        .then(|| (rest.len() - text.len() + 1, hashes))
}

/// The length of a character literal at the start of `rest`; 1 if it is a lifetime.
fn character(rest: &str) -> usize {
    let inside = rest.get(1..).unwrap_or_default();
    if inside.starts_with('\\') {
        // At least one character stands behind the backslash, perhaps a quote.
        return inside
            .get(2..)
            .and_then(|rest| rest.find('\''))
            .map_or(1, |end| end + 4);
    }
    let one = inside.chars().next().map_or(0, char::len_utf8);
    if inside.get(one..).is_some_and(|rest| rest.starts_with('\'')) {
        one + 2
    } else {
        1
    }
}

/// Which lines are tests: whole files of tests, and items behind `#[cfg(test)]` or `#[test]`.
fn test_lines(path: &str, code: &[String]) -> Vec<bool> {
    let whole =
        path.ends_with("/tests.rs") || ["tests/", "benches/"].iter().any(|folder| path.contains(folder));
    let mut test = vec![whole; code.len()];
    if whole {
        return test;
    }
    let mut depth = 0_usize;
    // While inside a test item: the depth it began at, and whether its braces have opened.
    let mut item: Option<(usize, bool)> = None;
    for (line, test) in code.iter().zip(&mut test) {
        let trimmed = line.trim();
        if item.is_none() && (trimmed.starts_with("#[cfg(test)]") || trimmed.starts_with("#[test]")) {
            item = Some((depth, false));
        }
        *test = item.is_some();
        let is_attribute = trimmed.starts_with("#[");
        for character in line.chars() {
            match character {
                '{' => {
                    depth += 1;
                    item = item.map(|(start, _)| (start, true));
                }
                '}' => depth = depth.saturating_sub(1),
                // An item without braces: `mod tests;`, `use ...;`.
                ';' if !is_attribute && item == Some((depth, false)) => item = None,
                _ => {}
            }
        }
        if let Some((start, true)) = item
            && depth <= start
        {
            item = None;
        }
    }
    test
}
