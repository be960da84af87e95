//! When the API server was last heard of each kind, so that it shows how old what is served may be.
//!
//! An answer is a list, the begin of a watch, an event or a bookmark; a refusal is none. A watch that its server ends
//! begins anew twice a minute, so that one that nothing happens to is heard as often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::Client;
use tokio::time::Instant;
use tower::service_fn;

/// The watches and what was heard of them.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<Mutex<Lines>>);

/// Each with its kind.
type Lines = Vec<(&'static str, Arc<Line>)>;

/// One watch's line to the API server.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Option<Instant>>);

impl Answers {
    /// How long ago the API server answered, by kind; of a kind with a watch in each of several namespaces the one
    /// that is silent longest. `None`: it never did.
    pub fn ago(&self) -> BTreeMap<&'static str, Option<Duration>> {
        self.before(Instant::now())
    }

    fn before(&self, now: Instant) -> BTreeMap<&'static str, Option<Duration>> {
        let mut kinds = BTreeMap::new();
        for (kind, line) in lock(&self.0).iter() {
            let ago = lock(&line.0).map(|at| now.duration_since(at));
            kinds
                .entry(*kind)
                .and_modify(|longest: &mut Option<Duration>| {
                    *longest = longest.zip(ago).map(|(longest, ago)| longest.max(ago));
                })
                .or_insert(ago);
        }
        kinds
    }

    /// The line of another watch of a kind.
    pub(super) fn line(&self, kind: &'static str) -> Arc<Line> {
        let line = Arc::new(Line::default());
        lock(&self.0).push((kind, Arc::clone(&line)));
        line
    }
}

impl Line {
    /// A client whose answers are taken note of, of one to which refusals are errors. Must be called in a tokio
    /// runtime.
    pub(super) fn client(self: &Arc<Self>, client: &Client) -> Client {
        let (line, inner) = (Arc::clone(self), client.clone());
        let service = service_fn(move |request| {
            let (line, inner) = (Arc::clone(&line), inner.clone());
            async move {
                let response = inner.send(request).await?;
                line.answered();
                Ok::<_, kube::Error>(response.map(|body| {
                    body.map_frame(move |frame| {
                        line.answered();
                        frame
                    })
                }))
            }
        });
        Client::new(service, client.default_namespace()).with_valid_until(*client.valid_until())
    }

    /// The API server answered.
    pub(super) fn answered(&self) {
        self.answered_at(Instant::now());
    }

    fn answered_at(&self, now: Instant) {
        *lock(&self.0) = Some(now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
