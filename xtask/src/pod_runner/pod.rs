//! A Pod's life, from its binding to its deletion.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::sandbox::Sandbox;
use super::script::Script;
use super::status::{State, Status};
use super::{Kubelet, environment, insist, probe};
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
    let place = Rc::new(Place::prepare(kubelet, pod)?);
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
        let mut kill = None;
        loop {
            let object = Arc::clone(&changes.borrow_and_update());
            let script = Script::of(&object)?;
            let slow = begin + script.slow_ready;
            now.ready = *is_ready.borrow_and_update() && !script.unready && slow <= Instant::now();
            status.send_replace(Some(now.clone()));
            if kill.is_none()
                && let Some(grace) = grace(&object)
            {
                process.signal(Signal::TERM)?;
                kill = Some(Instant::now() + grace);
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
                () = at(kill) => process.signal(Signal::KILL)?,
            }
        }
        now.ready = false;
        if kill.is_some() {
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

/// Where and how a Pod's container runs.
pub(super) struct Place {
    kubelet: Rc<Kubelet>,
    pod: Arc<Pod>,
    pub(super) container: Container,
    pub(super) sandbox: Sandbox,
    script: Script,
}

impl Place {
    fn prepare(kubelet: &Rc<Kubelet>, pod: &Arc<Pod>) -> Result<Self> {
        let spec = pod.spec.as_ref().context("a Pod has a spec")?;
        ensure!(
            spec.restart_policy
                .as_deref()
                .is_none_or(|policy| policy == "Always"),
            "a Pod's restartPolicy is Always here"
        );
        let (&[ref container], None) = (&*spec.containers, &spec.init_containers) else {
            bail!("a Pod has exactly one container here");
        };
        let script = Script::of(pod)?;
        let sandbox = Sandbox::create(kubelet, pod)?;
        probe::check(container, sandbox.address)?;
        Ok(Self {
            kubelet: Rc::clone(kubelet),
            pod: Arc::clone(pod),
            container: container.clone(),
            sandbox,
            script,
        })
    }

    /// Starts the container.
    fn start(&self) -> Result<Process> {
        let name = self.container.image.as_deref().unwrap_or_default();
        let image = self.kubelet.images.get(name);
        let image = image.with_context(|| format!("there is no image {name} here"))?;
        let variables = environment::variables(&self.pod, &self.container, &self.sandbox, self.kubelet.api)?;
        let expand = |text: &String| environment::expand(text, &variables).into();
        let own = self.container.command.iter().flatten().map(expand);
        let mut words: Vec<_> = own.collect();
        if words.is_empty() {
            words.clone_from(&image.entrypoint);
        }
        words.extend(self.container.args.iter().flatten().map(expand));
        if self.script.dies_at_once {
            words = vec!["/bin/false".into()];
        }
        let (program, arguments) = words.split_first().context("a container has a command")?;
        let mut command = self.sandbox.namespace.command(program);
        command.args(arguments).env_clear().envs(&variables);
        if self.script.ignores_term {
            ignore_term(&mut command);
        }
        self.kubelet.scratch.start(&self.log_name(), &mut command)
    }

    /// Runs a command beside the container.
    pub(super) fn exec(&self, words: &[String]) -> Result<Process> {
        let (program, arguments) = words.split_first().context("an exec probe has a command")?;
        let mut command = self.sandbox.namespace.command(program);
        command.args(arguments);
        self.kubelet
            .scratch
            .start(&format!("{}-probe", self.log_name()), &mut command)
    }

    fn log_name(&self) -> String {
        let namespace = self.pod.namespace().unwrap_or_default();
        format!("pod-{namespace}-{}", self.pod.name_any())
    }
}

/// Has a program start with SIGTERM ignored, which it inherits.
fn ignore_term(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between fork and exec the closure makes one plain system call; it takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(|| match libc::signal(libc::SIGTERM, libc::SIG_IGN) {
            libc::SIG_ERR => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
}
