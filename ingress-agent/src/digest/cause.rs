//! Every cause of a fault: the one list of them.
//!
//! A cause's words, which name what was found in its object, stand where that is known, in one function per
//! cause; here is its name for machines, which never changes, and what it means in short.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! causes {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why an object is refused or degraded. In the order of the names.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Cause {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name for machines: `tls-pair`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

causes! {
    /// A canary Ingress: it routes nothing.
    AnnotationCanary = "annotation-canary",
    /// A protective or path-changing annotation that is not honoured: 503.
    AnnotationClosed = "annotation-closed",
    /// An annotation without which requests are served all the same.
    AnnotationIgnored = "annotation-ignored",
    /// A `backend-protocol` that is not spoken: 503.
    AnnotationProtocol = "annotation-protocol",
    /// An annotation that does not exist.
    AnnotationUnknown = "annotation-unknown",
    /// A value that its annotation cannot have.
    AnnotationValue = "annotation-value",
    /// A variable in an annotation's value that is not known here.
    AnnotationVariable = "annotation-variable",
    /// An API version that Kubernetes has removed.
    ApiVersion = "api-version",
    /// A VipPool's assignment of what is no address.
    AssignmentAddress = "assignment-address",
    /// A VipPool's assignment of an address that it does not have.
    AssignmentOutside = "assignment-outside",
    /// A VipPool's assignment to nobody, or to a class and an Ingress.
    AssignmentOwner = "assignment-owner",
    /// A VipPool's assignment of an address that is somebody else's.
    AssignmentTaken = "assignment-taken",
    /// A backend that names a Service and a resource.
    BackendBoth = "backend-both",
    /// A backend whose Service has an empty name.
    BackendName = "backend-name",
    /// A backend that names nothing.
    BackendNone = "backend-none",
    /// A backend without one port.
    BackendPort = "backend-port",
    /// A certificate that is not for the host it is to be shown for.
    CertificateName = "certificate-name",
    /// A host whose certificate an older Ingress chooses.
    CertificateTaken = "certificate-taken",
    /// A class that no VipPool serves.
    ClassUnserved = "class-unserved",
    /// A default backend beside an older Ingress's.
    DefaultBackendTaken = "default-backend-taken",
    /// More than one default IngressClass.
    DefaultClasses = "default-classes",
    /// An object that stands in the folder twice.
    Duplicate = "duplicate",
    /// An endpoint that is one of our VIPs, or where a node's agent listens.
    EndpointVip = "endpoint-vip",
    /// A file that cannot be read, or a document that is no YAML.
    File = "file",
    /// A file that was emptied: its objects stay.
    FileEmpty = "file-empty",
    /// A host that is no host pattern.
    Host = "host",
    /// A host that another Ingress of the namespace closes by an annotation.
    HostClosed = "host-closed",
    /// An Ingress with neither rules nor a default backend.
    IngressEmpty = "ingress-empty",
    /// A document without `apiVersion` and `kind`.
    Kind = "kind",
    /// A list whose `items` are none.
    ListItems = "list-items",
    /// An object without a name.
    Name = "name",
    /// An Ingress in a namespace that its class's VipPools do not serve.
    NamespaceUnserved = "namespace-unserved",
    /// A Service without an endpoint that may be called.
    NoEndpoints = "no-endpoints",
    /// A node's Lease that does not say what it should.
    NodeLease = "node-lease",
    /// A `nodes.yaml` that describes no fleet.
    Nodes = "nodes",
    /// A path that no request can have.
    Path = "path",
    /// A path that looks like a regular expression.
    PathPattern = "path-pattern",
    /// A path that an older Ingress has.
    PathTaken = "path-taken",
    /// A path type that does not exist.
    PathType = "path-type",
    /// A rule without paths.
    PathsEmpty = "paths-empty",
    /// What a VipPool has as addresses and is none.
    PoolAddresses = "pool-addresses",
    /// A VipPool for a class that is not ours.
    PoolClass = "pool-class",
    /// A VipPool without a free address for a class.
    PoolExhausted = "pool-exhausted",
    /// A VipPool with a node's own address.
    PoolNodeAddress = "pool-node-address",
    /// A VipPool that no node serves.
    PoolNodes = "pool-nodes",
    /// A VipPool with addresses of an older one.
    PoolOverlap = "pool-overlap",
    /// What a VipPool has as ports and is none.
    PoolPorts = "pool-ports",
    /// A field that VipPools do not have.
    PoolUnknownField = "pool-unknown-field",
    /// A backend that is no Service.
    ResourceBackend = "resource-backend",
    /// A Secret that an Ingress names and that cannot be used.
    SecretBad = "secret-bad",
    /// A Secret that an Ingress names and that does not exist.
    SecretMissing = "secret-missing",
    /// A Secret that the API server does not give to the agent.
    SecretUnreadable = "secret-unreadable",
    /// A label selector that selects by what does not exist.
    Selector = "selector",
    /// A Service of type ExternalName.
    ServiceExternalName = "service-external-name",
    /// A Service that does not exist.
    ServiceMissing = "service-missing",
    /// A port that a Service does not have.
    ServicePortMissing = "service-port-missing",
    /// An endpoint whose address cannot be called.
    SliceAddress = "slice-address",
    /// An EndpointSlice of names.
    SliceAddressType = "slice-address-type",
    /// A certificate that is no X.509.
    TlsCertificate = "tls-certificate",
    /// A certificate that is no PEM.
    TlsCertificatePem = "tls-certificate-pem",
    /// A certificate that is not valid yet.
    TlsEarly = "tls-early",
    /// A certificate that has expired.
    TlsExpired = "tls-expired",
    /// A `spec.tls` host that other namespaces have rules for, an older one at least, and its own has none.
    TlsHostForeign = "tls-host-foreign",
    /// A private key that cannot sign.
    TlsKey = "tls-key",
    /// A private key that is no PEM.
    TlsKeyPem = "tls-key-pem",
    /// A Secret without a certificate or without a key.
    TlsMissing = "tls-missing",
    /// A chain whose certificates stand in the wrong order.
    TlsOrder = "tls-order",
    /// A private key that is not the certificate's.
    TlsPair = "tls-pair",
    /// A field of another type than the API's.
    Type = "type",
    /// A field that the API does not have.
    UnknownField = "unknown-field",
    /// An Ingress that asks for an address of its own and has none.
    VipOwn = "vip-own",
    /// A class or an Ingress whose address is not given out yet.
    VipPending = "vip-pending",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl PartialEq<&str> for Cause {
    fn eq(&self, name: &&str) -> bool {
        self.name() == *name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings are sorted by them, so that a report reads the same wherever a cause stands in the list.
    #[test]
    fn their_order_is_that_of_their_names() {
        assert!(Cause::ALL.is_sorted_by(|a, b| a < b && a.name() < b.name()));
    }
}
