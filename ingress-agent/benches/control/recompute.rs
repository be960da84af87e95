//! One edit: from the snapshot, or from the file, to the table that the workers read.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Request, header};
use ingress_agent::digest::ingress::Target;
use ingress_agent::model::Action;
use ingress_agent::proxy::{Memo, Table, trace};
use ingress_agent::source::file;
use ingress_agent::translate::{Snapshot, translate};
use serde_json::Value;

use crate::{folder, rows_of};

/// Where the folder's VIP is dialled in clear.
const VIP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10)), 80);

/// Objects in memory: one Ingress names another Service, then everything is computed.
pub(crate) fn in_memory(dir: &Path, rounds: usize) -> Vec<Value> {
    let mut snapshot = file::read(dir, &Arc::from("node")).unwrap();
    let mut memo = Memo::default();
    // The first computation fills the memo.
    let mut kept = memo.table(&translate(&snapshot).0);
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let number = round * 37 % folder::INGRESSES;
        let service = (folder::service_of(number) + 1 + round) % (folder::INGRESSES / 2);
        edit(&mut snapshot, number, service);
        let begin = Instant::now();
        let (model, _) = translate(&snapshot);
        let table = memo.table(&model);
        times.push(begin.elapsed());
        assert!(leads_to(&table, number, service), "edit {round} is not in effect");
        // The old table is freed by the control thread too, but after the new one is in effect.
        kept = table;
    }
    drop(kept);
    rows_of(
        "recompute, objects in memory, one Ingress of 10,000 changed",
        times,
    )
}

fn edit(snapshot: &mut Snapshot, number: usize, service: usize) {
    let name = format!("web-{number}");
    let entries = &mut snapshot.ingresses;
    let entry = entries.iter_mut().find(|entry| *entry.value.object.name == *name);
    let entry = entry.expect("the Ingress");
    let mut ingress = (*entry.value).clone();
    match &mut ingress.rules[0].paths[0].target {
        Target::Service { name, .. } => *name = format!("app-{service}").into(),
        Target::Refused => unreachable!("a target that is a Service"),
    }
    entry.value = Arc::new(ingress);
}

/// The source `file`: from the rename of the edited file, of 100 Ingresses, to the table.
pub(crate) fn from_file(dir: &Path, rounds: usize) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let times = runtime.block_on(async {
        let node = Arc::from("node");
        let (tell, mut told) = tokio::sync::watch::channel(Arc::new(Snapshot::empty(&node)));
        let watching = tokio::spawn(file::watch(dir.to_owned(), node, tell));
        told.changed().await.unwrap();
        let mut memo = Memo::default();
        let mut kept = memo.table(&translate(&told.borrow_and_update().clone()).0);
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let number = round * 37 % folder::INGRESSES;
            let service = (folder::service_of(number) + 1 + round) % (folder::INGRESSES / 2);
            // An edit that comes alone: longer apart than the source's pause between two snapshots.
            tokio::time::sleep(Duration::from_millis(50)).await;
            folder::edit(dir, number, service);
            let begin = Instant::now();
            while !leads_to(&kept, number, service) {
                told.changed().await.unwrap();
                let snapshot = Arc::clone(&told.borrow_and_update());
                kept = memo.table(&translate(&snapshot).0);
            }
            times.push(begin.elapsed());
        }
        watching.abort();
        times
    });
    rows_of(
        "source file, rename to table, one Ingress of 10,000 changed",
        times,
    )
}

fn leads_to(table: &Table, number: usize, service: usize) -> bool {
    let route = trace::find(table, VIP, &request(&folder::host(number)));
    match route.map(|route| &route.action) {
        Some(Action::Forward(backend)) => *backend.id.service == *format!("app-{service}"),
        Some(Action::Refuse) | None => false,
    }
}

/// The head of `GET /some/path` for a host.
pub(crate) fn request(host: &str) -> Parts {
    let request = Request::builder().uri("/some/path").header(header::HOST, host);
    request.body(()).unwrap().into_parts().0
}

/// Holds what an agent of this folder holds, and says how much memory this process has resident, in bytes.
pub(crate) fn memory_with(dir: &Path) -> usize {
    let snapshot = file::read(dir, &Arc::from("node")).unwrap();
    let (model, report) = translate(&snapshot);
    let mut memo = Memo::default();
    let table = memo.table(&model);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    drop((snapshot, model, report, memo, table));
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes * 1024
}
