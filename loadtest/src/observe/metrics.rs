//! Reading of Prometheus' text format, as far as sums and maxima of a metric need it.

/// The samples of one answer: name and value, labels left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// What `text` says; lines that are no sample say nothing.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, rest) = line.split_at(line.find([' ', '{'])?);
            // A label's value may hold a space, and none of ours holds a brace.
            let value = rest.rsplit_once('}').map_or(rest, |(_, value)| value);
            let value = value.split_whitespace().next()?.parse().ok()?;
            Some((name.to_owned(), value))
        });
        Self(samples.collect())
    }

    /// Sum over all labels; 0 where the metric has no sample.
    pub fn sum(&self, name: &str) -> f64 {
        self.values(name).sum()
    }

    /// Largest over all labels; `None` where the metric has no sample.
    pub fn max(&self, name: &str) -> Option<f64> {
        self.values(name).reduce(f64::max)
    }

    /// Samples of a metric: one for each set of labels.
    pub fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = f64> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP lag_records Records behind\n# TYPE lag_records gauge\n\
        lag_records{partition=\"0\"} 3\nlag_records{partition=\"1\"} 4.5\n\
        lag_records_more 100\nrequests_total{format=\"a b\",status=\"202\"} 7 1795405626634\n\
        broken{partition=\"0\"\nplain 1e3\n";

    #[test]
    fn labels_are_summed_and_other_names_left_out() {
        let metrics = Metrics::parse(TEXT);
        let cases = [("lag_records", 7.5), ("requests_total", 7.0), ("plain", 1_000.0), ("none", 0.0)];
        for (name, expect) in cases {
            assert_eq!(metrics.sum(name), expect, "{name}");
        }
        assert_eq!(metrics.max("lag_records"), Some(4.5));
        assert_eq!(metrics.max("none"), None);
        assert_eq!((metrics.count("lag_records"), metrics.count("none")), (2, 0));
    }
}
