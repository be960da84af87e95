//! The flag `--source`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where objects come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A folder of manifests.
    File(PathBuf),
    /// The API server.
    Kube,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(folder) => write!(f, "{}", folder.display()),
            Self::Kube => write!(f, "the cluster"),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", dir)) if !dir.is_empty() => Ok(Self::File(PathBuf::from(dir))),
            None if text == "kube" => Ok(Self::Kube),
            _ => Err("expected file:DIR, a folder of Kubernetes YAML, or kube, the API server".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        assert_eq!("kube".parse(), Ok(Source::Kube));
        assert_eq!("file:/a:b".parse(), Ok(Source::File("/a:b".into())));
        for text in ["", "file", "file:", "kube:", "http://x"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
