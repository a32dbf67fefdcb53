//! Findings of the source listing that a user should know of.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;

/// What a person should know of how a corpus was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CorpusReport {
    /// What directories and globs had and was left out.
    pub left_out: SkippedFiles,
    /// Sources that are the same file as an earlier one; they are read again.
    pub repeated: Repeated,
    /// Files called `.json` that are not JSON Lines and so read as text.
    pub json_as_text: Listed,
}

/// What directories and globs had and was left out, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedFiles {
    /// Files and directories whose name begins with a dot and was not asked for.
    pub hidden: Listed,
    /// Files and directories that are excluded, and files that are not included.
    pub excluded: Listed,
    /// FIFOs.
    pub fifos: Listed,
    /// Sockets.
    pub sockets: Listed,
    /// Character and block devices.
    pub devices: Listed,
    /// Symbolic links to nothing.
    pub dangling_links: Listed,
    /// Directories that symbolic links lead to from inside of them.
    pub circles: Listed,
}

/// Paths, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// How many.
    pub count: u64,
    /// All of them, by the order of their bytes; `%` is `%25`, a byte that is not UTF-8 `%XX`.
    pub paths: Vec<String>,
}

/// Sources that are the same file as an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Repeated {
    /// How many.
    pub count: u64,
    /// All of them, each with the earlier path of the same file; spelled as in [`Listed`].
    pub paths: Vec<[String; 2]>,
}

impl SkippedFiles {
    /// Each kind: what is counted, of one and of many, and how much of it was left out.
    pub fn kinds(&self) -> [([&'static str; 2], &Listed); 7] {
        [
            (["hidden entry", "hidden entries"], &self.hidden),
            (["excluded entry", "excluded entries"], &self.excluded),
            (["FIFO", "FIFOs"], &self.fifos),
            (["socket", "sockets"], &self.sockets),
            (["device", "devices"], &self.devices),
            (["dangling link", "dangling links"], &self.dangling_links),
            (["circle of links", "circles of links"], &self.circles),
        ]
    }

    /// All that was left out in one line, `2 hidden entries and 1 FIFO`, with numbers as `count`
    /// writes them; `None` where nothing was.
    pub fn describe(&self, count: impl Fn(u64) -> String) -> Option<String> {
        let mut parts: Vec<_> = self
            .kinds()
            .into_iter()
            .filter(|(_, listed)| listed.count > 0)
            .map(|([one, many], listed)| {
                let what = if listed.count == 1 { one } else { many };
                format!("{} {what}", count(listed.count))
            })
            .collect();
        let last = parts.pop()?;
        Some(if parts.is_empty() {
            last
        } else {
            format!("{} and {last}", parts.join(", "))
        })
    }

    /// Counts what `other` has.
    pub(super) fn add(&mut self, other: Self) {
        self.hidden.merge(other.hidden);
        self.excluded.merge(other.excluded);
        self.fifos.merge(other.fifos);
        self.sockets.merge(other.sockets);
        self.devices.merge(other.devices);
        self.dangling_links.merge(other.dangling_links);
        self.circles.merge(other.circles);
    }
}

impl Listed {
    pub(super) fn add(&mut self, path: &Path) {
        self.count += 1;
        self.paths.push(escaped(path.as_os_str()));
    }

    /// Takes the paths of `other`; the order of a directory's entries is not ours.
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.paths.extend(other.paths);
        self.paths.sort_unstable();
    }
}

impl Repeated {
    pub(super) fn add(&mut self, path: &Path, earlier: &Path) {
        self.count += 1;
        let pair = [path, earlier].map(|path| escaped(path.as_os_str()));
        self.paths.push(pair);
    }
}

/// A name as manifests have it: `%` is `%25` and each byte that is not UTF-8 is `%` and two hex
/// digits.
pub(super) fn escaped(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
