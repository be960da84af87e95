//! From host and path to a rule: the exact host, then the one-label wildcard, then any; there the best path.
//!
//! Neither the number of hosts nor that of routes makes a lookup slower but for the memory it touches, and a
//! lookup allocates nothing. The host decides first: a path that the exact host does not have is not looked
//! for under the wildcard, it goes to the site's default.

mod hosts;
mod paths;

use std::sync::Arc;

use http::HeaderValue;

use super::authority::HostName;
use super::error::ProxyError;
use super::upstream::{Budget, Endpoint, Newest};
use crate::model::{self, Host, HostMap};

pub(super) use hosts::find;
pub(super) use paths::Paths;

/// A site, compiled.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) hosts: HostMap<Arc<Paths>>,
    pub(super) default: Option<Arc<Rule>>,
}

/// A route and the endpoints it calls. A request holds this, never the table.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) route: Arc<model::Route>,
    /// `None`: the route refuses.
    pub(super) upstream: Option<Arc<Upstream>>,
    /// What the pod gets as Host instead of the client's.
    pub(super) host: Option<HeaderValue>,
}

/// A backend's endpoints by state.
#[derive(Debug)]
pub(super) struct Upstream {
    /// Given new requests.
    pub(super) ready: Box<[Arc<Endpoint>]>,
    /// Given new requests only when none is ready.
    pub(super) draining: Box<[Arc<Endpoint>]>,
    /// Which of a worker's round-robin cursors is this backend's. Two backends may share one.
    pub(super) cursor: u64,
    /// What its retries share.
    pub(super) budget: Budget,
    /// Where its retries find the endpoints of the newest table.
    pub(super) newest: Arc<Newest>,
}

impl Upstream {
    /// How many endpoints there are.
    pub(super) fn count(&self) -> usize {
        self.ready.len() + self.draining.len()
    }

    /// Why there is no endpoint to ask.
    pub(super) fn nobody(&self) -> ProxyError {
        if self.count() == 0 {
            ProxyError::NoEndpoint
        } else {
            ProxyError::AllDown
        }
    }

    /// Requests under way at all of them.
    pub(super) fn in_flight(&self) -> u32 {
        let endpoints = self.ready.iter().chain(&self.draining);
        endpoints.map(|endpoint| endpoint.in_flight()).sum()
    }
}

/// What a lookup found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// The host pattern that matched.
    pub(super) host: Option<&'a Host>,
    /// That host's best rule for the path.
    own: Option<&'a Arc<Rule>>,
    /// The site's.
    default: Option<&'a Arc<Rule>>,
}

impl<'a> Found<'a> {
    /// The rule that answers.
    pub(super) fn rule(&self) -> Option<&'a Arc<Rule>> {
        self.own.or(self.default)
    }

    /// Whether the site's default answers, for want of a path.
    pub(super) fn is_default(&self) -> bool {
        self.own.is_none() && self.default.is_some()
    }
}

impl Site {
    /// Every rule, in no order.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let hosts = self.hosts.iter().flat_map(|(_, paths)| paths.rules());
        hosts.chain(&self.default)
    }

    /// What answers. `path` is canonical.
    pub(super) fn find(&self, host: Option<HostName<'_>>, path: &str) -> Found<'_> {
        let host = find(&self.hosts, host);
        Found {
            host: host.map(|(pattern, _)| pattern),
            own: host.and_then(|(_, paths)| paths.get(path)),
            default: self.default.as_ref(),
        }
    }
}
