//! Where a model takes effect: the only place that changes what is served.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use tracing::{error, info, warn};

use crate::admin::Board;
use crate::digest::Verdict;
use crate::metrics::{Inventory, since_1970};
use crate::model::{Model, Opening};
use crate::proxy::{Memo, Proxy};
use crate::translate::{Controllers, Finding, Report, Served, Snapshot, Translator};
use crate::xdp::node::Mss;
use crate::xdp::{Dataplane, Plan, PlanError};

/// Turns snapshots into effects, and tells what is wrong once, when it appears.
#[derive(Debug)]
pub(super) struct Publisher {
    node: Arc<str>,
    /// Without XDP: where is listened, and the machine's addresses.
    openings: Option<(Vec<Opening>, BTreeSet<IpAddr>)>,
    board: Arc<Board>,
    translator: Translator,
    memo: Memo,
    mss: Option<Mss>,
    /// What the last model was made of, until it is routed.
    origin: Option<(Arc<Snapshot>, Arc<Report>)>,
    /// Whether the last snapshot's fleet has this node.
    is_known: bool,
    findings: BTreeSet<Finding>,
    left_out: BTreeSet<String>,
}

impl Publisher {
    /// `controllers`: whose classes are served; `openings`: where an agent without XDP listens, and the machine's
    /// addresses.
    pub(super) fn new(
        node: Arc<str>,
        controllers: Controllers,
        openings: Option<(Vec<Opening>, BTreeSet<IpAddr>)>,
        board: Arc<Board>,
    ) -> Self {
        Self {
            node,
            openings,
            board,
            translator: Translator::new(controllers),
            memo: Memo::default(),
            mss: None,
            origin: None,
            is_known: false,
            findings: BTreeSet::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// What a snapshot means; what is wrong with it goes to the log.
    pub(super) fn translate(&mut self, snapshot: &Arc<Snapshot>) -> Arc<Model> {
        let begin = Instant::now();
        let (model, report) = match &self.openings {
            None => self.translator.translate(snapshot),
            Some((openings, local)) => self.translator.translate_at(snapshot, openings, local),
        };
        self.count(begin.elapsed(), snapshot, &model, &report);
        let findings: BTreeSet<Finding> = report.findings.iter().cloned().collect();
        for finding in findings.difference(&self.findings) {
            warn!("{finding}");
        }
        for finding in self.findings.difference(&findings) {
            info!("no longer: {finding}");
        }
        self.findings = findings;
        self.is_known = snapshot.nodes.as_ref().is_some_and(|nodes| nodes.has(&self.node));
        self.origin = Some((Arc::clone(snapshot), Arc::new(report)));
        Arc::new(model)
    }

    fn count(&self, took: Duration, snapshot: &Snapshot, model: &Model, report: &Report) {
        let control = &self.board.control;
        control.snapshots.fetch_add(1, Relaxed);
        control.changed_at.store(since_1970(SystemTime::now()), Relaxed);
        control.inventory.store(Arc::new(Inventory::from(snapshot)));
        control.translate.observe(took);
        control.listeners.store(model.listeners.len() as u64, Relaxed);
        for (verdict, gauge) in [
            (Verdict::Degraded, &control.degraded),
            (Verdict::Refused, &control.refused),
        ] {
            let findings = report.findings.iter();
            let count = findings
                .filter(|finding| finding.fault.verdict == verdict)
                .count();
            gauge.store(count as u64, Relaxed);
        }
    }

    /// Makes the proxy serve what a model means. Says whether it does.
    pub(super) fn route(&mut self, model: &Arc<Model>, proxy: &Proxy) -> bool {
        let swapped = proxy.swap(self.memo.table(model));
        if let Err(error) = &swapped {
            error!(%error, "the new routes are not in effect");
        }
        let is_routed = swapped.is_ok();
        if let Some((snapshot, report)) = self.origin.take().filter(|_| is_routed) {
            self.board.routes(Served {
                snapshot,
                model: Arc::clone(model),
                report,
            });
        }
        // With XDP the kernel's part is still to come.
        if self.openings.is_some() {
            self.conclude(model, is_routed);
        }
        is_routed
    }

    /// Tells the board how it ended.
    fn conclude(&self, model: &Arc<Model>, in_effect: bool) {
        let control = &self.board.control;
        if in_effect {
            self.board.serves(model);
            control.applied.fetch_add(1, Relaxed);
            control.applied_at.store(since_1970(SystemTime::now()), Relaxed);
        } else {
            control.failed.fetch_add(1, Relaxed);
        }
    }

    /// Makes the proxy and the kernel serve what a model means. What cannot be done is told and the rest is
    /// done; where nothing can be, what was served before goes on. Gives the plan where all of it is in effect.
    pub(super) async fn apply(
        &mut self,
        model: &Arc<Model>,
        proxy: &Proxy,
        dataplane: &mut Dataplane,
    ) -> Option<Arc<Plan>> {
        let in_effect = self.put(model, proxy, dataplane).await;
        self.conclude(model, in_effect.is_some());
        in_effect
    }

    /// What the kernel is to do for the last model that was translated.
    ///
    /// # Errors
    ///
    /// When this node is unknown, or when several nodes share no secret.
    pub(super) fn plan(&self, model: &Model) -> Result<Plan, PlanError> {
        let is_in_no_pool = self.is_known && !model.pools.iter().any(|pool| pool.has(&self.node));
        if is_in_no_pool {
            // Pools may be of other nodes: this one has no part in them.
            return Ok(Plan::default());
        }
        Plan::new(model, &self.node)
    }

    async fn put(
        &mut self,
        model: &Arc<Model>,
        proxy: &Proxy,
        dataplane: &mut Dataplane,
    ) -> Option<Arc<Plan>> {
        let begin = Instant::now();
        // The routes first: they must be there when a new VIP's first packet comes.
        if !self.route(model, proxy) {
            return None;
        }
        let routed = begin.elapsed();
        let plan = match self.plan(model) {
            Ok(plan) => plan,
            Err(error) => {
                error!(%error, "the kernel goes on with the VIPs and nodes that it has");
                return None;
            }
        };
        self.tell_left_out(&plan);
        if let Err(error) = dataplane.apply(&plan).await {
            error!(%error, "the kernel is not up to date");
            return None;
        }
        self.fit_segments(proxy, dataplane).await;
        info!(
            routes_us = routed.as_micros(),
            kernel_us = (begin.elapsed() - routed).as_micros(),
            vips = plan.vips.len(),
            nodes = plan.nodes.len(),
            "in effect"
        );
        let plan = Arc::new(plan);
        self.board.follows(&plan);
        Some(plan)
    }

    /// Keeps the segments that clients send small enough for the tunnel, which the network may have changed.
    pub(super) async fn fit_segments(&mut self, proxy: &Proxy, dataplane: &Dataplane) {
        let mss = dataplane.listener_mss().await;
        if mss == self.mss {
            return;
        }
        // Once set it stays: without peers a small segment does no harm.
        if let Some(Mss { v4, v6 }) = mss {
            match proxy.set_max_segment(v4, v6).await {
                Ok(()) => info!(v4, v6, "connections announce this MSS, to fit the tunnel"),
                Err(error) => {
                    error!(%error, "uploads that enter at another node may hang");
                    return;
                }
            }
        }
        self.mss = mss;
    }

    fn tell_left_out(&mut self, plan: &Plan) {
        let left_out: BTreeSet<String> = plan.left_out.iter().map(ToString::to_string).collect();
        for text in left_out.difference(&self.left_out) {
            warn!("{text}");
        }
        self.left_out = left_out;
    }
}
