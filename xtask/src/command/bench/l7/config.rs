//! The peers' configurations: each as it serves best with one thread, what it sends to the pod as ours does,
//! and no log of requests, which ours has off here too.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::case::{FILL, LARGE, SMALL};
use super::place::{HOST, Place};

/// What both nginx have: one process, no log of requests, files in our own folder.
fn nginx_base(place: &Place, name: &str, http: &str) -> String {
    let folder = place.folder().display();
    format!(
        "daemon off; master_process off; error_log stderr crit; pid {folder}/{name}.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
  client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
{http}
}}
"
    )
}

/// The pod: the small answer, and the large one from a file of [`large`]'s text.
pub(super) fn pod(place: &Place, pod: SocketAddr) -> String {
    let (folder, body) = (place.folder().display(), FILL.repeat(SMALL));
    let http = format!(
        "  sendfile on;
  server {{ listen {pod}; location / {{ return 200 '{body}'; }} location = /large {{ root {folder}; }} }}"
    );
    nginx_base(place, "pod", &http)
}

/// The file of the large answer.
pub(super) fn large() -> String {
    FILL.repeat(LARGE)
}

/// As ingress-nginx sets it up, as far as it concerns a request: the same forwarded fields as ours. Answers are
/// buffered, which serves nginx best, but in memory alone.
pub(super) fn nginx(place: &Place, pod: SocketAddr, plain: SocketAddr, tls: SocketAddr) -> String {
    let folder = place.folder().display();
    let http = format!(
        "  upstream pod {{ server {pod}; keepalive 128; keepalive_requests 1000000000; }}
  proxy_max_temp_file_size 0; proxy_buffer_size 16k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
  server {{
    listen {plain}; listen {tls} ssl http2; server_name {HOST};
    ssl_certificate {folder}/c.pem; ssl_certificate_key {folder}/k.pem; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    location / {{
      proxy_pass http://pod; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;
      proxy_set_header X-Request-ID $request_id; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Scheme $scheme; proxy_set_header X-Scheme $scheme;
    }}
  }}"
    );
    nginx_base(place, "nginx", &http)
}

pub(super) fn haproxy(place: &Place, pod: SocketAddr, plain: SocketAddr, tls: SocketAddr) -> String {
    let folder = place.folder().display();
    format!(
        "global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  http-reuse always
frontend f
  bind {plain}
  bind {tls} ssl crt {folder}/both.pem alpn h2,http/1.1
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
  http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
  acl known hdr(host) -i {HOST}
  use_backend pod if known
backend pod
  server s1 {pod} pool-max-conn 128
"
    )
}

/// Envoy's bootstrap (envoy.config.bootstrap.v3), as JSON.
pub(super) fn envoy(place: &Place, pod: SocketAddr, plain: SocketAddr, tls: SocketAddr) -> Value {
    let folder = place.folder().display();
    let socket = |address: SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let typed = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let http = json!({
        "name": "http",
        "typed_config": {
            "@type": typed("filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "http",
            "use_remote_address": true,
            "http_filters": [{
                "name": "router",
                "typed_config": { "@type": typed("filters.http.router.v3.Router") },
            }],
            "route_config": { "virtual_hosts": [{
                "name": "pod",
                "domains": [HOST],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "pod" } }],
            }] },
        },
    });
    let certificate = json!({
        "certificate_chain": { "filename": format!("{folder}/c.pem") },
        "private_key": { "filename": format!("{folder}/k.pem") },
    });
    let transport = json!({
        "name": "tls",
        "typed_config": {
            "@type": typed("transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [certificate],
            },
        },
    });
    let endpoint = json!({ "endpoint": { "address": socket(pod) } });
    json!({
        "static_resources": {
            "listeners": [
                { "name": "plain", "address": socket(plain), "filter_chains": [{ "filters": [http] }] },
                {
                    "name": "tls",
                    "address": socket(tls),
                    "filter_chains": [{ "filters": [http], "transport_socket": transport }],
                },
            ],
            "clusters": [{
                "name": "pod",
                "type": "STATIC",
                "load_assignment": { "cluster_name": "pod", "endpoints": [{ "lb_endpoints": [endpoint] }] },
            }],
        },
    })
}
