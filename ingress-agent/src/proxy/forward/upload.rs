//! A client's body on its way to a pod: streamed, counted, without trailers.
//!
//! Where a request may be sent twice, the beginning of its body is kept until the answer begins, so that another
//! pod can be given the same. Its pieces are shared with the buffers they were read into, not copied; a body that
//! is larger than what is kept is sent once.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};

use crate::proxy::deadline::Deadline;
use crate::proxy::guard::Refusal;
use crate::proxy::guard::pace::Pace;

/// What is kept of a body, in bytes and in pieces: each piece may keep the buffer that it came in.
const KEPT_BYTES: usize = 64 * 1024;
const KEPT_PIECES: usize = 64;

/// A client's body: what its tries share, and how far it has come.
#[derive(Debug)]
pub(in crate::proxy) struct Upload {
    /// `None`: nobody can read it any more.
    incoming: RefCell<Option<Incoming>>,
    /// As the client stated it.
    length: Option<u64>,
    /// How many bytes the route still allows.
    left: Cell<u64>,
    kept: RefCell<Kept>,
    /// The try that may read.
    turn: Cell<u32>,
    /// Whether that try still holds its [`RequestBody`].
    held: Cell<bool>,
    last: Cell<Option<Instant>>,
    done: Cell<bool>,
    starved: Cell<bool>,
    answered: Cell<bool>,
    fault: Cell<Option<Refusal>>,
    /// `None`: the guard times it.
    pacer: RefCell<Option<Pacer>>,
}

/// Times a body of HTTP/2, whose bytes come in turns with those of others.
#[derive(Debug)]
struct Pacer {
    pace: Pace,
    /// How long it is waited for in any case.
    grace: Duration,
    /// Set with the first wait.
    deadline: Option<Deadline>,
}

/// The pieces so far.
#[derive(Debug)]
enum Kept {
    /// Nobody wants them, or they were too many.
    Nothing,
    All {
        pieces: Vec<Bytes>,
        bytes: usize,
    },
}

/// The body of one try.
#[derive(Debug)]
pub(in crate::proxy) struct RequestBody {
    /// `None`: there is no body.
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    upload: Rc<Upload>,
    turn: u32,
    /// The piece that is next of those that are kept.
    next: usize,
}

/// Why a client's body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum BodyError {
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("{0}")]
    Refused(Refusal),
    #[error("it has not the length that it states")]
    Length,
    #[error("another try sends it")]
    Superseded,
}

impl Pacer {
    fn new(grace: Duration) -> Self {
        Self {
            pace: Pace::default(),
            grace,
            deadline: None,
        }
    }

    /// Nothing is there. Ready once the client is too slow.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let left = self.pace.wait(now, self.grace);
        if left.is_zero() {
            return Poll::Ready(());
        }
        let due = now + left;
        let deadline = self.deadline.get_or_insert_with(|| Deadline::new(due));
        deadline.set(due);
        deadline.poll(cx)
    }
}

impl Kept {
    /// Keeps the next piece; nothing, if it is one too many.
    fn add(&mut self, piece: &Bytes) {
        if let Self::All { pieces, bytes } = self {
            *bytes += piece.len();
            if *bytes > KEPT_BYTES || pieces.len() == KEPT_PIECES {
                *self = Self::Nothing;
            } else {
                pieces.push(piece.clone());
            }
        }
    }

    /// Those from number `next` on.
    fn from(&self, next: usize) -> &[Bytes] {
        match self {
            Self::Nothing => &[],
            Self::All { pieces, .. } => pieces.get(next..).unwrap_or_default(),
        }
    }
}

impl Upload {
    /// When its last piece, or its end, was taken.
    pub(in crate::proxy) fn last(&self) -> Option<Instant> {
        self.last.get()
    }

    /// Whether it was taken to its end.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.done.get()
    }

    /// Whether its next piece was asked for and has not come: then it is the client that is waited for.
    pub(in crate::proxy) fn is_starved(&self) -> bool {
        self.starved.get()
    }

    /// Its answer has begun: the rest may take its time.
    pub(in crate::proxy) fn answer_begins(&self) {
        self.answered.set(true);
    }

    /// Why the body was not read to its end, if that is the client's fault.
    pub(in crate::proxy) fn fault(&self) -> Option<Refusal> {
        self.fault.get()
    }

    /// Its beginning is to be kept, for another try.
    pub(in crate::proxy) fn keep(&self) {
        let (pieces, bytes) = (Vec::new(), 0);
        *self.kept.borrow_mut() = Kept::All { pieces, bytes };
    }

    /// The same body for another try, if all of it that was read is kept. The try before reads no more.
    pub(in crate::proxy) fn again(self: &Rc<Self>) -> Option<RequestBody> {
        if matches!(*self.kept.borrow(), Kept::Nothing) {
            return None;
        }
        self.turn.set(self.turn.get() + 1);
        self.held.set(true);
        self.last.set(None);
        self.done.set(false);
        self.starved.set(false);
        let part = Some(Part {
            upload: Rc::clone(self),
            turn: self.turn.get(),
            next: 0,
        });
        Some(RequestBody { part })
    }

    /// There will be no other try.
    pub(in crate::proxy) fn settle(&self) {
        *self.kept.borrow_mut() = Kept::Nothing;
        if !self.held.get() {
            *self.incoming.borrow_mut() = None;
        }
    }

    fn refuse(&self, refusal: Refusal) -> BodyError {
        self.fault.set(Some(refusal));
        BodyError::Refused(refusal)
    }

    /// Takes a piece off what the route allows.
    fn count(&self, piece: &Bytes) -> Result<(), BodyError> {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let left = self.left.get().checked_sub(length);
        self.left
            .set(left.ok_or_else(|| self.refuse(Refusal::BodyTooLarge))?);
        Ok(())
    }

    /// Nothing is there. Ready once the client is too slow, if that is for this to say.
    fn poll_patience(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.pacer.borrow_mut() {
            Some(pacer) if !self.answered.get() => pacer.wait(cx),
            _ => Poll::Pending,
        }
    }

    /// The next piece that the client sends; `None`: the end.
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let mut incoming = self.incoming.borrow_mut();
        let Some(incoming) = incoming.as_mut() else {
            return Poll::Ready(Err(BodyError::Superseded));
        };
        let polled = Pin::new(incoming).poll_frame(cx);
        self.starved.set(polled.is_pending());
        if polled.is_pending() {
            ready!(self.poll_patience(cx));
            return Poll::Ready(Err(self.refuse(Refusal::BodyTooSlow)));
        }
        // Trailers are not passed on: hyper does not refuse framing fields among them.
        let piece = match ready!(polled).transpose()? {
            Some(frame) => frame.into_data().ok(),
            None => None,
        };
        if let Some(piece) = &piece {
            if let Some(pacer) = &mut *self.pacer.borrow_mut() {
                pacer.pace.come(Instant::now, piece.len());
            }
            self.count(piece)?;
            self.kept.borrow_mut().add(piece);
        }
        Poll::Ready(Ok(piece))
    }
}

impl Part {
    fn is_over(&self) -> bool {
        self.upload.turn.get() != self.turn
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if self.is_over() {
            return Poll::Ready(Err(BodyError::Superseded));
        }
        let upload = &self.upload;
        let kept = upload.kept.borrow().from(self.next).first().cloned();
        let piece = match kept {
            Some(kept) => Ok(Some(kept)),
            None => ready!(upload.poll_piece(cx)),
        };
        upload.last.set(Some(Instant::now()));
        match &piece {
            Ok(Some(_)) => self.next += 1,
            Ok(None) => upload.done.set(true),
            Err(_) => {}
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        let incoming = self.upload.incoming.borrow();
        self.upload.kept.borrow().from(self.next).is_empty()
            && incoming.as_ref().is_some_and(Body::is_end_stream)
    }
}

impl RequestBody {
    /// A body of at most `limit` bytes. One that nobody else times is waited for `grace` at least, and then comes
    /// at its least rate until its answer begins.
    pub(in crate::proxy) fn new(
        body: Incoming,
        limit: u64,
        grace: Option<Duration>,
    ) -> (Self, Option<Rc<Upload>>) {
        if body.is_end_stream() {
            return (Self::empty(), None);
        }
        let upload = Rc::new(Upload {
            length: body.size_hint().exact(),
            incoming: RefCell::new(Some(body)),
            left: Cell::new(limit),
            kept: RefCell::new(Kept::Nothing),
            turn: Cell::new(0),
            held: Cell::new(true),
            last: Cell::default(),
            done: Cell::default(),
            starved: Cell::default(),
            answered: Cell::default(),
            fault: Cell::default(),
            pacer: RefCell::new(grace.map(Pacer::new)),
        });
        let part = Some(Part {
            upload: Rc::clone(&upload),
            turn: 0,
            next: 0,
        });
        (Self { part }, Some(upload))
    }

    pub(in crate::proxy) fn empty() -> Self {
        Self { part: None }
    }

    /// Its length, if that was stated.
    pub(in crate::proxy) fn length(&self) -> Option<u64> {
        self.part.as_ref().map_or(Some(0), |part| part.upload.length)
    }

    /// The next piece; `None`: the end.
    pub(in crate::proxy) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, BodyError>> {
        self.part
            .as_mut()
            .map_or(Poll::Ready(Ok(None)), |part| part.poll_piece(cx))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.is_over() {
            return;
        }
        self.upload.held.set(false);
        if self.is_end_stream() {
            self.upload.done.set(true);
        }
        if matches!(*self.upload.kept.borrow(), Kept::Nothing) {
            *self.upload.incoming.borrow_mut() = None;
        }
    }
}
