//! Sealed files, signatures, manifests, certificates and keys from anywhere: none panics, and nothing
//! that was not sealed opens, nothing that was not signed verifies.
#![no_main]

use std::sync::LazyLock;

use base::Timestamp;
use libfuzzer_sys::fuzz_target;
use seal::keys::{Algorithm, Purpose, create};
use seal::{Certificate, Manifest, PrivateKey, Recipient, Sealer, Signer, open, verify};

const PLAIN: &[u8] = b"what was said";

struct Fixture {
    key: PrivateKey,
    sealed: Vec<u8>,
    signed: Vec<u8>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let pair = create(Purpose::Recording, Algorithm::P256, Timestamp::ZERO, Timestamp::MAX).unwrap();
    let certificate = Certificate::parse(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKey::parse(pair.private_key.as_bytes()).unwrap();
    let key = key.with_certificate(certificate.clone()).unwrap();
    let sealer = Sealer::new(vec![Recipient::new(certificate.clone()).unwrap()]).unwrap();
    let signer = Signer::new(pair.private_key.as_bytes(), certificate).unwrap();
    Fixture {
        key,
        sealed: sealer.seal(PLAIN).unwrap(),
        signed: signer.sign(PLAIN, Timestamp::ZERO).unwrap(),
    }
});

fuzz_target!(|data: &[u8]| {
    // As it comes.
    assert!(open(data, &FIXTURE.key).is_err());
    assert!(verify(data, PLAIN, None).is_err());
    let _ = seal::envelope::recipients(data);
    let _ = Manifest::from_json(data);
    let _ = Certificate::parse_all(data).map(|all| all.into_iter().map(Recipient::new).count());
    let _ = PrivateKey::parse(data);

    // As changes of what is right: (place, byte) pairs.
    let (mut sealed, mut signed) = (FIXTURE.sealed.clone(), FIXTURE.signed.clone());
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        for file in [&mut sealed, &mut signed] {
            let len = file.len();
            file[place % len] = change[2];
        }
    }
    assert_eq!(open(&sealed, &FIXTURE.key).is_ok(), sealed == FIXTURE.sealed);
    assert_eq!(verify(&signed, PLAIN, None).is_ok(), signed == FIXTURE.signed);
});
