//! Why the guard refuses a message.

/// What is wrong with a client's message. Whatever it is, the connection closes after the answer: where
/// the next message would begin is no longer certain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("more than two empty lines before the request line")]
    EmptyLines,
    #[error("a line that does not end with CR LF")]
    LineEnd,
    #[error("a request line other than `METHOD SP TARGET SP VERSION`")]
    RequestLine,
    #[error("a method with other than upper-case token characters")]
    Method,
    #[error("CONNECT is not served")]
    Connect,
    #[error("a target that is neither a path nor an http URL, or has bytes no URL has")]
    Target,
    #[error("a target longer than 8 KiB")]
    TargetTooLong,
    #[error("an HTTP version other than 1.0 and 1.1")]
    Version,
    #[error("a field line that is folded, has no name, or a name with other than token characters")]
    FieldName,
    #[error("a field value with control characters")]
    FieldValue,
    #[error("more than 100 fields")]
    TooManyFields,
    #[error("a head larger than 32 KiB or a field larger than 16 KiB")]
    HeadTooLarge,
    #[error("fields larger than 16 KiB together, each counted with 32 bytes more")]
    ListTooLarge,
    #[error("no Host, or more than one")]
    Host,
    #[error("a Content-Length that is not one plain number, or several")]
    ContentLength,
    #[error("a Transfer-Encoding other than one `chunked` in HTTP/1.1")]
    TransferEncoding,
    #[error("both Content-Length and Transfer-Encoding")]
    TwoLengths,
    #[error("a change of protocol asked for together with a body")]
    UpgradeBody,
    #[error("a malformed chunk")]
    Chunk,
    #[error("chunk extensions or trailers larger than 8 KiB")]
    ChunkOverhead,
    #[error("a malformed trailer")]
    Trailer,
    #[error("the head did not arrive in time")]
    Deadline,
    #[error("a body slower than 1 KiB a second")]
    BodyTooSlow,
    #[error("a body larger than the route allows")]
    BodyTooLarge,
}
