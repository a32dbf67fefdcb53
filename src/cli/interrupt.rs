//! SIGINT and SIGTERM: a run ends soon, keeps what is finished and says how to resume.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use shardmill::{Stats, status};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::failure::{Failure, Result};
use crate::cli::human;
use crate::cli::output::summary;
use crate::cli::report::Report;

/// Even a run that waits for a stream or a disk ends after this time.
const GRACE: Duration = Duration::from_secs(3);

/// The signal that was received, or 0.
static CAME: AtomicI32 = AtomicI32::new(0);

/// Makes both signals stop the run that `stats` belongs to, whose output is `out`.
pub(crate) fn stops(stats: &Arc<Stats>, out: &Path) -> Result<()> {
    let signals = Signals::new([SIGINT, SIGTERM]);
    let mut signals = signals.map_err(Failure::system("cannot watch for signals"))?;
    let (stats, out) = (Arc::clone(stats), out.to_owned());
    let watch = move || {
        if let Some(signal) = signals.forever().next() {
            CAME.store(signal, Ordering::Relaxed);
            stats.stop();
            std::thread::sleep(GRACE);
            // The disk is in the same state as after any kill, which the next run can handle.
            let _ = outcome().tell();
            say_what_is_left(&out);
            std::process::exit(128 + signal);
        }
    };
    std::thread::Builder::new()
        .spawn(watch)
        .map_err(Failure::system("cannot start a thread"))?;
    Ok(())
}

/// The report of a run that was stopped.
pub(crate) fn outcome() -> Report {
    let signal = CAME.load(Ordering::Relaxed);
    let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
    let code = u8::try_from(128 + signal).unwrap_or(3);
    Report::new(format!("stopped by {name}"), code)
}

/// Says how to resume a run to `out` that did not finish, if it left anything.
pub(crate) fn say_what_is_left(out: &Path) {
    let Ok(Some(left)) = status(out).map(|status| status.partial) else {
        return;
    };
    let done = left.done.len() as u64;
    if done > 0 {
        summary(&format!(
            "{} of {} done; run the same command again to continue",
            human::count(done),
            human::counted(left.units, "unit"),
        ));
    }
}
