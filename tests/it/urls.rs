//! URLs as inputs, with and without the feature `remote`.

use crate::support::Place;

#[test]
fn the_hub_is_refused_with_the_command_that_downloads() {
    let place = Place::new();
    let done = place.run(["tokenize", "hf://datasets/org/name/data", "--out", "d"]);
    done.failed(
        1,
        "hf://datasets/org/name/data: is on the Hugging Face Hub, which is not read; run `hf \
         download --repo-type dataset org/name --include 'data/*' --local-dir name`, then read \
         that directory",
    );
}

#[test]
fn a_url_of_an_unknown_scheme_is_not_taken_for_a_file() {
    let place = Place::new();
    for (url, shown) in [
        ("gcs://bucket/a.txt", "gcs://bucket/a.txt"),
        ("ftp://me:pass@host/*.txt", "ftp://***@host/*.txt"),
    ] {
        let done = place.run(["tokenize", url, "--out", "d"]);
        let what =
            "is no file, and no URL that is read; URLs begin with s3, gs, az, abfss or https";
        done.failed(1, &format!("{shown}: {what}"));
    }
    place.write("x:/a.txt", "a");
    let done = place.run(["tokenize", "x://a.txt", "--out", "d"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[cfg(not(feature = "remote"))]
#[test]
fn without_the_feature_a_url_is_refused_and_shows_no_secrets() {
    let place = Place::new();
    place.write("list", "s3://bucket/prefix/\n");
    for (args, url) in [
        (["s3://bucket/a.txt", "--json"], "s3://bucket/a.txt"),
        (["--files-from", "list"], "s3://bucket/prefix/"),
        (
            ["https://me:pass@host/a.txt?sig=x", "--json"],
            "https://***@host/a.txt?***",
        ),
    ] {
        let done = place.run(["tokenize", args[0], args[1], "--out", "d"]);
        done.failed(
            1,
            &format!(
                "{url}: is a URL, and this program was built without the feature 'remote'; build \
                 it again with that feature"
            ),
        );
    }
}
