//! IngressClass (networking.k8s.io/v1).

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{IngressClass, IngressClassSpec};

use super::{keep, object};
use crate::model::ObjectRef;

/// What the API server's admission reads: the class of Ingresses that name none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// An IngressClass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Class {
    /// Its name.
    pub object: ObjectRef,
    /// `spec.controller`: whose class it is.
    pub controller: Arc<str>,
    /// Whether Ingresses without a class belong to it.
    pub is_default: bool,
}

/// Turns an IngressClass into its value. Without `spec.controller` it is nobody's.
pub fn digest(class: IngressClass, previous: Option<&Arc<Class>>) -> Arc<Class> {
    let IngressClass { metadata, spec } = class;
    // Parameters are other controllers' business: ours reads none.
    let IngressClassSpec {
        controller,
        parameters: _,
    } = spec.unwrap_or_default();
    let annotations = metadata.annotations.as_ref();
    let is_default = annotations
        .and_then(|all| all.get(DEFAULT_CLASS))
        .is_some_and(|value| value == "true");
    let class = Class {
        object: object("IngressClass", &metadata),
        controller: Arc::from(controller.unwrap_or_default()),
        is_default,
    };
    keep(class, previous)
}
