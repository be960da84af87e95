use super::*;
use crate::model::{ObjectRef, PathMatch, RouteMatch};

fn labels(ingress: &str) -> Labels {
    Labels {
        namespace: "n".into(),
        ingress: ingress.into(),
        service: Arc::default(),
    }
}

fn count(counter: &Counter, ingress: &str, cause: Option<Cause>) {
    let route = Route {
        matches: RouteMatch {
            path: PathMatch::prefix("/"),
        },
        action: Action::Refuse,
        policies: Arc::default(),
        origin: ObjectRef {
            kind: "Ingress",
            namespace: "n".into(),
            name: ingress.into(),
        },
    };
    let outcome = Outcome {
        method: MethodLabel::OTHER,
        status: 200,
        micros: 1,
        bytes: 0,
        retried: cause.as_slice(),
        failed: cause,
    };
    counter.count(Some(&route), &outcome);
}

#[test]
fn series_of_a_thousand_objects_come_and_go_ten_times() {
    let counts = Arc::new(Counts::default());
    let counter = Counter::new(Arc::clone(&counts));
    for round in 0..10 {
        let names: Vec<_> = (0..1000).map(|number| format!("{round}-{number:03}")).collect();
        count(&counter, "stays", None);
        for name in &names {
            count(&counter, name, None);
        }
        assert_eq!(counts.series().len(), 1002);
        let mut gone: Vec<_> = names.iter().map(|name| labels(name)).collect();
        gone.sort();
        counter.forget(&gone);
        assert_eq!((counts.series().len(), counter.known.get()), (2, 1));
    }
    assert_eq!(
        counter.routes.borrow().values().map(HashMap::len).sum::<usize>(),
        1
    );
    let series = counts.series();
    let (_, stays) = series
        .iter()
        .find(|(labels, _)| &*labels.ingress == "stays")
        .unwrap();
    let other = METHODS.len() - 1;
    assert_eq!(stays.requests[other][1].load(Relaxed), 10);
}

#[test]
fn failures_and_the_retries_after_them_by_cause() {
    let counts = Arc::new(Counts::default());
    let counter = Counter::new(Arc::clone(&counts));
    count(&counter, "a", Some(Cause::Timeout));
    let series = counts.series();
    let (_, a) = &series[1];
    let of = |counts: &[AtomicU64; CAUSES.len()], cause: Cause| counts[cause.index()].load(Relaxed);
    assert_eq!(
        (of(&a.retries, Cause::Timeout), of(&a.failures, Cause::Timeout)),
        (1, 2)
    );
    assert_eq!(
        (of(&a.retries, Cause::Reset), of(&a.failures, Cause::Reset)),
        (0, 0)
    );
}
