//! PEM (RFC 7468): text around base64 around DER.
//!
//! Private keys come through here, so every buffer is zeroed on drop. That is why this is not the `pem`
//! crate, whose working copies of the text stay behind in freed memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Characters a line of base64 (RFC 7468, 2).
const LINE: usize = 64;

/// One `-----BEGIN LABEL-----` block.
pub(crate) struct Block {
    /// What it says it is: `CERTIFICATE`, `PRIVATE KEY`, ...
    pub(crate) label: String,
    /// Whether headers say that the content is encrypted (RFC 1421 as OpenSSL's old key files use it).
    pub(crate) encrypted: bool,
    /// The decoded content; `None` if it is not base64.
    pub(crate) content: Option<Zeroizing<Vec<u8>>>,
}

/// Whether `bytes` look like PEM rather than DER.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// The blocks in `text`, in order. What stands between blocks is skipped, as every PEM reader does; a
/// block without its end is left out.
pub(crate) fn blocks(text: &[u8]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, "-----BEGIN ") else { continue };
        let mut inside = Vec::new();
        let end = lines.by_ref().find(|line| {
            inside.push(*line);
            boundary(line, "-----END ") == Some(label)
        });
        if end.is_some() {
            inside.pop();
            blocks.push(block(label, &inside));
        }
    }
    blocks
}

fn block(label: &str, lines: &[&[u8]]) -> Block {
    let (headers, base64): (Vec<&[u8]>, Vec<&[u8]>) =
        lines.iter().partition(|line| line.contains(&b':'));
    let encrypted =
        headers.iter().any(|line| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"));
    // Reserved whole: growing would leave a copy behind.
    let mut body = Zeroizing::new(Vec::with_capacity(base64.iter().map(|line| line.len()).sum()));
    base64.iter().for_each(|line| body.extend_from_slice(line));
    let content = STANDARD.decode(body.as_slice()).ok().map(Zeroizing::new);
    Block { label: label.to_owned(), encrypted, content }
}

fn boundary<'a>(line: &'a [u8], start: &str) -> Option<&'a str> {
    let label = line.strip_prefix(start.as_bytes())?.strip_suffix(b"-----")?;
    std::str::from_utf8(label).ok()
}

/// `der` as one block.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(base64.len() / LINE * (LINE + 1) + 256));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_around_blocks_headers_and_crlf() {
        let text = b"Bag Attributes\r\n  friendlyName: x\r\n-----BEGIN EC PARAMETERS-----\r\nBggqhkjOPQMBBw==\r\n\
            -----END EC PARAMETERS-----\r\n-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\n\
            DEK-Info: AES-256-CBC,00\r\n\r\nAAEC\r\n-----END RSA PRIVATE KEY-----\r\n-----BEGIN X-----\nAA";
        let found = blocks(text);
        let labels: Vec<_> = found.iter().map(|b| (b.label.as_str(), b.encrypted)).collect();
        assert_eq!(labels, [("EC PARAMETERS", false), ("RSA PRIVATE KEY", true)]);
        assert_eq!(found[1].content.as_deref().map(Vec::as_slice), Some(&[0_u8, 1, 2][..]));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_found(der in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = encode("CERTIFICATE", &der);
            prop_assert!(text.lines().all(|line| line.len() <= LINE));
            let found = blocks(text.as_bytes());
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].content.as_deref(), Some(&der));
        }

        #[test]
        fn arbitrary_text_never_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (is_pem(&text), blocks(&text).len());
        }
    }
}
