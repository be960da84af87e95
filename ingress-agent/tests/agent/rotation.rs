//! Certificates that change under load: no handshake fails, and each shows a pair that was valid (spec TL-10).

use std::fs;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::version::TLS12;

use crate::address::own_address;
use crate::authority::{Authority, Issued};
use crate::edits::Edits;
use crate::ledger::{Book, Load, Pod, Running, Target, Trust};
use crate::yaml::{self, State};

const FILE: &str = "pair.yaml";
const HOST: &str = "shop.test";

/// One host with a certificate.
struct Shop {
    edits: Edits,
    book: Arc<Book>,
    authority: Rc<Authority>,
    pair: Issued,
    trusts: Vec<Arc<Trust>>,
    _pod: Pod,
}

impl Shop {
    fn open() -> Self {
        Self::of(Rc::new(Authority::new()))
    }

    fn of(authority: Rc<Authority>) -> Self {
        let book = Book::new();
        let pod = Pod::start(&book, own_address(), "shop", "shop");
        let pair = authority.issue(HOST);
        let route = yaml::ingress("ours", "shop", HOST, true, &[("/", "shop")]);
        let files = [
            (
                "route.yaml",
                route + &yaml::service("shop", "shop", &[(&pod, State::Ready)]),
            ),
            (FILE, secret(&pair)),
        ];
        Self {
            edits: Edits::of(&files, &pod),
            book,
            authority,
            pair,
            trusts: Vec::new(),
            _pod: pod,
        }
    }

    fn target() -> Arc<Target> {
        Target::get("shop", HOST, "/", &["shop"])
    }

    /// A load over TLS that believes only what may be shown.
    fn load(&mut self, trust: Arc<Trust>, connections: usize, per_connection: usize) -> Running {
        trust.expect(HOST, &[&self.pair.der]);
        self.trusts.push(Arc::clone(&trust));
        let load = Load {
            tls: Some(trust),
            connections,
            per_connection,
            ..Load::at(self.edits.agent.tls)
        };
        load.start(&self.book, &[Self::target()])
    }

    fn may_show(&self, pairs: &[&Issued]) {
        let pairs: Vec<_> = pairs.iter().map(|pair| &pair.der[..]).collect();
        self.trusts.iter().for_each(|trust| trust.expect(HOST, &pairs));
    }

    /// A new pair, whose Secret the writer writes; until it is in effect both may be shown.
    fn rotate(&mut self, write: impl FnOnce(&mut Edits, &str)) {
        let new = self.authority.issue(HOST);
        self.may_show(&[&self.pair, &new]);
        write(&mut self.edits, &secret(&new));
        self.may_show(&[&new]);
        self.pair = new;
    }

    /// What 20 new handshakes show: nothing but the pair that is valid now.
    fn assert_shown(&mut self) {
        let trust = Trust::in_ca(&self.authority.certificate, false);
        let running = self.load(trust, 1, 1);
        running.finish_after(20).assert_clean();
        self.trusts.pop();
    }

    fn wait_for(&mut self, cause: &str) {
        self.edits.agent.wait_for(cause);
    }
}

fn secret(pair: &Issued) -> String {
    yaml::secret("shop", HOST, &pair.chain, &pair.key)
}

#[test]
fn a_rotation_under_load_fails_no_handshake() {
    let mut shop = Shop::open();
    let ca = shop.authority.certificate.clone();
    let full = shop.load(Trust::in_ca(&ca, false), 3, 1);
    let resumed = shop.load(Trust::in_ca(&ca, true), 2, 1);
    let old = shop.load(Trust::speaking(&[&TLS12], &ca, true), 1, 1);
    let kept = shop.load(Trust::in_ca(&ca, false), 2, usize::MAX);
    for _ in 0..100 {
        shop.rotate(|edits, text| edits.put(FILE, text));
    }
    for (load, resumes) in [(full, false), (resumed, true), (old, true), (kept, false)] {
        let ledger = load.finish();
        println!("{ledger}");
        ledger.assert_clean();
        assert_eq!(ledger.resumed > 0, resumes, "{ledger}");
    }
    println!("{}", shop.edits.took());
}

/// A key of another issuance, and a file that is written slowly or only by half: the last good pair stays,
/// and that is told.
#[test]
fn a_bad_pair_keeps_the_last_good_one() {
    let mut shop = Shop::open();
    let trust = Trust::in_ca(&shop.authority.certificate, true);
    let load = shop.load(trust, 2, 1);

    let other = shop.authority.issue(HOST);
    let crossed = yaml::secret("shop", HOST, &shop.pair.chain, &other.key);
    shop.edits.put(FILE, &crossed);
    shop.wait_for("a private key that is not the certificate's");
    shop.wait_for("the last good pair stays in use");
    shop.assert_shown();
    let check = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .args(["check", "-f"])
        .arg(shop.edits.agent.path("manifests"))
        .output()
        .unwrap();
    let words = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(1), "{words}");
    assert!(
        words.contains("a private key that is not the certificate's"),
        "{words}"
    );

    // Its writer takes a while, in the midst of the chain.
    shop.rotate(|edits, text| {
        use std::io::Write;
        let text = edits.marked(FILE, text);
        let mut file = fs::File::create(edits.path(FILE)).unwrap();
        for part in text.as_bytes().chunks(300) {
            file.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        drop(file);
        edits.wait_for(FILE);
    });
    shop.assert_shown();
    shop.wait_for("no longer: ");

    // Its writer stops within the chain; another writes the rest.
    shop.rotate(|edits, text| {
        let text = edits.marked(FILE, text);
        fs::write(edits.path(FILE), &text[..500]).unwrap();
        edits.agent.wait_for("found text that is not PEM");
        fs::write(edits.path(FILE), &text).unwrap();
        edits.wait_for(FILE);
    });
    shop.assert_shown();
    let ledger = load.finish();
    println!("{ledger}");
    ledger.assert_clean();
}

/// TL-6: a ticket of another agent, as of one before it was restarted, ends in a full handshake.
#[test]
fn a_ticket_of_another_agent_falls_back() {
    let authority = Rc::new(Authority::new());
    let trust = Trust::in_ca(&authority.certificate, true);
    for _ in 0..2 {
        let mut shop = Shop::of(Rc::clone(&authority));
        let running = shop.load(Arc::clone(&trust), 1, 1);
        let ledger = running.finish_after(10);
        ledger.assert_clean();
        // The first handshake offers a ticket of the agent before.
        assert_eq!(ledger.resumed, ledger.connections - 1, "{ledger}");
        assert!(shop.edits.agent.stop());
    }
}
