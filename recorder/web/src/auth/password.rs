//! Passwords, by argon2id (RFC 9106) with the parameters that OWASP recommends: 19 MiB, two passes, one lane.

use std::fmt;
use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use axum::http::StatusCode;
use base::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARACTERS_MIN};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::problem::{Answer, Problem};

/// A password as it came in. It is in no log, and wiped when dropped.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(from = "String")]
#[schema(value_type = String, format = Password, max_length = 512)]
pub(crate) struct Password(Zeroizing<String>);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// Whether it may become `name`'s password (NIST SP 800-63B, 3.1.1.2: length, and nothing of itself known).
    ///
    /// # Errors
    /// 400 that says why not.
    pub(crate) fn check(&self, name: &str) -> Answer<()> {
        let text = self.0.as_str();
        let lower = text.to_lowercase();
        let mut distinct: Vec<char> = lower.chars().collect();
        distinct.sort_unstable();
        distinct.dedup();
        if text.chars().count() < PASSWORD_CHARACTERS_MIN {
            let detail = format!("password: at least {PASSWORD_CHARACTERS_MIN} characters, please");
            return Err(Problem::bad_request(detail));
        }
        if text.len() > PASSWORD_BYTES_MAX {
            let detail = format!("password: at most {PASSWORD_BYTES_MAX} bytes, please");
            return Err(Problem::bad_request(detail));
        }
        if distinct.len() < 5 || lower.contains("spanreel") || lower.contains(&name.to_lowercase())
        {
            return Err(Problem::bad_request(
                "password: too easy to guess; it must not contain the name, nor be a few characters over and over",
            ));
        }
        Ok(())
    }

    /// Whether it has so many characters, and not more than so many bytes.
    pub(crate) fn has(&self, characters_min: usize, bytes_max: usize) -> bool {
        self.0.chars().count() >= characters_min && self.0.len() <= bytes_max
    }

    /// What is kept of it. Takes tens of milliseconds: call it by `App::hashing`.
    pub(crate) fn hash(&self) -> Answer<String> {
        hash(self.0.as_bytes()).ok_or_else(|| {
            tracing::error!("a password could not be hashed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the password could not be hashed")
        })
    }

    /// Whether it is the one of which `hash` was kept. Without a hash it is not, which takes as long to say: whether a
    /// user exists does not show in the time. Call it by `App::hashing`.
    pub(crate) fn is(&self, hash: Option<&str>) -> bool {
        let nobodys: &str = &NOBODYS;
        let is = self.0.len() <= PASSWORD_BYTES_MAX
            && Argon2::default()
                .verify_password(self.0.as_bytes(), hash.unwrap_or(nobodys))
                .is_ok();
        is && hash.is_some()
    }
}

/// The hash of a password that nobody has.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash(b"nobody's").unwrap_or_default());

fn hash(password: &[u8]) -> Option<String> {
    Argon2::default().hash_password(password).ok().map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_password_is_known_by_its_hash_and_by_no_other() {
        let hash = password("correct horse battery").hash().unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(password("correct horse battery").is(Some(&hash)));
        assert!(!password("correct horse batterz").is(Some(&hash)));
        assert!(!password("nobody's").is(None), "who does not exist has no password");
        assert_ne!(password("correct horse battery").hash().unwrap(), hash, "salted");
    }

    #[test]
    fn easy_ones_are_refused() {
        for bad in ["short", "aaaaaaaaaaaaaaaa", "xx-anna-2026-xx", "Spanreel-1234567"] {
            assert_eq!(password(bad).check("anna").unwrap_err().status, 400, "{bad}");
        }
        assert!(password(&"long1".repeat(200)).check("anna").is_err());
        password("correct horse battery").check("anna").unwrap();
        assert_eq!(format!("{:?}", password("secret")), "Password");
    }
}
