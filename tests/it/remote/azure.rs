//! Azure, by Azurite, if `SHARDMILL_AZURITE` is its program `azurite-blob`.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::command;
use super::same::corpus;
use super::server::python;
use crate::support::{Done, output_bytes, skipped};

/// Ends when it is dropped.
struct Azurite(Child);

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn azure_makes_the_same_dataset() {
    let Some(program) = std::env::var_os("SHARDMILL_AZURITE") else {
        return skipped("datasets from Azure", "no SHARDMILL_AZURITE");
    };
    let place = corpus();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let _azurite = Azurite(
        Command::new(program)
            .args(["--blobPort", &port.to_string(), "--skipApiVersionCheck"])
            .args(["--disableTelemetry", "--location"])
            .arg(place.path("azurite"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let is_late = started.elapsed() > Duration::from_mins(1);
        assert!(!is_late, "Azurite does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    let filled = Command::new(python())
        .args(["-c", include_str!("azure.py"), "corpus", &port.to_string()])
        .arg(place.path("in"))
        .status();
    assert!(filled.unwrap().success());
    let run = |input: &str, out: &str| {
        let args = ["tokenize", input, "--out", out, "--unit-size", "300kB"];
        let mut command = command(&place, "", &args);
        let endpoint = format!("http://127.0.0.1:{port}/devstoreaccount1");
        command
            .env("AZURE_STORAGE_ENDPOINT", endpoint)
            .env("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1")
            .env("AZURE_STORAGE_ACCOUNT_KEY", KEY);
        Done::new(command.output().unwrap())
    };
    let [local, remote] = [("in", "local"), ("az://corpus/pre/", "remote")].map(|(input, out)| {
        let done = run(input, out);
        assert_eq!(done.code, Some(0), "{done:?}");
        output_bytes(&place.path(out))
    });
    assert!(local == remote);
    let done = run("az://corpus/pre/text", "marked");
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = run("az://nowhere/a", "d");
    done.failed(
        1,
        "az://nowhere/a: cannot list: the server answers 404 Not Found (ContainerNotFound)",
    );
}

/// That of every Azurite.
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
