//! Keys and certificates made by `openssl`, and `openssl` itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use seal::{Certificate, PrivateKey, Recipient};
use tempfile::TempDir;

/// A folder with key pairs, each `NAME.crt` and `NAME.key`.
pub(crate) struct Pki {
    dir: TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// A self-signed pair called `kind`: `rsa:BITS`, or the name of a curve.
    pub(crate) fn make(&self, kind: &str) -> &Self {
        let new_key: &[&str] = match kind.starts_with("rsa") {
            true => &["-newkey", kind],
            false => &["-newkey", "ec", "-pkeyopt", &format!("ec_paramgen_curve:{kind}")],
        };
        let subject = format!("/O=Example/CN=Listener {kind}");
        let mut args = vec!["req", "-x509", "-nodes", "-days", "30", "-subj", &subject];
        args.extend(new_key);
        let (key, crt) = (format!("{kind}.key"), format!("{kind}.crt"));
        self.openssl(&[&args[..], &["-keyout", &key, "-out", &crt]].concat());
        self
    }

    pub(crate) fn certificate(&self, kind: &str) -> Certificate {
        Certificate::parse(&self.read(&format!("{kind}.crt"))).unwrap()
    }

    pub(crate) fn recipient(&self, kind: &str) -> Recipient {
        Recipient::new(self.certificate(kind)).unwrap()
    }

    pub(crate) fn private_key(&self, kind: &str) -> PrivateKey {
        PrivateKey::parse(&self.read(&format!("{kind}.key"))).unwrap()
    }

    /// Runs `openssl` in the folder; its standard output.
    pub(crate) fn openssl(&self, args: &[&str]) -> Vec<u8> {
        match run(self.dir.path(), args) {
            Ok(out) => out,
            Err(message) => panic!("openssl {}: {message}", args.join(" ")),
        }
    }

    /// Runs `openssl` in the folder, expecting it to refuse.
    pub(crate) fn openssl_refuses(&self, args: &[&str]) {
        assert!(run(self.dir.path(), args).is_err(), "openssl {} succeeded", args.join(" "));
    }

    /// `openssl cms -decrypt` with the pair `kind`.
    pub(crate) fn decrypt(&self, kind: &str, cms: &[u8]) -> Vec<u8> {
        self.write("in.p7m", cms);
        let (key, crt) = (format!("{kind}.key"), format!("{kind}.crt"));
        self.openssl(&[
            "cms", "-decrypt", "-inform", "DER", "-in", "in.p7m", "-inkey", &key, "-recip", &crt,
        ])
    }
}

fn run(dir: &Path, args: &[&str]) -> Result<Vec<u8>, String> {
    let out = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
    match out.status.success() {
        true => Ok(out.stdout),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}

/// Bytes without a pattern that compression or repetition could hide behind; the same for one seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}
