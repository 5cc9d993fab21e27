use seal::envelope::recipients;
use seal::{OpenError, SealError, Sealer, open};

use crate::pki::{Pki, noise};

const KINDS: [&str; 4] = ["rsa:2048", "rsa:3072", "P-256", "P-384"];
const SIZES: [usize; 7] = [0, 1, 15, 16, 17, 64 * 1024, 5 * 1024 * 1024];

fn pki() -> Pki {
    let pki = Pki::new();
    KINDS.iter().for_each(|kind| {
        pki.make(kind);
    });
    pki
}

#[test]
fn openssl_and_we_open_every_combination_of_recipients_and_size() {
    let pki = pki();
    let sets: [&[&str]; 7] = [
        &["rsa:2048"],
        &["rsa:3072"],
        &["P-256"],
        &["P-384"],
        &["rsa:2048", "P-256"],
        &["P-384", "P-256"],
        &KINDS,
    ];
    for set in sets {
        let sealer = Sealer::new(set.iter().map(|kind| pki.recipient(kind)).collect()).unwrap();
        assert_eq!(sealer.recipients().len(), set.len());
        for size in SIZES {
            let plain = noise(size, size as u64);
            let sealed = sealer.seal(&plain).unwrap();
            for kind in set {
                assert_eq!(
                    pki.decrypt(kind, &sealed),
                    plain,
                    "openssl, {kind} of {set:?}, {size} bytes"
                );
                let key = pki.private_key(kind);
                assert_eq!(*open(&sealed, &key).unwrap(), plain, "{kind} of {set:?}, {size} bytes");
                let key = key.with_certificate(pki.certificate(kind)).unwrap();
                assert_eq!(*open(&sealed, &key).unwrap(), plain, "{kind} by name of {set:?}");
            }
        }
    }
}

#[test]
fn we_open_what_openssl_seals() {
    let pki = pki();
    let plain = noise(70_000, 3);
    pki.write("plain", &plain);
    let mut args = "cms -encrypt -aes-256-gcm -binary -outform DER -in plain -out out.p7m"
        .split(' ')
        .collect::<Vec<_>>();
    args.extend(
        "-recip rsa:2048.crt -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256".split(' '),
    );
    args.extend("-recip P-256.crt -keyopt ecdh_kdf_md:sha256".split(' '));
    args.extend("-recip P-384.crt -keyopt ecdh_kdf_md:sha384".split(' '));
    pki.openssl(&args);
    for kind in ["rsa:2048", "P-256", "P-384"] {
        assert_eq!(*open(&pki.read("out.p7m"), &pki.private_key(kind)).unwrap(), plain, "{kind}");
    }
}

#[test]
fn the_same_file_is_never_sealed_the_same() {
    let pki = pki();
    let sealer = Sealer::new(vec![pki.recipient("P-256")]).unwrap();
    let (a, b) = (sealer.seal(&[7; 64]).unwrap(), sealer.seal(&[7; 64]).unwrap());
    let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    // Ephemeral key (64), wrapped key (40), nonce (12), ciphertext (64) and tag (16).
    assert!(differing > 150, "only {differing} bytes differ");
}

#[test]
fn a_key_of_nobody_learns_for_whom_it_is() {
    let pki = pki();
    let sealer = Sealer::new(vec![pki.recipient("rsa:2048"), pki.recipient("P-256")]).unwrap();
    let sealed = sealer.seal(b"hello").unwrap();
    let serials = ["rsa:2048", "P-256"].map(|kind| pki.certificate(kind).serial());
    for kind in ["rsa:3072", "P-384"] {
        let error = open(&sealed, &pki.private_key(kind)).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, OpenError::NotForThisKey { .. }), "{message}");
        assert!(message.contains("CN=Listener rsa:2048,O=Example"), "{message}");
        assert!(serials.iter().all(|serial| message.contains(serial)), "{message}");
    }
    // Another key of the same kind, which is tried and does not fit.
    let other = Pki::new();
    other.make("P-256").make("rsa:2048");
    for kind in ["rsa:2048", "P-256"] {
        let error = open(&sealed, &other.private_key(kind)).unwrap_err();
        assert!(matches!(error, OpenError::NotForThisKey { .. }), "{error}");
    }
    assert_eq!(recipients(&sealed).unwrap().len(), 2);
}

#[test]
fn sealing_for_nobody_or_too_many_is_refused_and_twice_the_same_counts_once() {
    let pki = pki();
    assert_eq!(Sealer::new(vec![]).unwrap_err(), SealError::NoRecipient);
    let twice = Sealer::new(vec![pki.recipient("P-256"), pki.recipient("P-256")]).unwrap();
    assert_eq!(twice.recipients().len(), 1);
    let many = (0..=base::limits::RECIPIENTS_MAX).map(|_| {
        let zero = base::Timestamp::ZERO;
        let pair =
            seal::keys::create(seal::keys::Purpose::Recording, Default::default(), zero, zero);
        let certificate = seal::Certificate::parse(pair.unwrap().certificate.as_bytes()).unwrap();
        seal::Recipient::new(certificate).unwrap()
    });
    assert!(matches!(Sealer::new(many.collect()).unwrap_err(), SealError::TooManyRecipients(65)));
}

#[test]
fn a_file_too_large_for_openssl_is_refused() {
    let pki = pki();
    let sealer = Sealer::new(vec![pki.recipient("P-256")]).unwrap();
    let len = base::limits::SEALED_FILE_BYTES_MAX + 1;
    // Never touched, so that it takes no memory.
    assert_eq!(sealer.seal(&vec![0; len]).unwrap_err(), SealError::TooLarge(len));
}

#[test]
fn other_files_are_told_apart_from_altered_ones() {
    let pki = pki();
    let key = pki.private_key("P-256");
    for bytes in [&b""[..], b"fLaC", b"0\x80\x06\x09"] {
        let error = open(bytes, &key).unwrap_err();
        assert!(matches!(error, OpenError::NotSealed("no CMS ContentInfo in DER")), "{error}");
    }
    pki.write("plain", b"x");
    pki.openssl(
        &"cms -encrypt -aes256 -outform DER -in plain -out e.p7m P-256.crt"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    let error = open(&pki.read("e.p7m"), &key).unwrap_err();
    assert_eq!(error, OpenError::NotSealed("CMS, but not AuthEnvelopedData"));
}
