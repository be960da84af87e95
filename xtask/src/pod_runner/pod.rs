//! A Pod's life, from its binding to its deletion.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::place::Place;
use super::script::Script;
use super::status::{State, Status};
use super::{Kubelet, insist, probe};
use crate::lab::Process;

/// Before a container that has ended is started again; doubled each time.
const BACK_OFF: Duration = Duration::from_millis(250);
/// And no longer than this.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(4);

/// Runs a Pod until its object is gone, or as long as it is not dropped.
pub(super) async fn run(kubelet: Rc<Kubelet>, mut changes: watch::Receiver<Arc<Pod>>) {
    let pod = Arc::clone(&changes.borrow_and_update());
    let (status, reported) = watch::channel(None);
    let mut reports = JoinSet::new();
    reports.spawn_local(report(Rc::clone(&kubelet), Arc::clone(&pod), reported));
    if let Err(error) = live(&kubelet, &pod, &mut changes, &status).await {
        let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
        let (container, image) = containers
            .first()
            .map(|first| (first.name.clone(), first.image.clone().unwrap_or_default()))
            .unwrap_or_default();
        status.send_replace(Some(Status {
            container,
            image,
            addresses: None,
            state: State::Waiting("CreateContainerError", format!("{error:#}")),
            ready: false,
            restarts: 0,
        }));
        deleted(&mut changes).await;
    }
    // The last report comes before the end.
    drop(status);
    reports.join_next().await;
    let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: pod.uid(),
            resource_version: None,
        }),
        ..DeleteParams::default().grace_period(0)
    };
    insist(async || pods.delete(&pod.name_any(), &parameters).await).await;
}

/// Until the Pod is deleted and its container has ended.
async fn live(
    kubelet: &Rc<Kubelet>,
    pod: &Arc<Pod>,
    changes: &mut watch::Receiver<Arc<Pod>>,
    status: &watch::Sender<Option<Status>>,
) -> Result<()> {
    let place = Rc::new(Place::prepare(kubelet, pod).await?);
    let mut now = Status {
        container: place.container.name.clone(),
        image: place.container.image.clone().unwrap_or_default(),
        addresses: Some((place.sandbox.address, place.sandbox.host)),
        state: State::Waiting("ContainerCreating", String::new()),
        ready: false,
        restarts: 0,
    };
    loop {
        let process = place.start()?;
        let begin = Instant::now();
        now.state = State::Running(process.id());
        let mut probes = JoinSet::new();
        let (probed, mut is_ready) = watch::channel(false);
        probes.spawn_local(probe::follow(Rc::clone(&place), probed));
        let mut ended = std::pin::pin!(ended(&process));
        let (mut terminating, mut kill) = (false, None);
        loop {
            let object = Arc::clone(&changes.borrow_and_update());
            let script = Script::of(&object)?;
            let slow = begin + script.slow_ready;
            now.ready = *is_ready.borrow_and_update() && !script.unready && slow <= Instant::now();
            status.send_replace(Some(now.clone()));
            if !terminating && let Some(grace) = grace(&object) {
                process.signal(Signal::TERM)?;
                (terminating, kill) = (true, Some(Instant::now() + grace));
            }
            tokio::select! {
                result = &mut ended => {
                    result?;
                    break;
                }
                changed = changes.changed() => if changed.is_err() {
                    // Deleted by force.
                    return Ok(());
                },
                _ = is_ready.changed() => {}
                () = sleep_until(slow), if slow > Instant::now() => {}
                () = at(kill) => {
                    process.signal(Signal::KILL)?;
                    kill = None;
                }
            }
        }
        now.ready = false;
        if terminating {
            now.state = State::Terminated;
            status.send_replace(Some(now));
            return Ok(());
        }
        now.restarts += 1;
        now.state = State::Waiting("CrashLoopBackOff", process.last_words());
        status.send_replace(Some(now.clone()));
        let longer = BACK_OFF.saturating_mul(1 << now.restarts.min(8));
        tokio::select! {
            () = sleep(longer.min(LONGEST_BACK_OFF)) => {}
            () = deleted(changes) => return Ok(()),
        }
    }
}

/// At a time, if there is one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// How long a Pod that is being deleted may still take.
fn grace(pod: &Pod) -> Option<Duration> {
    pod.metadata.deletion_timestamp.as_ref()?;
    let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    Some(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

/// Until a Pod is being deleted, or is gone.
async fn deleted(changes: &mut watch::Receiver<Arc<Pod>>) {
    // An error: it is gone.
    drop(changes.wait_for(|pod| grace(pod).is_some()).await);
}

/// Tells the API server the newest status, whenever it differs, until the sender is gone.
async fn report(kubelet: Rc<Kubelet>, pod: Arc<Pod>, mut reported: watch::Receiver<Option<Status>>) {
    let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
    let mut told: Option<Status> = None;
    let mut since = Timestamp::now();
    while reported.changed().await.is_ok() {
        let now = reported.borrow_and_update().clone();
        let Some(now) = now.filter(|now| told.as_ref() != Some(now)) else {
            continue;
        };
        if told.is_none_or(|told| told.ready != now.ready) {
            since = Timestamp::now();
        }
        let patch = Patch::Merge(now.patch(since));
        insist(async || {
            pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
                .await
        })
        .await;
        told = Some(now);
    }
}

/// Until a process has ended. It is not reaped by this.
pub(super) async fn ended(process: &Process) -> Result<()> {
    let id = Pid::from_raw(process.id()).context("a process has a number")?;
    let handle = pidfd_open(id, PidfdFlags::NONBLOCK).context("pidfd_open")?;
    // SAFETY: the descriptor is owned by what is made here, which closes it last of all.
    let handle = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?;
    handle.readable().await.map(drop).context("wait for a process")
}
