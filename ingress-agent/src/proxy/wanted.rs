//! What a request asks for, in the one form that is looked up.

use std::borrow::Cow;

use http::request::Parts;

use super::authority::{Authority, Scratch};
use super::error::ProxyError;
use crate::model::path;

/// Whom a request is for, and its path.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) authority: Authority<'a>,
    /// Canonical.
    pub(super) path: Cow<'a, str>,
}

impl<'a> Wanted<'a> {
    /// Of a request's head; the answer instead when it has no such form.
    pub(super) fn read(parts: &'a Parts, scratch: &'a mut Scratch) -> Result<Self, ProxyError> {
        Ok(Self {
            authority: Authority::of(parts, scratch).map_err(|_| ProxyError::Authority)?,
            path: path::canonical(parts.uri.path()).map_err(|_| ProxyError::Path)?,
        })
    }
}
