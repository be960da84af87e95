//! Following a folder: what changes is sent at once, and nothing half written ever takes an object away.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingress_agent::source::file;
use ingress_agent::translate::Snapshot;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::folder::{BASE, folder, ingress};

use crate::watched::{Watched, is_whole, names, paths, two};

#[tokio::test]
async fn a_change_is_sent_and_what_did_not_change_keeps_its_pointer() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    let before = watched.now();
    assert!(is_whole(&before));
    let mut fastest = Duration::MAX;
    for round in 0..5 {
        let host = format!("edited{round}.test");
        fs::write(watched.path("web.yaml"), two().replace("one.test", &host)).unwrap();
        let took = watched
            .until(|now| {
                now.ingresses
                    .iter()
                    .any(|e| e.value.rules[0].host.to_string() == host)
            })
            .await;
        fastest = fastest.min(took);
        sleep(Duration::from_millis(50)).await;
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
    let after = watched.now();
    let unchanged = |s: &Snapshot| {
        s.ingresses
            .iter()
            .find(|e| &*e.value.object.name == "two")
            .map(|e| Arc::as_ptr(&e.value))
    };
    assert_eq!(unchanged(&before), unchanged(&after));
    assert_eq!(
        Arc::as_ptr(&before.services[0].value),
        Arc::as_ptr(&after.services[0].value)
    );
}

#[tokio::test]
async fn the_same_text_again_wakes_nobody() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    fs::write(watched.path("web.yaml"), two()).unwrap();
    fs::write(watched.path("notes.txt"), "a: [").unwrap();
    let woken = timeout(Duration::from_millis(400), watched.snapshots.changed()).await;
    assert!(woken.is_err());
}

#[tokio::test]
async fn a_file_written_byte_by_byte_never_lacks_its_objects() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    let path = watched.path("web.yaml");
    let text = two().replace("one.test", "longer-than-before.test");
    let write = async {
        let mut file = fs::File::create(&path).unwrap();
        for (at, byte) in text.as_bytes().iter().enumerate() {
            file.write_all(&[*byte]).unwrap();
            if at % 16 == 0 {
                sleep(Duration::from_millis(2)).await;
            }
        }
    };
    watched.through(is_whole, write).await;
    watched
        .until(|now| {
            now.ingresses
                .iter()
                .any(|e| e.value.rules[0].host.to_string() == "longer-than-before.test")
        })
        .await;
}

#[tokio::test]
async fn a_file_appended_to_or_rewritten_piece_by_piece_never_lacks_its_objects() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    let path = watched.path("web.yaml");
    let extra = ingress("zero", "zero.test", &[("Prefix", "/", "s")]);
    for text in [two().replace("two.test", "2.test"), two(), extra + &two()] {
        let write = async {
            fs::write(&path, "").unwrap();
            for piece in text.as_bytes().chunks(7) {
                OpenOptions::new()
                    .append(true)
                    .open(&path)
                    .unwrap()
                    .write_all(piece)
                    .unwrap();
                sleep(Duration::from_millis(3)).await;
            }
        };
        let holds = |now: &Snapshot| {
            paths(now) >= 4
                && names(now).contains(&"one".to_owned())
                && names(now).contains(&"two".to_owned())
        };
        watched.through(holds, write).await;
    }
    watched.until(|now| names(now) == ["one", "two", "zero"]).await;
    for end in 0..two().len() {
        fs::write(&path, &two()[..end]).unwrap();
        assert!(names(&watched.now()).contains(&"two".to_owned()));
    }
    fs::write(&path, two()).unwrap();
    watched.until(|now| names(now) == ["one", "two"]).await;
}

#[tokio::test]
async fn an_emptied_file_keeps_its_objects_until_it_is_deleted() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    fs::write(watched.path("web.yaml"), "").unwrap();
    watched
        .until(|now| {
            now.findings
                .iter()
                .any(|finding| finding.fault.cause == "file-empty")
        })
        .await;
    assert!(is_whole(&watched.now()));
    fs::remove_file(watched.path("web.yaml")).unwrap();
    watched.until(|now| names(now).is_empty()).await;
    assert!(watched.now().findings.is_empty());
}

#[tokio::test]
async fn a_file_that_is_no_longer_yaml_keeps_its_objects_and_tells() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    for broken in [
        two().replacen("metadata: {name: two}", "metadata: {name: two", 1),
        format!("{}---\na: [\n", two()),
        "a: [".repeat(400),
    ] {
        fs::write(watched.path("web.yaml"), &broken).unwrap();
        watched.until(|now| !now.findings.is_empty()).await;
        assert!(is_whole(&watched.now()), "{broken}");
        fs::write(watched.path("web.yaml"), two()).unwrap();
        watched.until(|now| now.findings.is_empty()).await;
    }
    fs::write(
        watched.path("web.yaml"),
        two().replacen("rules: [{host: 'two.test'", "rules: [{host: 5", 1),
    )
    .unwrap();
    watched
        .until(|now| {
            now.findings
                .iter()
                .any(|finding| finding.fault.consequence.contains("as it was"))
        })
        .await;
    assert!(is_whole(&watched.now()));
}

#[tokio::test]
async fn a_document_taken_out_of_a_file_is_taken_out() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    fs::write(
        watched.path("web.yaml"),
        ingress("one", "one.test", &[("Prefix", "/", "s")]),
    )
    .unwrap();
    watched
        .until(|now| names(now) == ["one"] && now.services.is_empty())
        .await;
}

#[tokio::test]
async fn editors_and_mounts_replace_files_without_a_gap() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    let path = watched.path("web.yaml");
    let (backup, fresh) = (watched.path("web.yaml~"), watched.path(".new"));
    let edit = async {
        // As vim does: the old file becomes the backup, then the new one is written.
        fs::rename(&path, &backup).unwrap();
        sleep(Duration::from_millis(30)).await;
        fs::write(&path, two().replace("one.test", "vim.test")).unwrap();
        sleep(Duration::from_millis(150)).await;
        // As most do: written beside it, then moved over it.
        fs::write(&fresh, two()).unwrap();
        fs::rename(&fresh, &path).unwrap();
        sleep(Duration::from_millis(50)).await;
    };
    watched.through(is_whole, edit).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_through_its_link() {
    let mut watched = Watched::new(&[("base.yaml", BASE)]).await;
    let dir = watched.dir.path().to_owned();
    let version = |name: &str, text: &str| {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("web.yaml"), text).unwrap();
    };
    let swap = |to: &str| {
        std::os::unix::fs::symlink(to, dir.join("..tmp")).unwrap();
        fs::rename(dir.join("..tmp"), dir.join("..data")).unwrap();
    };
    version("..1", &two());
    swap("..1");
    std::os::unix::fs::symlink("..data/web.yaml", dir.join("web.yaml")).unwrap();
    watched.until(is_whole).await;
    version("..2", &ingress("one", "one.test", &[("Prefix", "/", "s")]));
    swap("..2");
    watched.until(|now| names(now) == ["one"]).await;
}

#[tokio::test]
async fn files_that_come_and_go_while_they_are_read_harm_nobody() {
    let mut watched = Watched::new(&[("base.yaml", BASE), ("web.yaml", &two())]).await;
    let dir = watched.dir.path().to_owned();
    let churn = async {
        for round in 0..50 {
            let path = dir.join(format!("churn{round}.yaml"));
            fs::write(&path, ingress("churn", "churn.test", &[("Prefix", "/", "s")])).unwrap();
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            fs::remove_file(&path).unwrap();
            sleep(Duration::from_millis(2)).await;
        }
    };
    let holds =
        |now: &Snapshot| names(now).contains(&"one".to_owned()) && names(now).contains(&"two".to_owned());
    watched.through(holds, churn).await;
    watched.until(is_whole).await;
}

#[tokio::test]
async fn nodes_are_followed_and_a_bad_edit_leaves_them_as_they_were() {
    let nodes = |state: &str| {
        format!(
            "secret: {}\nnodes:\n- {{name: a, number: 1, addresses: [10.0.0.1], state: {state}}}\n- {{name: b, number: 2, addresses: [10.0.0.2]}}\n",
            "ab".repeat(32)
        )
    };
    let mut watched = Watched::new(&[("nodes.yaml", &nodes("active"))]).await;
    let state = |now: &Snapshot| now.nodes.as_ref().unwrap().nodes[0].member.state;
    fs::write(watched.path("nodes.yaml"), nodes("draining")).unwrap();
    watched
        .until(|now| state(now) == ingress_agent::model::MemberState::Draining)
        .await;
    for bad in [
        nodes("asleep"),
        nodes("active").replace("number: 2", "number: 1"),
        nodes("active").replace("name: b", "name: c"),
        String::new(),
        "nodes: [".to_owned(),
    ] {
        fs::write(watched.path("nodes.yaml"), &bad).unwrap();
        watched.until(|now| !now.findings.is_empty()).await;
        assert_eq!(
            state(&watched.now()),
            ingress_agent::model::MemberState::Draining,
            "{bad}"
        );
        fs::write(watched.path("nodes.yaml"), nodes("draining")).unwrap();
        watched.until(|now| now.findings.is_empty()).await;
    }
}

#[tokio::test]
async fn a_half_written_nodes_file_takes_no_node_away() {
    let node =
        |number: u16| format!("- {{name: n{number}, number: {number}, addresses: [10.0.0.{number}]}}\n");
    let text = |numbers: std::ops::Range<u16>| {
        let nodes: String = numbers.map(node).collect();
        format!("secret: {}\nnodes:\n{nodes}", "ab".repeat(32))
    };
    let mut watched = Watched::new(&[("nodes.yaml", &text(1..9))]).await;
    let path = watched.path("nodes.yaml");
    let count = |now: &Snapshot| now.nodes.as_ref().map_or(0, |nodes| nodes.nodes.len());
    let write = async {
        fs::write(&path, "").unwrap();
        for piece in text(1..10).as_bytes().chunks(7) {
            OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap()
                .write_all(piece)
                .unwrap();
            sleep(Duration::from_millis(3)).await;
        }
    };
    watched.through(|now| count(now) >= 8, write).await;
    watched
        .until(|now| count(now) == 9 && now.findings.is_empty())
        .await;
    fs::write(&path, text(1..3)).unwrap();
    watched.until(|now| count(now) == 2).await;
}

#[tokio::test]
async fn a_folder_that_goes_is_an_error_and_not_an_empty_folder() {
    let dir = folder(&[("base.yaml", BASE)]);
    let node: Arc<str> = Arc::from("node-a");
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
    let path: &Path = dir.path();
    let watch = file::watch(path.to_owned(), node, sender);
    let remove = async {
        sleep(Duration::from_millis(100)).await;
        fs::remove_dir_all(path).unwrap();
    };
    let (end, ()) = tokio::join!(watch, remove);
    assert!(end.unwrap_err().to_string().contains("is gone"));
    assert_eq!(snapshots.borrow().pools.len(), 1);
}
