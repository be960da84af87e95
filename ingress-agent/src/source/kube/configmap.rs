//! The agents' own ConfigMap: what it holds, and what the disk has of it until the API server answers.
//!
//! A watch of that one object, by its name, so that a right to that name is enough. What its keys mean is not known
//! here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher::{Config, Error};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::answers::Line;
use super::arrived::Arrived;
use super::client;
use super::kind::{Definition, follow, lock, take};
use super::saved::SavedConfig;
use super::shelf::{Key, Shelf};

/// Its name, in the agents' namespace.
pub const CONFIG_MAP: &str = "ingress-agent";

/// Keys and their values.
pub type Data = BTreeMap<String, String>;

/// What is known of the ConfigMap.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// What it holds; nothing where there is none.
    pub data: Arc<Data>,
    /// Who says so.
    pub origin: Origin,
    /// Why the API server has not said anything yet.
    pub trouble: Option<Trouble>,
}

/// Who says what a ConfigMap holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Origin {
    /// Nobody has yet.
    #[default]
    Nobody,
    /// What a former agent of this node saved.
    Disk,
    /// The API server.
    Server {
        /// Whether there is one.
        exists: bool,
    },
}

/// Why the API server does not say it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// In words.
    pub text: String,
    /// The right is missing: asking again helps nothing.
    pub is_refusal: bool,
}

impl Known {
    /// Whether an agent should start from it, rather than wait for more. Where the disk has nothing, nothing can be
    /// served before the API server answers either.
    pub fn is_enough(&self) -> bool {
        match self.origin {
            Origin::Server { .. } => true,
            Origin::Disk => self.trouble.is_some(),
            Origin::Nobody => self.trouble.as_ref().is_some_and(|trouble| trouble.is_refusal),
        }
    }
}

/// Follows the ConfigMap of a namespace on a task of its own, and keeps what it holds in a directory.
pub fn watch_config(
    api: &client::Api,
    namespace: &str,
    state_dir: &Path,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Known> {
    let saved = SavedConfig::new(state_dir, api.cluster.of_namespace(namespace));
    let (known, receiver) = watch::channel(saved.load());
    let api = Api::namespaced(api.client.clone(), namespace);
    let key = (Arc::from(namespace), Arc::from(CONFIG_MAP));
    tasks.spawn(keep_up(api, key, saved, known));
    receiver
}

async fn keep_up(api: Api<Arrived<ConfigMap>>, key: Key, saved: SavedConfig, known: watch::Sender<Known>) {
    let shelf = Mutex::new(Shelf::new("ConfigMap"));
    let changed = Notify::new();
    let config = Config::default().fields(&format!("metadata.name={CONFIG_MAP}"));
    let line = Line::default();
    let heard = follow(
        "ConfigMap",
        &line,
        api,
        Definition::BuiltIn,
        config,
        |event| match event {
            Ok(event) => {
                if take(event, digest, &mut lock(&shelf)) {
                    changed.notify_one();
                }
            }
            Err(error) => tell(error, &known),
        },
    );
    let saved = Arc::new(saved);
    let told = async {
        loop {
            let expiry = lock(&shelf).next_expiry();
            tokio::select! {
                () = changed.notified() => {}
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {}
            }
            let Some(new) = read(&mut lock(&shelf), &key) else {
                continue;
            };
            let data = Arc::clone(&new.data);
            known.send_if_modified(|known| {
                let is_news = *known != new;
                if is_news {
                    *known = new;
                }
                is_news
            });
            let saved = Arc::clone(&saved);
            if let Err(panicked) = spawn_blocking(move || saved.write(&data)).await {
                warn!(error = %panicked, "the ConfigMap is not saved");
            }
        }
    };
    tokio::select! {
        () = heard => {}
        () = told => {}
    }
}

/// What the API server has said; `None`: nothing whole yet.
fn read(shelf: &mut Shelf<Data>, key: &Key) -> Option<Known> {
    shelf.expire(Instant::now());
    let data = shelf.get(key).cloned();
    shelf.is_listed().then(|| Known {
        origin: Origin::Server {
            exists: data.is_some(),
        },
        data: data.unwrap_or_default(),
        trouble: None,
    })
}

/// Tells why there is no answer, until there was one.
fn tell(error: &Error, known: &watch::Sender<Known>) {
    let is_refusal = if let Error::InitialListFailed(kube::Error::Api(status))
    | Error::WatchStartFailed(kube::Error::Api(status)) = error
    {
        matches!(status.code, 401 | 403)
    } else {
        false
    };
    let trouble = Some(Trouble {
        text: error.to_string(),
        is_refusal,
    });
    known.send_if_modified(|known| {
        let is_news = !matches!(known.origin, Origin::Server { .. }) && known.trouble != trouble;
        if is_news {
            known.trouble = trouble;
        }
        is_news
    });
}

/// The last value while it is the same, so that another label is no change.
fn digest(map: ConfigMap, last: Option<&Arc<Data>>) -> Arc<Data> {
    let data = map.data.unwrap_or_default();
    match last {
        Some(last) if **last == data => Arc::clone(last),
        _ => Arc::new(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_for_an_answer_only_where_it_has_nothing_else() {
        let known = |origin, refusal: Option<bool>| Known {
            origin,
            trouble: refusal.map(|is_refusal| Trouble {
                text: String::new(),
                is_refusal,
            }),
            ..Known::default()
        };
        for (origin, trouble, expected) in [
            (Origin::Server { exists: false }, None, true),
            (Origin::Disk, None, false),
            (Origin::Disk, Some(false), true),
            (Origin::Nobody, None, false),
            (Origin::Nobody, Some(false), false),
            (Origin::Nobody, Some(true), true),
        ] {
            assert_eq!(
                known(origin, trouble).is_enough(),
                expected,
                "{origin:?} {trouble:?}"
            );
        }
    }

    #[test]
    fn another_label_is_no_change() {
        let map = |value: &str| ConfigMap {
            data: Some([("log".to_owned(), value.to_owned())].into()),
            ..ConfigMap::default()
        };
        let first = digest(map("info"), None);
        assert!(Arc::ptr_eq(&first, &digest(map("info"), Some(&first))));
        assert_ne!(first, digest(map("debug"), Some(&first)));
    }

    #[test]
    fn nothing_is_known_before_a_whole_list() {
        let key: Key = (Arc::from("ours"), Arc::from(CONFIG_MAP));
        let mut shelf = Shelf::new("ConfigMap");
        shelf.list_begins();
        assert_eq!(read(&mut shelf, &key), None);
        shelf.list_ends(Instant::now());
        let known = read(&mut shelf, &key).unwrap();
        assert_eq!(known.origin, Origin::Server { exists: false });
    }
}
