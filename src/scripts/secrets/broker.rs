//! Gives secrets to templates: their shells are confined, and the commands of secrets are not.
//!
//! Inside, this program is called (`makeimg -S NAME`, `mkosi secret NAME`), finds a socket, and asks. A
//! request is the secret's name; the answer is [`VALUE`] and the value, or [`REFUSED`] and why.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{SecretError, Value};

/// Names the socket for whoever runs inside.
pub const SOCKET_VARIABLE: &str = "MKOSI_SECRETS";

const VALUE: u8 = b'+';
const REFUSED: u8 = b'!';
/// The longest request that is read, in bytes: a file's name and a little.
const LONGEST_NAME: u64 = 300;

/// A socket at which secrets can be asked for.
#[derive(Debug)]
pub struct Broker {
    listener: UnixListener,
    directory: fs::File,
    path: PathBuf,
}

/// The socket's name in its directory.
const NAME: &str = "socket";

impl Broker {
    /// Makes the socket in the empty directory `place`, which nobody but root may reach.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(place: &Path) -> io::Result<Self> {
        let directory = fs::File::open(place)?;
        let path = place.join(NAME);
        let listener = UnixListener::bind(short(&directory))?;
        // Whoever renders templates need not be root.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        Ok(Self {
            listener,
            directory,
            path,
        })
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers with what `get` returns until `work` is done; returns what that returns.
    pub fn during<T>(
        &self,
        get: impl Fn(&str) -> Result<Value, SecretError> + Sync,
        work: impl FnOnce() -> T,
    ) -> T {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for stream in self.listener.incoming() {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let get = &get;
                    // One that never says what it wants must not keep others from asking. It is gone
                    // when the container is.
                    if let Ok(stream) = stream {
                        scope.spawn(move || answer(stream, get));
                    }
                }
            });
            let result = work();
            done.store(true, Ordering::Relaxed);
            // Somebody has to knock for it to look.
            let _ = UnixStream::connect(short(&self.directory));
            result
        })
    }
}

/// The socket's path, however long its directory's is: addresses of sockets hold 107 bytes.
pub(super) fn short(directory: &fs::File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()))
}

fn answer(mut stream: UnixStream, get: impl Fn(&str) -> Result<Value, SecretError>) {
    let mut name = Vec::new();
    if (&stream).take(LONGEST_NAME).read_to_end(&mut name).is_err() {
        return;
    }
    // Who asked may be gone: then nobody misses the answer.
    let _ = match get(&String::from_utf8_lossy(&name)) {
        Ok(value) => stream
            .write_all(&[VALUE])
            .and_then(|()| stream.write_all(&value)),
        Err(error) => {
            let text = with_causes(&error);
            stream
                .write_all(&[REFUSED])
                .and_then(|()| stream.write_all(text.as_bytes()))
        }
    };
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Asks at `socket` for a secret: its value, or why it is refused.
///
/// # Errors
/// When nobody answers.
pub fn ask(socket: &Path, name: &str) -> io::Result<Result<Vec<u8>, String>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(name.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.split_first() {
        Some((&VALUE, value)) => Ok(Ok(value.to_vec())),
        Some((&REFUSED, why)) => Ok(Err(String::from_utf8_lossy(why).into_owned())),
        _ => Err(io::Error::other("the build ended before it answered")),
    }
}
