//! Whose the entries of an Ingress's status are, as `metadata.managedFields` says.
//!
//! The list is atomic: it belongs as a whole to whoever wrote it last
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>). What we write has the others' entries
//! first, and the field manager's name says how many these are, so that the next leader knows ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

/// The field manager of what we write.
const MANAGER: &str = "ingress-agent";
/// The list, in `fieldsV1`.
const LIST: &str = "/f:status/f:loadBalancer/f:ingress";

/// The field manager of a list that begins with so many entries of others.
pub(super) fn name(others: usize) -> String {
    match others {
        0 => MANAGER.to_owned(),
        others => format!("{MANAGER}+{others}"),
    }
}

/// How many entries of others a list begins with that we wrote; `None`: somebody else wrote it.
pub(super) fn others(managed: &[ManagedFieldsEntry]) -> Option<usize> {
    let of_list = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer(LIST).is_some())
    };
    let mut managers = managed.iter().filter(of_list);
    let (manager, None) = (managers.next()?, managers.next()) else {
        return None;
    };
    match manager.manager.as_deref()?.strip_prefix(MANAGER)? {
        "" => Some(0),
        rest => rest.strip_prefix('+')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn managed(manager: &str, fields: serde_json::Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager,
            "operation": "Update",
            "subresource": "status",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }))
        .unwrap()
    }

    fn list(manager: &str) -> ManagedFieldsEntry {
        managed(
            manager,
            json!({"f:status": {"f:loadBalancer": {"f:ingress": {}}}}),
        )
    }

    #[test]
    fn the_last_writer_of_the_list_counts_and_says_how_many_are_others() {
        let spec = managed("kubectl", json!({"f:spec": {"f:rules": {}}}));
        for others_first in [0, 1, 20] {
            let written = list(&name(others_first));
            assert_eq!(others(&[spec.clone(), written]), Some(others_first));
        }
        assert_eq!(others(&[spec, managed(MANAGER, json!({"f:status": {}}))]), None);
        assert_eq!(others(&[]), None);
    }

    #[test]
    fn what_others_wrote_or_share_is_not_ours() {
        for manager in [
            "nginx-ingress-controller",
            "ingress-agent-2",
            "ingress-agent+",
            "",
        ] {
            assert_eq!(others(&[list(manager)]), None, "{manager}");
        }
        assert_eq!(others(&[list(MANAGER), list("kubectl")]), None);
    }
}
