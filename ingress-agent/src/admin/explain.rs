//! `/debug/explain?url=URL`: what would become of a request, from what is served at this moment.

use http::StatusCode;
use tokio::task::spawn_blocking;

use super::Board;
use crate::explain::{Basis, Explanation, Request, Subject, explain};

/// Answers a query, or says with which status it is refused.
pub(super) async fn answer(query: Option<&str>, board: &Board) -> Result<Explanation, (StatusCode, String)> {
    let request = Request::from_query(query.unwrap_or_default())
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let none = || {
        let why = "nothing is served yet: ask again, or see the agent's log";
        (StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
    };
    let (served, proxy) = board.served().ok_or_else(none)?;
    // It looks through all objects, and the control thread has other things to do.
    let explained = spawn_blocking(move || {
        proxy.read(|table| {
            let subject = Subject {
                snapshot: &served.snapshot,
                model: &served.model,
                report: &served.report,
                table,
                basis: Basis::Agent,
            };
            explain(&subject, &request)
        })
    });
    explained
        .await
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
