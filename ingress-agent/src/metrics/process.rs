//! The process, under the names that every Prometheus client library gives them.

use std::fmt;
use std::fs;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::{Writer, since_1970};

/// The process as it is when it is asked.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) started: SystemTime,
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        let spent = std::time::Duration::try_from(spent).unwrap_or_default();
        let mut cpu = writer.0.encode_descriptor(
            "process_cpu_seconds",
            "CPU time, user's and kernel's",
            None,
            MetricType::Counter,
        )?;
        cpu.encode_counter::<NoLabelSet, _, f64>(&spent.as_secs_f64(), None)?;
        writer.gauge(
            "process_start_time_seconds",
            "When it started, since 1970",
            since_1970(self.started),
        )?;
        // What cannot be read has no metric.
        if let Some(bytes) = resident() {
            writer.gauge("process_resident_memory_bytes", "Memory in RAM", bytes)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is this directory.
            let open = open.count().saturating_sub(1);
            writer.gauge("process_open_fds", "Open file descriptors", open as u64)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            writer.gauge("process_max_fds", "How many may be open", most)?;
        }
        Ok(())
    }
}

/// `VmRSS` of proc(5).
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
