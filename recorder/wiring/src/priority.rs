//! Who goes first where there are fewer CPUs than work: taking packets before finishing calls, which can wait.
//!
//! On Linux a nice value is a thread's own, and threads that it starts begin with it.

use rustix::process::{getpriority_process, setpriority_process};

/// Of the threads that take packets, keep the calls, and write the journal.
const CAPTURING: i32 = -15;
/// Of one that sends, as if from another machine.
const FIRST: i32 = -20;

/// The calling thread, and those that it starts from now on, go before others. Where that is not allowed
/// (`CAP_SYS_NICE`), the log says so.
pub(crate) fn before_others() {
    if let Err(error) = setpriority_process(None, CAPTURING) {
        tracing::warn!(
            "packets may be lost when other programs want the CPUs: capturing cannot go before them: {error}"
        );
    }
}

/// The calling thread goes behind those that take packets: like any other program's.
pub(crate) fn like_others() {
    // Raising it needs no privilege; what was never lowered stays.
    if getpriority_process(None).is_ok_and(|nice| nice < 0) {
        let _ = setpriority_process(None, 0);
    }
}

/// The calling thread goes before all others but those in real time, until this is dropped; as far as it may. In real time, a
/// thread that is always busy would leave its CPU's kernel threads nothing, for which others wait.
#[must_use]
pub(crate) struct First {
    before: i32,
}

impl First {
    pub(crate) fn take() -> Self {
        let before = getpriority_process(None).unwrap_or(0);
        // What it may not have, it goes without.
        let _ = setpriority_process(None, FIRST);
        Self { before }
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let _ = setpriority_process(None, self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_goes_first_too_until_it_steps_back() {
        let nice = || getpriority_process(None).unwrap();
        let [began_at, first, inherited, behind, still] = std::thread::scope(|scope| {
            let run = || {
                let began_at = nice();
                before_others();
                let first = nice();
                let later = scope.spawn(|| {
                    let inherited = nice();
                    like_others();
                    (inherited, nice())
                });
                let (inherited, behind) = later.join().unwrap();
                [began_at, first, inherited, behind, nice()]
            };
            scope.spawn(run).join().unwrap()
        });
        if first == began_at {
            println!("skipped: no privilege to go before others");
            return;
        }
        assert_eq!((first, inherited, behind, still), (CAPTURING, CAPTURING, 0, CAPTURING));
    }
}
