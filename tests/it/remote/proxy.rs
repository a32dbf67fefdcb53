//! A server before the server, which makes mistakes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The server is said to fail, with this status.
    Status(u16),
    /// The connection is cut after so many bytes of the body.
    Cut(usize),
    /// The connection is cut before an answer.
    Drop,
    /// The body comes in pieces, with pauses of a few milliseconds.
    Slow,
}

/// A request of an object or a list.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// How many came before.
    pub(super) number: usize,
    /// Its first line.
    pub(super) line: String,
    /// Its range, such as `0-99`.
    pub(super) range: Option<String>,
}

impl Request {
    /// Whether bytes of an object are requested.
    pub(super) fn is_get(&self) -> bool {
        self.line.starts_with("GET") && self.range.is_some()
    }
}

#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    /// Before the server at `port`; `rule` says what happens to each answer.
    pub(super) fn new(port: u16, rule: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, rule) = (Arc::clone(&requests), Arc::new(rule));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (seen, rule) = (Arc::clone(&seen), Arc::clone(&rule));
                // A client may leave at any time.
                std::thread::spawn(move || {
                    let decide = |request: Request| {
                        let mut seen = seen.lock().unwrap();
                        let request = Request {
                            number: seen.len(),
                            ..request
                        };
                        seen.push(request.clone());
                        drop(seen);
                        rule(&request)
                    };
                    let _ = serve(client.unwrap(), port, decide);
                });
            }
        });
        Self {
            port: own_port,
            requests,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// The head of a message, up to the empty line.
fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn serve(
    mut client: TcpStream,
    port: u16,
    decide: impl FnOnce(Request) -> Fault,
) -> std::io::Result<()> {
    let head = read_head(&mut client)?;
    let mut lines = head.trim_end().lines();
    let line = lines.next().unwrap().to_owned();
    let value = |name: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let range = value("range").map(|range| range.replace("bytes=", ""));
    let fault = decide(Request {
        number: 0,
        line,
        range,
    });
    match fault {
        Fault::Drop => return Ok(()),
        Fault::Status(status) => {
            let head = format!(
                "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return client.write_all(head.as_bytes());
        }
        Fault::None | Fault::Cut(_) | Fault::Slow => {}
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let once = format!("{}\r\nConnection: close\r\n\r\n", head.trim_end());
    server.write_all(once.as_bytes())?;
    let head = read_head(&mut server)?;
    client.write_all(head.as_bytes())?;
    let mut body = Vec::new();
    server.read_to_end(&mut body)?;
    match fault {
        Fault::Cut(length) => client.write_all(&body[..length.min(body.len())]),
        Fault::Slow => body.chunks(16 << 10).try_for_each(|part| {
            std::thread::sleep(Duration::from_millis(3));
            client.write_all(part)
        }),
        _ => client.write_all(&body),
    }
}
