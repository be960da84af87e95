//! `ingress-agent explain`: asks a folder or a running agent, and writes the answer.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;

use crate::admin::{self, AskError};
use crate::config::ExplainArgs;
use crate::explain::{Basis, Explanation, Request, Subject, explain};
use crate::model::Opening;
use crate::proxy::Table;
use crate::source::file;
use crate::translate::{Controllers, Translator};

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The folder cannot be read.
    #[error(transparent)]
    Read(#[from] file::ReadError),
    /// There is no agent to ask.
    #[error("{0}; or give a folder of manifests by -f DIR")]
    Ask(#[from] AskError),
    /// The agent's answer is no explanation.
    #[error("the agent at {} did not explain as one of this version does: {why}", run_dir.display())]
    Broken {
        /// Its run directory.
        run_dir: PathBuf,
        /// What came.
        why: serde_json::Error,
    },
    /// The agent does not know.
    #[error("the agent at {} answered {status}: {why}", run_dir.display())]
    Refused {
        /// Its run directory.
        run_dir: PathBuf,
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
        None => of_agent(&args.run_dir, &request).await?,
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

async fn of_agent(run_dir: &Path, request: &Request) -> Result<Explanation, ExplainError> {
    let path = format!("/debug/explain?{}", request.query());
    let (status, body) = admin::ask(run_dir, &path).await?;
    if status != StatusCode::OK {
        return Err(ExplainError::Refused {
            run_dir: run_dir.to_owned(),
            status,
            why: String::from_utf8_lossy(&body).trim_end().to_owned(),
        });
    }
    serde_json::from_slice(&body).map_err(|why| ExplainError::Broken {
        run_dir: run_dir.to_owned(),
        why,
    })
}
