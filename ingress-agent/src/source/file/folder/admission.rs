//! What an API server would have refused or filled in.

use std::sync::Arc;

use crate::digest::{Cause, Fault};
use crate::model::ObjectRef;
use crate::translate::{Finding, Place, Snapshot};

/// An object that another file, earlier by name, or an earlier document holds already.
pub(super) fn duplicate(object: &ObjectRef, place: &Place, first: &Place) -> Finding {
    Finding {
        object: object.clone(),
        place: Some(place.clone()),
        fault: Fault::refused(Cause::Duplicate, "metadata.name")
            .found(format!("an object that stands in {first} already"))
            .expected("every object once")
            .so("the first one counts")
            .change("remove one of the two, or rename it"),
    }
}

/// Finds the class of Ingresses that name none. With two defaults the API server refuses such an Ingress;
/// here none of the two is the default.
pub(super) fn default_class(snapshot: &mut Snapshot) {
    let defaults: Vec<_> = snapshot
        .classes
        .iter()
        .filter(|class| class.value.is_default)
        .collect();
    match defaults.as_slice() {
        [] => {}
        [only] => snapshot.default_class = Some(Arc::clone(&only.value.object.name)),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|class| format!("`{}`", class.value.object.name))
                .collect();
            let fault = Fault::refused(
                Cause::DefaultClasses,
                "metadata.annotations[ingressclass.kubernetes.io/is-default-class]",
            )
            .found(format!("{} default classes: {}", several.len(), names.join(", ")))
            .expected("one default class at most")
            .so("Ingresses that name no class are not served")
            .change("leave the annotation on one of them");
            let told = several.iter().map(|class| Finding {
                object: class.value.object.clone(),
                place: class.place.clone(),
                fault: fault.clone(),
            });
            let told: Vec<_> = told.collect();
            snapshot.findings.extend(told);
        }
    }
}
