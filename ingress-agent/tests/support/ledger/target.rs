//! What is asked for, and who may answer.

use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, RwLock};

use super::book::Cause;
use super::message::Message;

/// A request that a load sends again and again.
#[derive(Debug)]
pub(crate) struct Target {
    pub(super) method: &'static str,
    pub(super) tenant: String,
    pub(super) host: String,
    pub(super) path: String,
    expected: RwLock<Arc<Expected>>,
}

/// What is right now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Expected {
    /// Pods that may answer, by name.
    pods: Vec<String>,
    /// Whether there may be no such route: 404.
    missing: bool,
}

impl Expected {
    /// 200 from one of these pods.
    pub(crate) fn from(pods: &[&str]) -> Self {
        Self {
            pods: pods.iter().map(|pod| (*pod).to_owned()).collect(),
            missing: false,
        }
    }

    /// 404, or 200 from one of these pods.
    pub(crate) fn missing_or_from(pods: &[&str]) -> Self {
        Self {
            missing: true,
            ..Self::from(pods)
        }
    }

    /// 404.
    pub(crate) fn missing() -> Self {
        Self::missing_or_from(&[])
    }

    /// Whether this answer to request `id` of `tenant` is right.
    fn judge(&self, answer: &Message, tenant: &str, id: u64) -> Result<(), Cause> {
        match answer.status {
            404 if self.missing => return Ok(()),
            200 => {}
            400..500 => return Err(Cause::Status4xx),
            500..600 => return Err(Cause::Status5xx),
            _ => return Err(Cause::OtherStatus),
        }
        let mut words = answer.body.split(' ');
        let (seen, sender) = (words.next(), words.next());
        if seen.and_then(|seen| seen.parse().ok()) != Some(id) || sender != Some(tenant) {
            return Err(Cause::WrongBody);
        }
        let (owner, pod) = (words.next(), words.next());
        if owner == Some(tenant) && self.pods.iter().any(|name| pod == Some(name)) {
            Ok(())
        } else {
            Err(Cause::WrongBackend)
        }
    }
}

impl Target {
    /// A GET that one of these pods of `tenant` answers.
    pub(crate) fn get(tenant: &str, host: &str, path: &str, pods: &[&str]) -> Arc<Self> {
        Self::new("GET", tenant, host, path, pods)
    }

    /// A POST with a body of its own.
    pub(crate) fn post(tenant: &str, host: &str, path: &str, pods: &[&str]) -> Arc<Self> {
        Self::new("POST", tenant, host, path, pods)
    }

    fn new(method: &'static str, tenant: &str, host: &str, path: &str, pods: &[&str]) -> Arc<Self> {
        Arc::new(Self {
            method,
            tenant: tenant.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            expected: RwLock::new(Arc::new(Expected::from(pods))),
        })
    }

    /// What is right from now on. Requests under way may still be answered as before.
    pub(crate) fn expect(&self, expected: Expected) {
        *self.expected.write().unwrap() = Arc::new(expected);
    }

    pub(super) fn expected(&self) -> Arc<Expected> {
        Arc::clone(&self.expected.read().unwrap())
    }

    /// Whether an answer is right, by what was right `before`, when the request was sent, or is now.
    pub(super) fn judge(&self, before: &Arc<Expected>, answer: &Message, id: u64) -> Result<(), Cause> {
        let judged = before.judge(answer, &self.tenant, id);
        let now = self.expected();
        if judged.is_ok() || Arc::ptr_eq(before, &now) {
            return judged;
        }
        now.judge(answer, &self.tenant, id)
    }

    pub(super) fn is_idempotent(&self) -> bool {
        self.method == "GET"
    }

    /// The body of the request with this id.
    pub(super) fn body(&self, id: u64) -> String {
        if self.is_idempotent() {
            String::new()
        } else {
            format!("body of {id}")
        }
    }

    /// The request with this id, in HTTP/1.1.
    pub(super) fn request(&self, id: u64) -> String {
        let Self {
            method,
            tenant,
            host,
            path,
            ..
        } = self;
        let body = self.body(id);
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Ledger-Id: {id}\r\nX-Ledger-Tenant: {tenant}\r\n{length}\r\n{body}"
        )
    }
}

impl Display for Target {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}{}", self.method, self.host, self.path)
    }
}
