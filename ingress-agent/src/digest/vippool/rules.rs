//! What the API server itself refuses: bounds, and rules in CEL (`x-kubernetes-validations`).
//!
//! A rule knows no order of addresses, nodes or other pools; what it lets pass the agent judges. The bounds keep
//! every rule's estimated cost within what the API server allows.

use schemars::Schema;
use serde_json::{Value, json};

/// As many entries as a pool may have.
const MAX_ADDRESSES: usize = 100;
/// The longest two IPv6 addresses, with a hyphen and spaces around it.
const MAX_ENTRY: usize = 93;

/// `spec.addresses`.
pub(super) fn addresses(schema: &mut Schema) {
    schema.insert("minItems".to_owned(), json!(1));
    schema.insert("maxItems".to_owned(), json!(MAX_ADDRESSES));
    let Some(Value::Object(items)) = schema.get_mut("items") else {
        return;
    };
    let range = "self.split('-').size() == 2 && self.split('-').all(end, isIP(end.trim()))";
    let unicast = "loopback, link-local, multicast and unspecified addresses are never VIPs";
    let rules = json!([
        rule(
            &format!("isIP(self) || isCIDR(self) || ({range})"),
            "write ADDRESS, CIDR or FIRST-LAST: 192.0.2.10, 192.0.2.0/28 or 2001:db8::10-2001:db8::20",
        ),
        rule(
            &format!(
                "!({range}) || ip(self.split('-')[0].trim()).family() == ip(self.split('-')[1].trim()).family()"
            ),
            "FIRST and LAST are two families: write both as IPv4 or both as IPv6",
        ),
        rule("!isIP(self) || ip(self).isGlobalUnicast()", unicast),
        rule("!isCIDR(self) || cidr(self).ip().isGlobalUnicast()", unicast),
        rule(
            &format!("!({range}) || self.split('-').all(end, ip(end.trim()).isGlobalUnicast())"),
            unicast,
        ),
    ]);
    items.insert("maxLength".to_owned(), json!(MAX_ENTRY));
    items.insert(VALIDATIONS.to_owned(), rules);
}

/// `spec.ports`.
pub(super) fn ports(schema: &mut Schema) {
    let rules = json!([rule(
        "self.all(a, self.exists_one(b, a.port == b.port))",
        "a port number stands twice: every port has one protocol",
    )]);
    schema.insert(VALIDATIONS.to_owned(), rules);
}

/// An assignment's address.
pub(super) fn address(schema: &mut Schema) {
    let rules = json!([rule(
        "isIP(self)",
        "write an IP address: 192.0.2.10 or 2001:db8::10"
    )]);
    schema.insert(VALIDATIONS.to_owned(), rules);
}

/// Whose an assignment is.
pub(super) fn assignment(schema: &mut Schema) {
    let rules = json!([
        rule(
            "has(self.namespace) == has(self.name)",
            "`namespace` and `name` name an Ingress together: write both or neither",
        ),
        rule(
            "has(self.class) != (has(self.namespace) || has(self.name))",
            "an address is a class's or an Ingress's: write either `class`, or `namespace` and `name`",
        ),
    ]);
    schema.insert(VALIDATIONS.to_owned(), rules);
}

/// One condition of each type.
pub(super) fn conditions(schema: &mut Schema) {
    schema.insert("x-kubernetes-list-type".to_owned(), json!("map"));
    schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(["type"]));
}

const VALIDATIONS: &str = "x-kubernetes-validations";

fn rule(rule: &str, message: &str) -> Value {
    json!({"rule": rule, "message": message})
}
