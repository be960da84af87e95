//! The flags of the request path's limits.

use clap::Args;

use crate::proxy::Caps;

/// Flags of `run` that say how many connections there may be. A connection beyond a limit is reset at once and
/// counted in the metric connections_limited.
#[derive(Args, Clone, Copy, Debug)]
pub struct LimitArgs {
    /// Client connections in all; 0: no limit [default: half of the files this process may open, which leaves as
    /// many for connections to pods]. At nine tenths of it those that have been idle for longest are closed.
    #[arg(long, env = "INGRESS_AGENT_MAX_CONNECTIONS", value_name = "N", value_parser = count)]
    pub max_connections: Option<usize>,

    /// Client connections of one source, an IPv4 address or the /64 of an IPv6 one; 0: no limit. Raise it where many
    /// clients share an address, behind a NAT or a balancer that does not name them.
    #[arg(
        long,
        env = "INGRESS_AGENT_MAX_CONNECTIONS_PER_SOURCE",
        value_name = "N",
        default_value_t = 1_000,
        value_parser = count
    )]
    pub max_connections_per_source: usize,

    /// Client connections to one address and port; 0: no limit.
    #[arg(
        long,
        env = "INGRESS_AGENT_MAX_CONNECTIONS_PER_LISTENER",
        value_name = "N",
        default_value_t = 10_000,
        value_parser = count
    )]
    pub max_connections_per_listener: usize,

    /// TLS handshakes under way in one worker; 0: no limit. With so many, each new one ends the one that has taken
    /// longest.
    #[arg(
        long,
        env = "INGRESS_AGENT_MAX_HANDSHAKES",
        value_name = "N",
        default_value_t = 2_000,
        value_parser = count
    )]
    pub max_handshakes: usize,
}

impl LimitArgs {
    /// The request path's caps. Reads how many files this process may open now.
    pub fn caps(self) -> Caps {
        let default = Caps::default();
        Caps {
            total: self.max_connections.unwrap_or(default.total),
            source: self.max_connections_per_source,
            listener: self.max_connections_per_listener,
            handshakes: self.max_handshakes,
        }
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| "expected a number, such as 1000; 0 is no limit".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        args: LimitArgs,
    }

    #[test]
    fn flags_become_caps() {
        let caps = |args: &[&str]| {
            let parsed = Alone::try_parse_from(["x"].iter().chain(args)).unwrap();
            parsed.args.caps()
        };
        assert_eq!(caps(&[]), Caps::default());
        let all = [
            "--max-connections=7",
            "--max-connections-per-source=0",
            "--max-connections-per-listener=5",
            "--max-handshakes=3",
        ];
        let expected = Caps {
            total: 7,
            source: 0,
            listener: 5,
            handshakes: 3,
        };
        assert_eq!(caps(&all), expected);
    }
}
