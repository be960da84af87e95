//! The metrics, in Prometheus' text format.
//!
//! In: what the workers count, what the control thread counts, and the programs' counters, read when they are asked
//! for. Out: text. Every label has few values: a class of statuses, a method of eight, an object of the model, a
//! reason, a VIP or a node. It counts nothing itself.

mod answers;
mod control;
mod inventory;
mod kernel;
mod process;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::model::Model;
use crate::proxy::Proxy;
use crate::xdp::maps::Maps;

pub(crate) use self::control::since_1970;
pub use self::control::{ConfigKeys, Control, Seconds};
pub use self::inventory::Inventory;

/// The first word of every name.
const PREFIX: &str = "ingress_agent";

/// All metrics as of now, with the number of addresses that are announced, and how long ago the API server answered about
/// each kind. What is not there yet has none.
pub fn text(
    control: &Arc<Control>,
    proxy: Option<&Proxy>,
    maps: Option<&Maps>,
    announced: usize,
    kinds: Option<BTreeMap<&'static str, Option<Duration>>>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Arc::clone(control)));
    if let Some(proxy) = proxy {
        registry.register_collector(Box::new(traffic::Traffic::of(proxy)));
    }
    if let Some(maps) = maps {
        registry.register_collector(Box::new(kernel::Kernel::of(maps, announced)));
    }
    if let Some(kinds) = kinds {
        registry.register_collector(Box::new(answers::Answers(kinds)));
    }
    let mut text = String::new();
    encode_registry(&mut text, &registry)?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(process::Process {
        started: control.started,
    }));
    encode_registry(&mut text, &registry)?;
    encode_eof(&mut text)?;
    Ok(text)
}

/// Forgets the series of objects that are in no route of `model` any more, so that they are bounded. To be called
/// after [`text`], which tells them a last time.
pub fn forget(proxy: &Proxy, model: &Model) {
    let gone = traffic::Traffic::of(proxy).gone(model);
    if !gone.is_empty() {
        proxy.forget(&gone.into());
    }
}

/// Writes one metric after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn counters<S: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (S, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in series {
            let mut series = metric.encode_family(&labels)?;
            series.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn gauges<S: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (S, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn seconds<'s>(&'s mut self, name: &'s str, help: &str) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0
            .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)
    }
}
