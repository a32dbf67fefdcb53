//! File systems with fewer features than ext4.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::support::{skipped, strace};

/// The errors of file systems without rename flags, without locks, without both, or also without
/// links.
const UNKNOWN: [&[&str]; 5] = [
    &["renameat2:error=EINVAL"],
    &["renameat2:error=ENOSYS"],
    &["renameat2:error=EOPNOTSUPP", "link,linkat:error=EPERM"],
    &["flock:error=ENOLCK"],
    &["renameat2:error=EINVAL", "flock:error=EOPNOTSUPP"],
];

#[test]
fn every_command_does_without_flags_of_renames_and_without_locks() {
    let place = place();
    ok(&place, &tokenize("in1", "one", ""));
    ok(&place, &run("in2", "two", ""));
    let [one, two] = ["one", "two"].map(|out| visible(&place, out).unwrap());
    for injections in UNKNOWN {
        let run_injected = |args: &[String]| {
            let done = strace::injected(&place, injections, &refs(args))?;
            assert_eq!(done.code, Some(0), "{injections:?} {args:?}: {done:?}");
            Some(())
        };
        let commands = [
            (tokenize("in1", "d", ""), Some(&one)),
            (run("in2", "d", "--overwrite"), Some(&two)),
            (tokenize("in1", "d", "--units 0/2 --overwrite"), Some(&two)),
            (tokenize("in1", "d", "--units 1/2 --overwrite"), Some(&two)),
            (words("finish d --overwrite"), Some(&one)),
            (embed("one", "e", "--overwrite"), None),
            (embed("one", "e", "--overwrite --dtype f16"), None),
            (tokenize("in1", "d", "--overwrite"), Some(&one)),
        ];
        for (args, expected) in commands {
            if run_injected(&args).is_none() {
                return;
            }
            let found = visible(&place, "d");
            assert!(
                expected.is_none_or(|bytes| found.as_ref() == Some(bytes)),
                "{args:?}"
            );
        }
        // Damage, and its repair.
        let mut shard = place.read("d/shard-00000.u32");
        shard[0] ^= 1;
        place.write("d/shard-00000.u32", shard);
        run_injected(&tokenize("in1", "d", "--repair"));
        assert_eq!(visible(&place, "d").unwrap(), one);
        // A link is replaced as well.
        fs::remove_dir_all(place.path("d")).unwrap();
        symlink("mine", place.path("d")).unwrap();
        run_injected(&tokenize("in1", "d", "--overwrite"));
        assert_eq!(visible(&place, "d").unwrap(), one);
        run_injected(&words(
            "positions --kind alibi --heads 1 --seq-len 4 --out p.npy",
        ));
        fs::remove_file(place.path("p.npy")).unwrap();
        fs::remove_dir_all(place.path("d")).unwrap();
        assert!(!place.path("d.partial").exists());
        assert_bystanders(&place);
    }
}

#[test]
fn a_kill_between_two_plain_renames_costs_neither_dataset() {
    let place = place();
    ok(&place, &tokenize("in2", "new", ""));
    ok(&place, &tokenize("in1", "d", ""));
    let [old, new] = ["d", "new"].map(|out| visible(&place, out));
    let before = snapshot(&place, "d");
    let args = tokenize("in2", "d", "--overwrite");
    let mut was_missing = false;
    for k in 1.. {
        restore(&place, "d", &before);
        let kill = format!("rename:signal=SIGKILL:when={k}");
        let injections = ["renameat2:error=EINVAL", &kill];
        let Some(done) = strace::injected(&place, &injections, &refs(&args)) else {
            return;
        };
        let found = visible(&place, "d");
        was_missing |= found.is_none();
        assert!(
            found.is_none() || found == old || found == new,
            "{k}: {:?}",
            place.tree()
        );
        // Other work does not remove what was moved away.
        for again in [tokenize("in3", "d", ""), args.clone()] {
            place.run(&again);
            let found = visible(&place, "d");
            assert!(found == old || found == new, "{k}: {again:?}");
        }
        assert_eq!(visible(&place, "d"), new, "{k}");
        assert!(!place.path("d.partial").exists(), "{k}");
        if done.code.is_some() {
            break;
        }
    }
    assert!(was_missing, "no kill came between the two");
}

/// An overlay whose lower layer is `lower`; unmounted at the end. `None`, with a notice, without
/// root.
struct Overlay<'a>(&'a Place);

impl<'a> Overlay<'a> {
    fn mount(place: &'a Place) -> Option<Self> {
        for directory in ["lower", "upper", "work", "merged"] {
            fs::create_dir_all(place.path(directory)).unwrap();
        }
        let options = "lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off";
        let mounted = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", options, "merged"])
            .current_dir(place.path(""))
            .output();
        if !mounted.is_ok_and(|done| done.status.success()) {
            skipped("an overlay file system", "needs root and overlayfs");
            return None;
        }
        Some(Self(place))
    }
}

impl Drop for Overlay<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.0.path("merged"))
            .status();
    }
}

#[test]
fn a_dataset_in_a_lower_layer_of_an_overlay_is_not_replaced_and_others_are() {
    let place = place();
    ok(&place, &tokenize("in1", "lower/old", ""));
    let Some(_overlay) = Overlay::mount(&place) else {
        return;
    };
    let line = "merged/old: lies in a lower layer of an overlay file system, where no directory can be \
                renamed; remove it or choose another --out";
    // Bad input that is never reached.
    place.write("bad.txt", b"\xff");
    place
        .run(tokenize("bad.txt", "merged/old", "--overwrite"))
        .failed(1, line);
    assert!(!place.path("merged/old.partial").exists());
    ok(&place, &tokenize("in1", "merged/old", ""));
    let [one, two] = ["one", "two"].map(|out| format!("merged/{out}"));
    ok(&place, &tokenize("in1", &one, ""));
    ok(&place, &run("in2", &two, ""));
    ok(&place, &tokenize("in2", &one, "--overwrite"));
    ok(&place, &words(&format!("verify {one} --inputs in2")));
    assert!(!place.path("merged/one.partial").exists());
}
