//! Any byte that changes is noticed.

use base::Timestamp;
use proptest::prelude::*;
use seal::{Certificate, OpenError, PrivateKey, Sealer, Signer, VerifyError, open, verify};

use crate::pki::Pki;

/// Every byte of `bytes` changed in each of these ways, one at a time.
const CHANGES: [u8; 4] = [0x01, 0x20, 0x80, 0xFF];

fn changed(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len()).flat_map(move |place| {
        CHANGES.map(|change| {
            let mut changed = bytes.to_vec();
            changed[place] ^= change;
            (place, changed)
        })
    })
}

#[test]
fn no_byte_of_an_envelope_has_a_second_value_that_is_taken() {
    let pki = Pki::new();
    pki.make("P-256");
    let sealed = Sealer::new(vec![pki.recipient("P-256")]).unwrap().seal(b"what was said").unwrap();
    let key = with_certificate(&pki, "P-256");
    for place in 0..sealed.len() {
        for change in 1..=255 {
            let mut changed = sealed.clone();
            changed[place] ^= change;
            assert!(open(&changed, &key).is_err(), "byte {place}, changed by {change:#x}");
        }
    }
}

fn with_certificate(pki: &Pki, kind: &str) -> PrivateKey {
    pki.private_key(kind).with_certificate(pki.certificate(kind)).unwrap()
}

#[test]
fn a_changed_byte_of_an_envelope_is_noticed() {
    let pki = Pki::new();
    for kind in ["rsa:2048", "P-256", "P-384"] {
        pki.make(kind);
        let sealed =
            Sealer::new(vec![pki.recipient(kind)]).unwrap().seal(b"what was said").unwrap();
        let key = with_certificate(&pki, kind);
        for (place, changed) in changed(&sealed) {
            let error = open(&changed, &key).expect_err(&format!("{kind}, byte {place}"));
            assert!(!error.to_string().is_empty());
        }
        // Without its certificate the key opens whatever its recipient is called, and nothing else.
        let nameless = pki.private_key(kind);
        let unnoticed = changed(&sealed).filter(|(_, changed)| open(changed, &nameless).is_ok());
        let unnoticed: Vec<usize> = unnoticed.map(|(place, _)| place).collect();
        let (first, last) = (unnoticed[0], unnoticed[unnoticed.len() - 1]);
        let serial = pki.certificate(kind).serial();
        let len = serial.len() / 2;
        let place = sealed.windows(len).position(|window| hexadecimal(window) == serial);
        let name = sealed.windows(7).position(|window| window == b"Example").unwrap();
        assert!(name - 20 < first && last < place.unwrap() + len, "{kind}: {first} to {last}");
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn a_change_in_the_entry_of_another_recipient_harms_nobody_else() {
    let pki = Pki::new();
    pki.make("rsa:2048").make("P-256");
    let recipients = vec![pki.recipient("rsa:2048"), pki.recipient("P-256")];
    let sealed = Sealer::new(recipients).unwrap().seal(b"what was said").unwrap();
    let keys = ["rsa:2048", "P-256"].map(|kind| with_certificate(&pki, kind));
    let mut one_opens = 0;
    for (place, changed) in changed(&sealed) {
        let opened = keys.each_ref().map(|key| open(&changed, key));
        assert!(opened.iter().any(Result::is_err), "byte {place} changed for nobody");
        for plain in opened.iter().flatten() {
            assert_eq!(plain.as_slice(), b"what was said", "byte {place}");
            one_opens += 1;
        }
    }
    assert!(one_opens > 400, "{one_opens}");
}

#[test]
fn a_shortened_or_lengthened_envelope_is_noticed() {
    let pki = Pki::new();
    pki.make("P-256");
    let sealed = Sealer::new(vec![pki.recipient("P-256")]).unwrap().seal(&[7; 300]).unwrap();
    let key = pki.private_key("P-256");
    for len in 0..sealed.len() {
        assert!(matches!(open(&sealed[..len], &key), Err(OpenError::NotSealed(_))), "cut to {len}");
    }
    let mut longer = sealed.clone();
    longer.push(0);
    assert!(matches!(open(&longer, &key), Err(OpenError::NotSealed(_))));
}

fn signer(pki: &Pki, key: &str, certificate: Certificate) -> Signer {
    Signer::new(&pki.read(&format!("{key}.key")), certificate).unwrap()
}

#[test]
fn a_changed_byte_of_a_signature_is_noticed_wherever_it_is() {
    let pki = Pki::new();
    pki.make("P-384").make("P-256").make("rsa:2048");
    pki.openssl(&["req", "-new", "-key", "P-256.key", "-subj", "/CN=node", "-out", "node.csr"]);
    let issue = "x509 -req -in node.csr -CA P-384.crt -CAkey P-384.key -days 9 -out node.crt";
    pki.openssl(&issue.split(' ').collect::<Vec<_>>());
    let time = Timestamp::from_nanos(1_795_392_001_000_000_000);
    // The last one's certificate was signed by somebody whom `verify` does not know.
    for (key, certificate) in [("P-256", "P-256"), ("rsa:2048", "rsa:2048"), ("P-256", "node")] {
        let p7s = signer(&pki, key, pki.certificate(certificate)).sign(b"{}", time).unwrap();
        assert!(verify(&p7s, b"{}", None).is_ok());
        for (place, changed) in changed(&p7s) {
            let error = verify(&changed, b"{}", None).expect_err(&format!("byte {place}"));
            assert_ne!(
                error,
                VerifyError::ContentAltered,
                "{certificate}, byte {place} blames the content"
            );
        }
        for len in 0..p7s.len() {
            assert!(verify(&p7s[..len], b"{}", None).is_err(), "cut to {len}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn several_changes_at_once_never_panic_nor_open_as_something_else(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        thread_local! {
            static SEALED: (PrivateKey, Vec<u8>) = {
                let pki = Pki::new();
                pki.make("P-256");
                let sealer = Sealer::new(vec![pki.recipient("P-256")]).unwrap();
                (pki.private_key("P-256"), sealer.seal(b"what was said").unwrap())
            };
        }
        SEALED.with(|(key, sealed)| {
            let mut changed = sealed.clone();
            for (place, byte) in places {
                let place = place.index(changed.len());
                changed[place] = byte;
            }
            if let Ok(plain) = open(&changed, key) {
                prop_assert_eq!(plain.as_slice(), b"what was said");
            }
            let _ = seal::envelope::recipients(&changed);
            let _ = verify(&changed, b"{}", None);
            Ok(())
        })?;
    }
}
