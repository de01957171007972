//! A plot as SVG that a page holds: lines over time or by percentile, a limit, and faults as bands.
//!
//! Colours are the page's, by class, so that one drawing serves light and dark; every line has a dash pattern of its
//! own besides. A plot is drawn twice, for a wide and for a narrow screen, since letters must not shrink with it.

use std::fmt::Write;

use super::axis::{Axis, Scale, number, time};

/// Lines that are told from each other.
pub const LINES_MAX: usize = 8;
/// Bands that get their number written above them; more would cover each other.
const NUMBERED_MAX: usize = 12;
/// A plot has room for so many times its limit, so that the limit is seen from both sides.
const LIMIT_ROOM: f64 = 1.15;
/// Rows of the table beneath a plot.
const ROWS: usize = 20;
/// A line is broken where nothing was seen for so many times its usual step.
const GAP_STEPS: f64 = 3.5;

/// What stands for several points that share a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// The largest: nothing bad disappears.
    Largest,
    /// Their mean.
    Mean,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Points in the order of x.
    pub points: Vec<(f64, f64)>,
    /// What stands for several.
    pub stands: Stands,
}

/// What x is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Across {
    /// Seconds after the run's beginning, up to this many.
    Time(f64),
    /// Percent, up to this much.
    Percent(f64),
}

/// A stretch of time in which something was done to the stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Its number in the page's list of faults.
    pub number: usize,
    /// Beginning, s after the run's beginning.
    pub from_s: f64,
    /// End, s after the run's beginning.
    pub until_s: f64,
}

/// One plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Name in the page, unique there.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// How to read it, in one line.
    pub reading: String,
    /// Unit of y.
    pub unit: &'static str,
    /// How y is divided.
    pub scale: Scale,
    /// What x is.
    pub across: Across,
    /// The lines.
    pub lines: Vec<Line>,
    /// A value that must not be exceeded, and its name.
    pub limit: Option<(f64, String)>,
    /// Faults.
    pub bands: Vec<Band>,
}

/// For which screen a plot is drawn, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A desk's.
    Wide,
    /// A phone's.
    Narrow,
}

impl Screen {
    fn size(self) -> (f64, f64) {
        match self {
            Self::Wide => (920.0, 300.0),
            Self::Narrow => (360.0, 240.0),
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }

    fn times_max(self) -> usize {
        match self {
            Self::Wide => 8,
            Self::Narrow => 4,
        }
    }

    /// Points of a line at most: with more, one line of a noisy value would cover the others.
    fn points_max(self) -> f64 {
        match self {
            Self::Wide => 400.0,
            Self::Narrow => 160.0,
        }
    }

    /// Every so many percentiles are written beside their axis.
    fn percentile_step(self, count: usize) -> usize {
        match self {
            Self::Wide => 1,
            Self::Narrow => count.div_ceil(4),
        }
    }
}

/// Room for what is written around the plot.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 26.0;

impl Chart {
    /// Whether there is anything to draw.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.points.is_empty())
    }

    /// The drawing.
    pub fn svg(&self, screen: Screen) -> String {
        let (width, height) = screen.size();
        let (id, class) = (self.id, screen.class());
        let frame = Frame::new(self, screen);
        let mut svg = format!(
            "<svg class=\"plot {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-{class}-title {id}-{class}-desc\">\
             <title id=\"{id}-{class}-title\">{}</title><desc id=\"{id}-{class}-desc\">{}</desc>",
            escaped(self.title),
            escaped(&self.words())
        );
        frame.draw(self, &mut svg);
        svg.push_str("</svg>");
        svg
    }

    /// The plot in words.
    pub fn words(&self) -> String {
        let lines = self.lines.iter().filter(|line| !line.points.is_empty()).map(|line| {
            let (least, most) = range(line);
            format!("{}: {} to {} {}", line.name, number(least), number(most), self.unit)
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Heads and rows of the table that says the same.
    pub fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let unit = if self.unit.is_empty() { String::new() } else { format!(", {}", self.unit) };
        let lines = self.lines.iter().map(|line| format!("{}{unit}", line.name));
        match self.across {
            Across::Time(end_s) => {
                let heads = std::iter::once("from".to_owned()).chain(lines).collect();
                let step_s = end_s.max(1.0) / ROWS as f64;
                let rows = (0..ROWS).map(|row| {
                    let from_s = row as f64 * step_s;
                    let values = self.lines.iter().map(|line| {
                        let last = if row + 1 == ROWS { f64::INFINITY } else { from_s + step_s };
                        let within = line.points.iter().filter(|(x, _)| (from_s..last).contains(x));
                        stands_for(within.map(|(_, y)| *y), line.stands).map_or("–".to_owned(), number)
                    });
                    std::iter::once(time(from_s)).chain(values).collect()
                });
                (heads, rows.collect())
            }
            Across::Percent(_) => {
                let heads = std::iter::once("percentile".to_owned()).chain(lines).collect();
                let rows = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0].into_iter().map(|percent| {
                    let values = self.lines.iter().map(|line| {
                        let reached = line.points.iter().find(|(x, _)| *x >= percent);
                        reached.or(line.points.last()).map_or("–".to_owned(), |(_, y)| number(*y))
                    });
                    let name = if percent == 100.0 { "longest".to_owned() } else { format!("{percent} %") };
                    std::iter::once(name).chain(values).collect()
                });
                (heads, rows.collect())
            }
        }
    }
}

/// Where values are on one drawing.
struct Frame {
    x: Axis,
    y: Axis,
    screen: Screen,
    right: f64,
    bottom: f64,
}

impl Frame {
    fn new(chart: &Chart, screen: Screen) -> Self {
        let (width, height) = screen.size();
        let x = match chart.across {
            Across::Time(seconds) => Axis::time(seconds, screen.times_max()),
            Across::Percent(percent) => Axis::percentiles(percent),
        };
        let values = chart.lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
        let y =
            Axis::around(values.chain(chart.limit.iter().map(|(limit, _)| *limit * LIMIT_ROOM)), chart.scale);
        Self { x, y, screen, right: width - RIGHT, bottom: height - BOTTOM }
    }

    fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (self.right - LEFT)
    }

    fn at_y(&self, value: f64) -> f64 {
        self.bottom - self.y.place(value) * (self.bottom - TOP)
    }

    fn draw(&self, chart: &Chart, svg: &mut String) {
        self.draw_bands(chart, svg);
        self.draw_axes(chart, svg);
        if let Some((limit, name)) = &chart.limit {
            let y = self.at_y(*limit);
            push(svg, format_args!("<path class=\"limit\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", self.right));
            let (x, y) = (self.right - 4.0, y - 5.0);
            push(
                svg,
                format_args!("<text class=\"limit-name\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(name)),
            );
        }
        for (place, line) in chart.lines.iter().enumerate() {
            let path = self.path(chart, line);
            if !path.is_empty() {
                push(svg, format_args!("<path class=\"line l{}\" d=\"{path}\"/>", place % LINES_MAX));
            }
        }
    }

    fn draw_axes(&self, chart: &Chart, svg: &mut String) {
        for tick in self.y.ticks() {
            let (y, text) = (self.at_y(*tick), number(*tick));
            push(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", self.right));
            let (x, y) = (LEFT - 7.0, y + 4.0);
            push(svg, format_args!("<text class=\"y\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"));
        }
        push(svg, format_args!("<text class=\"unit\" x=\"4\" y=\"12\">{}</text>", escaped(chart.unit)));
        self.draw_ticks(chart, svg);
        push(svg, format_args!("<path class=\"axis\" d=\"M{LEFT} {:.1}H{:.1}\"/>", self.bottom, self.right));
    }

    fn draw_ticks(&self, chart: &Chart, svg: &mut String) {
        let ticks = self.x.ticks();
        for (place, tick) in ticks.iter().enumerate() {
            let (x, y) = (self.at_x(*tick), self.bottom + 18.0);
            push(svg, format_args!("<path class=\"tick\" d=\"M{x:.1} {:.1}v5\"/>", self.bottom));
            let text = match chart.across {
                Across::Time(_) => time(*tick),
                Across::Percent(_) if place.is_multiple_of(self.screen.percentile_step(ticks.len())) => {
                    percent(*tick)
                }
                Across::Percent(_) => continue,
            };
            // In the middle the last one would stand out of the drawing.
            let (class, x) = match place + 1 == ticks.len() && x > self.right - 30.0 {
                true => ("end", self.right + RIGHT - 2.0),
                false => ("x", x),
            };
            push(svg, format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"));
        }
    }

    fn draw_bands(&self, chart: &Chart, svg: &mut String) {
        for band in &chart.bands {
            let (from, until) = (self.at_x(band.from_s), self.at_x(band.until_s));
            // What lasts for less than a pixel is seen all the same.
            let (width, height) = ((until - from).max(2.0), self.bottom - TOP);
            push(
                svg,
                format_args!(
                    "<rect class=\"fault\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                ),
            );
            if chart.bands.len() <= NUMBERED_MAX {
                let (x, y) = (from + width / 2.0, TOP - 5.0);
                push(
                    svg,
                    format_args!(
                        "<text class=\"fault-number\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                        band.number
                    ),
                );
            }
        }
    }

    fn path(&self, chart: &Chart, line: &Line) -> String {
        let points = match chart.across {
            Across::Time(seconds) => condensed(line, seconds.max(1.0) / self.screen.points_max()),
            Across::Percent(_) => line.points.iter().map(|(x, y)| (Axis::nines(*x), *y)).collect(),
        };
        let usual = usual_step(&points);
        let (mut path, mut before): (String, Option<f64>) = (String::new(), None);
        for (x, y) in points {
            let broken = before.is_none_or(|before| {
                matches!(chart.across, Across::Time(_)) && x - before > usual * GAP_STEPS
            });
            let command = if broken { 'M' } else { 'L' };
            push(&mut path, format_args!("{command}{:.1} {:.1}", self.at_x(x), self.at_y(y)));
            before = Some(x);
        }
        path
    }
}

/// The points of a line with one for each `step`, at the place of its first.
fn condensed(line: &Line, step: f64) -> Vec<(f64, f64)> {
    line.points
        .chunk_by(|a, b| (a.0 / step).floor() == (b.0 / step).floor())
        .filter_map(|chunk| {
            let (x, _) = chunk.first()?;
            Some((*x, stands_for(chunk.iter().map(|(_, y)| *y), line.stands)?))
        })
        .collect()
}

/// The median distance between neighbours.
fn usual_step(points: &[(f64, f64)]) -> f64 {
    let mut steps: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().unwrap_or(f64::INFINITY)
}

fn stands_for(values: impl Iterator<Item = f64>, stands: Stands) -> Option<f64> {
    let (mut count, mut sum, mut most) = (0, 0.0, f64::NEG_INFINITY);
    for value in values {
        (count, sum, most) = (count + 1, sum + value, most.max(value));
    }
    (count > 0).then(|| match stands {
        Stands::Largest => most,
        Stands::Mean => sum / f64::from(count),
    })
}

fn range(line: &Line) -> (f64, f64) {
    let values = line.points.iter().map(|(_, y)| *y);
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), y| (least.min(y), most.max(y)))
}

/// A number of nines as a percentage.
fn percent(nines: f64) -> String {
    match nines as usize {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more - 2)),
    }
}

/// Writing to a text cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

/// Text that stands for itself in HTML and in its attributes.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[(f64, f64)], stands: Stands) -> Line {
        Line { name: "p99".into(), points: points.to_vec(), stands }
    }

    fn chart(lines: Vec<Line>, across: Across) -> Chart {
        Chart {
            id: "c",
            title: "A <title>",
            reading: String::new(),
            unit: "ms",
            scale: Scale::Linear,
            across,
            lines,
            limit: None,
            bands: Vec::new(),
        }
    }

    #[test]
    fn the_largest_of_what_shares_a_place_is_drawn() {
        let points = [(0.0, 1.0), (0.4, 9.0), (1.0, 2.0), (1.9, 4.0)];
        assert_eq!(condensed(&line(&points, Stands::Largest), 1.0), [(0.0, 9.0), (1.0, 4.0)]);
        assert_eq!(condensed(&line(&points, Stands::Mean), 1.0), [(0.0, 5.0), (1.0, 3.0)]);
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_seen() {
        let points: Vec<(f64, f64)> = [0.0, 1.0, 2.0, 3.0, 20.0, 21.0].map(|x| (x, 1.0)).to_vec();
        let svg = chart(vec![line(&points, Stands::Mean)], Across::Time(30.0)).svg(Screen::Wide);
        let path = svg.split("class=\"line l0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 4), "{path}");
    }

    #[test]
    fn the_drawing_says_in_words_what_it_shows() {
        let svg = chart(vec![line(&[(0.0, 1.5), (1.0, 40.0)], Stands::Mean)], Across::Time(2.0))
            .svg(Screen::Narrow);
        assert!(svg.contains(">A &lt;title&gt;</title>"), "{svg}");
        assert!(svg.contains(">p99: 1.5 to 40 ms</desc>"), "{svg}");
    }

    #[test]
    fn a_short_fault_is_seen_and_many_have_no_numbers() {
        let with = |count: usize| Chart {
            bands: (1..=count).map(|number| Band { number, from_s: 1.0, until_s: 1.0 }).collect(),
            ..chart(vec![line(&[(0.0, 1.0)], Stands::Mean)], Across::Time(3_600.0))
        };
        let svg = with(NUMBERED_MAX).svg(Screen::Wide);
        assert!(svg.contains("width=\"2.0\""), "{svg}");
        assert_eq!(svg.matches("class=\"fault-number\"").count(), NUMBERED_MAX);
        assert_eq!(with(NUMBERED_MAX + 1).svg(Screen::Wide).matches("class=\"fault-number\"").count(), 0);
    }

    #[test]
    fn the_table_has_what_the_drawing_has() {
        let over_time = chart(vec![line(&[(0.0, 1.0), (99.0, 7.0)], Stands::Largest)], Across::Time(100.0));
        let (heads, rows) = over_time.table();
        assert_eq!(heads, ["from", "p99, ms"]);
        assert_eq!((rows.len(), rows[0][1].as_str(), rows[1][1].as_str()), (ROWS, "1", "–"));
        assert_eq!(rows[ROWS - 1], ["1:35", "7"]);

        let points = [(50.0, 1.0), (90.0, 2.0), (100.0, 30.0)];
        let (_, rows) = chart(vec![line(&points, Stands::Largest)], Across::Percent(100.0)).table();
        assert_eq!(rows[0], ["50 %", "1"]);
        assert_eq!(rows[1], ["75 %", "2"]);
        assert_eq!(rows[7], ["longest", "30"]);
    }
}
