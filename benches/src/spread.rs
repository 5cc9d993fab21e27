//! Several measurements of one thing.

use std::fmt;

/// Measurements of one thing, in one unit.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// One more.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one; of an even number, the mean of the two in the middle. Zero of none.
    #[must_use]
    pub fn median(&self) -> f64 {
        let at = |index: usize| self.0.get(index).copied().unwrap_or_default();
        let half = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) {
            f64::midpoint(at(half.saturating_sub(1)), at(half))
        } else {
            at(half)
        }
    }

    /// The least; zero of none.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or_default()
    }

    /// The most; zero of none.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }
}

/// `94 [90-101]`: median, least and most. A precision is that of each.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let text =
            format!("{:.digits$} [{:.digits$}-{:.digits$}]", self.median(), self.min(), self.max());
        f.pad_integral(true, "", &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let mut spread = Spread::default();
        assert_eq!(spread.median(), 0.0);
        [3.0, 1.0, 2.0].into_iter().for_each(|value| spread.add(value));
        assert_eq!(spread.to_string(), "2 [1-3]");
        spread.add(10.0);
        assert_eq!(format!("{spread:.1}"), "2.5 [1.0-10.0]");
        assert_eq!(format!("{spread:>10}"), "  2 [1-10]");
    }
}
