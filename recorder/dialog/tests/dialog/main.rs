//! Calls out of scripted messages, out of real captures, and out of noise.

mod calls;
mod captures;
mod offers;
mod script;
