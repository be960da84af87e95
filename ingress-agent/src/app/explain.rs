//! `ingress-agent explain` of a folder: reads it, asks, writes.

use std::io::{self, Write};
use std::sync::Arc;

use crate::config::ExplainArgs;
use crate::explain::{Request, Subject, explain};
use crate::proxy::Table;
use crate::source::file;
use crate::translate::translate;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The folder cannot be read.
    #[error(transparent)]
    Read(#[from] file::ReadError),
    /// The explanation cannot be written.
    #[error("cannot write the explanation: {0}")]
    Write(#[from] io::Error),
}

/// Explains a request by a folder of manifests. `true`: an endpoint answers it, or a redirect.
pub fn explain_folder(args: ExplainArgs, out: &mut impl Write) -> Result<bool, ExplainError> {
    let snapshot = file::read(&args.folder, &Arc::from("this node"))?;
    let (model, report) = translate(&snapshot);
    let table = Table::from(&model);
    let subject = Subject {
        snapshot: &snapshot,
        model: &model,
        report: &report,
        table: &table,
    };
    let request = Request::new(args.url, args.method, args.header, args.client);
    let explanation = explain(&subject, &request);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &explanation).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{explanation}")?;
    }
    Ok(explanation.is_served())
}
