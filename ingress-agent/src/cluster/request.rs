//! A request of which somebody waits for the answer.

use std::time::Duration;

use kube::Error;
use kube::core::Status;
use tokio::time::timeout;

/// Why a request has no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The object was written, made or deleted by somebody since it was read.
    #[error("somebody else wrote it")]
    Outdated,
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Anything else.
    #[error(transparent)]
    Api(Error),
}

impl RequestError {
    /// Whether the API server refuses this very request: it answers others.
    pub(super) fn is_refusal(&self) -> bool {
        let is_refusal =
            |status: &Status| (400..500).contains(&status.code) && ![401, 429].contains(&status.code);
        matches!(self, Self::Api(Error::Api(status)) if is_refusal(status))
    }
}

/// The answer to a request, if it comes in time.
pub(super) async fn answer<T>(
    within: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, RequestError> {
    let answer = timeout(within, request)
        .await
        .map_err(|_| RequestError::Late(within))?;
    answer.map_err(|error| {
        let is_outdated = |status: &Status| {
            // A namespace that is not there is nobody's doing.
            let of_namespace = status
                .details
                .as_ref()
                .is_some_and(|details| details.kind == "namespaces");
            status.is_conflict() || status.is_already_exists() || (status.is_not_found() && !of_namespace)
        };
        if matches!(&error, Error::Api(status) if is_outdated(status)) {
            RequestError::Outdated
        } else {
            RequestError::Api(error)
        }
    })
}
