//! Following a folder.
//!
//! The kernel says when a file is opened for writing, changed, closed, moved and deleted (inotify(7)). A
//! file that is being written is not looked at until its writer has closed it, however long that takes. A
//! file that vanishes is believed to be deleted a little later only: editors move the old file away before
//! they write the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::folder::{Arrival, Folder, Outcome};
use super::{ReadError, is_read, list};
use crate::translate::Snapshot;

/// How long a file must be gone before its objects are.
const GONE_AFTER: Duration = Duration::from_millis(100);
/// How long nobody must have written to a file that looks half written.
const AT_REST_AFTER: Duration = Duration::from_millis(200);
/// The least time between two snapshots.
const QUIET: Duration = Duration::from_millis(20);
/// The link that a mounted ConfigMap or Secret swaps to change all its files at once.
const MOUNT_LINK: &str = "..data";

/// Why a folder cannot be followed, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The kernel does not watch it.
    #[error("cannot watch the folder {}: {source}", folder.display())]
    Watch {
        /// Which.
        folder: PathBuf,
        /// What the kernel said.
        source: notify::Error,
    },
    /// It was deleted or moved away.
    #[error("the folder {} is gone: what was read from it last stays in force", folder.display())]
    Gone {
        /// Which.
        folder: PathBuf,
    },
}

/// Reads the folder and sends what it finds, then a new snapshot whenever an object has changed: the first
/// change at once, the next at most every 20 ms. Ends only with an error, or by being dropped.
pub async fn watch(
    dir: PathBuf,
    node: Arc<str>,
    snapshots: watch::Sender<Arc<Snapshot>>,
) -> Result<Infallible, WatchError> {
    let (tell, mut events) = mpsc::unbounded_channel();
    let failed = |source| WatchError::Watch {
        folder: dir.clone(),
        source,
    };
    // A folder that cannot be read is told in the words of its reading.
    list(&dir)?;
    // Watched before it is read, so that no change falls in between.
    let handler = move |event| {
        let _ = tell.send(event);
    };
    let mut watcher = notify::recommended_watcher(handler).map_err(failed)?;
    watcher.watch(&dir, RecursiveMode::NonRecursive).map_err(failed)?;
    let mut folder = Folder::new(&dir, &node);
    let mut changes = Changes::new(&dir);
    changes.rescan(&folder)?;
    let mut said = BTreeSet::new();
    let mut next_at = Instant::now();
    let mut first_reading = true;
    loop {
        let due = changes.take_due(Instant::now());
        if first_reading || !due.is_empty() {
            let (snapshot, held);
            (folder, snapshot, held) = read(folder, due).await;
            changes.hold(held);
            say_foreign(&snapshot, &mut said);
            let send = |last: &mut Arc<Snapshot>| {
                let changed = first_reading || !snapshot.is_unchanged_since(last);
                if changed {
                    *last = Arc::clone(&snapshot);
                }
                changed
            };
            if snapshots.send_if_modified(send) {
                next_at = Instant::now() + QUIET;
            }
            first_reading = false;
        }
        let first = tokio::select! {
            event = events.recv() => event,
            () = sleep_until(changes.next_at(next_at)), if changes.is_waiting() => None,
        };
        if let Some(event) = first {
            changes.note(event.map_err(failed)?, &folder)?;
            sleep_until(next_at).await;
        }
        while let Ok(event) = events.try_recv() {
            changes.note(event.map_err(failed)?, &folder)?;
        }
    }
}

/// Parsing is work for a thread that may be busy. The last are the files that look half written.
async fn read(
    mut folder: Folder,
    due: BTreeMap<Arc<str>, Arrival>,
) -> (Folder, Arc<Snapshot>, Vec<Arc<str>>) {
    let work = tokio::task::spawn_blocking(move || {
        let mut held = Vec::new();
        for (name, arrival) in due {
            match folder.read(&name, arrival) {
                Outcome::Taken => {}
                Outcome::Held => held.push(name),
            }
        }
        let snapshot = Arc::new(folder.snapshot());
        (folder, snapshot, held)
    });
    match work.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn say_foreign(snapshot: &Snapshot, said: &mut BTreeSet<String>) {
    for kind in &snapshot.foreign {
        if said.insert(kind.clone()) {
            info!(%kind, "objects of this kind are not used");
        }
    }
}

/// What has happened to files and was not acted upon yet.
struct Changes {
    dir: PathBuf,
    /// Somebody has them open for writing.
    writing: BTreeSet<Arc<str>>,
    /// They are closed and not read yet.
    due: BTreeMap<Arc<str>, Arrival>,
    /// They vanished, or looked half written; when to believe it.
    doubtful: BTreeMap<Arc<str>, Instant>,
}

impl Changes {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            writing: BTreeSet::new(),
            due: BTreeMap::new(),
            doubtful: BTreeMap::new(),
        }
    }

    /// Everything may have changed.
    fn rescan(&mut self, folder: &Folder) -> Result<(), WatchError> {
        let there = list(&self.dir)?;
        for name in folder.names().filter(|name| !there.contains(name)) {
            self.vanished(name);
        }
        for name in there {
            if !self.writing.contains(&name) {
                self.complete(name, Arrival::Whole);
            }
        }
        Ok(())
    }

    /// Looks at half-written files again when they have come to rest.
    fn hold(&mut self, files: Vec<Arc<str>>) {
        let at = Instant::now() + AT_REST_AFTER;
        self.doubtful.extend(files.into_iter().map(|name| (name, at)));
    }

    fn note(&mut self, event: Event, folder: &Folder) -> Result<(), WatchError> {
        if event.need_rescan() {
            warn!(folder = %self.dir.display(), "the kernel lost track of changes: every file is read again");
            // A close may be among what was lost.
            self.writing.clear();
            return self.rescan(folder);
        }
        for path in &event.paths {
            if *path == self.dir {
                if matches!(
                    event.kind,
                    EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From))
                ) {
                    return Err(WatchError::Gone {
                        folder: self.dir.clone(),
                    });
                }
                continue;
            }
            match path.file_name().and_then(|name| name.to_str()) {
                Some(MOUNT_LINK) => self.rescan(folder)?,
                Some(name) if is_read(name) => self.changed(Arc::from(name), path, event.kind),
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    fn changed(&mut self, name: Arc<str>, path: &Path, kind: EventKind) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "notify tells of much that changes no text, as reading"
        )]
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => self.complete(name, Arrival::Written),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => self.complete(name, Arrival::Whole),
            EventKind::Create(CreateKind::File) if is_link(path) => self.complete(name, Arrival::Whole),
            EventKind::Create(CreateKind::File) => {
                self.doubtful.remove(&name);
                self.due.remove(&name);
                self.writing.insert(name);
            }
            EventKind::Modify(ModifyKind::Data(_)) => {
                self.due.remove(&name);
                self.writing.insert(name);
            }
            EventKind::Modify(ModifyKind::Metadata(_)) if !self.writing.contains(&name) => {
                self.complete(name, Arrival::Written);
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                self.vanished(name)
            }
            _ => {}
        }
    }

    fn complete(&mut self, name: Arc<str>, arrival: Arrival) {
        self.writing.remove(&name);
        match (arrival, self.doubtful.get_mut(&name)) {
            // Once in doubt, in doubt until it rests.
            (Arrival::Written, Some(at)) => *at = Instant::now() + AT_REST_AFTER,
            (Arrival::Written, None) | (Arrival::Whole, _) => {
                self.doubtful.remove(&name);
                self.due.insert(name, arrival);
            }
        }
    }

    fn vanished(&mut self, name: Arc<str>) {
        self.writing.remove(&name);
        self.due.remove(&name);
        self.doubtful.insert(name, Instant::now() + GONE_AFTER);
    }

    fn is_waiting(&self) -> bool {
        !self.due.is_empty() || !self.doubtful.is_empty()
    }

    /// When there is something to do next.
    fn next_at(&self, not_before: Instant) -> Instant {
        let doubtful = self.doubtful.values().min().copied();
        let due = (!self.due.is_empty()).then_some(not_before);
        due.or(doubtful).unwrap_or(not_before).max(not_before)
    }

    /// The files to read now, deleted ones among them: reading finds that out. What is being written stays
    /// for its writer's close.
    fn take_due(&mut self, now: Instant) -> BTreeMap<Arc<str>, Arrival> {
        let believed = self.doubtful.extract_if(.., |_, at| *at <= now);
        let believed = believed
            .map(|(name, _)| name)
            .filter(|name| !self.writing.contains(name));
        self.due.extend(believed.map(|name| (name, Arrival::Whole)));
        std::mem::take(&mut self.due)
    }
}

/// Links are complete when they appear; other new files are when their writer closes them.
fn is_link(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata()
        .is_ok_and(|file| file.is_symlink() || file.nlink() > 1)
}
