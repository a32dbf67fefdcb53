//! Servers whose certificate an authority signed that the machine does not know.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::command;
use super::server::{python, server};
use crate::support::{Done, Place, after};

#[test]
fn a_private_authority_is_named_in_the_environment() {
    // What moto needs has what makes certificates.
    if server("TLS").is_none() {
        return;
    }
    let place = Place::new();
    let mut process = Command::new(python())
        .args(["-c", include_str!("tls.py")])
        .arg(place.path("authority.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    lines.read_line(&mut port).unwrap();
    let start = format!("https://127.0.0.1:{}", port.trim());
    let tokenize = |url: &str, knows: bool| {
        let mut command = command(&place, "", &["tokenize", url, "--out", "d", "--overwrite"]);
        command
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR");
        if knows {
            command.env("SSL_CERT_FILE", place.path("authority.pem"));
        }
        Done::new(command.output().unwrap())
    };

    let url = format!("{start}/a.txt");
    let done = tokenize(&url, false);
    done.failed(
        3,
        &format!(
            "{url}: cannot open: invalid peer certificate: UnknownIssuer; if an authority of your \
             own signed its certificate, name the authority's file in SSL_CERT_FILE"
        ),
    );
    for name in ["a.txt", "moved/a.txt"] {
        let done = tokenize(&format!("{start}/{name}"), true);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.contains("1 document from 15 B"), "{done:?}");
    }
    // Each query may be another object. They share connections, of which there may be few.
    let urls = (0..600).map(|id| format!("{start}/a.txt?id={id}\n"));
    place.write("list", urls.collect::<String>());
    let command = command(
        &place,
        "",
        &["tokenize", "--files-from", "list", "--out", "many"],
    );
    let mut limited = after("ulimit -n 400", &command);
    limited.env("SSL_CERT_FILE", place.path("authority.pem"));
    let done = Done::new(limited.output().unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains("600 documents"), "{done:?}");

    let url = format!("{start}/plain/a.txt");
    let done = tokenize(&url, true);
    done.failed(
        3,
        &format!(
            "{url}: cannot open: URL scheme is not allowed; it redirects from https to http; ask \
             for a URL without such a redirect"
        ),
    );
    drop(process.stdin.take());
    process.wait().unwrap();
}
