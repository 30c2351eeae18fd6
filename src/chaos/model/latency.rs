//! `Latency`: a random delay.

use std::{fmt, ops::RangeInclusive, time::Duration};

use rand::RngExt;
use rand_distr::{Exp1, Pareto, StandardNormal};

use super::{
    duration::Iso,
    random::{Draw, Random},
};
use crate::util::time::FOREVER;

/// A delay, drawn anew for each request.
///
/// ```
/// use std::time::Duration;
///
/// use tower_traffic::chaos::Latency;
///
/// let ms = Duration::from_millis;
/// let constant = Latency::fixed(ms(100));
/// let uniform = Latency::uniform(ms(100)..=ms(300));
/// // A long tail, as where requests wait in queues: most are fast, and a few are very slow.
/// let tailed = Latency::pareto(ms(20), 1.5).max(ms(5_000));
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    pub(in crate::chaos) shape: Shape,
    pub(in crate::chaos) cap: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Shape {
    Uniform { min: Duration, max: Duration },
    Normal { mean: Duration, deviation: Duration },
    Exponential { mean: Duration },
    Pareto { min: Duration, shape: f64 },
}

impl Latency {
    /// Creates a constant delay of `time`.
    pub fn fixed(time: Duration) -> Self {
        Self::uniform(time..=time)
    }

    /// Creates a delay from the range `times`, uniformly distributed.
    ///
    /// If the end of the range is before its start, the delay is its start.
    pub fn uniform(times: RangeInclusive<Duration>) -> Self {
        let (min, max) = times.into_inner();
        Self::of(Shape::Uniform {
            min,
            max: max.max(min),
        })
    }

    /// Creates a normally distributed delay. Negative values become zero.
    pub fn normal(mean: Duration, deviation: Duration) -> Self {
        Self::of(Shape::Normal { mean, deviation })
    }

    /// Creates an exponentially distributed delay: short delays are frequent, long delays are rare.
    pub fn exponential(mean: Duration) -> Self {
        Self::of(Shape::Exponential { mean })
    }

    /// Creates a delay with a Pareto distribution: at least `min`, with a long tail.
    ///
    /// The smaller `shape`, the longer the tail; 1.16 gives the "80 to 20" rule, and a `shape` that
    /// is not above 0 counts as 1. Without a [maximum](Self::max), some delays may last for days.
    pub fn pareto(min: Duration, shape: f64) -> Self {
        let shape = if shape > 0.0 {
            shape.min(f64::MAX)
        } else {
            1.0
        };
        Self::of(Shape::Pareto { min, shape })
    }

    /// Shortens delays that are longer than `cap` to `cap`. Of several calls, the last applies.
    pub fn max(self, cap: Duration) -> Self {
        Self {
            cap: Some(cap),
            ..self
        }
    }

    fn of(shape: Shape) -> Self {
        Self { shape, cap: None }
    }

    pub(in crate::chaos) fn draw(&self, random: Random) -> Duration {
        let mut generator = random.generator(Draw::Latency);
        let seconds = match self.shape {
            Shape::Uniform { min, max } if min == max => return self.cut(min),
            Shape::Uniform { min, max } => return self.cut(generator.random_range(min..=max)),
            Shape::Normal { mean, deviation } => {
                let normal: f64 = generator.sample(StandardNormal);
                mean.as_secs_f64() + deviation.as_secs_f64() * normal
            }
            Shape::Exponential { mean } => {
                let exponential: f64 = generator.sample(Exp1);
                mean.as_secs_f64() * exponential
            }
            Shape::Pareto { min, shape } => {
                let pareto = Pareto::new(1.0, shape);
                min.as_secs_f64() * pareto.map_or(1.0, |pareto| generator.sample(pareto))
            }
        };
        // A time that does not fit into a `Duration` is longer than any wait.
        let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(FOREVER);
        self.cut(time)
    }

    fn cut(&self, time: Duration) -> Duration {
        time.min(self.cap.unwrap_or(FOREVER)).min(FOREVER)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            // In http4k's words.
            Shape::Uniform { min, max } => write!(f, "(range = {} to {}", Iso(min), Iso(max)),
            Shape::Normal { mean, deviation } => {
                write!(f, "(normal = {}, deviation {}", Iso(mean), Iso(deviation))
            }
            Shape::Exponential { mean } => write!(f, "(exponential = {}", Iso(mean)),
            Shape::Pareto { min, shape } => write!(f, "(pareto = {}, shape {shape}", Iso(min)),
        }?;
        match self.cap {
            Some(cap) => write!(f, ", at most {})", Iso(cap)),
            None => f.write_str(")"),
        }
    }
}
