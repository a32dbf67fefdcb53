//! Progress on standard error: a bar if that is a terminal, else a line every minute, as logs of
//! batch jobs need.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use shardmill::Stats;

use crate::cli::human;
use crate::cli::output::summary;

/// How often the display is updated.
const TICK: Duration = Duration::from_millis(100);

/// How often a line is printed where there is no display.
const LINE_EVERY: Duration = Duration::from_mins(1);

/// Shows a run's [`Stats`] until it is dropped.
pub(crate) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows `stats`, which count bytes, after the word `what`.
    pub(crate) fn show(what: &'static str, stats: &Arc<Stats>) -> Self {
        Self::show_as(what, stats, &BYTES)
    }

    /// Shows `stats`, which count steps, after the word `what`.
    pub(crate) fn count(what: &'static str, stats: &Arc<Stats>) -> Self {
        Self::show_as(what, stats, &STEPS)
    }

    fn show_as(what: &'static str, stats: &Arc<Stats>, unit: &'static Unit) -> Self {
        let bar = ProgressBar::new(0).with_message(what);
        let (stop, stopped) = channel();
        let stats = Arc::clone(stats);
        let follow = move || {
            if bar.is_hidden() {
                print_lines(what, &stats, unit, &stopped);
            } else {
                draw(&bar, &stats, unit, &stopped);
            }
        };
        Self {
            stop: Some(stop),
            // If no thread can be started, the work continues without a display.
            thread: std::thread::Builder::new().spawn(follow).ok(),
        }
    }
}

/// What is counted.
struct Unit {
    /// The bar, for a total.
    style: fn(u64) -> ProgressStyle,
    /// How fast it goes.
    describe: fn(&Pace, Instant) -> String,
    /// An amount.
    amount: fn(u64) -> String,
}

const BYTES: Unit = Unit {
    style,
    describe: Pace::of_bytes,
    amount: human::bytes,
};

const STEPS: Unit = Unit {
    style: |_| styled("{msg} [{wide_bar}] {pos}/{len}{prefix}"),
    describe: Pace::of_steps,
    amount: human::count,
};

/// Whether the work continues, `time` later at most.
fn continues(stopped: &Receiver<()>, time: Duration) -> bool {
    stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
}

/// Updates `bar` until the work ends.
fn draw(bar: &ProgressBar, stats: &Stats, unit: &Unit, stopped: &Receiver<()>) {
    let mut pace = None;
    while continues(stopped, TICK) {
        let now = Instant::now();
        let seen = Seen::of(stats);
        let is_new = pace
            .as_ref()
            .is_none_or(|pace: &Pace| pace.seen.step != seen.step);
        if is_new {
            bar.set_style((unit.style)(seen.total));
            bar.set_length(seen.total);
            bar.reset();
        }
        let pace = pace.get_or_insert_with(|| Pace::new(now, seen));
        pace.follow(now, seen);
        bar.set_position(seen.done);
        bar.set_prefix((unit.describe)(pace, now));
    }
    bar.finish_and_clear();
}

/// Prints a line every minute until the work ends.
fn print_lines(what: &str, stats: &Stats, unit: &Unit, stopped: &Receiver<()>) {
    let mut printed = Instant::now();
    let mut pace = Pace::new(printed, Seen::of(stats));
    while continues(stopped, 10 * TICK) {
        let now = Instant::now();
        pace.follow(now, Seen::of(stats));
        if now.saturating_duration_since(printed) >= LINE_EVERY {
            printed = now;
            summary(&pace.line(what, unit, now));
        }
    }
}

fn style(total: u64) -> ProgressStyle {
    styled(if total == 0 {
        "{msg} {spinner} {decimal_bytes}{prefix}"
    } else {
        "{msg} [{wide_bar}] {percent}% {decimal_bytes}/{decimal_total_bytes}{prefix}"
    })
}

fn styled(template: &str) -> ProgressStyle {
    // The templates are constants that a terminal test covers.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A snapshot of [`Stats`].
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    step: u64,
    total: u64,
    done: u64,
    taken_over: u64,
}

impl Seen {
    fn of(stats: &Stats) -> Self {
        Self {
            step: stats.step(),
            total: stats.total(),
            done: stats.done(),
            taken_over: stats.taken_over(),
        }
    }
}

/// The speed of this run. What it reuses from an earlier run does not count as work.
#[derive(Debug)]
struct Pace {
    /// When the work began: after the last unit of an earlier run was reused.
    since: Instant,
    seen: Seen,
}

impl Pace {
    fn new(now: Instant, seen: Seen) -> Self {
        Self { since: now, seen }
    }

    fn follow(&mut self, now: Instant, seen: Seen) {
        if (seen.step, seen.taken_over) != (self.seen.step, self.seen.taken_over) {
            self.since = now;
        }
        self.seen = seen;
    }

    /// How much was made since the work began, and in how much time; `None` while that is nothing.
    fn made(&self, now: Instant) -> Option<(u64, Duration)> {
        let made = self.seen.done.saturating_sub(self.seen.taken_over);
        let time = now.saturating_duration_since(self.since);
        (made > 0 && !time.is_zero()).then_some((made, time))
    }

    /// The time left at this rate.
    fn left(&self, now: Instant) -> Option<Duration> {
        let (made, time) = self.made(now)?;
        let left = self.seen.total.checked_sub(self.seen.done)?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = time.as_secs_f64() * left as f64 / made as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// `tokenize: 12 %, 1.2 GB of 9.8 GB, 350.0 MB/s, 24s left`.
    fn line(&self, what: &str, unit: &Unit, now: Instant) -> String {
        let Seen { done, total, .. } = self.seen;
        let amount = (unit.amount)(done);
        let amount = match (100 * u128::from(done)).checked_div(total.into()) {
            Some(percent) => format!("{percent} %, {amount} of {}", (unit.amount)(total)),
            None => amount,
        };
        let pace = (unit.describe)(self, now);
        let pace = pace.trim_start_matches([',', ' ']);
        let comma = if pace.is_empty() { "" } else { ", " };
        format!("{what}: {amount}{comma}{pace}")
    }

    /// ` 85.0 MB/s, 6s left`, or nothing while there is no rate.
    fn of_bytes(&self, now: Instant) -> String {
        let Some((made, time)) = self.made(now) else {
            return String::new();
        };
        let rate = human::bytes(human::per_second(made, time));
        format!(" {rate}/s{}", self.of_steps(now))
    }

    /// `, 6s left`, or nothing.
    fn of_steps(&self, now: Instant) -> String {
        self.left(now).map_or(String::new(), |left| {
            format!(", {:#} left", HumanDuration(left))
        })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The display never panics; if it did, the work would be done all the same.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_did_is_no_speed_of_this_one() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let seen = |done, taken_over| Seen {
            step: 1,
            total: 1_000_000_000,
            done,
            taken_over,
        };
        let mut pace = Pace::new(at(0), seen(0, 0));
        // Most of it exists already: read again and reused within ten seconds.
        for (second, done) in [(5, 400_000_000), (10, 900_000_000)] {
            pace.follow(at(second), seen(done, done));
            assert_eq!(pace.of_bytes(at(second)), "");
        }
        pace.follow(at(20), seen(950_000_000, 900_000_000));
        assert_eq!(pace.of_bytes(at(20)), " 5.0 MB/s, 10s left");
        assert_eq!(pace.of_steps(at(20)), ", 10s left");
    }

    #[test]
    fn a_line_says_how_far_it_is_and_how_fast() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let seen = |done, total| Seen {
            step: 1,
            total,
            done,
            taken_over: 0,
        };
        let mut pace = Pace::new(at(0), seen(0, 4_000_000_000));
        let none = pace.line("tokenize", &BYTES, at(60));
        assert_eq!(none, "tokenize: 0 %, 0 B of 4.0 GB");
        pace.follow(at(60), seen(1_000_000_000, 4_000_000_000));
        let line = pace.line("tokenize", &BYTES, at(60));
        let expected = "tokenize: 25 %, 1.0 GB of 4.0 GB, 16.7 MB/s, 3m left";
        assert_eq!(line, expected);
        pace.follow(at(60), seen(20, 40));
        let line = pace.line("bench", &STEPS, at(60));
        assert_eq!(line, "bench: 50 %, 20 of 40, 60s left");
        // A stream.
        pace.follow(at(60), seen(6_000_000, 0));
        let line = pace.line("tokenize", &BYTES, at(60));
        assert_eq!(line, "tokenize: 6.0 MB, 100.0 kB/s");
    }

    #[test]
    fn each_step_of_a_run_has_a_pace_of_its_own() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let seen = |step, done| Seen {
            step,
            total: 1000,
            done,
            taken_over: 0,
        };
        let mut pace = Pace::new(at(0), seen(1, 0));
        pace.follow(at(1), seen(1, 1000));
        pace.follow(at(2), seen(2, 0));
        pace.follow(at(12), seen(2, 500));
        assert_eq!(pace.of_steps(at(12)), ", 10s left");
        // A stream has no known total.
        let mut pace = Pace::new(at(0), Seen::default());
        let done = 3000;
        pace.follow(
            at(3),
            Seen {
                done,
                ..Seen::default()
            },
        );
        assert_eq!(pace.of_bytes(at(3)), " 1.0 kB/s");
    }
}
