//! The flags of serving without XDP.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use clap::Args;
use clap::builder::BoolishValueParser;
use ipnet::IpNet;

use crate::model::{Opening, Protocol, Vip};

/// Flags of `run` that put ordinary listeners in the place of XDP.
#[derive(Args, Clone, Debug, Default)]
#[command(group(clap::ArgGroup::new("openings").args(["listen", "tls_listen"]).multiple(true)))]
pub struct OrdinaryArgs {
    /// Serves L7 alone, on the listeners of --listen and --tls-listen: no eBPF, no VipPool, no root. All
    /// Ingresses of our classes, of every namespace, are answered on each of them.
    #[arg(long, env = "INGRESS_AGENT_NO_XDP", requires = "openings",
          value_parser = BoolishValueParser::new())]
    pub no_xdp: bool,

    /// Where plain HTTP is answered without XDP; 0.0.0.0 and [::] are all addresses of their family.
    #[arg(long, env = "INGRESS_AGENT_LISTEN", value_name = "ADDRESS:PORT,...", value_delimiter = ',',
          requires = "no_xdp", value_parser = opening)]
    pub listen: Vec<SocketAddr>,

    /// Where TLS is terminated without XDP.
    #[arg(long, env = "INGRESS_AGENT_TLS_LISTEN", value_name = "ADDRESS:PORT,...", value_delimiter = ',',
          requires = "no_xdp", value_parser = opening)]
    pub tls_listen: Vec<SocketAddr>,

    /// The balancers in front of those listeners. Whoever connects from these addresses must begin with a PROXY
    /// protocol header, version 1 or 2, which names the client; nobody else is believed one.
    #[arg(long, env = "INGRESS_AGENT_PROXY_PROTOCOL_FROM", value_name = "CIDR,...", value_delimiter = ',',
          requires = "no_xdp", value_parser = range)]
    pub proxy_protocol_from: Vec<IpNet>,
}

/// An address is to be listened at twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("--listen and --tls-listen name {0} twice; name each ADDRESS:PORT once, as plain or as TLS")]
pub struct Twice(SocketAddr);

impl OrdinaryArgs {
    /// The listeners, plain ones first.
    pub fn openings(&self) -> Result<Vec<Opening>, Twice> {
        let mut seen = BTreeSet::new();
        let plain = self.listen.iter().map(|address| (*address, false));
        let tls = self.tls_listen.iter().map(|address| (*address, true));
        let mut openings = Vec::new();
        for (address, tls) in plain.chain(tls) {
            if !seen.insert(address) {
                return Err(Twice(address));
            }
            // `opening` has refused port 0.
            if let Some(port) = NonZeroU16::new(address.port()) {
                let vip = Vip {
                    address: address.ip(),
                    port,
                    protocol: Protocol::Tcp,
                };
                openings.push(Opening { vip, tls });
            }
        }
        Ok(openings)
    }
}

fn opening(text: &str) -> Result<SocketAddr, String> {
    let expected = "expected ADDRESS:PORT, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80";
    let address: SocketAddr = text.parse().map_err(|_| expected.to_owned())?;
    if address.port() == 0 {
        return Err(format!("{expected}: a port from 1 to 65535"));
    }
    // An IPv4 address in IPv6 clothes would need a socket of both families.
    if address.ip().to_canonical() != address.ip() {
        return Err(format!("{expected}: an IPv4 address as such"));
    }
    Ok(address)
}

fn range(text: &str) -> Result<IpNet, String> {
    let net = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(|net| net.trunc())
        .map_err(|_| "expected an address or a range of them, such as 192.0.2.7 or 10.0.0.0/8".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        args: OrdinaryArgs,
    }

    fn parse(args: &[&str]) -> Result<OrdinaryArgs, String> {
        let parsed = Alone::try_parse_from(["x"].iter().chain(args));
        parsed.map(|alone| alone.args).map_err(|error| error.to_string())
    }

    #[test]
    fn plain_and_tls_listeners() {
        let args = parse(&[
            "--no-xdp",
            "--listen",
            "127.0.0.1:8080,[::]:80",
            "--tls-listen",
            "0.0.0.0:443",
        ]);
        let openings = args.unwrap().openings().unwrap();
        let text = |opening: &Opening| format!("{} {}", opening.vip, opening.tls);
        let openings: Vec<_> = openings.iter().map(text).collect();
        assert_eq!(
            openings,
            [
                "127.0.0.1-8080-tcp false",
                "::-80-tcp false",
                "0.0.0.0-443-tcp true"
            ]
        );
    }

    #[test]
    fn what_makes_no_listener_is_refused() {
        for (args, word) in [
            (&["--no-xdp"][..], "--listen"),
            (&["--listen", "127.0.0.1:80"], "--no-xdp"),
            (&["--no-xdp", "--listen", "127.0.0.1:0"], "1 to 65535"),
            (&["--no-xdp", "--listen", "localhost:80"], "ADDRESS:PORT"),
            (&["--no-xdp", "--listen", "[::ffff:127.0.0.1]:80"], "as such"),
            (
                &[
                    "--no-xdp",
                    "--listen",
                    "127.0.0.1:80",
                    "--proxy-protocol-from",
                    "x",
                ],
                "range",
            ),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(word), "{args:?}: {error}");
        }
        let twice = parse(&["--no-xdp", "--listen", "[::1]:80", "--tls-listen", "[::1]:80"]);
        assert_eq!(twice.unwrap().openings(), Err(Twice("[::1]:80".parse().unwrap())));
    }

    #[test]
    fn a_range_is_an_address_or_a_prefix() {
        for (text, expected) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(range(text).unwrap().to_string(), expected);
        }
    }
}
