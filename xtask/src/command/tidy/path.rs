//! The paths that code names, `use` groups spelled out: enough of Rust's grammar to tell who uses whom.

use super::Source;

/// Every path of two segments or more in the code that ships, `use` groups spelled out, `self` and `super`
/// resolved to `crate::...`.
pub(super) fn paths(source: &Source) -> Vec<(usize, Vec<String>)> {
    let mut tokens = Vec::new();
    for (line, code) in source.shipped() {
        tokens.extend(tokenize(code).map(|token| (line, token)));
    }
    let module = module_of(&source.path);
    let mut found = Vec::new();
    let mut position = 0;
    while let Some(&(_, token)) = tokens.get(position) {
        position = if is_word(token) {
            read_path(&tokens, position, &[], &module, &mut found)
        } else {
            position + 1
        };
    }
    found
}

/// Reads the path at `position`, groups included; gives the position behind it.
fn read_path(
    tokens: &[(usize, &str)],
    mut position: usize,
    prefix: &[String],
    module: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(position).map_or(0, |&(line, _)| line);
    while let Some(&(_, word)) = tokens.get(position).filter(|(_, token)| is_word(token)) {
        path.push(word.to_owned());
        position += 1;
        if tokens.get(position).is_none_or(|&(_, token)| token != "::") {
            if path.len() > 1 {
                found.push((line, resolve(&path, module)));
            }
            return position;
        }
        position += 1;
    }
    if tokens.get(position).is_some_and(|&(_, token)| token == "{") {
        position += 1;
        while let Some(&(_, token)) = tokens.get(position) {
            if token == "}" {
                return position + 1;
            }
            position = if is_word(token) || token == "{" {
                read_path(tokens, position, &path, module, found)
            } else {
                position + 1
            };
        }
        return position;
    }
    // A glob, or a turbofish.
    if !path.is_empty() {
        found.push((line, resolve(&path, module)));
    }
    position
}

/// The module that a file is: `ingress-agent/src/xdp/plan.rs` is `[xdp, plan]`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let module = inside.strip_suffix(".rs").unwrap_or(inside);
    if matches!(module, "lib" | "main") {
        Vec::new()
    } else {
        module.split('/').map(str::to_owned).collect()
    }
}

/// `self::x` and `super::x` as `crate::...`.
fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    let is_self = path.first().is_some_and(|segment| segment == "self");
    if supers == 0 && !is_self {
        return path.to_vec();
    }
    let kept = module.len().saturating_sub(supers);
    let behind = path.iter().skip(supers + usize::from(is_self));
    std::iter::once("crate".to_owned())
        .chain(module.iter().take(kept).cloned())
        .chain(behind.cloned())
        .collect()
}

/// Words, `::`, and single other characters; blanks are skipped.
fn tokenize(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let length = if rest.starts_with("::") {
            2
        } else if is_word_character(first) {
            rest.find(|character| !is_word_character(character))
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

/// The words of a line of code.
pub(super) fn words(code: &str) -> impl Iterator<Item = &str> {
    tokenize(code).filter(|token| is_word(token))
}

fn is_word(token: &str) -> bool {
    token.starts_with(is_word_character)
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
