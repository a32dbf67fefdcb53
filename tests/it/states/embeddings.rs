//! Embeddings, and files that no record lists.

use super::*;
use crate::states::behavior::kill;
use crate::support::strace;

#[test]
fn whole_embeddings_that_a_kill_kept_from_their_place_are_not_discarded_unasked() {
    let place = place();
    ok(&place, &tokenize("in1", "whole", ""));
    for k in (1..9).rev() {
        let _ = fs::remove_dir_all(place.path("d"));
        let args = embed("whole", "d", "");
        let Some(ended) = strace::killed_at(&place, "rename", k, &refs(&args)) else {
            return;
        };
        if ended.0.is_none() {
            break;
        }
    }
    let before = snapshot(&place, "d");
    assert!(
        before.contains_key("d.partial/new/embed.json"),
        "{:?}",
        place.tree()
    );
    let line = "d.partial: holds whole embeddings, not a dataset; run that command again to put them \
                in their place";
    place.run(words("finish d")).failed(1, line);
    for args in [
        tokenize("in1", "d", "--units 0/2"),
        tokenize("in1", "d", ""),
    ] {
        assert_eq!(place.run(&args).code, Some(1), "{args:?}");
        assert_eq!(snapshot(&place, "d"), before);
    }
    ok(&place, &embed("whole", "d", ""));
    assert!(!place.path("d.partial").exists());
}

#[test]
fn no_embeddings_are_made_of_damaged_tokens() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    let mut shard = place.read("d/shard-00000.u32");
    shard[400] ^= 1;
    place.write("d/shard-00000.u32", shard);
    let line = "d/shard-00000.u32: damaged in the 16 MiB block 0, from byte 0";
    for out in ["d/embeddings", "e", "-"] {
        place.run(embed("d", out, "")).failed(1, line);
    }
    assert!(!place.path("d/embeddings").exists() && !place.path("e").exists());
    // And `finish` does not report that dataset as finished.
    place.run(words("finish d")).failed(1, line);
}

#[test]
fn embeddings_never_replace_a_dataset() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    ok(&place, &tokenize("in2", "e", ""));
    let whole = visible(&place, "e").unwrap();
    let line = "e: is a dataset, which embeddings do not replace; choose another --out";
    for options in ["", "--overwrite"] {
        place.run(embed("d", "e", options)).failed(1, line);
        assert_eq!(visible(&place, "e").unwrap(), whole);
        assert!(!place.path("e.partial").exists());
    }
}

#[test]
fn files_with_names_of_ours_that_no_record_lists_stay() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    for name in [
        "shard-00007.u32",
        "shard-00000.bad.jsonl",
        "inputs.npy",
        "embeddings/embeddings.npy",
    ] {
        place.write(format!("d/{name}"), "precious");
        let line = if name.contains('/') {
            "d/embeddings: has no record that can be read, so nothing says which of its files a run \
             made; remove the directory if none is needed, or choose another --out"
                .to_owned()
        } else {
            format!(
                "d/{name}: is not listed by the output that it lies in, so no run made it; move it \
                 elsewhere"
            )
        };
        for args in [
            tokenize("in2", "d", "--overwrite"),
            embed("d", "d", "--overwrite"),
        ] {
            let done = place.run(args);
            assert_eq!(done.code, Some(1), "{done:?}");
        }
        place
            .run(tokenize("in2", "d", "--overwrite"))
            .failed(1, &line);
        assert_eq!(place.read(format!("d/{name}")), b"precious");
        fs::remove_file(place.path(format!("d/{name}"))).unwrap();
        let _ = fs::remove_dir(place.path("d/embeddings"));
    }
    ok(&place, &tokenize("in2", "d", "--overwrite"));
}

#[test]
fn what_was_replaced_stays_if_it_is_the_last_that_there_is() {
    let place = place();
    ok(&place, &tokenize("in1", "d", ""));
    if kill(&place, "unlink", 1, &tokenize("in2", "d", "--overwrite")).is_none() {
        return;
    }
    fs::remove_dir_all(place.path("d")).unwrap();
    let before = snapshot(&place, "d");
    for args in [
        words("finish d"),
        tokenize("in2", "d", ""),
        tokenize("in1", "d", "--units 0/2"),
    ] {
        let done = place.run(&args);
        assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
        assert_eq!(snapshot(&place, "d"), before, "{args:?}");
    }
}

#[test]
fn a_link_in_the_place_of_what_is_being_made_is_not_published() {
    let place = place();
    ok(&place, &tokenize("in1", "d", "--units 0/1"));
    fs::rename(place.path("d.partial/new"), place.path("moved")).unwrap();
    std::os::unix::fs::symlink("../moved", place.path("d.partial/new")).unwrap();
    let done = place.run(words("finish d"));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(place.path("d").symlink_metadata().is_err());
}
