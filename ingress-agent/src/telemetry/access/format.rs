//! The formats: their text is read once and written per event.

mod escape;
mod variable;

use std::str::FromStr;
use std::time::SystemTime;

use self::escape::Escape;
use self::variable::{Variable, value};
use super::{CAPTURED, Fields};
use crate::proxy::Captures;

/// `log-format-upstream` of ingress-nginx v1.15, whose lines people's parsers know.
const INGRESS_NGINX: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#;

/// How access events are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccessFormat {
    /// Not at all.
    Off,
    /// One JSON object per line.
    Json,
    /// A text with variables.
    Text(Text),
}

/// A text with variables, as nginx's `log_format` reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Text {
    escape: Escape,
    pieces: Vec<Piece>,
    captures: Captures,
}

/// A piece of a text.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    /// As it stands.
    Literal(String),
    /// What a variable stands for.
    Variable(Variable),
}

impl FromStr for AccessFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "json" => Ok(Self::Json),
            "ingress-nginx" => INGRESS_NGINX.parse().map(Self::Text),
            _ if text.contains('$') => text.parse().map(Self::Text),
            _ => Err(
                "expected ingress-nginx, json, off, or a text with variables such as `$remote_addr $status`"
                    .into(),
            ),
        }
    }
}

impl FromStr for Text {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (escape, text) = match text.strip_prefix("escape=") {
            None => (Escape::Default, text),
            Some(rest) => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                (name.parse()?, text)
            }
        };
        let mut captures = Captures::default();
        let mut parts = text.split('$');
        let mut pieces = vec![Piece::Literal(parts.next().unwrap_or_default().to_owned())];
        for part in parts {
            let (name, rest) = match part.strip_prefix('{') {
                Some(braced) => braced
                    .split_once('}')
                    .ok_or_else(|| format!("`${part}` has no closing brace"))?,
                None => {
                    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    part.split_at(part.find(|c| !is_name(c)).unwrap_or(part.len()))
                }
            };
            pieces.push(Piece::Variable(Variable::new(name, &mut captures)?));
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(Self {
            escape,
            pieces,
            captures,
        })
    }
}

impl AccessFormat {
    /// The header fields that the format tells, beside those that every event has.
    pub fn captures(&self) -> Captures {
        match self {
            Self::Off | Self::Json => Captures::default(),
            Self::Text(text) => text.captures.clone(),
        }
    }

    /// Writes an event as a line, without its end.
    pub(super) fn write(&self, fields: &Fields, now: SystemTime, line: &mut String) {
        match self {
            Self::Off => {}
            Self::Json => {
                let mut object = fields.0.clone();
                // Of a request that began under another format.
                object.remove(CAPTURED);
                object.insert(
                    "time".to_owned(),
                    humantime::format_rfc3339_millis(now).to_string().into(),
                );
                // Keys are text, so it always can be written.
                line.push_str(&serde_json::to_string(&object).unwrap_or_default());
            }
            Self::Text(Text {
                escape,
                pieces,
                captures,
            }) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => line.push_str(text),
                        Piece::Variable(variable) => match value(variable, captures, fields, now) {
                            Some(value) => escape.write(&value, line),
                            None => line.push_str(escape.absent()),
                        },
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
