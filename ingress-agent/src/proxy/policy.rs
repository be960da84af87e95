//! What a route asks for before an endpoint is called, in one order for all routes: that of ingress-nginx.
//!
//! 1. [`body_limit`]: a request that says it is too large is answered 413.
//! 2. [`https_redirect`]: one that did not come over TLS is sent there.
//!
//! What a policy asks for while a body streams is [`RequestBody`](super::forward::RequestBody)'s part.

pub(super) mod body_limit;
pub(super) mod https_redirect;
