//! Every digest, field by field in this order.
//!
//! Whoever changes a value is told here by the compiler, and raises the format's version (`seal`).

use sha2::{Digest, Sha256};

use super::code::{Code, Reader, put_bytes};
use crate::digest::annotation::{Annotations, Protection};
use crate::digest::ingress::{Path, Rule, Target, Tls};
use crate::digest::secret::Pair;
use crate::digest::selector::{Operator, Requirement};
use crate::digest::{
    Cause, Class, Endpoints, Fault, Ingress, Node, Pool, Precedence, Secret, Selector, Service, Verdict,
    service, vippool,
};
use crate::model::policy::{Balance, BodyLimit, Retry, Timeouts, UpstreamPolicy, UpstreamProtocol};
use crate::model::vip::PoolSecret;
use crate::model::{
    BackendPort, Certificate, EndpointState, Host, Member, MemberState, ObjectRef, PathMatch, Policies,
    PrivateKey,
};
use crate::translate::{Entry, Place};

/// A struct by its fields.
macro_rules! record {
    ($type:ty: $($field:ident),+) => {
        impl Code for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),+ } = self;
                $($field.put(out);)+
            }

            fn take(from: &mut Reader<'_>) -> Option<Self> {
                Some(Self { $($field: Code::take(from)?),+ })
            }
        }
    };
}

/// An enum by a number for each of its variants, which have one value, fields or nothing.
macro_rules! choice {
    ($type:ty: $($tag:literal = $variant:ident $(($value:ident))? $({ $($field:ident),+ })?),+) => {
        impl Code for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($value))? $({ $($field),+ })? => {
                        out.push($tag);
                        $($value.put(out);)?
                        $($($field.put(out);)+)?
                    })+
                }
            }

            fn take(from: &mut Reader<'_>) -> Option<Self> {
                match from.byte()? {
                    $($tag => {
                        $(let $value = Code::take(from)?;)?
                        $($(let $field = Code::take(from)?;)+)?
                        Some(Self::$variant $(($value))? $({ $($field),+ })?)
                    })+
                    _ => None,
                }
            }
        }
    };
}

impl<T: Code> Code for Entry<T> {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            precedence,
            place,
            value,
        } = self;
        precedence.put(out);
        place.put(out);
        value.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            precedence: Code::take(from)?,
            place: Code::take(from)?,
            value: Code::take(from)?,
        })
    }
}

choice!(Precedence: 0 = Created { at, name }, 1 = Uncreated { file, position });
record!(Place: file, document);

record!(Ingress: object, class, class_annotated, rules, default_backend, tls, annotations, faults);
record!(Rule: index, host, paths, refused);
record!(Path: index, path, nginx, target);
record!(Tls: index, hosts, secret);
choice!(Target: 0 = Service { name, port }, 1 = Refused);
choice!(BackendPort: 0 = Number(number), 1 = Name(name));
choice!(PathMatch: 0 = Exact(path), 1 = Prefix(path), 2 = StringPrefix(path));
choice!(Host: 0 = Exact(name), 1 = Wildcard(suffix), 2 = Any);

record!(Annotations: protection, ssl_redirect, force_ssl_redirect, own_vip, policies);
choice!(Protection: 0 = Served, 1 = Closed, 2 = HostsClosed, 3 = NoRoutes);
record!(Policies: https_redirect, preserve_trailing_slash, body_limit, upstream);
choice!(BodyLimit: 0 = Bytes(bytes), 1 = Unlimited);
record!(UpstreamPolicy: protocol, balance, host, timeouts, retry);
choice!(UpstreamProtocol: 0 = Http, 1 = Https);
choice!(Balance: 0 = RoundRobin, 1 = LeastRequest, 2 = PeakEwma);
record!(Timeouts: connect, read, send);
record!(Retry: error, timeout, invalid_header, statuses, non_idempotent, tries, within);

record!(Class: object, controller, is_default);
record!(Service: object, ports, external_name);
record!(service::Port: name, number, tcp);
record!(Endpoints: object, service, ports, addresses, faults);
choice!(EndpointState: 0 = Ready, 1 = Draining);

record!(Secret: object, declared, pair, faults);
record!(Pair: certificate, names, not_before, not_after);

record!(Pool: object, ranges, ports, classes, nodes, namespaces, assignments, faults);
choice!(vippool::Owner: 0 = Class(class), 1 = Ingress { namespace, name });
record!(vippool::Range: first, last);
record!(vippool::Port: number, tls);
record!(Selector: requirements);
record!(Requirement: key, operator);
choice!(Operator: 0 = In(values), 1 = NotIn(values), 2 = Exists, 3 = DoesNotExist);

record!(Node: member, labels);
record!(Member: number, name, addresses, state, ready);
choice!(MemberState: 0 = Active, 1 = Draining, 2 = Silent);

record!(Fault: verdict, field, cause, found, expected, nearest, consequence, change);
choice!(Verdict: 0 = Degraded, 1 = Refused);

impl Code for Cause {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.name().as_bytes(), out);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let name = from.bytes()?;
        let mut all = Self::ALL.iter();
        all.find(|cause| cause.name().as_bytes() == name).copied()
    }
}

impl Code for ObjectRef {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            kind,
            namespace,
            name,
        } = self;
        put_bytes(kind.as_bytes(), out);
        namespace.put(out);
        name.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        const KINDS: [&str; 6] = [
            "Ingress",
            "IngressClass",
            "Service",
            "EndpointSlice",
            "Secret",
            "VipPool",
        ];
        let kind = from.bytes()?;
        Some(Self {
            kind: KINDS.into_iter().find(|own| own.as_bytes() == kind)?,
            namespace: Code::take(from)?,
            name: Code::take(from)?,
        })
    }
}

/// Without its key, which is looked for among the reader's.
impl Code for Certificate {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            chain,
            key: _,
            origin,
        } = self;
        chain.len().put(out);
        chain.iter().for_each(|der| put_bytes(der, out));
        origin.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let length = usize::take(from)?;
        let chain: Option<Vec<_>> = (0..length).map(|_| from.bytes().map(<[u8]>::to_vec)).collect();
        let chain = chain?;
        let key = from.keys.get(&fingerprint(&chain)?);
        Some(Self {
            key: key.cloned().unwrap_or(PrivateKey::Gone),
            chain,
            origin: Code::take(from)?,
        })
    }
}

impl Code for PrivateKey {
    fn put(&self, out: &mut Vec<u8>) {
        let (tag, der): (u8, &[u8]) = match self {
            Self::Pkcs1(der) => (0, der),
            Self::Sec1(der) => (1, der),
            Self::Pkcs8(der) => (2, der),
            Self::Gone => (3, &[]),
        };
        out.push(tag);
        put_bytes(der, out);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let (tag, der) = (from.byte()?, from.bytes()?.to_vec());
        match tag {
            0 => Some(Self::Pkcs1(der)),
            1 => Some(Self::Sec1(der)),
            2 => Some(Self::Pkcs8(der)),
            3 => Some(Self::Gone),
            _ => None,
        }
    }
}

impl Code for PoolSecret {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Code::take(from).map(Self)
    }
}

/// By what a certificate's key is found: SHA-256 of the end entity's certificate.
pub(super) fn fingerprint(chain: &[Vec<u8>]) -> Option<[u8; 32]> {
    chain.first().map(|der| Sha256::digest(der).into())
}
