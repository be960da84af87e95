//! The ways to ask.

use std::net::SocketAddr;

use super::proxies::Proxy;

/// Bytes of the small answer, each of them [`FILL`].
pub(super) const SMALL: usize = 63;
/// Bytes of the large answer.
pub(super) const LARGE: usize = 1024 * 1024;
/// What answers are made of.
pub(super) const FILL: &str = "x";

/// A case of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) tls: bool,
    pub(super) ask: Ask,
}

/// How requests follow one another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ask {
    /// HTTP/1.1, over connections that stay, as fast as answers come.
    Kept,
    /// HTTP/1.1, each over a connection of its own.
    Fresh,
    /// HTTP/2, several streams at once over each connection, as fast as answers come.
    Streams,
    /// HTTP/1.1, over connections that stay, at a rate that every proxy sustains: for the time an answer takes.
    Paced,
    /// HTTP/1.1, the large answer.
    Download,
}

impl Case {
    /// The path that is asked for.
    pub(super) fn path(&self) -> &'static str {
        match self.ask {
            Ask::Download => "/large",
            Ask::Kept | Ask::Fresh | Ask::Streams | Ask::Paced => "/",
        }
    }

    /// Bytes of the answer.
    pub(super) fn length(&self) -> usize {
        match self.ask {
            Ask::Download => LARGE,
            Ask::Kept | Ask::Fresh | Ask::Streams | Ask::Paced => SMALL,
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    pub(super) fn address(&self, proxy: &Proxy) -> SocketAddr {
        if self.tls { proxy.tls } else { proxy.plain }
    }
}

pub(super) const KEPT: Case = Case {
    name: "plain keep-alive",
    tls: false,
    ask: Ask::Kept,
};

pub(super) const CASES: [Case; 7] = [
    KEPT,
    Case {
        name: "TLS keep-alive",
        tls: true,
        ask: Ask::Kept,
    },
    Case {
        name: "HTTP/2",
        tls: true,
        ask: Ask::Streams,
    },
    Case {
        name: "plain, new connection each",
        tls: false,
        ask: Ask::Fresh,
    },
    Case {
        name: "TLS, new connection each",
        tls: true,
        ask: Ask::Fresh,
    },
    Case {
        name: "plain at 70 % load",
        tls: false,
        ask: Ask::Paced,
    },
    Case {
        name: "plain, 1 MiB download",
        tls: false,
        ask: Ask::Download,
    },
];
