//! A server with the interface of S3, which all tests of this process share.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::skipped;

/// Ends when its standard input does, which is when this process does, however it ends.
const SCRIPT: &str = "import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', sys.argv[1]])";

#[derive(Debug)]
pub(super) struct Server {
    port: u16,
    buckets: AtomicU32,
    _process: Child,
}

/// The server; if it cannot be started, reports that `unchecked` is not checked.
pub(super) fn server(unchecked: &str) -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(Server::start).as_ref();
    if server.is_none() {
        assert!(
            std::env::var_os("SHARDMILL_MOTO").is_none(),
            "SHARDMILL_MOTO has no moto.server"
        );
        skipped(unchecked, "no Python with moto[server]");
    }
    server
}

/// The Python that has moto, or should.
pub(super) fn python() -> OsString {
    std::env::var_os("SHARDMILL_MOTO").unwrap_or("python3".into())
}

impl Server {
    fn start() -> Option<Self> {
        let python = python();
        let import = Command::new(&python)
            .args(["-c", "import moto.server"])
            .output();
        if !import.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(&python)
            .args(["-c", SCRIPT, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_mins(1),
                "moto does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self {
            port,
            buckets: AtomicU32::new(0),
            _process: process,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket.
    pub(super) fn bucket(&self) -> String {
        // No hyphen: clients of Google Cloud Storage encode it, and moto does not decode it.
        let bucket = format!("bucket{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.request("PUT", &bucket, b"");
        bucket
    }

    /// Puts an object that everybody may read.
    pub(super) fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.request("PUT", &format!("{bucket}/{key}"), bytes);
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} /{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\
             x-amz-acl: public-read\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            encoded(path),
            self.port,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let is_done = ["200", "204"]
            .iter()
            .any(|code| answer.starts_with(&format!("HTTP/1.1 {code}")));
        assert!(is_done, "{method} {path}: {answer}");
    }
}

/// `path` in a URL.
pub(super) fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            text.push(byte.into());
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
    }
    text
}
