//! `Histogram`: how often a quantity was how large.

use super::exposition::Exposition;

/// Counts of observations, one for each bound, and one for those beyond all of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram<const N: usize> {
    counts: [u64; N],
    beyond: u64,
    sum: f64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { counts: [0; N], beyond: 0, sum: 0.0 }
    }
}

impl<const N: usize> Histogram<N> {
    /// Adds an observation; `bounds` ascend and are always the same.
    pub(super) fn observe(&mut self, bounds: &[f64; N], value: f64) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        *self.counts.get_mut(bucket).unwrap_or(&mut self.beyond) += 1;
        self.sum += value;
    }

    /// Writes what was observed, unless nothing was.
    pub(super) fn write(&self, out: &mut Exposition, bounds: &[f64; N], name: &str, labels: &[(&str, &str)]) {
        let total = self.counts.iter().sum::<u64>() + self.beyond;
        if total == 0 {
            return;
        }
        let bucket = format!("{name}_bucket");
        let mut sample = |bound: &str, count: u64| {
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", bound)]).collect();
            out.sample(&bucket, &labels, count);
        };
        let mut up_to = 0;
        for (bound, count) in bounds.iter().zip(&self.counts) {
            up_to += count;
            sample(&bound.to_string(), up_to);
        }
        sample("+Inf", total);
        out.sample(&format!("{name}_sum"), labels, self.sum);
        out.sample(&format!("{name}_count"), labels, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_no_larger() {
        const BOUNDS: [f64; 2] = [0.5, 10.0];
        let mut histogram = Histogram::default();
        for value in [0.5, 0.25, 3.0, 11.0] {
            histogram.observe(&BOUNDS, value);
        }
        let mut out = Exposition::default();
        histogram.write(&mut out, &BOUNDS, "s", &[("a", "b")]);
        let expected = "s_bucket{a=\"b\",le=\"0.5\"} 2\ns_bucket{a=\"b\",le=\"10\"} 3\ns_bucket{a=\"b\",le=\"+Inf\"} 4\n\
                        s_sum{a=\"b\"} 14.75\ns_count{a=\"b\"} 4\n";
        assert_eq!(out.text(), expected);
        let mut out = Exposition::default();
        Histogram::<2>::default().write(&mut out, &BOUNDS, "s", &[]);
        assert_eq!(out.text(), "");
    }
}
