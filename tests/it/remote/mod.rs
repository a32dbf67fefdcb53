//! Object stores as inputs, against a server with the interface of S3 on this machine: `moto`, if
//! `SHARDMILL_MOTO`, or `python3`, is a Python that has it.

mod azure;
mod faults;
mod names;
mod proxy;
mod refused;
mod same;
mod server;
mod shared;
mod tls;

use std::process::{Command, Stdio};

use crate::support::{Done, Place, spawn, tree};
use server::Server;

/// The environment variables that credentials, endpoints and switches come from.
const VARIABLES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// The program, with `endpoint` and credentials in its environment, and nothing else of that kind.
fn command(place: &Place, endpoint: &str, args: &[&str]) -> Command {
    let mut command = place.command(args);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if VARIABLES.iter().any(|start| name.starts_with(start)) {
            command.env_remove(&*name);
        }
    }
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", "us-east-1");
    command
}

/// What no output may have in it.
const SECRET: &str = "hush-hush-hush";

/// Runs the program to its end, with `endpoint` in its environment.
fn run(place: &Place, endpoint: &str, args: &[&str]) -> Done {
    Done::new(command(place, endpoint, args).output().unwrap())
}

/// The same with `stdin` on its standard input.
fn run_with(place: &Place, endpoint: &str, args: &[&str], stdin: &[u8]) -> Done {
    use std::io::Write;
    let mut child = spawn(command(place, endpoint, args).stdin(Stdio::piped()));
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    Done::new(child.wait_with_output().unwrap())
}

/// Puts all files below `in` of `place` into a new bucket, below `pre/`; returns the bucket.
fn upload(server: &Server, place: &Place) -> String {
    let bucket = server.bucket();
    for name in tree(&place.path("in")) {
        if !name.ends_with('/') {
            server.put(
                &bucket,
                &format!("pre/{name}"),
                &place.read(format!("in/{name}")),
            );
        }
    }
    bucket
}
