//! Our CustomResourceDefinition as YAML, as `kubectl apply` takes it.

use std::io::{self, Write};

use kube::CustomResourceExt as _;

use crate::digest::vippool::VipPool;

/// Why it was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It cannot be put into YAML.
    #[error("the definition as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
    /// Nobody takes it.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
}

/// Writes the definition of VipPool.
pub fn write_crd(out: &mut impl Write) -> Result<(), WriteError> {
    out.write_all(serde_saphyr::to_string(&VipPool::crd())?.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_what_is_printed() {
        let mut printed = Vec::new();
        write_crd(&mut printed).unwrap();
        let manifest = include_str!("../../../deploy/base/crd.yaml");
        assert!(
            printed == manifest.as_bytes(),
            "write it anew: ingress-agent crd > deploy/base/crd.yaml"
        );
    }
}
