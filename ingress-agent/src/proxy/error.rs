//! What can keep a request from its pod, and the one place that turns it into an answer.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::guard::Refusal;

/// Why a request is answered by the agent itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("malformed request: {0}")]
    Refused(Refusal),
    #[error("the Host is not one host name with an optional port")]
    Authority,
    #[error("the path has no canonical form")]
    Path,
    #[error("the connection was opened for a host of another namespace")]
    Misdirected,
    #[error("no route matches this host and path")]
    NoRoute,
    #[error("the route asks for what this agent does not honour")]
    NotHonoured,
    #[error("no endpoint is ready")]
    NoEndpoint,
    #[error("no endpoint can be reached at present")]
    AllDown,
    #[error("no endpoint could be reached")]
    Connect,
    #[error("the endpoint's answer was broken")]
    Upstream,
    #[error("the endpoint did not answer in time")]
    UpstreamTimeout,
    #[error("the request's body ended early")]
    RequestBody,
}

impl ProxyError {
    /// The status the client gets.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Refused(refusal) => match refusal {
                Refusal::EmptyLines
                | Refusal::LineEnd
                | Refusal::RequestLine
                | Refusal::Method
                | Refusal::Target
                | Refusal::FieldName
                | Refusal::FieldValue
                | Refusal::Host
                | Refusal::ContentLength
                | Refusal::TransferEncoding
                | Refusal::TwoLengths
                | Refusal::UpgradeBody
                | Refusal::Chunk
                | Refusal::ChunkOverhead
                | Refusal::Trailer => StatusCode::BAD_REQUEST,
                Refusal::Connect => StatusCode::METHOD_NOT_ALLOWED,
                Refusal::Deadline | Refusal::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
                Refusal::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
                Refusal::TooManyFields | Refusal::HeadTooLarge | Refusal::ListTooLarge => {
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
                }
                Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            },
            Self::Authority | Self::Path | Self::RequestBody => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NotHonoured | Self::NoEndpoint | Self::AllDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Connect | Self::Upstream => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The answer: the status, and one line that says why.
    pub(super) fn response(self) -> Response<Bytes> {
        let status = self.status();
        let mut response = Response::new(Bytes::from(format!("{status}: {self}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::SERVER, HeaderValue::from_static("ingress-agent"));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if status == StatusCode::METHOD_NOT_ALLOWED {
            // RFC 9110 section 15.5.6 asks for the field; it may be empty.
            headers.insert(header::ALLOW, HeaderValue::from_static(""));
        }
        if self == Self::AllDown {
            // They are probed once a second.
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(self, Self::Refused(_) | Self::RequestBody) {
            // Where the next request would begin is not certain.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
