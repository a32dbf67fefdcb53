//! A disk that can lose its power.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};

use super::{Place, skipped};

/// A separate file system that can lose its power.
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// `None`, with a notice, if the system allows none.
    pub(crate) fn new(place: &Place) -> Option<Self> {
        let disk = Self {
            image: place.path("disk.img"),
            mount: place.path("disk"),
        };
        fs::create_dir(&disk.mount).unwrap();
        let image = disk.image.to_str().unwrap();
        let is_made = command(&["truncate", "-s", "192M", image])
            && command(&["mkfs.ext4", "-q", "-F", image])
            && disk.mount();
        // Try a power cut first: if this machine lacks anything for it, there is no disk.
        let is_made = is_made && disk.shut_down() && disk.restart();
        if !is_made {
            skipped(
                "power cuts",
                "need root, python3, mkfs.ext4 and loop devices",
            );
        }
        is_made.then_some(disk)
    }

    fn mount(&self) -> bool {
        let paths = [&self.image, &self.mount].map(|path| path.to_str().unwrap());
        command(&["mount", "-o", "loop", paths[0], paths[1]])
    }

    /// Loses what is not on the disk, while `run` is working, and restarts.
    pub(crate) fn cut_power(&self, run: &mut Child) {
        // The log may be written at any moment. Write it now: unless files were synced before,
        // their names are then on the disk, but their bytes are not.
        File::open(&self.mount).unwrap().sync_all().unwrap();
        assert!(self.shut_down());
        // It may already have ended.
        let _ = run.kill();
        run.wait().unwrap();
        assert!(self.restart());
    }

    /// Loses what is not on the disk, while nothing is working, and restarts.
    pub(crate) fn lose_power(&self) {
        assert!(self.shut_down());
        assert!(self.restart());
    }

    /// Stops all writes to the disk, even of the file system's log.
    fn shut_down(&self) -> bool {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
        let script = "import fcntl, os, struct, sys\n\
                      fd = os.open(sys.argv[1], os.O_RDONLY)\n\
                      fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))\n";
        command(&["python3", "-c", script, self.mount.to_str().unwrap()])
    }

    fn restart(&self) -> bool {
        command(&["umount", self.mount.to_str().unwrap()]) && self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = command(&["umount", "-l", self.mount.to_str().unwrap()]);
    }
}

fn command(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    let output = command.args(&words[1..]).output();
    output.is_ok_and(|output| output.status.success())
}
