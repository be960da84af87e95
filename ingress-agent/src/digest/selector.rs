//! LabelSelector (meta/v1).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{Cause, Fault};

/// Which labelled things are meant. All requirements must hold; none: everything is meant.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Selector {
    /// In the order of the labels, then of the expressions.
    pub requirements: Vec<Requirement>,
}

/// One of them.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is asked of its value.
    pub operator: Operator,
}

/// What is asked of a label's value (meta/v1 `LabelSelectorRequirement`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operator {
    /// It is one of these.
    In(Vec<String>),
    /// It is none of these, or there is none.
    NotIn(Vec<String>),
    /// There is one.
    Exists,
    /// There is none.
    DoesNotExist,
}

impl Selector {
    /// Reads a selector that stands in `field`.
    pub fn parse(selector: LabelSelector, field: &str) -> Result<Self, Fault> {
        let LabelSelector {
            match_expressions,
            match_labels,
        } = selector;
        let labels = match_labels.unwrap_or_default().into_iter().map(|(key, value)| {
            Ok(Requirement {
                key,
                operator: Operator::In(vec![value]),
            })
        });
        let expressions = match_expressions.unwrap_or_default().into_iter().enumerate();
        let expressions = expressions.map(|(index, expression)| requirement(expression, field, index));
        Ok(Self {
            requirements: labels.chain(expressions).collect::<Result<_, _>>()?,
        })
    }

    /// Whether something with these labels is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    /// The label keys it asks for.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements
            .iter()
            .map(|requirement| requirement.key.as_str())
    }
}

fn requirement(
    expression: LabelSelectorRequirement,
    field: &str,
    index: usize,
) -> Result<Requirement, Fault> {
    let LabelSelectorRequirement {
        key,
        operator,
        values,
    } = expression;
    let values = values.unwrap_or_default();
    let operator = match (operator.as_str(), values.is_empty()) {
        ("In", false) => Operator::In(values),
        ("NotIn", false) => Operator::NotIn(values),
        ("Exists", true) => Operator::Exists,
        ("DoesNotExist", true) => Operator::DoesNotExist,
        (_, empty) => {
            return Err(
                Fault::refused(Cause::Selector, format!("{field}.matchExpressions[{index}]"))
                    .found(format!(
                        "operator `{operator}` with {} values",
                        if empty { "no" } else { "some" }
                    ))
                    .expected("`In` or `NotIn` with values, or `Exists` or `DoesNotExist` without")
                    .so("the object is not used")
                    .change("correct the operator or its values"),
            );
        }
    };
    Ok(Requirement { key, operator })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator() {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        for (operator, values, key, expected) in [
            ("In", &["a", "b"][..], "zone", Some(true)),
            ("In", &["b"], "zone", Some(false)),
            ("In", &["b"], "rack", Some(false)),
            ("NotIn", &["b"], "zone", Some(true)),
            ("NotIn", &["b"], "rack", Some(true)),
            ("NotIn", &["a"], "zone", Some(false)),
            ("Exists", &[], "zone", Some(true)),
            ("Exists", &[], "rack", Some(false)),
            ("DoesNotExist", &[], "rack", Some(true)),
            ("In", &[], "zone", None),
            ("Exists", &["a"], "zone", None),
            ("Like", &["a"], "zone", None),
        ] {
            let expression = LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|&value| value.to_owned()).collect()),
            };
            let selector = LabelSelector {
                match_expressions: Some(vec![expression]),
                match_labels: None,
            };
            let matched = Selector::parse(selector, "spec.nodeSelector").ok();
            assert_eq!(
                matched.map(|s| s.matches(&labels)),
                expected,
                "{operator} {values:?} {key}"
            );
        }
    }
}
