//! The table of alarms: id, severity, hysteresis, meaning, what to do. docs/ALARMS.md repeats it (a test compares).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How bad it is (ITU-T X.733, 8.1.2.3, without "indeterminate"; "cleared" is a state here).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Calls are being lost, or are about to be: act now.
    Critical,
    /// Recordings are damaged or delayed: act soon.
    Major,
    /// Something that will do harm if it stays.
    Minor,
    /// Worth knowing.
    Warning,
}

impl Severity {
    /// The word of X.733.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Milliseconds that a condition must hold before its alarm rises, and be gone before it clears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    raise: u64,
    clear: u64,
}

/// Rises at once; clears when nothing has come for a minute: losses come in bursts.
const AT_ONCE: Hold = Hold { raise: 0, clear: 60_000 };
/// A state that is known for sure, but may flap.
const STATE: Hold = Hold { raise: 0, clear: 10_000 };
/// A state that is normal for a moment.
const LASTING: Hold = Hold { raise: 10_000, clear: 30_000 };
/// Tells what has happened, and is over by itself.
const NEWS: Hold = Hold { raise: 0, clear: 900_000 };

macro_rules! alarms {
    ($($variant:ident = $id:literal, $severity:ident, $hold:expr, $meaning:literal, $action:literal;)*) => {
        /// Which alarm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum AlarmId {
            $(#[doc = $meaning] #[serde(rename = $id)] $variant,)*
        }

        impl AlarmId {
            /// All of them, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in events, files and metrics (snake case). It never changes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What it means, for an operator.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self { $(Self::$variant => $action,)* }
            }

            const fn hold(self) -> Hold {
                match self { $(Self::$variant => $hold,)* }
            }
        }
    };
}

alarms! {
    // The mirror port
    NoPackets = "no_packets", Critical, LASTING,
        "No packet has come in on the mirror port for 10 s: nothing can be recorded.",
        "Check the mirror session on the switch (`show monitor session`), the cable and the port; `spanreel doctor` tells more.";
    InterfaceDown = "interface_down", Critical, STATE,
        "The interface is down, has no carrier, or is gone.",
        "Check cable, transceiver and the switch's port; bring the interface up (`ip link set ... up`). Recording then goes on by itself.";
    SipWithoutRtp = "sip_without_rtp", Major, AT_ONCE,
        "Calls are answered, but none or few of their media are seen.",
        "Mirror the VLANs and ports that carry the voice too; media that go another way (direct media, another site) need a mirror there.";
    RtpWithoutSip = "rtp_without_sip", Major, AT_ONCE,
        "Voice is seen whose signalling is not: such calls have no numbers and are kept only if keep_unclaimed is on.",
        "Mirror the link to the SIP proxy or session border controller too; add its ports to signalling_ports; SIP over TLS cannot be read.";
    OneDirection = "one_direction", Major, AT_ONCE,
        "Of most calls only one direction is seen.",
        "Mirror both directions (receive and transmit) of the port; with asymmetric routing, mirror the other path too.";
    Duplicates = "duplicates", Minor, AT_ONCE,
        "Many packets come more than once. Recordings are not harmed, but capacity is.",
        "Mirror each packet in one place only: one direction of every port of a VLAN, or both directions of one uplink.";
    // Losses, by stage
    DropInterface = "drop_interface", Critical, AT_ONCE,
        "The network card lost packets before anything could take them.",
        "Give the card larger rings (`ethtool -G`), more queues, or cores of its own; `spanreel doctor` says which.";
    DropProgram = "drop_program", Critical, AT_ONCE,
        "The kernel's XDP program could not hand packets over.",
        "Raise the number of queues, keep capture threads on cores of their own (cores), and see worker_busy.";
    DropSocket = "drop_socket", Critical, AT_ONCE,
        "A socket's ring overran: its capture thread was too slow, or was kept from running.",
        "Keep capture threads on cores that nothing else uses (cores); raise queues; see worker_busy.";
    DropTables = "drop_tables", Critical, AT_ONCE,
        "A table of fragments, TCP connections or media flows is full: packets that would need a place are lost.",
        "See whether someone floods the network (many sources, random ports); exclude them from the mirror.";
    DropJournal = "drop_journal", Critical, AT_ONCE,
        "The journal could not take packets: the disk is full, failing, or too slow.",
        "See disk_slow, disk_full and journal_failing; put the data folder on a faster disk.";
    DropSignalling = "drop_signalling", Critical, AT_ONCE,
        "SIP messages did not reach the dialog thread: its ring was full.",
        "See whether the machine is overloaded or SIP floods the network; keep one core free for it.";
    OrdersRefused = "orders_refused", Major, AT_ONCE,
        "A capture thread, or the kernel's table of endpoints, did not take what it was told: media on unusual ports may be missed.",
        "See worker_busy; if it stays, restart the service and report it.";
    SipRefused = "sip_refused", Critical, AT_ONCE,
        "New calls were not followed: the table of calls is full.",
        "See whether SIP floods the network (scanners, a loop between proxies); exclude its sources from the mirror.";
    // This program
    WorkerBusy = "worker_busy", Major, LASTING,
        "A capture thread is near its limit: at the next peak packets will be lost.",
        "Raise queues, keep capture threads on cores of their own (cores), or mirror less to this machine.";
    EngineStalled = "engine_stalled", Critical, STATE,
        "The thread that follows the calls has not answered for 5 s. Packets are still journaled.",
        "See whether the machine is overloaded or hangs on a disk; if it stays, restart the service: nothing journaled is lost.";
    CallsRefused = "calls_refused", Critical, AT_ONCE,
        "New calls are not recorded, so that those that are up can be: there is no room left, or a capture thread has no time.",
        "Make room at once: see disk_full, recordings_down, finishing_behind and worker_busy.";
    FinishingBehind = "finishing_behind", Major, LASTING,
        "Finished calls wait to become recordings. They are safe in the journal, but not yet to be heard.",
        "See recordings_down, catalog_down and disk_slow; if there are none of them, the machine needs more cores.";
    FinishingFailed = "finishing_failed", Major, AT_ONCE,
        "A call could not be made into a recording. Its packets stay in the journal, and it is tried again, more and more seldom; it clears when that went well.",
        "The log names the call and the reason; report it with the log if the next start fails as well.";
    RecordingsIncomplete = "recordings_incomplete", Major, AT_ONCE,
        "Many new recordings have gaps: packets were lost before they came here, or here.",
        "If a drop alarm is up, see there. If not, the mirror port or the network loses packets: compare with the telephones' figures (RTCP).";
    Undecryptable = "undecryptable", Minor, AT_ONCE,
        "Media are encrypted (SRTP) and their keys are not seen: they are kept as packets, not as audio.",
        "Mirror the signalling that carries the keys (SDES), or use SIPREC; keys agreed on the media path (DTLS-SRTP) cannot be seen.";
    RecoveryRan = "recovery_ran", Warning, NEWS,
        "An earlier run did not end in order; what it left was finished. It clears by itself.",
        "Find out why it ended: `journalctl -u spanreel`, power, memory (the kernel's out-of-memory killer).";
    // Disks and what keeps recordings
    DiskSlow = "disk_slow", Major, Hold { raise: 0, clear: 30_000 },
        "The disk takes long to write. Packets wait in memory meanwhile.",
        "See what else uses the disk (`iostat -x`), and its health (`smartctl -a`); move the data folder to a faster disk.";
    DiskLow = "disk_low", Minor, STATE,
        "The disk fills up.",
        "Make room, purge or move recordings, or add a disk. Below the lower mark new calls are refused.";
    DiskFull = "disk_full", Critical, STATE,
        "The disk is all but full: recording is about to stop, or new calls are refused already.",
        "Make room at once; recording of new calls goes on by itself.";
    RetentionShort = "retention_short", Warning, Hold { raise: 60_000, clear: 600_000 },
        "At the present rate the disk is full before the retention time is over.",
        "Add a disk, shorten the retention, or record less.";
    JournalMoved = "journal_moved", Major, STATE,
        "The journal's own disk failed; it is written to the second path.",
        "Replace the failed disk, then restart the service.";
    JournalFailing = "journal_failing", Critical, STATE,
        "The journal cannot be written: a crash or power cut now would lose calls.",
        "Check the disk (`dmesg`, `smartctl -a`), its mount and its space.";
    CatalogDown = "catalog_down", Major, STATE,
        "The catalog (database) cannot be reached. Recording goes on; new recordings cannot be found yet.",
        "Check the database; what waited is entered by itself when it is back.";
    RecordingsDown = "recordings_down", Major, STATE,
        "The place where recordings go cannot be written. Recording goes on; finished calls wait on the local disk.",
        "Check the mount or the server; what waited is stored by itself when it is back.";
    RecordingsWaiting = "recordings_waiting", Warning, LASTING,
        "Finished recordings wait on the local disk: they are safe, but cannot be found or heard yet.",
        "See recordings_down and catalog_down. If neither is up, they are being stored just now; it clears by itself.";
    CatalogRebuilt = "catalog_rebuilt", Minor, NEWS,
        "The catalog was damaged or gone, and was made anew from the recordings. It clears by itself.",
        "Check the disk of the data folder (`dmesg`, `smartctl -a`). If recordings could not be read, `spanreel list --rebuild --key FILE` enters them.";
    // Certificates and clocks
    CertificateExpiresSoon = "certificate_expires_soon", Warning, STATE,
        "A certificate expires within 30 days.",
        "Renew it and reload the service (SIGHUP).";
    CertificateExpires = "certificate_expires", Major, STATE,
        "A certificate expires within 7 days.",
        "Renew it now and reload the service (SIGHUP).";
    CertificateExpired = "certificate_expired", Critical, STATE,
        "A certificate has expired or is not valid yet. Recording goes on; whoever checks it may refuse what it was used for.",
        "Replace it now and reload the service (SIGHUP); if it is not valid yet, check this machine's clock.";
    ClockUnsynchronised = "clock_unsynchronised", Minor, Hold { raise: 60_000, clear: 30_000 },
        "No time service steers the clock: times of recordings may be wrong.",
        "Start chronyd, systemd-timesyncd or ptp4l and let it reach its servers.";
    ClockStepped = "clock_stepped", Warning, NEWS,
        "The wall clock was stepped. Durations are not affected; times before and after do not fit together. It clears by itself.",
        "See what steps it (`chronyc tracking`); a time service should steer, not step, once it runs.";
    // The alarms themselves
    OutletFailing = "outlet_failing", Minor, STATE,
        "An outlet for alarms (syslog, webhook, file) does not work or lost events.",
        "Check its address, certificate and receiver.";
}

impl AlarmId {
    /// How long its condition must hold before it rises.
    #[must_use]
    pub const fn raise_after(self) -> Duration {
        Duration::from_millis(self.hold().raise)
    }

    /// How long its condition must be gone before it clears.
    #[must_use]
    pub const fn clear_after(self) -> Duration {
        Duration::from_millis(self.hold().clear)
    }
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_snake_case() {
        let mut names: Vec<_> = AlarmId::ALL.iter().map(|id| id.name()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), AlarmId::ALL.len());
    }

    #[test]
    fn an_id_is_written_as_its_name() {
        for id in AlarmId::ALL {
            let json = serde_json::to_value(id).unwrap();
            assert_eq!(json, id.name());
            assert_eq!(serde_json::from_value::<AlarmId>(json).unwrap(), *id);
        }
    }
}
