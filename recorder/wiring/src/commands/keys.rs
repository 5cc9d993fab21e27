//! `spanreel keys`: certificates and keys of a data folder.

use std::path::Path;

use anyhow::Result;
use seal::Certificate;
use seal::keys::Algorithm;
use serde_json::json;

use super::Verdict;
use crate::cli::KeysCommand;
use crate::data_dir::{self, DataDir, Pair};
use crate::output;

const PAIRS: [Pair; 3] = [Pair::Recording, Pair::Node, Pair::Catalog];

pub(super) fn run(command: &KeysCommand) -> Result<Verdict> {
    match command {
        KeysCommand::Create { data, rsa } => create(&data.dir, *rsa),
        KeysCommand::Show { data, json } => show(&data.dir, *json),
        KeysCommand::Check { certificates } => {
            certificates.iter().try_for_each(|path| check(path))?;
            Ok(Verdict::Done)
        }
    }
}

fn create(dir: &Path, rsa: bool) -> Result<Verdict> {
    let data = DataDir::create(dir)?;
    for pair in PAIRS {
        let algorithm =
            if rsa && pair == Pair::Recording { Algorithm::Rsa3072 } else { Algorithm::P256 };
        let verb = if data.ensure_pair(pair, algorithm)? { "made" } else { "was there" };
        output::line(format_args!(
            "{verb}: {} and {}",
            data.certificate_path(pair).display(),
            data.key_path(pair).display()
        ))?;
    }
    output::line(format_args!(
        "Keep the private recording key apart from the recordings, and a copy where it cannot be lost."
    ))?;
    Ok(Verdict::Done)
}

fn show(dir: &Path, json: bool) -> Result<Verdict> {
    let data = DataDir::open(dir)?;
    for path in PAIRS.map(|pair| data.certificate_path(pair)).iter().filter(|path| path.exists()) {
        for certificate in data_dir::certificates(path)? {
            print(path, &certificate, json)?;
        }
    }
    Ok(Verdict::Done)
}

fn check(path: &Path) -> Result<()> {
    for recipient in data_dir::recipients(path)? {
        let certificate = recipient.certificate();
        output::line(format_args!(
            "{}: {}, {}: recordings can be sealed for it",
            path.display(),
            certificate.subject(),
            certificate.key_algorithm()
        ))?;
    }
    Ok(())
}

fn print(path: &Path, certificate: &Certificate, json: bool) -> Result<()> {
    if json {
        let object = json!({
            "path": path,
            "subject": certificate.subject(),
            "serial": certificate.serial(),
            "algorithm": certificate.key_algorithm(),
            "notBefore": certificate.not_before(),
            "notAfter": certificate.not_after(),
            "sha256": certificate.fingerprint().to_string(),
        });
        return output::line(object);
    }
    output::line(format_args!("{}", path.display()))?;
    output::line(format_args!(
        "  {}, {}, serial {}",
        certificate.subject(),
        certificate.key_algorithm(),
        certificate.serial()
    ))?;
    output::line(format_args!(
        "  valid from {} to {}",
        certificate.not_before(),
        certificate.not_after()
    ))?;
    output::line(format_args!("  SHA-256 {}", certificate.fingerprint()))
}
