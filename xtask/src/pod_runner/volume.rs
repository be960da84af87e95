//! A Pod's volumes.
//!
//! A node's own files, which `hostPath` names, are a folder per node in the scratch directory, and its `/sys/fs/bpf`
//! the scratch directory's bpffs: Pods of two nodes do not meet, and nothing of the machine's is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount, Volume, VolumeProjection};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use rustix::mount::{MountFlags, UnmountFlags};
use serde_json::json;

use super::environment::field;
use super::root::directory;
use super::sandbox::Sandbox;
use super::{Kubelet, node};

/// The volumes by name. Those in memory go with this.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    paths: BTreeMap<String, PathBuf>,
    in_memory: Vec<PathBuf>,
}

impl Volumes {
    /// Makes and fills them, in a directory of the Pod's.
    pub(super) async fn fill(
        kubelet: &Rc<Kubelet>,
        pod: &Pod,
        sandbox: &Sandbox,
        own: &Path,
    ) -> Result<Self> {
        let mut volumes = Self::default();
        let spec = pod.spec.as_ref().context("a Pod has a spec")?;
        for volume in spec.volumes.iter().flatten() {
            let what = || format!("volume {}", volume.name);
            let path = volumes.make(kubelet, pod, volume, own).with_context(what)?;
            directory(&path)?;
            let sources = volume.projected.iter().flat_map(|projected| &projected.sources);
            for source in sources.flatten() {
                let files = project(kubelet, pod, sandbox, source);
                for (name, text) in files.await.with_context(what)? {
                    let file = path.join(name);
                    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
                }
            }
            volumes.paths.insert(volume.name.clone(), path);
        }
        Ok(volumes)
    }

    /// Where a volume's files are.
    pub(super) fn path(&self, name: &str) -> Result<&Path> {
        let path = self.paths.get(name);
        Ok(path.with_context(|| format!("there is no volume {name}"))?)
    }

    fn make(&mut self, kubelet: &Kubelet, pod: &Pod, volume: &Volume, own: &Path) -> Result<PathBuf> {
        let path = own.join(&volume.name);
        if let Some(host) = &volume.host_path {
            let node = node::of(pod).unwrap_or_default();
            let scratch = kubelet.scratch.directory();
            return Ok(match Path::new(&host.path).strip_prefix("/sys/fs/bpf") {
                Ok(rest) => scratch.join("bpf").join(node).join(rest),
                Err(_) => scratch
                    .join("nodes")
                    .join(node)
                    .join(host.path.trim_start_matches('/')),
            });
        }
        match &volume.empty_dir {
            Some(empty) if empty.medium.as_deref() == Some("Memory") => {
                directory(&path)?;
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                rustix::mount::mount("pod", &path, "tmpfs", flags, None).context("mount a tmpfs")?;
                self.in_memory.push(path.clone());
            }
            None if volume.projected.is_none() => {
                bail!("only emptyDir, hostPath and projected volumes are understood here")
            }
            Some(_) | None => {}
        }
        Ok(path)
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for path in &self.in_memory {
            // What stays goes with the scratch directory.
            rustix::mount::unmount(path, UnmountFlags::DETACH).ok();
        }
    }
}

/// The files of a projected volume's source: paths and what they hold.
async fn project(
    kubelet: &Kubelet,
    pod: &Pod,
    sandbox: &Sandbox,
    source: &VolumeProjection,
) -> Result<Vec<(String, String)>> {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(token) = &source.service_account_token {
        let spec = pod.spec.as_ref();
        let account = spec.and_then(|spec| spec.service_account_name.clone());
        let accounts: Api<ServiceAccount> = Api::namespaced(kubelet.client.clone(), &namespace);
        let request: TokenRequest = serde_json::from_value(json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": Vec::from_iter(&token.audience),
                "expirationSeconds": token.expiration_seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "uid": pod.uid()},
            },
        }))?;
        let account = account.unwrap_or_default();
        let parameters = PostParams::default();
        let made = accounts.create_token_request(&account, &parameters, &request);
        let made = made.await.with_context(|| format!("a token of {account}"))?;
        let made = made.status.and_then(|status| status.token);
        let made = made.context("the API server made no token")?;
        return Ok(vec![(token.path.clone(), made)]);
    }
    if let Some(map) = &source.config_map {
        let maps: Api<ConfigMap> = Api::namespaced(kubelet.client.clone(), &namespace);
        let found = maps.get(&map.name).await?.data.unwrap_or_default();
        let Some(items) = &map.items else {
            return Ok(Vec::from_iter(found));
        };
        let items = items.iter().map(|item| {
            let text = found.get(&item.key);
            let text = text.with_context(|| format!("ConfigMap {} has no {}", map.name, item.key))?;
            Ok((item.path.clone(), text.clone()))
        });
        return items.collect();
    }
    let downward = source.downward_api.as_ref();
    let downward = downward.context("only a token, a ConfigMap and fields are projected here")?;
    let items = downward.items.iter().flatten().map(|item| {
        let reference = item
            .field_ref
            .as_ref()
            .context("only a fieldRef is understood here")?;
        Ok((item.path.clone(), field(pod, &reference.field_path, sandbox)?))
    });
    items.collect()
}
