//! How a failure is reported: one line on standard error and, with `--json`, one object on standard
//! output: `error`, `code`, and `path`, `byte`, `line` and `hint` if they are known.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use shardmill::{Error, show};

use crate::cli::options;
use crate::cli::output::print_json;

/// Whether errors are also reported on standard output, as JSON.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Makes all further errors also be reported as JSON.
pub(crate) fn tell_as_json() {
    AS_JSON.store(true, Ordering::Relaxed);
}

/// What went wrong, as it is reported.
#[derive(Debug)]
pub(crate) struct Report {
    line: String,
    code: u8,
    /// Where it went wrong and what to do: members of the JSON object.
    more: Vec<(&'static str, Value)>,
}

impl Report {
    pub(crate) fn new(line: String, code: u8) -> Self {
        Self {
            line,
            code,
            more: Vec::new(),
        }
    }

    /// About the value of `option`, in the library's words.
    pub(crate) fn of_option(option: &str, what: &str, hint: Option<&str>, code: u8) -> Self {
        let mut report = Self::new(format!("{option}: {}", options::translate(what)), code);
        if let Some(hint) = hint.map(options::translate) {
            report.line = format!("{}; {hint}", report.line);
            report.more.push(("hint", hint.into()));
        }
        report
    }

    pub(crate) fn of_library(error: &Error, code: u8) -> Self {
        let path = error.path().map(|path| path.to_string_lossy().into());
        let more = [
            ("path", path),
            ("byte", error.byte().map(Value::from)),
            ("line", error.line().map(Value::from)),
            ("row", error.row().map(Value::from)),
            (
                "hint",
                error.hint().map(options::translate).map(Value::from),
            ),
        ];
        let known = more
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        Self {
            line: options::line(error),
            code,
            more: known.collect(),
        }
    }

    /// Prints it on standard error and, with `--json`, an object on standard output.
    pub(crate) fn tell(self) -> ExitCode {
        let Self { line, code, more } = self;
        // Write it in one piece, or the lines of two processes mix. If stderr is closed, there is
        // nothing more to do.
        let said = format!("shardmill: error: {}\n", show::name(&line));
        let _ = io::stderr().write_all(said.as_bytes());
        if AS_JSON.load(Ordering::Relaxed) {
            let mut object = json!({"error": line, "code": code});
            for (key, value) in more {
                object[key] = value;
            }
            // If this fails, the error has already been printed on standard error.
            let _ = print_json(&object);
        }
        ExitCode::from(code)
    }
}
