//! The control plane's throwaway certificates, and the administrator's kubeconfig.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// Signs what the control plane needs, once; its own key is kept nowhere.
pub(super) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = name("control-plane-authority", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
        })
    }

    /// Writes the API server's pair, the ServiceAccounts' keys, and the kubeconfig of an administrator.
    pub(super) fn write(&self, directory: &Path, api: SocketAddr) -> Result<()> {
        let put = |file: &str, text: &str| {
            let path = directory.join(file);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        put("authority.crt", &self.certificate)?;
        let names = [
            "localhost".to_owned(),
            "kubernetes.default.svc".to_owned(),
            api.ip().to_string(),
        ];
        let (certificate, key) = self.pair(
            names.to_vec(),
            name("kube-apiserver", None),
            ExtendedKeyUsagePurpose::ServerAuth,
        )?;
        put("server.crt", &certificate)?;
        put("server.key", &key)?;
        let accounts = KeyPair::generate()?;
        put("accounts.key", &accounts.serialize_pem())?;
        put("accounts.pub", &accounts.public_key_pem())?;
        let (certificate, key) = self.pair(
            Vec::new(),
            name("administrator", Some("system:masters")),
            ExtendedKeyUsagePurpose::ClientAuth,
        )?;
        put("admin.crt", &certificate)?;
        put("admin.key", &key)?;
        let own = directory.display();
        let user = format!("client-certificate: '{own}/admin.crt', client-key: '{own}/admin.key'");
        put("admin.kubeconfig", &kubeconfig(directory, api, &user))
    }

    fn pair(
        &self,
        names: Vec<String>,
        subject: DistinguishedName,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(String, String)> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = subject;
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

/// Kubernetes takes the common name for the user and the organisation for the group.
fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

/// `user`: how one shows who one is, as the fields of a flow mapping.
pub(super) fn kubeconfig(directory: &Path, api: SocketAddr, user: &str) -> String {
    let directory = directory.display();
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters: [{{name: test, cluster: {{server: 'https://{api}', certificate-authority: '{directory}/authority.crt'}}}}]\n\
         users: [{{name: test, user: {{{user}}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n\
         current-context: test\n"
    )
}
