//! One rule: what it matches and what it does.

use std::sync::Arc;

use super::{Backend, ObjectRef, PathMatch, Policies};

/// One rule of a host.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which requests it answers. Method, headers and query join the path when Gateway API comes.
    pub matches: RouteMatch,
    /// What it does with them.
    pub action: Action,
    /// What else it asks for: one for all routes of an Ingress, as far as it can be.
    pub policies: Arc<Policies>,
    /// The object it comes from.
    pub origin: ObjectRef,
}

/// Which requests a route answers. Sorted by [`PathMatch::summary`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RouteMatch {
    /// The request's path.
    pub path: PathMatch,
}

/// What a route does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Calls an endpoint of the backend.
    Forward(Arc<Backend>),
    /// Answers 503: what the rule asks for cannot be honoured, and a wider rule must not answer instead.
    Refuse,
}
