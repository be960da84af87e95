use std::fs;
use std::num::NonZeroU16;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::digest::secret::Pair;
use crate::digest::{
    Cause, Fault, Ingress, Node, Nodes, Precedence, class, endpoints, ingress, service, vippool,
};
use crate::model::vip::PoolSecret;
use crate::model::{Certificate, Host, Member, MemberState, ObjectRef};
use crate::translate::Finding;

const OURS: Identity = Identity([1; 32]);
const OTHERS: Identity = Identity([2; 32]);

fn entry<T>(value: Arc<T>) -> Entry<T> {
    Entry {
        precedence: Precedence::Uncreated {
            file: Arc::from(""),
            position: 0,
        },
        place: None,
        value,
    }
}

fn api<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// One of each kind.
fn snapshot() -> Snapshot {
    let object = |name: &str| json!({"name": name, "namespace": "shop"});
    let class = json!({"metadata": {"name": "xdp"}, "spec": {"controller": "ours"}});
    let ports = json!({"ports": [{"name": "http", "port": 80}]});
    let service = json!({"metadata": object("web"), "spec": ports});
    let slice = json!({
        "metadata": object("web-1"),
        "addressType": "IPv6",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["2001:db8::1"]}],
    });
    let elsewhere = json!({"matchLabels": {"zone": "a"}});
    let pool = json!({
        "apiVersion": "ingress-agent.dev/v1alpha1",
        "kind": "VipPool",
        "metadata": {"name": "edge"},
        "spec": {"addresses": ["192.0.2.10/31"], "classes": ["xdp"], "nodeSelector": elsewhere},
        "status": {"assignments": [
            {"address": "192.0.2.10", "class": "xdp"}, {"address": "192.0.2.11", "namespace": "shop", "name": "web"},
        ]},
    });
    Snapshot {
        ingresses: vec![entry(ingress())],
        classes: vec![entry(class::digest(api(class), None))],
        default_class: Some(Arc::from("xdp")),
        services: vec![entry(service::digest(api(service), None))],
        endpoints: vec![entry(endpoints::digest(api(slice), None))],
        secrets: vec![entry(secret())],
        pools: vec![entry(vippool::digest(api(pool), None))],
        nodes: Some(nodes()),
        ..Snapshot::empty(&Arc::from("node"))
    }
}

fn nodes() -> Arc<Nodes> {
    let node = |number, name: &str, state| Node {
        member: Member {
            number: NonZeroU16::new(number).unwrap(),
            name: Arc::from(name),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            state,
            ready: number == 1,
        },
        labels: [("zone".to_owned(), name.to_owned())].into(),
    };
    let secret = Some(Arc::new(PoolSecret([7; 32])));
    let nodes = vec![
        node(1, "node", MemberState::Active),
        node(9, "b", MemberState::Draining),
    ];
    Arc::new(Nodes::joined(secret, nodes))
}

/// An Ingress with much that is wrong with it.
fn ingress() -> Arc<Ingress> {
    let path = |path, kind, service| json!({"path": path, "pathType": kind, "backend": service});
    let service = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([
        path("/a", "Exact", &service),
        path("/b", "Prefix", &json!({})),
        path("c", "Prefix", &service)
    ]);
    let object = json!({
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "annotations": {
                "ingress-agent.dev/proxy-next-upstream": "error http_503",
                "ingress-agent.dev/auth-type": "basic",
                "ingress-agent.dev/no-such": "x",
            },
        },
        "spec": {
            "rules": [{"host": "shop.test", "http": {"paths": paths}}, {"host": "*.shop.test"}],
            "tls": [{"hosts": ["shop.test"], "secretName": "pair"}],
        },
    });
    let mut ingress = Ingress::clone(&ingress::digest(api(object), None));
    // In words that stay.
    ingress.faults = vec![
        Fault::refused(Cause::Path, "spec")
            .found("what")
            .expected("another")
            .nearest(Some("a third".to_owned()))
            .so("nothing")
            .change("it"),
    ];
    Arc::new(ingress)
}

fn secret() -> Arc<Secret> {
    let secret = Secret {
        object: ObjectRef {
            kind: "Secret",
            namespace: Arc::from("shop"),
            name: Arc::from("pair"),
        },
        declared: true,
        pair: Some(Pair {
            names: vec![Host::parse("shop.test").unwrap()],
            not_before: -1,
            not_after: 1 << 40,
            certificate: Arc::new(Certificate {
                chain: vec![b"end entity".to_vec(), b"issuer".to_vec()],
                key: PrivateKey::Sec1(b"the key".to_vec()),
                origin: ObjectRef {
                    kind: "Secret",
                    namespace: Arc::from("shop"),
                    name: Arc::from("pair"),
                },
            }),
        }),
        faults: Vec::new(),
    };
    Arc::new(secret)
}

fn key(snapshot: &Snapshot) -> PrivateKey {
    let pair = snapshot.secrets.first().unwrap().value.pair.as_ref();
    pair.unwrap().certificate.key.clone()
}

fn read(file: &[u8]) -> Result<Snapshot, Unsound> {
    decode(file, &Kept::default(), &OURS, &Arc::from("node"))
}

/// What is written now must be read by every agent that has this version.
#[test]
fn the_format_is_that_of_its_version() {
    let files = encode(&snapshot(), &OURS);
    let hex = |bytes: &[u8]| -> String {
        let digest = Sha256::digest(bytes);
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    };
    let now = (hex(&files.snapshot), hex(&files.keys));
    let expected = ("bec791e764abe47a".to_owned(), "5a3e40fa50ef467c".to_owned());
    assert_eq!(now, expected, "raise VERSION in seal.rs, then write these here");
}

#[test]
fn keys_are_in_their_own_file_only() {
    let Files {
        snapshot: file,
        keys: secret,
    } = encode(&snapshot(), &OURS);
    let holds = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(holds(&file, b"end entity") && !holds(&file, b"the key"));
    assert!(holds(&secret, b"the key"));
    assert_eq!(key(&read(&file).unwrap()), PrivateKey::Gone);
    let kept = keys(&secret, &OURS).unwrap();
    let whole = decode(&file, &kept, &OURS, &Arc::from("node")).unwrap();
    assert_eq!(key(&whole), key(&snapshot()));
}

/// Flows cannot be hashed as the others do without the secret.
#[test]
fn a_fleet_is_known_with_its_secret_only() {
    let Files {
        snapshot: file,
        keys: secret,
    } = encode(&snapshot(), &OURS);
    assert!(!file.windows(4).any(|part| part == [7; 4]));
    assert_eq!(read(&file).unwrap().nodes, None);
    let whole = decode(&file, &keys(&secret, &OURS).unwrap(), &OURS, &Arc::from("node"));
    assert_eq!(whole.unwrap().nodes, Some(nodes()));
    let alone = Snapshot {
        nodes: Some(Arc::new(Nodes::alone(&Arc::from("node")))),
        ..snapshot()
    };
    let file = encode(&alone, &OURS).snapshot;
    assert_eq!(read(&file).unwrap().nodes, alone.nodes);
}

/// OP-6: truncated, bit-flipped, longer, of another format, of another cluster, another file.
#[test]
fn what_is_not_sound_is_refused() {
    let Files {
        snapshot: file,
        keys: secret,
    } = encode(&snapshot(), &OURS);
    assert!(read(&file).is_ok());
    for length in 0..file.len() {
        assert!(read(file.get(..length).unwrap()).is_err(), "{length} bytes");
    }
    for bit in 0..file.len() * 8 {
        let mut file = file.clone();
        *file.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
        assert!(read(&file).is_err(), "bit {bit}");
    }
    let longer = [&*file, b"x"].concat();
    assert_eq!(read(&longer).err(), Some(Unsound::Checksum));
    let mut older = file;
    *older.get_mut(8).unwrap() = 0;
    assert_eq!(read(&older).err(), Some(Unsound::Version(0)));
    let others = encode(&snapshot(), &OTHERS);
    assert_eq!(read(&others.snapshot).err(), Some(Unsound::Identity));
    assert_eq!(keys(&others.keys, &OURS), Err(Unsound::Identity));
    assert_eq!(read(&secret).err(), Some(Unsound::Magic));
    assert_eq!(read(b"").err(), Some(Unsound::Magic));
}

/// With a right checksum, as no damage makes it.
#[test]
fn contents_that_make_no_sense_are_refused_without_a_panic() {
    let file = encode(&snapshot(), &OURS).snapshot;
    let payload = file.get(76..).unwrap();
    let sealed = |payload: &[u8]| seal::seal(seal::Magic::Snapshot, &OURS, payload);
    assert!(read(&sealed(payload)).is_ok());
    for length in 0..payload.len() {
        let cut = sealed(payload.get(..length).unwrap());
        assert_eq!(read(&cut).err(), Some(Unsound::Contents), "{length} bytes");
    }
    for at in 0..payload.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut payload = payload.to_vec();
            *payload.get_mut(at).unwrap() = byte;
            // Some of it is a text or a number, and then another one.
            drop(read(&sealed(&payload)));
        }
    }
}

/// In a directory that is in memory and in one that is not, where this machine has such.
#[test]
fn keys_are_kept_in_memory_only_and_only_their_owner_reads_them() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let node: Arc<str> = Arc::from("node");
    for run in [&memory, &disk] {
        let in_memory = place::is_in_memory(run.path()).unwrap();
        let state = disk.path().join("state");
        let saved = Saved::new(&state, run.path(), OURS);
        for _ in 0..2 {
            saved.write(&snapshot()).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join("snapshot"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        let kept = run.path().join("keys");
        assert_eq!(kept.exists(), in_memory);
        let restored = saved.load(&node, 5).unwrap();
        assert_eq!(restored.time, 5);
        if in_memory {
            assert_eq!(mode(&kept), 0o600);
            assert_eq!(key(&restored), key(&snapshot()));
        } else {
            assert_eq!(key(&restored), PrivateKey::Gone);
        }
        assert!(Saved::new(&state, run.path(), OTHERS).load(&node, 5).is_none());
    }
    assert!(place::is_in_memory(memory.path()).unwrap());
    assert!(
        Saved::new(memory.path(), memory.path(), OURS)
            .load(&node, 5)
            .is_none()
    );
}

/// Whatever changes, and however often.
#[tokio::test]
async fn it_is_written_at_once_and_then_every_five_seconds_at_most() {
    let place = tempfile::tempdir().unwrap();
    let saved = Arc::new(Saved::new(place.path(), place.path(), OURS));
    let (sender, snapshots) = channel::channel(Arc::new(snapshot()));
    let saving = tokio::spawn(saved.follow(snapshots));
    let begin = Instant::now();
    // Each write makes another file.
    let mut writes = Vec::new();
    let mut last = None;
    while begin.elapsed() < EVERY + Duration::from_secs(2) {
        sender.send_replace(Arc::new(snapshot()));
        let file = fs::metadata(place.path().join("snapshot"))
            .map(|file| file.ino())
            .ok();
        if file != std::mem::replace(&mut last, file) {
            writes.push(begin.elapsed());
        }
        sleep(Duration::from_millis(10)).await;
    }
    saving.abort();
    let [first, second] = writes[..] else {
        panic!("{writes:?}")
    };
    assert!(first < Duration::from_secs(2), "{writes:?}");
    assert!(second >= EVERY, "{writes:?}");
}

/// Also one whose key is gone: its hosts are refused rather than shown the default certificate.
#[test]
fn a_secret_that_the_api_server_does_not_give_stays_as_saved() {
    let restored = snapshot().secrets;
    let found = |cause| Snapshot {
        findings: vec![Finding {
            object: restored.first().unwrap().value.object.clone(),
            place: None,
            fault: Fault::refused(cause, "").so("the default certificate"),
        }],
        ..Snapshot::empty(&Arc::from("node"))
    };
    let mut kept = restored.clone();
    for _ in 0..2 {
        let mut unreadable = found(Cause::SecretUnreadable);
        keep_unreadable(&mut unreadable, &mut kept);
        assert_eq!(unreadable.secrets, restored);
        let said = &unreadable.findings.first().unwrap().fault.consequence;
        assert_eq!(&**said, "the Secret stays as it was saved");
    }
    let mut gone = found(Cause::TlsPair);
    keep_unreadable(&mut gone, &mut kept);
    assert!(gone.secrets.is_empty() && kept.is_empty());
}
