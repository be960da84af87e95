//! The flags of the log.

use clap::{Args, ValueEnum};

use crate::telemetry::{AccessFormat, Filter};

/// Flags of the log.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// What is logged, by target: `info`, `info,access=off`, `debug` ... (tracing's EnvFilter syntax).
    #[arg(
        long,
        env = "INGRESS_AGENT_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: Filter,

    /// How it is written, to standard error.
    #[arg(long, env = "INGRESS_AGENT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// How requests are logged, to standard output: ingress-nginx (its log-format-upstream), json, off, or a text
    /// with its variables, such as '$remote_addr $http_x_tenant $status'; one that begins with `escape=json ` is
    /// escaped as JSON's strings are.
    #[arg(
        long,
        env = "INGRESS_AGENT_ACCESS_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "ingress-nginx"
    )]
    pub access_log_format: AccessFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
