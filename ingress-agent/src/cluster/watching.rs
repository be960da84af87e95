//! The watch of one object by its name.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _, future};
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::backoff::paced;

/// How long a watch lives, in seconds: as long as those of the source, for the same reason.
const WATCH_SECONDS: u32 = 25;

/// How a watch is made here.
pub(super) fn config() -> Config {
    Config::default().timeout(WATCH_SECONDS)
}

/// An object as it is now and after each change; `None`: there is none. Never ends; an error says that the API server
/// does not answer, and is no statement on the object.
pub(super) fn one<K>(
    api: Api<K>,
    name: &str,
) -> impl Stream<Item = Result<Option<K>, watcher::Error>> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = config().fields(&format!("metadata.name={name}"));
    paced(watcher::watcher(api, config))
        .scan(false, |listed, event| {
            let item = match event {
                Ok(Event::Init) => {
                    *listed = false;
                    None
                }
                Ok(Event::InitApply(object)) => {
                    *listed = true;
                    Some(Ok(Some(object)))
                }
                Ok(Event::InitDone) if *listed => None,
                Ok(Event::InitDone | Event::Delete(_)) => Some(Ok(None)),
                Ok(Event::Apply(object)) => Some(Ok(Some(object))),
                Err(error) => Some(Err(error)),
            };
            future::ready(Some(item))
        })
        .filter_map(future::ready)
}
