//! What is asked of the kernel itself: whether its clock, which stamps the frames, is steered by a time
//! service, and whether it takes XDP programs and AF_XDP sockets.
#![expect(unsafe_code, reason = "adjtimex")]

use std::io;
use std::time::Duration;

use aya::programs::{ProgramError, ProgramType};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// What the kernel knows of its clock's quality (adjtimex(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockQuality {
    /// A time service (NTP, PTP, the hypervisor's) steers it.
    pub synchronised: bool,
    /// How far off it can be at most, as the time service says.
    pub error_max: Duration,
    /// How far off it probably is, as the time service says.
    pub error_estimated: Duration,
    /// How it is steered.
    pub steering: Steering,
}

/// By what means a time service steers the clock. Which service it is, the kernel is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// None does.
    #[default]
    Free,
    /// By its rate alone: chrony, most PTP services.
    Rate,
    /// By the kernel's phase-locked loop (STA_PLL): ntpd, systemd-timesyncd.
    PhaseLocked,
    /// By pulses once a second (STA_PPSTIME): a receiver of GPS or the like.
    Pulses,
}

impl Steering {
    const fn of(synchronised: bool, status: i32) -> Self {
        match synchronised {
            false => Self::Free,
            true if status & libc::STA_PPSTIME != 0 => Self::Pulses,
            true if status & libc::STA_PLL != 0 => Self::PhaseLocked,
            true => Self::Rate,
        }
    }

    /// A word for files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Rate => "rate",
            Self::PhaseLocked => "phaseLocked",
            Self::Pulses => "pulses",
        }
    }
}

/// How good the clock is that stamps the frames.
///
/// # Errors
/// What the kernel says.
pub fn clock_quality() -> io::Result<ClockQuality> {
    // SAFETY: `timex` is numbers, of which zero is one; with no modes set, the call only reads the clock's state.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if state == -1 {
        return Err(io::Error::last_os_error());
    }
    let synchronised = state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let micros = |count| Duration::from_micros(u64::try_from(count).unwrap_or(0));
    let (error_max, error_estimated) = (micros(timex.maxerror), micros(timex.esterror));
    let steering = Steering::of(synchronised, timex.status);
    Ok(ClockQuality { synchronised, error_max, error_estimated, steering })
}

/// Whether something can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Yes.
    Available,
    /// This process may not.
    NotPermitted,
    /// This kernel cannot.
    Missing,
    /// It did not say; the reason it gave.
    Unknown(String),
}

/// Whether programs of type XDP can be loaded. One of two instructions is, and is gone again.
#[must_use]
pub fn xdp_programs() -> Availability {
    match aya::sys::is_program_supported(ProgramType::Xdp) {
        Ok(true) => Availability::Available,
        Ok(false) => Availability::Missing,
        Err(ProgramError::SyscallError(error)) => unavailable(&error.io_error),
        Err(error) => Availability::Unknown(error.to_string()),
    }
}

/// Whether AF_XDP sockets can be opened.
#[must_use]
pub fn xdp_sockets() -> Availability {
    let opened =
        rustix::net::socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None);
    match opened {
        Ok(_) => Availability::Available,
        Err(errno) => unavailable(&errno.into()),
    }
}

fn unavailable(error: &io::Error) -> Availability {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Availability::NotPermitted,
        Some(libc::EAFNOSUPPORT | libc::ENOSYS) => Availability::Missing,
        _ => Availability::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn the_clock_can_be_asked_about() {
        let quality = clock_quality().unwrap();
        // Unsteered, the kernel lets the error grow to 16 s and leaves it there.
        assert!(quality.error_max <= Duration::from_secs(16), "{quality:?}");
    }

    #[test]
    fn how_a_clock_is_steered_is_told_from_its_status() {
        assert_eq!(Steering::of(true, libc::STA_PLL | libc::STA_NANO).name(), "phaseLocked");
        assert_eq!(Steering::of(true, libc::STA_PLL | libc::STA_PPSTIME).name(), "pulses");
        assert_eq!(Steering::of(true, libc::STA_NANO).name(), "rate");
        assert_eq!(Steering::of(false, libc::STA_PLL).name(), "free");
    }

    #[test]
    fn a_refusal_is_told_from_a_lack() {
        let of = |code| unavailable(&io::Error::from_raw_os_error(code));
        assert_eq!(of(libc::EPERM), Availability::NotPermitted);
        assert_eq!(of(libc::EAFNOSUPPORT), Availability::Missing);
        assert!(matches!(of(libc::ENOMEM), Availability::Unknown(_)));
    }
}
