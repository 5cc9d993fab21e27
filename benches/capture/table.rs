//! What came of it, as a table.

use std::fmt;

use benches::spread::Spread;

use crate::ways::{Measured, Way};

/// All measurements.
#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

struct Line {
    way: Way,
    sent: u64,
    taken: u64,
    kernel: Spread,
    taking: Spread,
    writing: Spread,
}

impl Table {
    pub(crate) fn add(&mut self, way: Way, measured: &Measured) {
        let position = self.0.iter().position(|line| line.way == way).unwrap_or_else(|| {
            self.0.push(Line::new(way));
            self.0.len() - 1
        });
        if let Some(line) = self.0.get_mut(position) {
            line.add(measured);
        }
    }

    fn of(&self, way: Way) -> Option<&Line> {
        self.0.iter().find(|line| line.way == way)
    }
}

impl Line {
    fn new(way: Way) -> Self {
        let (kernel, taking, writing) = Default::default();
        Self { way, sent: 0, taken: 0, kernel, taking, writing }
    }

    fn add(&mut self, measured: &Measured) {
        let per = |nanos: u64, frames: u64| nanos as f64 / frames.max(1) as f64;
        self.sent += measured.sent;
        self.taken += measured.taken;
        self.kernel.add(per(measured.kernel_nanos, measured.sent));
        self.taking.add(per(measured.taking_nanos, measured.taken));
        self.writing.add(per(measured.writing_nanos, measured.taken));
    }

    /// Nanoseconds of receiving a frame, without what sending it takes.
    fn receiving(&self, wire: f64) -> f64 {
        self.kernel.median() - wire + self.taking.median()
    }

    fn lost_percent(&self) -> f64 {
        100.0 * (1.0 - self.taken as f64 / self.sent.max(1) as f64)
    }
}

/// The kernel's column is as measured, sending included; `receiving` is without; the ratio is that of receiving.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = self.of(Way::Wire).map_or(0.0, |line| line.kernel.median());
        let bare = self.of(Way::Bare).map(|line| line.receiving(wire));
        writeln!(
            f,
            "| way | kernel and sending | taking thread | receiving | beside bare | journal thread | lost |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for line in &self.0 {
            write!(f, "| {:?} | {} ", line.way, line.kernel)?;
            if line.way == Way::Wire {
                writeln!(f, "| - | - | - | - | - |")?;
                continue;
            }
            let receiving = line.receiving(wire);
            let ratio = bare.map_or_else(String::new, |bare| format!("{:.2}", receiving / bare));
            let (taking, writing, lost) = (&line.taking, &line.writing, line.lost_percent());
            writeln!(f, "| {taking} | {receiving:.0} | {ratio} | {writing} | {lost:.2} % |")?;
        }
        Ok(())
    }
}
