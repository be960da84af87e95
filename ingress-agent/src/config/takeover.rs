//! The flag that makes other controllers' objects ours.

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::translate::Controllers;

/// Whose objects are served beside our own.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct TakeOverArgs {
    /// Takes over from ingress-nginx, objects unchanged: serves also Ingresses of IngressClasses with `controller:
    /// k8s.io/ingress-nginx`, and those annotated `kubernetes.io/ingress.class: nginx` where no IngressClass has that
    /// name. Their ImplementationSpecific paths match by their text, /foo also /foobar. `explain` asks for it with -f
    /// only: a running agent has its own.
    #[arg(long, env = "INGRESS_AGENT_TAKE_OVER_INGRESS_NGINX", value_parser = BoolishValueParser::new())]
    pub take_over_ingress_nginx: bool,
}

impl TakeOverArgs {
    /// The controllers whose classes are served.
    pub fn controllers(self) -> Controllers {
        if self.take_over_ingress_nginx {
            Controllers::WithIngressNginx
        } else {
            Controllers::Own
        }
    }
}
