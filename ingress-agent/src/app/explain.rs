//! `ingress-agent explain`: asks a folder or a running agent, and writes the answer.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::ask::{AskError, ask};
use crate::admin;
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
    /// Nobody is there to ask.
    #[error("{0}, or give a folder of manifests by -f DIR")]
    NoAgent(AskError),
    /// The agent does not say.
    #[error(transparent)]
    Ask(AskError),
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
        translator.translate_at(
            &snapshot,
            &Opening::everywhere(request.port(), request.tls()),
            &BTreeSet::new(),
        )
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
    let asked = ask(socket, &format!("/debug/explain?{}", request.query())).await;
    asked.map_err(|error| match error {
        AskError::NoAgent { .. } => ExplainError::NoAgent(error),
        AskError::Broken { .. } | AskError::Refused { .. } => ExplainError::Ask(error),
    })
}
