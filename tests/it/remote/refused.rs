//! What cannot be read, in one line each, at once and without secrets.

use std::time::{Duration, Instant};

use super::server::server;
use super::{SECRET, command, run, upload};
use crate::support::{Done, Place, tree};

#[test]
fn what_is_not_there_is_said_at_once() {
    let Some(server) = server("missing objects") else {
        return;
    };
    let place = Place::new();
    place.write("in/a.txt", "a");
    place.write("in/.b/c.txt", "c");
    let bucket = upload(server, &place);
    let missing = "cannot open: there is no such object, and none below it";
    let started = Instant::now();
    for (url, code, what) in [
        (format!("s3://{bucket}/pre/b.txt"), 1, missing),
        (format!("s3://{bucket}/pr"), 1, missing),
        (
            format!("s3://{bucket}/nothing/"),
            1,
            "has no objects to read",
        ),
        (
            format!("s3://{bucket}/pre/*.md"),
            1,
            "no object has this name or matches this pattern",
        ),
        (
            format!("s3://{bucket}/pre/.b*/d"),
            1,
            "no object has this name or matches this pattern",
        ),
        (
            "s3://no-such-bucket/a".to_owned(),
            1,
            "cannot list: the server answers 404 Not Found (NoSuchBucket)",
        ),
        (
            format!("{}/{bucket}/pre/b.txt", server.url()),
            1,
            "cannot open: the server has no such object",
        ),
        (
            format!("{}/{bucket}/pre/", server.url()),
            1,
            "names no object, and the objects below a URL of a web server cannot be listed; name \
             each object",
        ),
        (
            "s3:///a".to_owned(),
            1,
            "names no bucket; put its name after '://'",
        ),
    ] {
        let done = run(&place, &server.url(), &["tokenize", &url, "--out", "d"]);
        let line = format!("{url}: {what}");
        let found = done.stderr.trim_end().strip_prefix("shardmill: error: ");
        assert_eq!((found, done.code), (Some(&line[..]), Some(code)));
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn without_credentials_the_line_names_the_variables() {
    let place = Place::new();
    for (url, variable) in [
        ("s3://bucket/a", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/a", "GOOGLE_APPLICATION_CREDENTIALS"),
    ] {
        let mut command = command(
            &place,
            "http://127.0.0.1:1",
            &["tokenize", url, "--out", "d"],
        );
        command
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY");
        // The machine that runs the tests may have some of its own.
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
            .env("NO_GCE_CHECK", "true")
            .env("HOME", place.path(""));
        let started = Instant::now();
        let done = Done::new(command.output().unwrap());
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains(variable), "{done:?}");
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
}

#[test]
fn a_value_that_is_no_part_of_a_request_is_named() {
    let place = Place::new();
    let endpoint = "the endpoint in the environment is not a URL of http or https; set it to one \
                    such as https://host:9000";
    let line_end = |name| {
        format!(
            "{name} has a line end or another control character in it; remove it from the value"
        )
    };
    for (url, name, value, what) in [
        (
            "s3",
            "AWS_ENDPOINT_URL",
            "localhost:9000",
            endpoint.to_owned(),
        ),
        (
            "gs",
            "GOOGLE_BASE_URL",
            "localhost:9000",
            endpoint.to_owned(),
        ),
        (
            "az",
            "AZURE_STORAGE_ENDPOINT",
            "localhost:1",
            endpoint.to_owned(),
        ),
        (
            "s3",
            "AWS_SESSION_TOKEN",
            "hush\n",
            line_end("AWS_SESSION_TOKEN"),
        ),
        (
            "s3",
            "AWS_ACCESS_KEY_ID",
            "hush\n",
            line_end("AWS_ACCESS_KEY_ID"),
        ),
        (
            "gs",
            "GOOGLE_BEARER_TOKEN",
            "hush\n",
            line_end("GOOGLE_BEARER_TOKEN"),
        ),
        (
            "s3",
            "AWS_REGION",
            "us east",
            "AWS_REGION is not the name of a region; set it to one such as us-east-1".to_owned(),
        ),
    ] {
        let url = format!("{url}://bucket/a");
        let mut command = command(&place, "https://h", &["tokenize", &url, "--out", "d"]);
        command.env("AZURE_STORAGE_ACCOUNT_NAME", "me");
        command.env("AZURE_STORAGE_ACCOUNT_KEY", "aHVzaA==");
        let done = Done::new(command.env(name, value).output().unwrap());
        done.failed(1, &format!("{url}: {what}"));
    }
}

#[test]
fn without_credentials_the_line_says_that_profiles_are_not_read() {
    let place = Place::new();
    let args = ["tokenize", "s3://bucket/a", "--out", "d"];
    let mut command = command(&place, "http://127.0.0.1:1", &args);
    // Empty counts as not set.
    command
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_SECRET_ACCESS_KEY", "");
    command
        .env("AWS_EC2_METADATA_DISABLED", "1")
        .env("AWS_PROFILE", "me");
    let done = Done::new(command.output().unwrap());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("; profiles are not read: "),
        "{done:?}"
    );
}

#[test]
fn plain_http_to_another_machine_must_be_allowed() {
    let place = Place::new();
    let args = ["tokenize", "s3://bucket/a", "--out", "d"];
    let done = run(&place, "http://192.0.2.1:9", &args);
    done.failed(
        1,
        "s3://bucket/a: the endpoint in the environment is http, so that others could read along; \
         use an https endpoint, or set AWS_ALLOW_HTTP=true",
    );
    let args = ["tokenize", "gs://bucket/a", "--out", "d"];
    let mut command = command(&place, "", &args);
    command
        .env("GOOGLE_BASE_URL", "http://192.0.2.1:9")
        .env("GOOGLE_BEARER_TOKEN", SECRET);
    let done = Done::new(command.output().unwrap());
    assert!(
        done.stderr.contains("set GOOGLE_ALLOW_HTTP=true"),
        "{done:?}"
    );
    assert!(!done.stderr.contains(SECRET), "{done:?}");
}

#[test]
fn no_secret_is_written_or_shown() {
    let Some(server) = server("secrets in URLs") else {
        return;
    };
    let place = Place::new();
    place.write("in/a.txt", "a");
    let bucket = upload(server, &place);
    let host = server.url().replace("http://", "");
    let start = format!("http://user:{SECRET}@{host}/{bucket}/pre");
    for (name, code) in [("a.txt", 0), ("b.txt", 1)] {
        let url = format!("{start}/{name}?X-Amz-Signature={SECRET}");
        let done = run(
            &place,
            &server.url(),
            &["tokenize", &url, "--out", "d", "--json"],
        );
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(!done.stderr.contains(SECRET), "{done:?}");
        assert!(!done.text().contains(SECRET), "{done:?}");
    }
    let url = format!("s3://key:{SECRET}@{bucket}/pre/a.txt");
    let done = run(&place, &server.url(), &["tokenize", &url, "--out", "e"]);
    assert_eq!(done.code, Some(1));
    assert!(!done.stderr.contains(SECRET), "{done:?}");
    let files = tree(&place.path("d"));
    assert!(files.contains(&"run.json".to_owned()));
    for name in files {
        let bytes = place.read(format!("d/{name}"));
        assert!(
            memchr::memmem::find(&bytes, SECRET.as_bytes()).is_none(),
            "{name}"
        );
    }
}
