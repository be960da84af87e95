//! The control plane's programs: found, or built once from source into a cache.
//!
//! Looked for in `$KUBEBUILDER_ASSETS` (the convention of envtest), in `$PATH`, then in the cache. The build is one Go
//! program for all of them (`xtask/control-plane`), in a cache folder named by its `go.sum`, outside cargo's
//! target directory: cleaning and fresh clones do not pay for it twice.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};

/// The Kubernetes version that is built: of `go.mod`.
pub const KUBERNETES: &str = "1.37.1";
/// The programs.
const NAMES: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];
/// The program that plays all of them.
const BUILT: &str = "control-plane";
/// The Go release that is fetched where there is none: what `go.mod` asks for, or later.
const GO: &str = "go1.26.8";

/// A folder that has all the programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Those that are already here.
    pub fn find() -> Result<Option<Self>> {
        let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = assets.into_iter().chain(env::split_paths(&path));
        Ok(Self::find_in(directories.chain([cache()?])))
    }

    /// The first folder that has all of them: programs of several releases do not go together.
    fn find_in(mut directories: impl Iterator<Item = PathBuf>) -> Option<Self> {
        let directory =
            directories.find(|directory| NAMES.iter().all(|name| directory.join(name).is_file()))?;
        Some(Self { directory })
    }

    /// Those that are already here, else built now, which takes some minutes; says so line by line.
    pub fn find_or_build(tell: &mut dyn FnMut(&str)) -> Result<Self> {
        if let Some(found) = Self::find()? {
            return Ok(found);
        }
        let directory = cache()?;
        tell(&format!(
            "building Kubernetes {KUBERNETES} and etcd from source, once: about 5 minutes on 2 cores, into {}",
            directory.display()
        ));
        fs::create_dir_all(&directory).with_context(|| format!("mkdir {}", directory.display()))?;
        build(&go(tell)?, &directory.join(BUILT))?;
        for name in NAMES {
            let link = directory.join(name);
            match std::os::unix::fs::symlink(BUILT, &link) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("symlink {}", link.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Self { directory })
    }

    /// A program's path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane")
}

/// `$XDG_CACHE_HOME/ingress-agent/control-plane-HASH`.
fn cache() -> Result<PathBuf> {
    let sums = source().join("go.sum");
    let sums = fs::read(&sums).with_context(|| format!("read {}", sums.display()))?;
    Ok(caches()?.join(format!("control-plane-{:016x}", fnv(&sums))))
}

/// `$XDG_CACHE_HOME/ingress-agent`.
pub(super) fn caches() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(base
        .context("neither XDG_CACHE_HOME nor HOME says where a cache may be")?
        .join("ingress-agent"))
}

/// FNV-1a, 64 bits: names a version of a file of ours, and protects nothing.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn build(go: &Path, output: &Path) -> Result<()> {
    // Renamed when it is whole: a build that was cut off is not taken for one.
    let unfinished = output.with_extension("new");
    let version = format!("-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}");
    let (major, minor) = KUBERNETES
        .split_once('.')
        .and_then(|(major, rest)| Some((major, rest.split('.').next()?)))
        .context("a version has two dots")?;
    // Without these kubectl and clients that parse the server's version fail.
    let stamps = format!(
        "-s -w {version} -X k8s.io/component-base/version.gitMajor={major} \
         -X k8s.io/component-base/version.gitMinor={minor}"
    );
    let status = Command::new(go)
        .current_dir(source())
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-ldflags", &stamps, "-o"])
        .arg(&unfinished)
        .arg(".")
        .status()
        .context("start go")?;
    ensure!(status.success(), "go build of the control plane: {status}");
    fs::rename(&unfinished, output).with_context(|| format!("rename to {}", output.display()))
}

/// Go from PATH, where it is new enough or fetches what is; else an own one in the cache.
pub(super) fn go(tell: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let works = |program: &Path| {
        Command::new(program)
            .current_dir(source())
            .arg("version")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let on_path = PathBuf::from("go");
    if works(&on_path) {
        return Ok(on_path);
    }
    let directory = caches()?.join(GO);
    let own = directory.join("go/bin/go");
    if works(&own) {
        return Ok(own);
    }
    let machine = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("no Go is fetched for {other}: install Go 1.26 or later"),
    };
    let url = format!("https://go.dev/dl/{GO}.linux-{machine}.tar.gz");
    tell(&format!("Go is missing; fetching {url}"));
    fs::create_dir_all(&directory).with_context(|| format!("mkdir {}", directory.display()))?;
    let script =
        OsString::from(r#"set -e; curl --fail --silent --show-error --location "$1" | tar -xz -C "$2""#);
    let status = Command::new("bash")
        .args(["-o", "pipefail", "-c"])
        .arg(script)
        .args(["fetch", &url])
        .arg(&directory)
        .status()
        .context("start bash")?;
    ensure!(
        status.success() && works(&own),
        "{url} could not be fetched ({status}): install Go 1.26 or later"
    );
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_with_all_of_them_counts() {
        let [some, first, second] = [3, 4, 4].map(|count| {
            let directory = tempfile::tempdir().unwrap();
            for name in &NAMES[..count] {
                fs::write(directory.path().join(name), "").unwrap();
            }
            directory
        });
        let directories = [&some, &first, &second].map(|directory| directory.path().to_owned());
        let found = Binaries::find_in(directories.into_iter()).unwrap();
        assert_eq!(found.path("etcd"), first.path().join("etcd"));
        assert!(Binaries::find_in([some.path().to_owned()].into_iter()).is_none());
    }
}
