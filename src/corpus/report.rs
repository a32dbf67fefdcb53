//! Findings of the source listing that a user should know of.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;

/// What a user should know about how a corpus was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CorpusReport {
    /// What was left out of directories and globs.
    pub left_out: SkippedFiles,
    /// Sources that are the same file as an earlier source; they are read again.
    pub repeated: Repeated,
    /// `.json` files that are not JSON Lines and are therefore read as text.
    pub json_as_text: Listed,
}

/// What was left out of directories and globs, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedFiles {
    /// Files and directories whose names begin with a dot and were not asked for.
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
    /// Directories that a symbolic link inside them leads back to.
    pub circles: Listed,
}

/// Paths and their count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// How many.
    pub count: u64,
    /// All paths, in byte order; `%` is written `%25`, and a byte that is not UTF-8 `%XX`.
    pub paths: Vec<String>,
}

/// Sources that are the same file as an earlier source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Repeated {
    /// How many.
    pub count: u64,
    /// All paths, each with the earlier path of the same file; escaped as in [`Listed`].
    pub paths: Vec<[String; 2]>,
}

impl SkippedFiles {
    /// Each kind: its noun, singular and plural, and what was left out.
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

    /// Describes everything that was left out in one line, such as `2 hidden entries and 1 FIFO`,
    /// with numbers written by `count`; `None` if nothing was left out.
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

    fn kinds_mut(&mut self) -> [&mut Listed; 7] {
        [
            &mut self.hidden,
            &mut self.excluded,
            &mut self.fifos,
            &mut self.sockets,
            &mut self.devices,
            &mut self.dangling_links,
            &mut self.circles,
        ]
    }

    /// Adds the counts and paths of `other`, not yet in order.
    pub(super) fn append(&mut self, mut other: Self) {
        for (all, more) in self.kinds_mut().into_iter().zip(other.kinds_mut()) {
            all.count += more.count;
            all.paths.append(&mut more.paths);
        }
    }

    /// Adds the counts and paths of `other`, sorted, because the order of a directory's entries is
    /// arbitrary.
    pub(super) fn add(&mut self, other: Self) {
        self.append(other);
        for listed in self.kinds_mut() {
            listed.paths.sort_unstable();
        }
    }
}

impl Listed {
    pub(super) fn add(&mut self, path: &Path) {
        self.count += 1;
        self.paths.push(escaped(path.as_os_str()));
    }
}

impl Repeated {
    pub(super) fn add(&mut self, path: &Path, earlier: &Path) {
        self.count += 1;
        let pair = [path, earlier].map(|path| escaped(path.as_os_str()));
        self.paths.push(pair);
    }
}

/// A name as written in manifests: `%` is `%25`, and each byte that is not UTF-8 is `%` and two hex
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
