//! Every annotation that ingress-nginx 1.15.1 registers (its `annotations-risk.md`), and what becomes of it.

/// A registered annotation.
#[derive(Debug)]
pub(super) struct Row {
    /// Without its prefix.
    pub(super) name: &'static str,
    /// What becomes of it.
    pub(super) class: Class,
    /// Values, in lower case, with which it asks for nothing that is not done anyway.
    pub(super) idle: &'static [&'static str],
}

/// What becomes of an annotation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// Its value becomes a policy.
    Honoured(Setting),
    /// Requests are served without it.
    Cosmetic,
    /// It protects routes or says which path is served where: they answer 503 rather than go without it.
    Protective(Reach),
    /// Its Ingress stands in for another one's routes and gives none of its own.
    Canary,
}

/// Whose routes a protective annotation closes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// Those of its Ingress.
    Own,
    /// Those of its Ingress's hosts in its Ingress's namespace.
    Host,
}

/// A policy that a value is read into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Setting {
    SslRedirect,
    ForceSslRedirect,
    Protocol,
    ConnectTimeout,
    ReadTimeout,
    SendTimeout,
    BodySize,
    NextUpstream,
    NextUpstreamTimeout,
    NextUpstreamTries,
    PreserveTrailingSlash,
    Balance,
    UpstreamHost,
    OwnVip,
}

const fn honoured(name: &'static str, setting: Setting) -> Row {
    Row {
        name,
        class: Class::Honoured(setting),
        idle: &[],
    }
}

const fn cosmetic(name: &'static str, idle: &'static [&'static str]) -> Row {
    Row {
        name,
        class: Class::Cosmetic,
        idle,
    }
}

const fn closed(name: &'static str, idle: &'static [&'static str]) -> Row {
    Row {
        name,
        class: Class::Protective(Reach::Own),
        idle,
    }
}

const fn host(name: &'static str, idle: &'static [&'static str]) -> Row {
    Row {
        name,
        class: Class::Protective(Reach::Host),
        idle,
    }
}

/// Go's `strconv.ParseBool`, in lower case.
const FALSE: &[&str] = &["0", "f", "false"];
const TRUE: &[&str] = &["1", "t", "true"];
const OFF: &[&str] = &["off"];
const ZERO: &[&str] = &["0"];
/// What cert-manager writes on its solver's Ingress.
const EVERYONE: &[&str] = &["0.0.0.0/0,::/0"];
const ANY: &[&str] = &[];

/// Ours alone, that ingress-nginx does not register.
pub(super) const OURS: [Row; 1] = [Row {
    name: "vip",
    class: Class::Honoured(Setting::OwnVip),
    idle: &["shared"],
}];

/// Other spellings of registered names; where both stand, the name on the right counts.
pub(super) const ALIASES: [(&str, &str); 2] = [
    ("limit-whitelist", "limit-allowlist"),
    ("whitelist-source-range", "allowlist-source-range"),
];

/// How names begin that ingress-nginx does not register, or no longer, and that ask for protection.
pub(super) const PROTECTIVE_FAMILIES: [&str; 10] = [
    "allowlist-",
    "auth-",
    "block-",
    "denylist-",
    "global-rate-limit",
    "limit-",
    "modsecurity-",
    "proxy-ssl-",
    "secure-",
    "whitelist-",
];

/// By name.
pub(super) const TABLE: [Row; 136] = [
    cosmetic("affinity", ANY),
    cosmetic("affinity-canary-behavior", ANY),
    cosmetic("affinity-mode", ANY),
    closed("allowlist-source-range", EVERYONE),
    host("app-root", ANY),
    closed("auth-always-set-cookie", FALSE),
    closed("auth-cache-duration", ANY),
    closed("auth-cache-key", ANY),
    closed("auth-keepalive", ZERO),
    closed("auth-keepalive-requests", ANY),
    closed("auth-keepalive-share-vars", FALSE),
    closed("auth-keepalive-timeout", ANY),
    closed("auth-method", ANY),
    closed("auth-proxy-set-headers", ANY),
    closed("auth-realm", ANY),
    closed("auth-request-redirect", ANY),
    closed("auth-response-headers", ANY),
    closed("auth-secret", ANY),
    closed("auth-secret-type", ANY),
    closed("auth-signin", ANY),
    closed("auth-signin-redirect-param", ANY),
    closed("auth-snippet", ANY),
    host("auth-tls-error-page", ANY),
    host("auth-tls-match-cn", ANY),
    host("auth-tls-pass-certificate-to-upstream", FALSE),
    host("auth-tls-secret", ANY),
    host("auth-tls-verify-client", OFF),
    host("auth-tls-verify-depth", ANY),
    closed("auth-type", ANY),
    closed("auth-url", ANY),
    honoured("backend-protocol", Setting::Protocol),
    Row {
        name: "canary",
        class: Class::Canary,
        idle: FALSE,
    },
    cosmetic("canary-by-cookie", ANY),
    cosmetic("canary-by-header", ANY),
    cosmetic("canary-by-header-pattern", ANY),
    cosmetic("canary-by-header-value", ANY),
    cosmetic("canary-weight", ANY),
    cosmetic("canary-weight-total", ANY),
    cosmetic("client-body-buffer-size", ANY),
    closed("configuration-snippet", ANY),
    cosmetic("connection-proxy-header", ANY),
    cosmetic("cors-allow-credentials", ANY),
    cosmetic("cors-allow-headers", ANY),
    cosmetic("cors-allow-methods", ANY),
    cosmetic("cors-allow-origin", ANY),
    cosmetic("cors-expose-headers", ANY),
    cosmetic("cors-max-age", ANY),
    cosmetic("custom-headers", ANY),
    cosmetic("custom-http-errors", ANY),
    cosmetic("default-backend", ANY),
    closed("denylist-source-range", ANY),
    cosmetic("disable-proxy-intercept-errors", FALSE),
    cosmetic("enable-access-log", TRUE),
    cosmetic("enable-cors", FALSE),
    closed("enable-global-auth", FALSE),
    closed("enable-modsecurity", FALSE),
    cosmetic("enable-opentelemetry", FALSE),
    closed("enable-owasp-core-rules", FALSE),
    cosmetic("enable-rewrite-log", FALSE),
    cosmetic("fastcgi-index", ANY),
    cosmetic("fastcgi-params-configmap", ANY),
    honoured("force-ssl-redirect", Setting::ForceSslRedirect),
    closed("from-to-www-redirect", FALSE),
    cosmetic("http2-push-preload", FALSE),
    closed("limit-allowlist", ANY),
    closed("limit-burst-multiplier", ANY),
    closed("limit-connections", ZERO),
    closed("limit-rate", ZERO),
    closed("limit-rate-after", ZERO),
    closed("limit-rpm", ZERO),
    closed("limit-rps", ZERO),
    honoured("load-balance", Setting::Balance),
    cosmetic("mirror-host", ANY),
    cosmetic("mirror-request-body", ANY),
    cosmetic("mirror-target", ANY),
    closed("modsecurity-snippet", ANY),
    closed("modsecurity-transaction-id", ANY),
    cosmetic("opentelemetry-operation-name", ANY),
    cosmetic("opentelemetry-trust-incoming-span", ANY),
    closed("permanent-redirect", ANY),
    closed("permanent-redirect-code", ANY),
    honoured("preserve-trailing-slash", Setting::PreserveTrailingSlash),
    honoured("proxy-body-size", Setting::BodySize),
    cosmetic("proxy-buffer-size", ANY),
    cosmetic("proxy-buffering", OFF),
    cosmetic("proxy-buffers-number", ANY),
    cosmetic("proxy-busy-buffers-size", ANY),
    honoured("proxy-connect-timeout", Setting::ConnectTimeout),
    cosmetic("proxy-cookie-domain", OFF),
    cosmetic("proxy-cookie-path", OFF),
    cosmetic("proxy-http-version", &["1.1"]),
    cosmetic("proxy-max-temp-file-size", ANY),
    honoured("proxy-next-upstream", Setting::NextUpstream),
    honoured("proxy-next-upstream-timeout", Setting::NextUpstreamTimeout),
    honoured("proxy-next-upstream-tries", Setting::NextUpstreamTries),
    honoured("proxy-read-timeout", Setting::ReadTimeout),
    cosmetic("proxy-redirect-from", OFF),
    cosmetic("proxy-redirect-to", &["default", "off"]),
    cosmetic("proxy-request-buffering", OFF),
    honoured("proxy-send-timeout", Setting::SendTimeout),
    host("proxy-ssl-ciphers", ANY),
    host("proxy-ssl-name", ANY),
    host("proxy-ssl-protocols", ANY),
    host("proxy-ssl-secret", ANY),
    host("proxy-ssl-server-name", OFF),
    host("proxy-ssl-verify", OFF),
    host("proxy-ssl-verify-depth", ANY),
    cosmetic("relative-redirects", ANY),
    host("rewrite-target", ANY),
    closed("satisfy", &["all"]),
    host("server-alias", ANY),
    host("server-snippet", ANY),
    cosmetic("service-upstream", FALSE),
    cosmetic("session-cookie-change-on-failure", ANY),
    cosmetic("session-cookie-conditional-samesite-none", ANY),
    cosmetic("session-cookie-domain", ANY),
    cosmetic("session-cookie-expires", ANY),
    cosmetic("session-cookie-max-age", ANY),
    cosmetic("session-cookie-name", ANY),
    cosmetic("session-cookie-path", ANY),
    cosmetic("session-cookie-samesite", ANY),
    cosmetic("session-cookie-secure", ANY),
    cosmetic("ssl-ciphers", ANY),
    host("ssl-passthrough", FALSE),
    cosmetic("ssl-prefer-server-ciphers", FALSE),
    honoured("ssl-redirect", Setting::SslRedirect),
    closed("stream-snippet", ANY),
    closed("temporal-redirect", ANY),
    closed("temporal-redirect-code", ANY),
    cosmetic("upstream-hash-by", ANY),
    cosmetic("upstream-hash-by-subset", FALSE),
    cosmetic("upstream-hash-by-subset-size", ANY),
    honoured("upstream-vhost", Setting::UpstreamHost),
    cosmetic("use-port-in-redirects", FALSE),
    host("use-regex", FALSE),
    cosmetic("x-forwarded-prefix", ANY),
];
