//! An agent whose folder of manifests is edited.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::ledger::Pod;
use crate::process::Agent;
use crate::yaml::{self, State};

pub(crate) struct Edits {
    pub(crate) agent: Agent,
    revision: usize,
    times: Vec<Duration>,
}

impl Edits {
    /// An agent that serves these files; `pod` answers the routes that show which revision of a file is in effect.
    pub(crate) fn of(files: &[(&str, String)], pod: &Pod) -> Self {
        let marked = files
            .iter()
            .map(|(name, text)| (*name, format!("{text}{}", marker(name, 0))));
        let mut marked: Vec<_> = marked.collect();
        marked.push((
            "class.yaml",
            yaml::class("ours", true) + &yaml::class("foreign", false),
        ));
        marked.push((
            "marker.yaml",
            yaml::service("marker", "marker", &[(pod, State::Ready)]),
        ));
        Self {
            agent: Agent::serving(&marked, &["--access-log-format", "off"]),
            revision: 0,
            times: Vec::new(),
        }
    }

    /// Where a file is.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.agent.path("manifests").join(file)
    }

    /// Writes a file, whole or in place in turn, and waits until it is in effect.
    pub(crate) fn put(&mut self, file: &str, text: &str) {
        let text = self.marked(file, text);
        let begin = Instant::now();
        if self.revision.is_multiple_of(2) {
            let new = self.path(".new");
            fs::write(&new, text).unwrap();
            fs::rename(new, self.path(file)).unwrap();
        } else {
            fs::write(self.path(file), &text).unwrap();
        }
        self.wait_for(file);
        self.times.push(begin.elapsed());
    }

    /// The text of the file's next revision, with a route that shows that it is in effect.
    pub(crate) fn marked(&mut self, file: &str, text: &str) -> String {
        self.revision += 1;
        format!("{text}{}", marker(file, self.revision))
    }

    /// Waits until that revision is in effect. Until then its route is missing, and nothing else.
    pub(crate) fn wait_for(&self, file: &str) {
        let request = format!(
            "GET /{} HTTP/1.1\r\nHost: {file}.marker\r\nConnection: close\r\n\r\n",
            self.revision
        );
        let begin = Instant::now();
        loop {
            let answer = self.agent.exchange(&request);
            if answer.starts_with("HTTP/1.1 200 ") {
                return;
            }
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
            assert!(begin.elapsed() < Duration::from_secs(20), "{}", self.agent.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// How long edits took to take effect.
    pub(crate) fn took(&self) -> String {
        let mut times = self.times.clone();
        times.sort();
        let count = times.len();
        let [p50, p99, max] = [50, 99, 100].map(|share| times[(count - 1) * share / 100]);
        format!("{count} edits, in effect after p50 {p50:.1?} p99 {p99:.1?} max {max:.1?}")
    }
}

fn marker(file: &str, revision: usize) -> String {
    let path = format!("/{revision}");
    yaml::ingress(
        "ours",
        "marker",
        &format!("{file}.marker"),
        false,
        &[(&path, "marker")],
    )
}
