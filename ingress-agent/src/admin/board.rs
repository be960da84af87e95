//! What the control thread has last put into effect, for whoever asks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch::{Receiver, Sender};

use crate::cluster::Observer;
use crate::metrics::Control;
use crate::model::Model;
use crate::proxy::Proxy;
use crate::source::kube::Answers;
use crate::status::Settings;
use crate::translate::Served;
use crate::xdp::maps::Maps;
use crate::xdp::{Dataplane, Plan};

/// The agent's state. Written by the control thread, read by its admin.
#[derive(Debug, Default)]
pub struct Board {
    /// Its counters.
    pub control: Arc<Control>,
    model: ArcSwapOption<Model>,
    served: ArcSwapOption<Served>,
    in_effect: Sender<Option<Arc<Served>>>,
    plan: ArcSwapOption<Plan>,
    proxy: ArcSwapOption<Proxy>,
    maps: ArcSwapOption<Maps>,
    announced: ArcSwapOption<Receiver<BTreeSet<IpAddr>>>,
    cluster: OnceLock<Observer>,
    answers: OnceLock<Answers>,
    settings: ArcSwapOption<Settings>,
    draining: AtomicBool,
    /// Why VIPs are not served that should be.
    refusal: ArcSwapOption<String>,
}

impl Board {
    /// `dropped` counts the lines that the logs lost.
    pub fn new(dropped: Arc<AtomicU64>) -> Self {
        let control = Control {
            dropped,
            ..Control::default()
        };
        Self {
            control: Arc::new(control),
            ..Self::default()
        }
    }

    /// A request path has started, behind this data plane unless it serves without XDP.
    pub fn started(&self, proxy: &Arc<Proxy>, dataplane: Option<&Dataplane>) {
        self.proxy.store(Some(Arc::clone(proxy)));
        self.maps
            .store(dataplane.map(|dataplane| Arc::clone(dataplane.maps())));
        if dataplane.is_none() {
            self.plan.store(None);
        }
        self.announced
            .store(dataplane.map(|dataplane| Arc::new(dataplane.announced().clone())));
    }

    /// The agent takes part in its cluster. Once.
    pub fn coordinates(&self, observer: Observer) {
        _ = self.cluster.set(observer);
    }

    /// Objects come from the API server. Once.
    pub fn hears(&self, answers: Answers) {
        _ = self.answers.set(answers);
    }

    /// A model is served, by the kernel too.
    pub fn serves(&self, model: &Arc<Model>) {
        self.model.store(Some(Arc::clone(model)));
        self.in_effect.send_replace(self.served.load_full());
    }

    /// What is served, by the kernel too, from now on.
    pub fn in_effect(&self) -> Receiver<Option<Arc<Served>>> {
        self.in_effect.subscribe()
    }

    /// The proxy's table was made of this.
    pub fn routes(&self, served: Served) {
        self.served.store(Some(Arc::new(served)));
    }

    /// A plan is in effect.
    pub fn follows(&self, plan: &Arc<Plan>) {
        self.plan.store(Some(Arc::clone(plan)));
    }

    /// There are VIPs that this node should serve and cannot, or there are none. Says whether that is news.
    pub fn refuses_vips(&self, why: Option<String>) -> bool {
        let last = self.refusal.swap(why.clone().map(Arc::new));
        last.as_deref() != why.as_ref()
    }

    /// What came of the agents' ConfigMap.
    pub fn is_configured(&self, settings: Settings) {
        self.settings.store(Some(Arc::new(settings)));
    }

    /// Nothing new is taken from here on.
    pub fn drains(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the agent works: the control thread does, since it answers; do the workers?
    pub(super) async fn live(&self) -> Result<(), &'static str> {
        match self.proxy() {
            Some(proxy) if !proxy.pulse().await => Err("a worker did not answer within 300 ms"),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether traffic should be sent here.
    pub(super) fn ready(&self) -> Result<(), Cow<'static, str>> {
        if self.is_draining() {
            Err(Cow::Borrowed("draining: nothing new is taken"))
        } else if self.model.load().is_none() {
            Err(Cow::Borrowed("the first model is not served yet"))
        } else if let Some(why) = self.refusal.load_full() {
            Err(Cow::Owned(format!("VIPs cannot be served: {why}")))
        } else if self.plan.load().as_deref().is_some_and(Plan::is_spared) {
            Err(Cow::Borrowed(
                "other nodes hand this one nothing: its Lease does not say yet that it serves VIPs",
            ))
        } else {
            Ok(())
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    pub(super) fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.load_full()
    }

    pub(super) fn cluster(&self) -> Option<&Observer> {
        self.cluster.get()
    }

    /// How long ago the API server answered, by kind; `None`: objects come from elsewhere.
    pub(super) fn answered(&self) -> Option<BTreeMap<&'static str, Option<Duration>>> {
        self.answers.get().map(Answers::ago)
    }

    pub(super) fn model(&self) -> Option<Arc<Model>> {
        self.model.load_full()
    }

    /// What is served, and by whom.
    pub(super) fn served(&self) -> Option<(Arc<Served>, Arc<Proxy>)> {
        self.served.load_full().zip(self.proxy())
    }

    pub(super) fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.load_full()
    }

    pub(super) fn proxy(&self) -> Option<Arc<Proxy>> {
        self.proxy.load_full()
    }

    pub(super) fn maps(&self) -> Option<Arc<Maps>> {
        self.maps.load_full()
    }

    /// The addresses that this node announces at this moment.
    pub(super) fn announced(&self) -> BTreeSet<IpAddr> {
        let announced = self.announced.load();
        announced
            .as_deref()
            .map(|announced| announced.borrow().clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::Snapshot;

    #[test]
    fn what_is_routed_is_in_effect_once_the_kernel_serves_it_too() {
        let board = Board::default();
        let model = Arc::default();
        let in_effect = board.in_effect();
        board.routes(Served {
            snapshot: Arc::new(Snapshot::empty(&Arc::from("node"))),
            model: Arc::clone(&model),
            report: Arc::default(),
        });
        assert!(in_effect.borrow().is_none());
        board.serves(&model);
        assert!(in_effect.borrow().is_some());
    }

    /// OP-5.
    #[tokio::test]
    async fn ready_from_the_first_model_to_the_drain() {
        let board = Board::default();
        assert_eq!(board.ready(), Err("the first model is not served yet".into()));
        assert_eq!(board.live().await, Ok(()));
        board.serves(&Arc::default());
        assert_eq!(board.ready(), Ok(()));
        assert!(board.refuses_vips(Some("no XDP".to_owned())));
        assert!(!board.refuses_vips(Some("no XDP".to_owned())));
        assert_eq!(board.ready(), Err("VIPs cannot be served: no XDP".into()));
        assert!(board.refuses_vips(None));
        assert_eq!(board.ready(), Ok(()));
        let spared = Plan {
            own: Some(1),
            ..Plan::default()
        };
        board.follows(&Arc::new(spared));
        assert!(
            board
                .ready()
                .is_err_and(|why| why.contains("hand this one nothing"))
        );
        board.follows(&Arc::default());
        board.drains();
        assert_eq!(board.ready(), Err("draining: nothing new is taken".into()));
    }
}
