//! The table in words: what is really compiled, read back from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use super::{Listener, Table};
use crate::proxy::router::{Rule, Site};

/// A table's listeners and sites.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableText {
    /// By address.
    pub listeners: BTreeMap<SocketAddr, ListenerText>,
    /// The sites that they share.
    pub sites: Vec<SiteText>,
}

/// A listener.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerText {
    /// The server names that have a certificate; absent on a plain listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_names: Option<Vec<String>>,
    /// Its place among the sites.
    pub site: usize,
}

/// A site's rules.
#[derive(Clone, Debug, Serialize)]
pub struct SiteText {
    /// By host pattern; best first.
    pub hosts: BTreeMap<String, Vec<RuleText>>,
    /// What answers where no host or no path matches.
    pub default: Option<RuleText>,
}

/// A rule.
#[derive(Clone, Debug, Serialize)]
pub struct RuleText {
    /// `Exact` or `Prefix`.
    pub path_type: &'static str,
    /// The path.
    pub path: String,
    /// The object it comes from.
    pub origin: String,
}

impl From<&Table> for TableText {
    fn from(table: &Table) -> Self {
        let mut text = Self::default();
        let mut known: Vec<*const Site> = Vec::new();
        for (address, Listener { site, certificates }) in table.listeners() {
            let pointer = Arc::as_ptr(site);
            let index = known
                .iter()
                .position(|known| *known == pointer)
                .unwrap_or_else(|| {
                    known.push(pointer);
                    text.sites.push(SiteText::from(&**site));
                    text.sites.len() - 1
                });
            let names = certificates.as_ref().map(|certificates| {
                let usable = certificates.iter().filter(|(_, key)| key.is_some());
                let mut names: Vec<_> = usable.map(|(name, _)| name.to_string()).collect();
                names.sort();
                names
            });
            let listener = ListenerText {
                server_names: names,
                site: index,
            };
            text.listeners.insert(address, listener);
        }
        text
    }
}

impl From<&Site> for SiteText {
    fn from(site: &Site) -> Self {
        let host = |(host, paths): (&crate::model::Host, &Arc<crate::proxy::router::Paths>)| {
            let rules = paths.rules();
            (
                host.to_string(),
                rules.into_iter().map(|rule| RuleText::from(&**rule)).collect(),
            )
        };
        Self {
            hosts: site.hosts.iter().map(host).collect(),
            default: site.default.as_ref().map(|rule| RuleText::from(&**rule)),
        }
    }
}

impl From<&Rule> for RuleText {
    fn from(rule: &Rule) -> Self {
        let path = &rule.route.matches.path;
        Self {
            path_type: path.path_type(),
            path: path.path().to_string(),
            origin: rule.route.origin.to_string(),
        }
    }
}
