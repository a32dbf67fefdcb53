//! A progress bar on standard error, where that is a terminal.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use shardmill::Stats;

/// How often the display follows the work.
const TICK: Duration = Duration::from_millis(100);

/// Shows a run's [`Stats`] until it is dropped.
pub(crate) struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show `stats`, which count bytes, behind the word `what`.
    pub(crate) fn show(what: &'static str, stats: &Arc<Stats>) -> Self {
        Self::show_as(what, stats, style)
    }

    /// Begins to show `stats`, which count steps, behind the word `what`.
    pub(crate) fn count(what: &'static str, stats: &Arc<Stats>) -> Self {
        Self::show_as(what, stats, |_| {
            styled("{msg} [{wide_bar}] {pos}/{len}{left}")
        })
    }

    fn show_as(what: &'static str, stats: &Arc<Stats>, style: fn(u64) -> ProgressStyle) -> Self {
        let bar = ProgressBar::new(0).with_message(what);
        if bar.is_hidden() {
            return Self {
                stop: None,
                thread: None,
            };
        }
        let (stop, stopped) = channel();
        let stats = Arc::clone(stats);
        let follow = move || {
            let mut total = None;
            while stopped
                .recv_timeout(TICK)
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                if total != Some(stats.total()) {
                    total = Some(stats.total());
                    bar.set_style(style(stats.total()));
                    bar.set_length(stats.total());
                    bar.reset();
                }
                bar.set_position(stats.done());
            }
            bar.finish_and_clear();
        };
        Self {
            stop: Some(stop),
            // Where no thread is to be had the work goes on unseen.
            thread: std::thread::Builder::new().spawn(follow).ok(),
        }
    }
}

fn style(total: u64) -> ProgressStyle {
    let template = if total == 0 {
        "{msg} {spinner} {decimal_bytes} {decimal_bytes_per_sec}"
    } else {
        "{msg} [{wide_bar}] {percent}% {decimal_bytes}/{decimal_total_bytes} \
         {decimal_bytes_per_sec}{left}"
    };
    styled(template)
}

fn styled(template: &str) -> ProgressStyle {
    // The templates are constants that a terminal test shows.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", time_left)
        .progress_chars("=> ")
}

/// `, 6s left`; nothing as long as there is no rate to tell it from.
fn time_left(state: &ProgressState, out: &mut dyn Write) {
    if state.pos() > 0 {
        // The display takes everything.
        let _ = write!(out, ", {:#} left", HumanDuration(state.eta()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The display never panics; if it did, the work is done all the same.
            let _ = thread.join();
        }
    }
}
