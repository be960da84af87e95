//! One edit of a folder: from the rename of the new file to the table.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::model::Action;
use ingress_agent::proxy::{Memo, Table, trace};
use ingress_agent::source::file;
use ingress_agent::translate::{Snapshot, Translator};
use serde_json::Value;

use crate::edit::request;
use crate::recompute::VIP;
use crate::{folder, rows_of};

/// Of a folder whose files hold `per_file` Ingresses.
pub(crate) fn rows(case: &str, per_file: usize, rounds: usize) -> Vec<Value> {
    let dir = folder::write(folder::INGRESSES, per_file);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    rows_of(case, runtime.block_on(times(dir.path(), per_file, rounds)))
}

async fn times(dir: &Path, per_file: usize, rounds: usize) -> Vec<Duration> {
    let node = Arc::from("node");
    let (tell, mut told) = tokio::sync::watch::channel(Arc::new(Snapshot::empty(&node)));
    let watching = tokio::spawn(file::watch(dir.to_owned(), node, tell));
    told.changed().await.unwrap();
    let (mut translator, mut memo) = (Translator::default(), Memo::default());
    let mut table = memo.table(&translator.translate(&told.borrow_and_update().clone()).0);
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let number = round * 37 % folder::INGRESSES;
        let service = (folder::service_of(number) + 1 + round) % (folder::INGRESSES / 2);
        // An edit that comes alone: longer apart than the source's pause between two snapshots.
        tokio::time::sleep(Duration::from_millis(50)).await;
        folder::edit(dir, per_file, number, service);
        let begin = Instant::now();
        while !leads_to(&table, number, service) {
            told.changed().await.unwrap();
            let snapshot = Arc::clone(&told.borrow_and_update());
            table = memo.table(&translator.translate(&snapshot).0);
        }
        times.push(begin.elapsed());
    }
    watching.abort();
    times
}

fn leads_to(table: &Table, number: usize, service: usize) -> bool {
    let route = trace::find(table, VIP, &request(&folder::host(number), "/some/path"));
    match route.map(|route| &route.action) {
        Some(Action::Forward(backend)) => *backend.id.service == *format!("app-{service}"),
        Some(Action::Refuse) | None => false,
    }
}
