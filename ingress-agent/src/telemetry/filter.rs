//! What is logged: a filter that may be another while the program runs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::{EnvFilter, Layer};

/// What the clients' library says of requests that fail: the agent says it once, in its own words. Naming one of these
/// in a filter brings it back.
const SAID_HERE: &str = "kube_client=off,kube_runtime=off";

/// A filter's text, which can be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter(String);

impl Filter {
    fn directives(&self) -> EnvFilter {
        EnvFilter::new(format!("{SAID_HERE},{}", self.0))
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!(
                "{error}; expected a level or levels by target, such as `info`, `debug` or `info,access=off`"
            )),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The filter in force, shared by its clones. Events are judged without a lock. It knows no spans, for there are none.
#[derive(Clone, Debug)]
pub(super) struct InForce(Arc<ArcSwap<EnvFilter>>);

impl InForce {
    pub(super) fn new(filter: &Filter) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(filter.directives())))
    }

    /// Puts another in force, once what is known of callsites is judged anew.
    pub(super) fn set(&self, filter: &Filter) {
        self.0.store(Arc::new(filter.directives()));
    }
}

impl<S: Subscriber> Layer<S> for InForce {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&**self.0.load(), metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Layer::<S>::enabled(&**self.0.load(), metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&**self.0.load())
    }
}
