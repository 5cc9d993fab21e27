//! The program from outside, as a person uses it: the binary is run, and what it leaves is looked at.
//!
//! Each module is a promise of the README or of an issue. What the recorder must find comes from elsewhere:
//! from the captures' published answers (`expected`), from the truth that `synth` writes, and from the
//! Debian programs `openssl`, `flac` and `metaflac`.

#[cfg(test)]
mod audio;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod captures;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod expected;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod load;
#[cfg(test)]
mod marks;
#[cfg(test)]
mod power;
#[cfg(test)]
mod rtp;
#[cfg(test)]
mod specification;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod torture;
#[cfg(test)]
mod web;
