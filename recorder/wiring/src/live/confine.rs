//! What the running recorder may no longer do: it reads what strangers send, so it keeps as little power as it
//! needs, should one of them ever make it obey.
//!
//! - No core dump and no debugger: keys and calls are in its memory.
//! - No privilege but those for interfaces that come back ([`KEPT`]), and no way to gain others.
//! - No system call but those that a recorder makes ([`CALLS`]): no program is started, no memory is made
//!   executable, nothing is mounted, traced or loaded. What is not listed fails with `EPERM`, as it would for want
//!   of privilege; it ends nothing, because a recorder that dies loses calls.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::os::unix::fs::MetadataExt as _;

/// What is needed after everything is open: sockets of an interface that comes back, the kernel's tables, and the first
/// place for threads that take packets ([`OF_ITSELF`] only).
const KEPT: CapabilitySet = CapabilitySet::NET_RAW
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::SYS_NICE);

/// System calls that are made, whatever their arguments.
const CALLS: &[libc::c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_get_mempolicy,
    libc::SYS_madvise,
    libc::SYS_mbind,
    libc::SYS_memfd_create,
    libc::SYS_mlock,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munlock,
    libc::SYS_munmap,
    libc::SYS_set_mempolicy,
    // Threads.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_prctl,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_getpriority,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    // Itself and its system.
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_prlimit64,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_umask,
    libc::SYS_uname,
    // Time: asked for, never set (that needs a privilege besides).
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    // Files.
    libc::SYS_close,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
    // Sockets, and the kernel's tables of the XDP program.
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_bpf,
    libc::SYS_connect,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
];

/// System calls that a thread may make for itself only, and the place of the argument that says for whom: with the privilege
/// ([`CapabilitySet::SYS_NICE`]), they would reach every program.
const OF_ITSELF: [(libc::c_long, u8); 3] = [
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_setpriority, 1),
];

/// What older architectures have besides.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[libc::c_long] = &[
    libc::SYS_access,
    libc::SYS_epoll_wait,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[libc::c_long] = &[];

/// The kinds of socket: of the host's own (log, webhook, status page), of the kernel (links), of the capture.
const SOCKETS: [libc::c_int; 6] =
    [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_XDP];

/// What of this process would be on the disk or shown to others, had it its way: nothing. Before any key is read.
pub(super) fn keep_secrets() {
    let limit = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(Resource::Core, limit) {
        tracing::warn!("core dumps cannot be switched off: {error}");
    }
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!("debuggers cannot be kept out: {error}");
    }
}

/// Gives up all power that is not needed any more. Says in the log what could not be given up.
pub(super) fn confine(data: &Path) {
    for (what, result) in [
        ("privileges are kept", drop_privileges(data, KEPT)),
        ("every system call stays allowed", forbid_calls()),
    ] {
        if let Err(error) = result {
            tracing::warn!("{what}: {error:#}; a capture program is better off without them");
        }
    }
}

/// Gives up every privilege but that to listen on a low port: for the process that serves the pages.
///
/// # Errors
/// They are kept.
pub(crate) fn without_privileges(data: &Path) -> Result<()> {
    drop_privileges(data, CapabilitySet::NET_BIND_SERVICE)
}

/// For this thread and those that it starts.
fn drop_privileges(data: &Path, needed: CapabilitySet) -> Result<()> {
    rustix::thread::set_no_new_privs(true).context("cannot forbid new privileges")?;
    let have = rustix::thread::capabilities(None).context("cannot ask for the capabilities")?;
    let mut kept = have.permitted.intersection(needed);
    // Without this, root may only write what root owns.
    let owner = std::fs::metadata(data).map(|data| data.uid()).unwrap_or_default();
    if owner != rustix::process::geteuid().as_raw() {
        kept = kept.union(have.permitted.intersection(CapabilitySet::DAC_OVERRIDE));
        tracing::warn!(
            "{} belongs to user {owner}: the right to write others' files is kept",
            data.display()
        );
    }
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).context("cannot give up capabilities")?;
    tracing::info!("privileges are down to {kept:?}");
    Ok(())
}

/// For all threads.
fn forbid_calls() -> Result<()> {
    let program = filter()?;
    seccompiler::apply_filter_all_threads(&program).context("cannot install the filter of calls")
}

fn filter() -> Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().chain(OLD_CALLS).map(|call| (*call, Vec::new())).collect();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![not_executable()?]);
    }
    for (call, argument) in OF_ITSELF {
        rules.insert(call, vec![equal(argument, 0)?]);
    }
    let socket = SOCKETS.iter().map(|family| equal(0, *family)).collect::<Result<_>>()?;
    rules.insert(libc::SYS_socket, socket);
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into().context("no filter for this processor")?;
    let filter = SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)?;
    Ok(filter.try_into()?)
}

/// Of `mmap` and `mprotect`: the third argument does not ask for executable memory.
fn not_executable() -> Result<SeccompRule> {
    let executable = u64::from(libc::PROT_EXEC.cast_unsigned());
    let condition =
        SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(executable), 0)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn equal(argument: u8, value: libc::c_int) -> Result<SeccompRule> {
    let (value, dword) = (u64::from(value.cast_unsigned()), SeccompCmpArgLen::Dword);
    let condition = SeccompCondition::new(argument, dword, SeccompCmpOp::Eq, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    use super::*;

    /// In a thread of its own, which ends confined.
    fn confined(test: impl FnOnce() + Send + 'static) {
        let run = move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            seccompiler::apply_filter(&filter().unwrap()).unwrap();
            test();
        };
        if let Err(panic) = std::thread::Builder::new().spawn(run).unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    }

    #[test]
    fn no_program_can_be_started() {
        confined(|| {
            let error = Command::new("true").status().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        });
    }

    #[test]
    fn no_other_process_is_reached_and_no_other_socket_is_made() {
        confined(|| {
            let pidfd = rustix::process::pidfd_open(
                rustix::process::getpid(),
                rustix::process::PidfdFlags::empty(),
            );
            assert_eq!(pidfd.unwrap_err(), rustix::io::Errno::PERM);
            let family = rustix::net::AddressFamily::from_raw(libc::AF_VSOCK as u16);
            let socket = rustix::net::socket(family, rustix::net::SocketType::STREAM, None);
            assert_eq!(socket.unwrap_err(), rustix::io::Errno::PERM);
        });
    }

    #[test]
    fn a_thread_sets_its_own_place_and_no_others() {
        use rustix::process::{getpid, setpriority_process};
        confined(|| {
            setpriority_process(None, 1).unwrap();
            let others = setpriority_process(Some(getpid()), 1);
            assert_eq!(others.unwrap_err(), rustix::io::Errno::PERM);
            let cpus = rustix::thread::sched_getaffinity(None).unwrap();
            rustix::thread::sched_setaffinity(None, &cpus).unwrap();
            let others = rustix::thread::sched_setaffinity(Some(getpid()), &cpus);
            assert_eq!(others.unwrap_err(), rustix::io::Errno::PERM);
        });
    }

    #[test]
    fn files_threads_and_connections_go_on() {
        confined(|| {
            let folder = tempfile::tempdir().unwrap();
            let (old, new) = (folder.path().join("old"), folder.path().join("new"));
            std::fs::write(&old, b"call").unwrap();
            std::fs::File::open(&old).unwrap().sync_all().unwrap();
            std::fs::rename(&old, &new).unwrap();
            assert_eq!(std::fs::read(&new).unwrap(), b"call");
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let client = std::thread::Builder::new()
                .spawn(move || TcpStream::connect(address).unwrap().write_all(b"hear").unwrap())
                .unwrap();
            let mut heard = String::new();
            listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
            client.join().unwrap();
            assert_eq!(heard, "hear");
        });
    }
}
