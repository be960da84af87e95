//! A file's text, as documents of untyped values: what `kubectl` makes of it before it looks at kinds.

use serde_json::Value;

/// A document of a file.
pub(super) struct Document<'a> {
    /// Counts from 1.
    pub(super) number: usize,
    /// Its text.
    pub(super) text: &'a str,
    /// The line of the file on which `text` begins, from 1.
    pub(super) line: usize,
    json: bool,
}

/// The documents of a file, empty ones among them.
pub(super) fn documents(text: &str, json: bool) -> impl Iterator<Item = Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parts = split(text, json).into_iter().enumerate();
    parts.map(move |(index, (line, text))| Document {
        number: index + 1,
        text,
        line,
        json,
    })
}

impl Document<'_> {
    /// What it says, null if nothing; or why it is not YAML or JSON, with the line in the file.
    pub(super) fn value(&self) -> Result<Value, String> {
        if self.json {
            parse_json(self.text, self.line)
        } else {
            parse_yaml(self.text, self.line)
        }
    }
}

/// Splits at the marker `---`, which no YAML scalar may hold at the start of a line (YAML 1.2.2, production
/// `c-forbidden`), so that a document that is not YAML costs itself alone.
fn split(text: &str, json: bool) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut at, mut line) = (0, 1, 0, 1);
    for content in text.split_inclusive('\n') {
        let marker = content
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker && !json {
            documents.extend(
                text.get(start..at)
                    .filter(|before| start > 0 || !is_blank(before))
                    .map(|t| (first_line, t)),
            );
            // The rest of the marker's line may hold content: `--- {kind: List}`.
            start = at + 3;
            first_line = line;
        }
        at += content.len();
        line += 1;
    }
    documents.extend(text.get(start..).map(|rest| (first_line, rest)));
    documents
}

fn is_blank(text: &str) -> bool {
    text.lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with(['#', '%']))
}

fn parse_yaml(text: &str, first_line: usize) -> Result<Value, String> {
    if is_blank(text) {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let line = line
            .and_then(|line| usize::try_from(line).ok())
            .map_or(first_line, |line| first_line + line - 1);
        format!(
            "line {line}: {}",
            first_sentence(&error.without_snippet().to_string())
        )
    })
}

fn parse_json(text: &str, first_line: usize) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| {
        let line = first_line + error.line().saturating_sub(1);
        format!("line {line}: {}", first_sentence(&error.to_string()))
    })
}

fn first_sentence(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    text.split(" at line ")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Limits for what may stand in a folder: large folders of objects yes, alias bombs no.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 20_000_000,
            max_nodes: 20_000_000,
            max_total_scalar_bytes: 256 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
        },
        // YAML 1.2: `y`, `no` and `on` are names like others.
        strict_booleans: true,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers_and_lines(text: &str) -> Vec<(usize, usize, String)> {
        let describe = |document: Document<'_>| match document.value() {
            Ok(Value::Null) => None,
            Ok(value) => Some((document.number, document.line, value.to_string())),
            Err(why) => Some((document.number, 0, why)),
        };
        documents(text, false).filter_map(describe).collect()
    }

    #[test]
    fn documents_are_counted_from_one_with_the_line_they_begin_on() {
        let all = numbers_and_lines(
            "# head\n---\na: 1\n---\n# empty\n--- {b: 2}\n---\nc: |\n  --- not a marker\n---x: 3\n",
        );
        let expected = [(1, 2, "{\"a\":1}"), (3, 6, "{\"b\":2}")];
        assert_eq!(
            all[..2],
            expected.map(|(number, line, value)| (number, line, value.to_owned()))
        );
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn an_error_says_its_line_in_the_file() {
        let all = numbers_and_lines("a: 1\n---\nb: 2\nc: [\n---\nd: 3\n");
        assert_eq!(all.len(), 3);
        assert!(
            all[1].2.starts_with("line 4:") || all[1].2.starts_with("line 5:"),
            "{}",
            all[1].2
        );
    }

    #[test]
    fn a_pem_block_is_no_marker() {
        let all = numbers_and_lines("a: |\n  -----BEGIN X-----\n  AA\n  -----END X-----\n");
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn plain_words_are_texts_as_in_yaml_1_2() {
        let all = numbers_and_lines("[y, no, on, true, 5, 2024-01-01T00:00:00Z, ~]");
        assert_eq!(all[0].2, r#"["y","no","on",true,5,"2024-01-01T00:00:00Z",null]"#);
    }
}
