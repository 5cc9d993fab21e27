use std::time::Duration;

use base::Timestamp;
use seal::keys::{Algorithm, Purpose, create};
use seal::{
    Certificate, CertificateError, KeyError, PrivateKey, Recipient, RecipientError, Sealer, Signer,
    Warning, open, verify,
};

use crate::pki::Pki;

/// 2026-11-23T00:00:00Z.
const NOW: Timestamp = Timestamp::from_nanos(1_795_392_000_000_000_000);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn text(pki: &Pki, certificate: &str) -> String {
    let args = ["x509", "-in", certificate, "-noout", "-text", "-nameopt", "RFC2253"];
    String::from_utf8(pki.openssl(&args)).unwrap()
}

#[test]
fn created_pairs_say_what_they_are_for_and_work() {
    let pki = Pki::new();
    for (algorithm, usage, size) in [
        (Algorithm::P256, "Key Agreement", "P-256"),
        (Algorithm::Rsa3072, "Key Encipherment", "RSA-3072"),
    ] {
        let pair = create(Purpose::Recording, algorithm, NOW, NOW.plus(YEAR)).unwrap();
        pki.write("r.crt", pair.certificate.as_bytes());
        pki.write("r.key", pair.private_key.as_bytes());
        let printed = text(&pki, "r.crt");
        assert!(printed.contains("Subject: CN=Spanreel recording key"), "{printed}");
        assert!(printed.contains(usage) && printed.contains("CA:FALSE"), "{printed}");
        assert!(printed.contains("Not Before: Nov 23 00:00:00 2026 GMT"), "{printed}");
        assert!(printed.contains("Not After : Nov 23 00:00:00 2027 GMT"), "{printed}");
        let recipient = Recipient::new(pki.certificate("r")).unwrap();
        assert_eq!(recipient.warnings(NOW), []);
        assert_eq!(recipient.certificate().key_algorithm(), size);
        let sealed = Sealer::new(vec![recipient]).unwrap().seal(b"voice").unwrap();
        assert_eq!(pki.decrypt("r", &sealed), b"voice");
        let key = pki.private_key("r").with_certificate(pki.certificate("r")).unwrap();
        assert_eq!(*open(&sealed, &key).unwrap(), b"voice");

        let pair = create(Purpose::Node("span1"), algorithm, NOW, NOW.plus(YEAR)).unwrap();
        pki.write("n.crt", pair.certificate.as_bytes());
        let printed = text(&pki, "n.crt");
        assert!(
            printed.contains("CN=Spanreel node span1") && printed.contains("Digital Signature")
        );
        let node = pki.certificate("n");
        let signer = Signer::new(pair.private_key.as_bytes(), node.clone()).unwrap();
        let p7s = signer.sign(b"{}", NOW).unwrap();
        let signed_by = verify(&p7s, b"{}", Some(std::slice::from_ref(&node))).unwrap();
        assert!(signed_by.trusted && signed_by.valid_then);
        assert_eq!((signed_by.subject.as_str(), signed_by.time), ("CN=Spanreel node span1", NOW));
        assert_eq!(signed_by.fingerprint, node.fingerprint());
    }
}

#[test]
fn a_fingerprint_and_serial_are_those_that_openssl_prints() {
    let pki = Pki::new();
    pki.make("P-256");
    let args = ["x509", "-in", "P-256.crt", "-noout", "-fingerprint", "-sha256", "-serial"];
    let printed = String::from_utf8(pki.openssl(&args)).unwrap().replace(':', "");
    let certificate = pki.certificate("P-256");
    assert!(printed.to_lowercase().contains(&certificate.fingerprint().to_string()), "{printed}");
    assert!(printed.contains(&format!("serial={}", certificate.serial())), "{printed}");
}

#[test]
fn every_key_file_format_is_read() {
    let pki = Pki::new();
    pki.make("rsa:2048").make("P-256").make("P-384");
    for kind in ["rsa:2048", "P-256", "P-384"] {
        let sealed = Sealer::new(vec![pki.recipient(kind)]).unwrap().seal(b"x").unwrap();
        let key = format!("{kind}.key");
        pki.openssl(&["pkey", "-in", &key, "-traditional", "-out", "traditional.key"]);
        pki.openssl(&["pkey", "-in", &key, "-outform", "DER", "-out", "der.key"]);
        let mut bundle = pki.read(&format!("{kind}.crt"));
        bundle.extend(pki.read(&key));
        pki.write("bundle.key", &bundle);
        for file in ["traditional", "der", "bundle"] {
            assert_eq!(*open(&sealed, &pki.private_key(file)).unwrap(), b"x", "{kind} {file}");
        }
    }
    pki.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", "parameters.key"]);
    pki.private_key("parameters");
}

#[test]
fn keys_that_do_not_work_say_why() {
    let pki = Pki::new();
    pki.make("P-256").make("rsa:2048").make("secp256k1");
    let parse = |name: &str| PrivateKey::parse(&pki.read(name)).unwrap_err();
    for traditional in [false, true] {
        let mut args = vec!["pkey", "-in", "rsa:2048.key", "-aes256", "-passout", "pass:secret"];
        args.extend(traditional.then_some("-traditional"));
        args.extend(["-out", "encrypted.key"]);
        pki.openssl(&args);
        let error = parse("encrypted.key");
        assert_eq!(error, KeyError::Encrypted);
        assert!(error.to_string().contains("openssl pkey -in"), "{error}");
    }
    assert_eq!(parse("P-256.crt"), KeyError::Certificate);
    assert!(matches!(parse("secp256k1.key"), KeyError::Unsupported(_)));
    pki.write("text", b"-----BEGIN THING-----\nAA==\n-----END THING-----\n");
    assert_eq!(parse("text"), KeyError::NotAKey);
    let mismatch =
        pki.private_key("P-256").with_certificate(pki.certificate("rsa:2048")).unwrap_err();
    assert_eq!(mismatch, KeyError::Mismatch("CN=Listener rsa:2048,O=Example".into()));
    let mismatch = Signer::new(&pki.read("P-256.key"), pki.certificate("rsa:2048")).unwrap_err();
    assert!(matches!(mismatch, KeyError::Mismatch(_)));
}

#[test]
fn certificates_that_cannot_be_sealed_for_say_why() {
    let pki = Pki::new();
    pki.make("rsa:1024").make("secp256k1").make("P-521");
    let refused = |kind| Recipient::new(pki.certificate(kind)).unwrap_err();
    let subject = "CN=Listener rsa:1024,O=Example".to_owned();
    assert_eq!(refused("rsa:1024"), RecipientError::RsaSize { subject, bits: 1024 });
    for (kind, curve) in [("secp256k1", "1.3.132.0.10"), ("P-521", "secp521r1")] {
        let message = refused(kind).to_string();
        assert!(message.contains(curve) && message.contains("P-256 or P-384"), "{message}");
    }
    pki.openssl(
        &"req -x509 -newkey ed25519 -nodes -subj /CN=Ed -keyout ed.key -out ed.crt"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    assert!(refused("ed").to_string().contains("Ed25519"), "{}", refused("ed"));

    assert_eq!(Certificate::parse(b"hello").unwrap_err(), CertificateError::NotACertificate);
    assert_eq!(Certificate::parse(b"").unwrap_err(), CertificateError::NotACertificate);
    assert_eq!(Certificate::parse(&pki.read("ed.key")).unwrap_err(), CertificateError::PrivateKey);
    let damaged = String::from_utf8(pki.read("ed.crt")).unwrap().replacen("MII", "MIA", 1);
    let damaged = damaged.replacen("MIH", "MIA", 1).replacen("MIB", "MIA", 1);
    assert!(matches!(Certificate::parse(damaged.as_bytes()), Err(CertificateError::Damaged(_))));
    let both = [pki.read("P-521.crt"), pki.read("ed.crt")].concat();
    assert_eq!(Certificate::parse_all(&both).unwrap().len(), 2);
}

#[test]
fn an_expired_or_unfitting_certificate_is_a_warning() {
    let later = NOW.plus(YEAR);
    let warnings = |purpose, now| {
        let pair = create(purpose, Algorithm::P256, NOW, later).unwrap();
        Recipient::new(Certificate::parse(pair.certificate.as_bytes()).unwrap())
            .unwrap()
            .warnings(now)
    };
    let half_a_second = Duration::from_millis(500);
    assert_eq!(warnings(Purpose::Recording, later.plus(half_a_second)), []);
    let second = Duration::from_secs(1);
    assert_eq!(warnings(Purpose::Recording, later.plus(second)), [Warning::Expired(later)]);
    assert_eq!(warnings(Purpose::Recording, NOW.minus(second)), [Warning::NotYetValid(NOW)]);
    assert_eq!(warnings(Purpose::Node("x"), NOW), [Warning::KeyUsage]);
}
