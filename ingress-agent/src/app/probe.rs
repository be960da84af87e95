//! `ingress-agent probe`: a kubelet's question, from inside the Pod.

use std::path::Path;

use super::ask::{AskError, get};
use crate::admin;
use crate::config::Probe;

/// Asks the agent whose run directory this is. An error: it says no, or there is none.
pub async fn probe(probe: Probe, run_dir: &Path) -> Result<(), AskError> {
    let path = match probe {
        Probe::Livez => "/livez",
        Probe::Readyz => "/readyz",
    };
    get(&run_dir.join(admin::SOCKET), path).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn what_the_agent_says_decides() {
        let run_dir = tempfile::tempdir().unwrap();
        let agent = UnixListener::bind(run_dir.path().join(admin::SOCKET)).unwrap();
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
            assert!(
                no.to_string().ends_with("answered 503 Service Unavailable: why"),
                "{no}"
            );
        };
        tokio::join!(answers, probes);
    }
}
