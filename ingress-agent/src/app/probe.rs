//! `ingress-agent probe`: a kubelet's question, from inside the Pod.

use std::path::Path;

use http::StatusCode;

use crate::admin::{AskError, ask};
use crate::config::Probe;

/// Why a probe fails.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is no agent to ask.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The agent says no.
    #[error("{path} answers {status}: {why}")]
    No {
        /// What was asked.
        path: &'static str,
        /// The status.
        status: StatusCode,
        /// The agent's reason.
        why: String,
    },
}

/// Asks the agent whose run directory this is.
pub async fn probe(probe: Probe, run_dir: &Path) -> Result<(), ProbeError> {
    let path = match probe {
        Probe::Livez => "/livez",
        Probe::Readyz => "/readyz",
    };
    let (status, body) = ask(run_dir, path).await?;
    if status == StatusCode::OK {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&body).trim_end().to_owned();
    Err(ProbeError::No { path, status, why })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::admin::SOCKET;

    #[tokio::test]
    async fn what_the_agent_says_decides() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = UnixListener::bind(run_dir.path().join(SOCKET)).unwrap();
        let answers = async {
            for (asked, answer) in [
                ("GET /readyz ", "200 OK\r\ncontent-length: 3\r\n\r\nok\n"),
                (
                    "GET /livez ",
                    "503 Service Unavailable\r\ncontent-length: 4\r\n\r\nwhy\n",
                ),
            ] {
                let (mut stream, _) = agent.accept().await.unwrap();
                let mut head = [0; 256];
                let read = stream.read(&mut head).await.unwrap();
                assert!(head[..read].starts_with(asked.as_bytes()), "{asked}");
                let answer = format!("HTTP/1.1 {answer}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let probes = async {
            probe(Probe::Readyz, run_dir.path()).await.unwrap();
            let no = probe(Probe::Livez, run_dir.path()).await.unwrap_err();
            assert_eq!(no.to_string(), "/livez answers 503 Service Unavailable: why");
        };
        tokio::join!(answers, probes);
    }
}
