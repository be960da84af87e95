//! Where and how a Pod's container runs.

use std::cell::Cell;
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;

use super::confine::{Rights, confine, join};
use super::probe::Probe;
use super::root::Root;
use super::sandbox::Sandbox;
use super::script::Script;
use super::{Image, Kubelet, environment};
use crate::lab::Process;

/// Made once per Pod; its container may be started in it again and again.
pub(super) struct Place {
    kubelet: Rc<Kubelet>,
    pod: Arc<Pod>,
    pub(super) container: Container,
    image: Image,
    pub(super) sandbox: Sandbox,
    /// Where the image has files of its own.
    own: Option<(Arc<Root>, Rights)>,
    pub(super) probe: Option<Probe>,
    script: Script,
    /// The container's process.
    process: Cell<Option<i32>>,
}

impl Place {
    /// Makes everything that a Pod's container needs, or says what of it there is not here.
    pub(super) async fn prepare(kubelet: &Rc<Kubelet>, pod: &Arc<Pod>) -> Result<Self> {
        let spec = pod.spec.as_ref().context("a Pod has a spec")?;
        ensure!(
            spec.restart_policy
                .as_deref()
                .is_none_or(|policy| policy == "Always"),
            "a Pod's restartPolicy is Always here"
        );
        let ([container], None) = (&*spec.containers, &spec.init_containers) else {
            bail!("a Pod has exactly one container here");
        };
        let name = container.image.as_deref().unwrap_or_default();
        let image = kubelet.images.get(name);
        let image = image.with_context(|| format!("there is no image {name} here"))?;
        let script = Script::of(pod)?;
        let sandbox = Sandbox::create(kubelet, pod)?;
        let probe = Probe::of(container, sandbox.address)?;
        let own = match &image.root {
            Some(files) => {
                ensure!(!script.ignores_term, "ignores-TERM: not with an image's root");
                let root = Root::prepare(kubelet, pod, container, &sandbox, files).await?;
                Some((Arc::new(root), Rights::of(spec, container)?))
            }
            None => None,
        };
        Ok(Self {
            kubelet: Rc::clone(kubelet),
            pod: Arc::clone(pod),
            container: container.clone(),
            image: image.clone(),
            sandbox,
            own,
            probe,
            script,
            process: Cell::default(),
        })
    }

    /// Starts the container.
    pub(super) fn start(&self) -> Result<Process> {
        let variables = environment::variables(&self.pod, &self.container, &self.sandbox, self.kubelet.api)?;
        let expand = |text: &String| OsString::from(environment::expand(text, &variables));
        let own = self.container.command.iter().flatten().map(expand);
        let mut words: Vec<_> = own.collect();
        if words.is_empty() {
            words.clone_from(&self.image.entrypoint);
        }
        words.extend(self.container.args.iter().flatten().map(expand));
        if self.script.ignores_term {
            // What is ignored at its start a program ignores, unless it asks for it.
            words.splice(0..0, ["env", "--ignore-signal=TERM"].map(OsString::from));
        }
        if self.script.dies_at_once {
            words = vec!["false".into()];
        }
        let (program, arguments) = words.split_first().context("a container has a command")?;
        let mut command = self.sandbox.namespace.command(program);
        command.args(arguments).env_clear().envs(&variables);
        if let Some((root, rights)) = self.own.as_ref().filter(|_| !self.script.dies_at_once) {
            confine(&mut command, Arc::clone(root), rights.clone());
        }
        let process = self.kubelet.scratch.start(&self.log_name(), &mut command)?;
        self.process.set(Some(process.id()));
        Ok(process)
    }

    /// Runs a command in the container.
    pub(super) fn exec(&self, words: &[String]) -> Result<Process> {
        let (program, arguments) = words.split_first().context("an exec probe has a command")?;
        let variables = environment::variables(&self.pod, &self.container, &self.sandbox, self.kubelet.api)?;
        let mut command = self.sandbox.namespace.command(program);
        command.args(arguments).env_clear().envs(&variables);
        if let Some((_, rights)) = &self.own {
            let container = self.process.get().context("the container does not run")?;
            join(&mut command, container, rights.clone())?;
        }
        let log = format!("{}-probe", self.log_name());
        self.kubelet.scratch.start(&log, &mut command)
    }

    fn log_name(&self) -> String {
        let namespace = self.pod.namespace().unwrap_or_default();
        format!("pod-{namespace}-{}", self.pod.name_any())
    }
}
