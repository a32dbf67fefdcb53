//! Runs the program with system calls that fail or kill it.

use std::process::{Command, Stdio};

use super::{Done, Place, skipped};

/// The calls that change the contents of a directory, or force it to the disk. Each is counted
/// separately.
pub(crate) const CHANGES: [&str; 7] = [
    "mkdir",
    "rmdir",
    "unlink",
    "rename",
    "renameat2",
    "link",
    "fsync",
];

/// Runs the program with each of `injections`, such as `fsync:error=EIO:when=2`; counts are of each
/// thread's calls. `None`, with a notice, if there is no strace.
pub(crate) fn injected(place: &Place, injections: &[&str], args: &[&str]) -> Option<Done> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    // If there are several such lists, only the last one counts.
    let calls = injections
        .iter()
        .filter_map(|injection| injection.split(':').next());
    let calls: Vec<_> = calls.collect();
    strace.args(["-e", &format!("trace={}", calls.join(","))]);
    for injection in injections {
        strace.args(["-e", &format!("inject={injection}")]);
    }
    let done = strace
        .arg(env!("CARGO_BIN_EXE_shardmill"))
        .args(args)
        .current_dir(place.path(""))
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .output();
    match done {
        Ok(output) => Some(Done::new(output)),
        Err(error) => {
            skipped("calls that fail or kill", &format!("strace: {error}"));
            None
        }
    }
}

/// How a run ended that should have been killed; `None` if it was killed.
#[derive(Debug)]
pub(crate) struct End(pub(crate) Option<Done>);

/// Runs the program until a thread of it makes its `k`-th call of one of `calls`, which kills it.
/// `None` without strace.
pub(crate) fn killed_at(place: &Place, calls: &str, k: usize, args: &[&str]) -> Option<End> {
    let injection = format!("{calls}:signal=SIGKILL:when={k}");
    let done = injected(place, &[&injection], args)?;
    // strace ends the same way as its tracee.
    Some(End(done.code.is_some().then_some(done)))
}
