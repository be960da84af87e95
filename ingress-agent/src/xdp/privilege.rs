//! Whether this process may do what the kernel's side needs.

use std::fs;
use std::io;

/// What is missing.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Some capabilities are not effective.
    #[error(
        "missing {missing}: run as root, or give the process {all} (in Kubernetes: securityContext.capabilities.add)",
        missing = missing.join(", "), all = ALL
    )]
    Missing {
        /// The capabilities' names.
        missing: Vec<&'static str>,
    },
    /// The kernel did not tell.
    #[error("cannot read the effective capabilities from /proc/thread-self/status: {0}")]
    Unknown(io::Error),
}

const ALL: &str = "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_DAC_OVERRIDE";

/// By their numbers in include/uapi/linux/capability.h. `CAP_DAC_OVERRIDE` is for pins with dots in their names;
/// `CAP_PERFMON` for pointer arithmetic in the programs.
const NEEDED: [(u32, &str); 4] = [
    (39, "CAP_BPF"),
    (12, "CAP_NET_ADMIN"),
    (38, "CAP_PERFMON"),
    (1, "CAP_DAC_OVERRIDE"),
];

/// Names every capability that is needed and not effective.
pub fn check() -> Result<(), PrivilegeError> {
    let status = fs::read_to_string("/proc/thread-self/status").map_err(PrivilegeError::Unknown)?;
    let effective = effective(&status).ok_or_else(|| {
        PrivilegeError::Unknown(io::Error::other(
            "there is no line CapEff with a hexadecimal number",
        ))
    })?;
    let missing = missing(effective);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(PrivilegeError::Missing { missing })
    }
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(effective: u64) -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(bit, _)| effective >> bit & 1 == 0)
        .map(|(_, name)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t0000008000001002\n";
        assert_eq!(missing(effective(status).unwrap()), ["CAP_PERFMON"]);
        assert_eq!(missing(0).len(), 4);
        assert!(missing(u64::MAX).is_empty());
        let error = PrivilegeError::Missing {
            missing: missing(1 << 39),
        }
        .to_string();
        assert!(
            error.starts_with("missing CAP_NET_ADMIN, CAP_PERFMON, CAP_DAC_OVERRIDE: run as root"),
            "{error}"
        );
    }
}
