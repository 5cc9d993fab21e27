use base::Timestamp;
use seal::{Certificate, Signer, VerifyError, verify};

use crate::pki::Pki;

/// 2026-11-23T00:00:01Z and a bit.
const NOW: Timestamp = Timestamp::from_nanos(1_795_392_001_700_000_000);
const WHOLE_SECOND: Timestamp = Timestamp::from_nanos(1_795_392_001_000_000_000);
const MANIFEST: &[u8] = b"{\"version\": 1}\r\n\n";

fn signer(pki: &Pki, kind: &str) -> Signer {
    Signer::new(&pki.read(&format!("{kind}.key")), pki.certificate(kind)).unwrap()
}

fn openssl_verify(anchor: &str) -> Vec<&str> {
    let mut args =
        "cms -verify -inform DER -in manifest.p7s -content manifest.json -binary -purpose any"
            .split(' ')
            .collect::<Vec<_>>();
    args.extend(["-CAfile", anchor]);
    args
}

#[test]
fn openssl_verifies_what_we_sign() {
    let pki = Pki::new();
    for kind in ["P-256", "rsa:2048", "rsa:3072"] {
        pki.make(kind);
        pki.write("manifest.json", MANIFEST);
        pki.write("manifest.p7s", &signer(&pki, kind).sign(MANIFEST, NOW).unwrap());
        let anchor = format!("{kind}.crt");
        let verify = openssl_verify(&anchor);
        assert_eq!(pki.openssl(&verify), MANIFEST, "{kind}");
        // And with the certificate's hash among the signed attributes checked.
        pki.openssl(&[&verify[..], &["-cades"]].concat());
        pki.write("manifest.json", b"{\"version\": 2}\r\n\n");
        pki.openssl_refuses(&verify);
    }
}

#[test]
fn openssl_verifies_a_manifest_also_as_text() {
    let pki = Pki::new();
    pki.make("P-256");
    let id = base::RecordingId::of_call(NOW, &[]);
    let mut manifest = seal::Manifest::new(id, NOW, "span1", "spanreel");
    // A line beyond the kilobyte in which OpenSSL reads text.
    manifest.files.push(seal::manifest::File::new("a", &"x".repeat(5_000), b"", None));
    let json = manifest.to_json().unwrap();
    pki.write("manifest.json", &json);
    pki.write("manifest.p7s", &signer(&pki, "P-256").sign(&json, NOW).unwrap());
    let args = openssl_verify("P-256.crt");
    assert_eq!(pki.openssl(&args), json);
    // Without `-binary`, OpenSSL takes the content for text and makes its line ends CR LF.
    let as_text: Vec<&str> = args.into_iter().filter(|arg| *arg != "-binary").collect();
    assert_eq!(pki.openssl(&as_text), json);
}

#[test]
fn openssl_verifies_what_created_nodes_sign() {
    let pki = Pki::new();
    for algorithm in [seal::keys::Algorithm::P256, seal::keys::Algorithm::Rsa3072] {
        let from = Timestamp::from_nanos(1_700_000_000_000_000_000);
        let to = Timestamp::from_nanos(4_000_000_000_000_000_000);
        let pair =
            seal::keys::create(seal::keys::Purpose::Node("span1"), algorithm, from, to).unwrap();
        pki.write("node.crt", pair.certificate.as_bytes());
        pki.write("node.key", pair.private_key.as_bytes());
        pki.write("manifest.json", MANIFEST);
        pki.write("manifest.p7s", &signer(&pki, "node").sign(MANIFEST, NOW).unwrap());
        assert_eq!(pki.openssl(&openssl_verify("node.crt")), MANIFEST);
    }
}

#[test]
fn we_verify_what_openssl_signs() {
    let pki = Pki::new();
    for kind in ["P-256", "rsa:2048"] {
        pki.make(kind);
        pki.write("manifest.json", MANIFEST);
        let (key, crt) = (format!("{kind}.key"), format!("{kind}.crt"));
        let mut args =
            "cms -sign -cades -nosmimecap -binary -md sha256 -outform DER -in manifest.json"
                .split(' ')
                .collect::<Vec<_>>();
        args.extend(["-signer", &crt, "-inkey", &key, "-out", "manifest.p7s"]);
        pki.openssl(&args);
        let certificate = pki.certificate(kind);
        let signed_by =
            verify(&pki.read("manifest.p7s"), MANIFEST, Some(std::slice::from_ref(&certificate)))
                .unwrap();
        assert!(signed_by.trusted && signed_by.valid_then, "{signed_by:?}");
        assert_eq!(signed_by.subject, certificate.subject());
    }
}

#[test]
fn times_of_every_century_survive() {
    let pki = Pki::new();
    pki.make("P-256");
    let signer = signer(&pki, "P-256");
    // UTCTime through 2049, GeneralizedTime from then on.
    for seconds in [0, 1_795_392_001, 2_524_607_999, 2_524_608_000, 18_000_000_000] {
        let time = Timestamp::from_nanos(seconds * 1_000_000_000);
        let signed_by = verify(&signer.sign(MANIFEST, time).unwrap(), MANIFEST, None).unwrap();
        assert_eq!((signed_by.time, signed_by.trusted), (time, false));
    }
    let p7s = signer.sign(MANIFEST, NOW).unwrap();
    assert_eq!(verify(&p7s, MANIFEST, None).unwrap().time, WHOLE_SECOND);
    assert!(
        !verify(&signer.sign(MANIFEST, Timestamp::ZERO).unwrap(), MANIFEST, None)
            .unwrap()
            .valid_then
    );
}

#[test]
fn trust_comes_from_the_certificate_itself_or_its_authority_only() {
    let pki = Pki::new();
    pki.make("P-384").make("rsa:2048").make("P-256");
    // A certificate for the P-256 key by the authority P-384, and one by a mere leaf.
    pki.openssl(&["req", "-new", "-key", "P-256.key", "-subj", "/CN=node", "-out", "node.csr"]);
    let issue = |authority: &str, out: &str| {
        let (crt, key) = (format!("{authority}.crt"), format!("{authority}.key"));
        let args = [
            "x509", "-req", "-in", "node.csr", "-CA", &crt, "-CAkey", &key, "-days", "9", "-out",
            out,
        ];
        pki.openssl(&args);
    };
    issue("P-384", "node.crt");
    let node = pki.certificate("node");
    let signer = Signer::new(&pki.read("P-256.key"), node.clone()).unwrap();
    let p7s = signer.sign(MANIFEST, NOW).unwrap();
    let trusted = |anchors: &[Certificate]| verify(&p7s, MANIFEST, Some(anchors)).unwrap().trusted;
    assert!(trusted(&[pki.certificate("P-384")]));
    assert!(trusted(&[pki.certificate("rsa:2048"), node.clone()]));
    assert!(!trusted(&[pki.certificate("rsa:2048")]));
    assert!(!trusted(&[]));
    // The same name, another key.
    let other = Pki::new();
    other.make("P-384");
    assert!(!trusted(&[other.certificate("P-384")]));

    std::fs::copy(pki.path("P-256.key"), pki.path("node.key")).unwrap();
    issue("node", "below.crt");
    let signer = Signer::new(&pki.read("P-256.key"), pki.certificate("below")).unwrap();
    let p7s = signer.sign(MANIFEST, NOW).unwrap();
    assert!(!verify(&p7s, MANIFEST, Some(&[node])).unwrap().trusted, "a leaf is no authority");
}

#[test]
fn other_content_and_other_files_are_told_apart() {
    let pki = Pki::new();
    pki.make("P-256");
    let p7s = signer(&pki, "P-256").sign(MANIFEST, NOW).unwrap();
    assert_eq!(verify(&p7s, b"{}", None), Err(VerifyError::ContentAltered));
    assert!(matches!(verify(b"", MANIFEST, None), Err(VerifyError::NotASignature(_))));
    assert!(matches!(verify(MANIFEST, MANIFEST, None), Err(VerifyError::NotASignature(_))));
    let too_long = vec![0x30; 70_000];
    assert_eq!(verify(&too_long, MANIFEST, None), Err(VerifyError::NotASignature("too long")));
}
