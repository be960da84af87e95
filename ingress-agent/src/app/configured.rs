//! The settings in force: the command line's and, from the API server, what the agents' ConfigMap adds to them.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::run::RunError;
use crate::admin::Board;
use crate::config::{Line, Merged, Outcome, RunArgs};
use crate::metrics::ConfigKeys;
use crate::source::kube::{Api, CONFIG_MAP, Known, Origin, watch_config};
use crate::status::{MapState, Settings};

/// How long the API server's answer is waited for where the disk has what a former agent knew.
const ANSWER: Duration = Duration::from_secs(1);
/// And where it has nothing, so that nothing can be served before the API server answers, of this or of other objects.
const FIRST_ANSWER: Duration = Duration::from_secs(60);

/// Settings, and where they come from.
pub(super) struct Configured {
    line: Line,
    /// Those at the start.
    started: Merged,
    now: Merged,
    map: Option<Map>,
}

/// The ConfigMap.
struct Map {
    /// Its namespace and name.
    name: String,
    known: Receiver<Known>,
    /// Whether one was told of.
    is_there: bool,
    /// What was told of its keys.
    said: Vec<String>,
    /// Ended when this is dropped.
    _tasks: JoinSet<()>,
}

impl Configured {
    /// A command line's. With an API server the ConfigMap there is followed from now on.
    pub(super) fn start(line: Line, args: &RunArgs, api: Option<&Api>) -> Result<Self, RunError> {
        let started = Merged::new(&line, &[].into())?;
        let map = api.map(|api| {
            let namespace = api.own_namespace(args.namespace.as_deref());
            let mut tasks = JoinSet::new();
            Map {
                name: format!("{namespace}/{CONFIG_MAP}"),
                known: watch_config(api, namespace, &args.state_dir, &mut tasks),
                is_there: false,
                said: Vec::new(),
                _tasks: tasks,
            }
        });
        Ok(Self {
            line,
            now: started.clone(),
            started,
            map,
        })
    }

    /// Waits until enough is known of the ConfigMap to start.
    pub(super) async fn ready(&mut self) {
        let Some(map) = &mut self.map else {
            return;
        };
        let at_most = match map.known.borrow().origin {
            Origin::Disk => ANSWER,
            Origin::Nobody | Origin::Server { .. } => FIRST_ANSWER,
        };
        // Without an answer by then, what is known counts.
        _ = timeout(at_most, map.known.wait_for(Known::is_enough)).await;
        if let Some(merged) = self.merge() {
            self.started = merged.clone();
            self.now = merged;
        }
    }

    /// The settings.
    pub(super) fn args(&self) -> &RunArgs {
        &self.now.args
    }

    /// When the ConfigMap is another, the settings are too.
    pub(super) async fn changed(&mut self) {
        let is_news = match &mut self.map {
            Some(map) => map.known.changed().await.is_ok(),
            None => false,
        };
        if !is_news {
            return pending().await;
        }
        if let Some(merged) = self.merge() {
            self.now = merged.since(&self.started);
        }
    }

    fn merge(&mut self) -> Option<Merged> {
        let data = Arc::clone(&self.map.as_mut()?.known.borrow_and_update().data);
        let merged = Merged::new(&self.line, &data);
        merged
            .inspect_err(|error| error!(%error, "the ConfigMap is not in effect"))
            .ok()
    }

    /// Tells what came of the ConfigMap: the log what is new, the board all of it.
    pub(super) fn tell(&mut self, board: &Board) {
        let Some(map) = &mut self.map else {
            return;
        };
        let name = &map.name;
        let Merged {
            in_effect, remarks, ..
        } = &self.now;
        let mut keys = ConfigKeys {
            in_effect: in_effect.len() as u64,
            ..ConfigKeys::default()
        };
        let mut texts = Vec::new();
        for remark in remarks {
            let (text, outcome) = (remark.to_string(), remark.why.outcome());
            *match outcome {
                Outcome::Refused => &mut keys.refused,
                Outcome::Waiting => &mut keys.waiting,
                Outcome::Overruled => &mut keys.overruled,
            } += 1;
            if !map.said.contains(&text) {
                match outcome {
                    Outcome::Refused | Outcome::Waiting => warn!("ConfigMap {name}, {text}"),
                    Outcome::Overruled => info!("ConfigMap {name}, {text}"),
                }
            }
            texts.push(text);
        }
        for text in map.said.iter().filter(|text| !texts.contains(text)) {
            info!("no longer: ConfigMap {name}, {text}");
        }
        let known = map.known.borrow();
        let state = state(&known);
        // Without a ConfigMap from the start there is nothing to say.
        if state != MapState::Absent || map.is_there {
            info!(?state, ?in_effect, "ConfigMap {name}");
        }
        map.is_there = state != MapState::Absent;
        board.control.config_keys.store(keys.into());
        board.is_configured(Settings {
            config_map: name.clone(),
            state,
            error: known.trouble.as_ref().map(|trouble| trouble.text.clone()),
            in_effect: in_effect.clone(),
            remarks: texts.clone(),
        });
        drop(known);
        map.said = texts;
    }
}

fn state(known: &Known) -> MapState {
    match known.origin {
        Origin::Nobody => MapState::Unread,
        Origin::Disk => MapState::Saved,
        Origin::Server { exists: false } => MapState::Absent,
        Origin::Server { exists: true } => MapState::Read,
    }
}
