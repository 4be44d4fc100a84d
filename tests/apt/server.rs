//! A web server, or proxy, that serves a directory and fails where it is told to.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::support::tool;

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// As it was asked for; with the server's name when this one is a proxy.
    pub path: String,
    /// The first byte that was asked for.
    pub from: usize,
    pub status: u16,
    pub begun: Instant,
}

/// What goes wrong with paths of this ending.
#[derive(Clone, Debug)]
pub struct Fault {
    pub suffix: &'static str,
    /// The connection breaks after this many bytes; without, the answer is an error.
    pub after: Option<usize>,
    /// How often it still happens.
    pub times: usize,
}

/// A request that waits for its answer.
struct Asked<'a> {
    path: &'a str,
    /// The first byte.
    from: usize,
    /// The time of the copy that the client has.
    since: Option<&'a str>,
    /// The content itself is not asked for.
    is_head: bool,
}

struct Shared {
    root: PathBuf,
    requests: Mutex<Vec<Request>>,
    faults: Mutex<Vec<Fault>>,
    ends: AtomicBool,
}

/// The server; it ends with this value.
pub struct Server {
    pub address: String,
    port: u16,
    shared: Arc<Shared>,
}

impl Server {
    pub fn new(root: &Path) -> Self {
        Self::with(root, &[])
    }

    pub fn with(root: &Path, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            requests: Mutex::default(),
            faults: Mutex::new(faults.to_vec()),
            ends: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if theirs.ends.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&theirs);
                // A client that goes away is no matter here.
                std::thread::spawn(move || drop(shared.serve(&stream)));
            }
        });
        Self {
            address: format!("http://127.0.0.1:{port}"),
            port,
            shared,
        }
    }

    /// What was asked for since the last time, of paths of this ending.
    pub fn requests(&self, suffix: &str) -> Vec<Request> {
        let mut all = self.shared.requests.lock().expect("a lock");
        let (found, rest) = all
            .drain(..)
            .partition(|one: &Request| one.path.ends_with(suffix));
        *all = rest;
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        while let Some(first) = lines.next() {
            let first = first?;
            let mut header = Vec::new();
            for line in lines.by_ref() {
                let line = line?;
                if line.is_empty() {
                    break;
                }
                header.push(line);
            }
            if self.ends.load(Ordering::SeqCst) {
                return Ok(());
            }
            let path = first.split(' ').nth(1).unwrap_or_default();
            let field = |name: &str| {
                header.iter().find_map(|line| {
                    let (key, value) = line.split_once(": ")?;
                    key.eq_ignore_ascii_case(name).then_some(value)
                })
            };
            let from = field("Range").and_then(|value| {
                value
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            });
            let asked = Asked {
                path,
                from: from.unwrap_or(0),
                since: field("If-Modified-Since"),
                is_head: first.starts_with("HEAD "),
            };
            if !self.answer(stream, &asked)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Answers; whether the connection goes on.
    fn answer(&self, mut stream: &TcpStream, asked: &Asked<'_>) -> io::Result<bool> {
        let begun = Instant::now();
        let &Asked { from, since, .. } = asked;
        let path = asked
            .path
            .strip_prefix("http://")
            .map_or(asked.path, |rest| {
                rest.find('/').map_or("/", |slash| &rest[slash..])
            });
        let file = self.root.join(path.trim_start_matches('/'));
        let fault = self.fault(path);
        let (status, content, time) = match (&fault, fs::read(&file)) {
            (Some(Fault { after: None, .. }), _) => (503, Vec::new(), String::new()),
            (_, Err(_)) => (404, Vec::new(), String::new()),
            (_, Ok(content)) => {
                let file = file.to_string_lossy().into_owned();
                let words = ["--utc", "--reference", &file, "+%a, %d %b %Y %H:%M:%S GMT"];
                let time = tool("date", &words).trim().to_owned();
                if since == Some(time.as_str()) {
                    (304, Vec::new(), time)
                } else if from > 0 && from < content.len() {
                    (206, content, time)
                } else {
                    (200, content, time)
                }
            }
        };
        let start = if status == 206 { from } else { 0 };
        let mut head = format!(
            "HTTP/1.1 {status} said\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n",
            content.len() - start
        );
        if !time.is_empty() {
            head.push_str(&format!("Last-Modified: {time}\r\n"));
        }
        if status == 206 {
            head.push_str(&format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                content.len() - 1,
                content.len()
            ));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        // What comes after a head that was asked for alone would be taken for the next answer.
        let body = if asked.is_head {
            &[]
        } else {
            &content[start..]
        };
        let cut = fault
            .and_then(|fault| fault.after)
            .map(|n| n.min(body.len()));
        let sent = stream.write_all(&body[..cut.unwrap_or(body.len())]);
        self.requests.lock().expect("a lock").push(Request {
            path: asked.path.to_owned(),
            from: start,
            status,
            begun,
        });
        sent?;
        if cut.is_some() {
            stream.shutdown(std::net::Shutdown::Both)?;
        }
        Ok(cut.is_none())
    }

    /// What goes wrong this time.
    fn fault(&self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("a lock");
        let fault = faults
            .iter_mut()
            .find(|fault| fault.times > 0 && path.ends_with(fault.suffix))?;
        fault.times -= 1;
        Some(fault.clone())
    }
}
