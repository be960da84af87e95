//! How values are written so that none can end its line or its quotes.

use std::fmt::Write;
use std::str::FromStr;

/// nginx's `escape` of `log_format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Escape {
    /// `"`, `\` and all that is not printable ASCII as `\xHH`.
    Default,
    /// As within a JSON string (RFC 8259 section 7).
    Json,
}

impl FromStr for Escape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "default" => Ok(Self::Default),
            "json" => Ok(Self::Json),
            "none" => {
                Err("`escape=none` would let a client write lines of its own; use default or json".into())
            }
            _ => Err(format!("`escape={name}`: expected default or json")),
        }
    }
}

impl Escape {
    /// What stands for a value that is not there.
    pub(super) fn absent(self) -> &'static str {
        match self {
            Self::Default => "-",
            Self::Json => "",
        }
    }

    pub(super) fn write(self, value: &str, line: &mut String) {
        match self {
            Self::Default => default(value, line),
            Self::Json => json(value, line),
        }
    }
}

fn default(value: &str, line: &mut String) {
    for byte in value.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\' {
            line.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            _ = write!(line, "\\x{byte:02X}");
        }
    }
}

fn json(value: &str, line: &mut String) {
    for letter in value.chars() {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            // The last two end a line for some readers.
            _ if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') => {
                // Writing to a String does not fail.
                _ = write!(line, "\\u{:04X}", u32::from(letter));
            }
            _ => line.push(letter),
        }
    }
}
