//! Trouble with the API server: told once, and when it is over.

use tracing::{info, warn};

/// What one task does at the API server, and the last trouble it had with it.
#[derive(Debug)]
pub(super) struct Trouble {
    doing: &'static str,
    said: Option<String>,
}

impl Trouble {
    /// None yet.
    pub(super) fn new(doing: &'static str) -> Self {
        Self { doing, said: None }
    }

    /// Tells it, unless it was the last to be told.
    pub(super) fn tell(&mut self, error: &impl ToString) {
        let error = error.to_string();
        if self.said.as_ref() != Some(&error) {
            warn!(doing = self.doing, %error, "the API server refuses or does not answer: it is tried again");
            self.said = Some(error);
        }
    }

    /// Tells that it is over, if there was any.
    pub(super) fn over(&mut self) {
        if self.said.take().is_some() {
            info!(doing = self.doing, "the API server answers again");
        }
    }
}
