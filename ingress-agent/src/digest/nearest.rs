//! The nearest existing name, for who missed one by a letter.

/// RFC 1123 subdomains, as Kubernetes names objects.
const LONGEST_NAME: usize = 253;

/// The name most like `missed` among those that exist, when it is near enough to be a slip.
pub fn nearest<'a>(missed: &str, existing: impl Iterator<Item = &'a str>) -> Option<String> {
    if missed.len() > LONGEST_NAME {
        return None;
    }
    let limit = 1 + missed.len() / 4;
    let near = existing.map(|name| (distance(missed, name, limit), name));
    let near = near.filter(|(distance, _)| *distance <= limit).min()?;
    Some(near.1.to_owned())
}

/// Levenshtein's distance, or more than `limit`.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let substituted = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = substituted.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_by_the_nearest_name() {
        let names = ["echo", "payments", "shop-frontend"];
        let ask = |missed| nearest(missed, names.into_iter());
        assert_eq!(ask("ecko").as_deref(), Some("echo"));
        assert_eq!(ask("shop-fronted").as_deref(), Some("shop-frontend"));
        assert_eq!(ask("payment").as_deref(), Some("payments"));
        assert_eq!(ask("database"), None);
    }
}
