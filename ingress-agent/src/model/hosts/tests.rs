use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn host(index: u8) -> Host {
    match index {
        0 => Host::Any,
        index if index % 3 == 0 => Host::Wildcard(Arc::from(format!("{index}.test"))),
        index => Host::Exact(Arc::from(format!("{index}.test"))),
    }
}

proptest! {
    #[test]
    fn says_what_a_sorted_map_says(rounds in vec(vec((any::<u8>(), any::<Option<u16>>()), 0..40), 1..12)) {
        let (mut map, mut expected) = (HostMap::default(), BTreeMap::new());
        for changes in rounds {
            map = map.with(changes.iter().map(|(index, value)| (host(*index), *value)));
            for (index, value) in changes {
                match value {
                    Some(value) => _ = expected.insert(host(index), value),
                    None => _ = expected.remove(&host(index)),
                }
            }
            prop_assert_eq!(map.len(), expected.len());
            prop_assert_eq!(map.iter().collect::<BTreeMap<_, _>>(), expected.iter().collect());
            for index in 0..=u8::MAX {
                prop_assert_eq!(map.get(&host(index)), expected.get(&host(index)));
            }
            let fresh: HostMap<u16> = expected.clone().into_iter().collect();
            prop_assert_eq!(format!("{map:?}"), format!("{fresh:?}"), "no trace of its history");
        }
    }
}

#[test]
fn a_change_copies_its_own_bucket_and_maps_anew_no_other() {
    let all: HostMap<u8> = (0..200).map(|index| (host(index), index)).collect();
    let doubled = all.map(None, |value| u16::from(*value) * 2);
    let changed = all.with([(host(7), Some(100))]);
    let mut asked = 0;
    let again = changed.map(Some((&all, &doubled)), |value| {
        asked += 1;
        u16::from(*value) * 2
    });
    assert!((1..=20).contains(&asked), "{asked} values of 200 computed");
    for index in 0..200 {
        let expected = if index == 7 { 200 } else { u16::from(index) * 2 };
        assert_eq!(again.get(&host(index)), Some(&expected));
    }
    assert_eq!(
        again.exact("7.test").map(|(host, _)| host.to_string()).as_deref(),
        Some("7.test")
    );
    assert_eq!(again.wildcard("9.test").map(|(_, value)| *value), Some(18));
    assert_eq!(again.any().map(|(_, value)| *value), Some(0));
    assert_eq!(again.exact("9.test"), None);
}
