//! Secrets that stand for somebody: log-ins, API tokens, set-up links. 256 bits of the system's random numbers; what is
//! kept is their SHA-256, so that whoever reads the database can log in with nothing that is in it.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seal::sha256;
use zeroize::Zeroizing;

use crate::problem::{Answer, Problem};

/// A new secret, as text for URLs, cookies and headers: 43 characters.
pub(crate) fn new() -> Answer<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        tracing::error!("the system gives no random numbers: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no random numbers")
    })?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// A new name for something that has a secret; it gives nothing away.
pub(crate) fn id() -> Answer<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::unavailable("the system gives no random numbers", &error))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
}

/// What is kept of a secret, and looked up by.
pub(crate) fn hash(secret: &str) -> String {
    sha256(secret.as_bytes()).to_string()
}

/// Another secret that whoever has this one can tell: what requests of a log-in are told from forged ones by.
pub(super) fn csrf_of(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(format!("spanreel csrf {secret}").as_bytes()).0)
}

/// Whether two secrets are the same. How long it takes says nothing about either: it compares hashes.
pub(super) fn same(one: &str, other: &str) -> bool {
    sha256(one.as_bytes()) == sha256(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_what_is_kept_of_them_is_no_secret() {
        let (one, other) = (new().unwrap(), new().unwrap());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
        assert!(same(&one, &one.clone()) && !same(&one, &other));
        assert_ne!(hash(&one), *one);
        assert_ne!(csrf_of(&one), csrf_of(&other));
        assert_ne!(csrf_of(&one), *one);
    }
}
