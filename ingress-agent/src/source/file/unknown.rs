//! Fields that stand in a manifest and in no type: slips that would otherwise go unseen.

use serde::Serialize;
use serde_json::Value;

use crate::digest::{Cause, Fault};

/// The fields under `spec` that are in `written` and that a value read from it does not have. What the
/// type left out because it is empty is none of them.
pub(super) fn fields(written: &Value, read: &impl Serialize) -> Vec<String> {
    let mut unknown = Vec::new();
    if let (Some(written), Ok(read)) = (written.get("spec"), serde_json::to_value(read)) {
        compare(
            "spec",
            written,
            read.get("spec").unwrap_or(&Value::Null),
            &mut unknown,
        );
    }
    unknown
}

fn compare(path: &str, written: &Value, read: &Value, unknown: &mut Vec<String>) {
    match (written, read) {
        (Value::Object(written), read) => {
            for (name, value) in written {
                let path = format!("{path}.{name}");
                match read.get(name) {
                    Some(read) => compare(&path, value, read, unknown),
                    None if is_empty(value) => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            for (index, (written, read)) in written.iter().zip(read).enumerate() {
                compare(&format!("{path}[{index}]"), written, read, unknown);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What is said of such a field.
pub(super) fn fault(field: String) -> Fault {
    Fault::degraded(Cause::UnknownField, field)
        .found("a field that the API does not have")
        .expected("a field of the API's type")
        .so("the field means nothing")
        .change("correct its name or its indentation, or remove it")
}

/// What is said of such a field in a VipPool, where it may have been meant to keep somebody out.
pub(super) fn refusal(field: String) -> Fault {
    Fault::refused(Cause::PoolUnknownField, field)
        .found("a field that a VipPool does not have")
        .expected("`addresses`, `ports`, `announce`, `classes`, and selectors of `matchLabels` and `matchExpressions`")
        .so("the pool is not used")
        .change("correct its name or its indentation, or remove it")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::networking::v1::Ingress;
    use serde_json::json;

    use super::*;

    #[test]
    fn slips_are_found_and_empty_fields_are_not() {
        let written = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "x", "other": 1},
            "spec": {
                "tls": [], "ingressClassname": "slip", "defaultBackend": null,
                "rules": [
                    {"host": "a.test", "http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": {"serviceName": "s", "service": {"name": "s", "port": {"number": 80}}}},
                    ]}},
                    {"hots": "b.test"},
                ],
            },
        });
        let read: Ingress = serde_json::from_value(written.clone()).unwrap();
        let mut unknown = fields(&written, &read);
        unknown.sort();
        let expected = [
            "spec.ingressClassname",
            "spec.rules[0].http.paths[0].backend.serviceName",
            "spec.rules[1].hots",
        ];
        assert_eq!(unknown, expected);
    }
}
