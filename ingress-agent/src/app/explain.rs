//! `ingress-agent explain`: asks a folder or a running agent, and writes the answer.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request as HttpRequest, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::admin;
use crate::config::ExplainArgs;
use crate::explain::{Basis, Explanation, Request, Subject, explain};
use crate::model::Opening;
use crate::proxy::Table;
use crate::source::file;
use crate::translate::{Controllers, Translator};

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The folder cannot be read.
    #[error(transparent)]
    Read(#[from] file::ReadError),
    /// Nobody is there to ask.
    #[error(
        "no agent answers at {} ({cause}): start one, name its --run-dir, or give a folder of manifests by -f DIR",
        socket.display()
    )]
    NoAgent {
        /// Its admin socket.
        socket: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The agent's answer is none.
    #[error("the agent at {} did not answer as one of this version does: {why}", socket.display())]
    Broken {
        /// Its admin socket.
        socket: PathBuf,
        /// What came.
        why: String,
    },
    /// The agent does not know.
    #[error("the agent at {} answered {status}: {why}", socket.display())]
    Refused {
        /// Its admin socket.
        socket: PathBuf,
        /// The status.
        status: StatusCode,
        /// The reason.
        why: String,
    },
    /// The explanation cannot be written.
    #[error("cannot write the explanation: {0}")]
    Write(#[from] io::Error),
}

/// Explains a request by a folder of manifests or, without one, by what an agent serves. `true`: an endpoint
/// answers it, or a redirect.
pub async fn explain_request(args: ExplainArgs, out: &mut impl Write) -> Result<bool, ExplainError> {
    let request = Request::new(args.url, args.method, args.header, args.client);
    let request = if args.http1 { request.over_http1() } else { request };
    let explanation = match &args.folder {
        Some(folder) => of_folder(folder, args.take_over.controllers(), &request)?,
        None => of_agent(&args.run_dir.join(admin::SOCKET), &request).await?,
    };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &explanation).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{explanation}")?;
    }
    Ok(explanation.is_served())
}

/// Without a VipPool in it, a folder is read as an agent without XDP does that listens where is asked.
fn of_folder(
    folder: &Path,
    controllers: Controllers,
    request: &Request,
) -> Result<Explanation, file::ReadError> {
    let snapshot = file::read(folder, &Arc::from("this node"))?;
    let mut translator = Translator::new(controllers);
    let is_ordinary = snapshot.pools.is_empty();
    let (model, report) = if is_ordinary {
        translator.translate_at(&snapshot, &Opening::everywhere(request.port(), request.tls()))
    } else {
        translator.translate(&snapshot)
    };
    let table = Table::from(&model);
    let subject = Subject {
        snapshot: &snapshot,
        model: &model,
        report: &report,
        table: &table,
        basis: if is_ordinary {
            Basis::Assumed
        } else {
            Basis::Folder
        },
    };
    Ok(explain(&subject, request))
}

async fn of_agent(socket: &Path, request: &Request) -> Result<Explanation, ExplainError> {
    let late = || ExplainError::NoAgent {
        socket: socket.to_owned(),
        cause: io::ErrorKind::TimedOut.into(),
    };
    timeout(PATIENCE, ask(socket, request))
        .await
        .unwrap_or_else(|_| Err(late()))
}

async fn ask(socket: &Path, request: &Request) -> Result<Explanation, ExplainError> {
    let broken = |why: String| ExplainError::Broken {
        socket: socket.to_owned(),
        why,
    };
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|cause| ExplainError::NoAgent {
            socket: socket.to_owned(),
            cause,
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(error.to_string()))?;
    let asked = HttpRequest::get(format!("/debug/explain?{}", request.query()))
        .header(header::HOST, "ingress-agent")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(error.to_string()))?;
    let answered = async {
        let response = sender.send_request(asked).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, body))
    };
    // The connection ends by itself after its one answer.
    let (answered, _) = tokio::join!(answered, connection);
    let (status, body) = answered.map_err(|error| broken(error.to_string()))?;
    if status != StatusCode::OK {
        return Err(ExplainError::Refused {
            socket: socket.to_owned(),
            status,
            why: String::from_utf8_lossy(&body).trim_end().to_owned(),
        });
    }
    serde_json::from_slice(&body).map_err(|error| broken(error.to_string()))
}
