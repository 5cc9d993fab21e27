//! Memory on the card's side of a machine with several memory nodes: reading across costs twice the time.
#![expect(unsafe_code, reason = "a system call that rustix does not know")]

use std::io;
use std::marker::PhantomData;

/// Modes of `linux/mempolicy.h`.
const MPOL_DEFAULT: libc::c_int = 0;
const MPOL_PREFERRED: libc::c_int = 1;
/// Nodes that the kernel may be built for, 1,024, in words.
const WORDS: usize = 1_024 / u64::BITS as usize;

/// Has the memory that the calling thread touches first come from one node, as long as this lives; also that of
/// threads which it starts meanwhile, as long as those live. Where the node has none left, the next one gives it.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct NearMemory {
    /// It is the thread's that made it.
    _thread: PhantomData<*const ()>,
}

impl NearMemory {
    /// From this node ([`Nic::numa_node`](super::Nic::numa_node)). Nothing, on a machine with one node or if the
    /// card's is not known.
    ///
    /// # Errors
    /// What the kernel says: a container may forbid it.
    pub fn from_node(node: Option<u32>) -> io::Result<Option<Self>> {
        let online = std::fs::read_to_string("/sys/devices/system/node/online");
        match node.filter(|_| online.is_ok_and(|online| has_several(&online))) {
            Some(node) => Self::prefer(node).map(Some),
            None => Ok(None),
        }
    }

    fn prefer(node: u32) -> io::Result<Self> {
        let mut nodes = [0_u64; WORDS];
        let word = nodes.get_mut(node as usize / u64::BITS as usize);
        *word.ok_or(io::ErrorKind::InvalidInput)? |= 1 << (node % u64::BITS);
        set_policy(MPOL_PREFERRED, Some(&nodes))?;
        Ok(Self { _thread: PhantomData })
    }
}

impl Drop for NearMemory {
    fn drop(&mut self) {
        // The default is always allowed.
        let _ = set_policy(MPOL_DEFAULT, None);
    }
}

/// Whether a list such as `0-1` or `0,2` names more than one.
fn has_several(nodes: &str) -> bool {
    nodes.contains(['-', ','])
}

fn set_policy(mode: libc::c_int, nodes: Option<&[u64; WORDS]>) -> io::Result<()> {
    let (mask, bits) = match nodes {
        // The kernel counts one bit more than it reads.
        Some(nodes) => (nodes.as_ptr(), WORDS * u64::BITS as usize + 1),
        None => (std::ptr::null(), 0),
    };
    // SAFETY: the kernel reads as many bits as it is told from `mask`, which has them, or none from nowhere. The
    // policy decides where new pages come from, and touches none that exist.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calling thread's policy, and the first of its nodes' words.
    fn policy() -> (libc::c_int, u64) {
        let (mut mode, mut nodes) = (-1, [0_u64; WORDS]);
        let bits = WORDS * u64::BITS as usize + 1;
        let null = std::ptr::null::<u8>();
        // SAFETY: the kernel writes a number to `mode` and at most `bits` bits, less one, to `nodes`.
        let result = unsafe {
            libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, nodes.as_mut_ptr(), bits, null, 0)
        };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        (mode, nodes[0])
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn a_node_is_preferred_by_this_thread_and_those_it_starts_until_the_end() {
        let near = match NearMemory::prefer(0) {
            Ok(near) => near,
            Err(error) => return eprintln!("skipped: no memory policies here: {error}"),
        };
        assert_eq!(policy(), (MPOL_PREFERRED, 1));
        std::thread::scope(|scope| {
            assert_eq!(scope.spawn(policy).join().unwrap(), (MPOL_PREFERRED, 1));
        });
        drop(near);
        assert_eq!(policy(), (MPOL_DEFAULT, 0));
    }

    #[test]
    fn one_node_is_not_several() {
        assert!(!has_several("0\n"));
        assert!(has_several("0-1\n") && has_several("0,2\n"));
        assert!(NearMemory::from_node(None).unwrap().is_none());
    }

    #[test]
    fn a_node_that_cannot_be_is_refused() {
        assert_eq!(NearMemory::prefer(5_000).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
