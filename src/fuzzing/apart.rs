//! A thread for which a small file system in memory is the whole host, so that whatever leaves its
//! directory, by `..` or from `/`, is seen and does no harm.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::{fs, thread};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// More than any input needs, and less than would hurt.
const OPTIONS: &str = "mode=0755,size=512m,nr_inodes=200k";

type Job = Box<dyn FnOnce(&Path) + Send>;
type Outcome = thread::Result<()>;

/// Runs `job` in that thread, with the directory that stands for the host: it holds `proc` and what
/// was left there before. Takes root.
///
/// # Panics
/// When the job does, or the thread cannot be set apart.
pub fn apart(job: impl FnOnce(&Path) + Send + 'static) {
    static WORKER: OnceLock<Mutex<(SyncSender<Job>, Receiver<Outcome>)>> = OnceLock::new();
    let worker = WORKER.get_or_init(|| {
        let (to, jobs) = sync_channel::<Job>(0);
        let (done, from) = sync_channel(0);
        thread::spawn(move || {
            set_apart();
            for job in jobs {
                let outcome = catch_unwind(AssertUnwindSafe(|| job(Path::new("/"))));
                if done.send(outcome).is_err() {
                    break;
                }
            }
        });
        Mutex::new((to, from))
    });
    let outcome = {
        let worker = worker.lock().unwrap();
        worker.0.send(Box::new(job)).expect("the thread is there");
        worker.1.recv().expect("the thread is there")
    };
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn set_apart() {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace takes root");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).unwrap();
    let place = std::env::temp_dir();
    let flags = MsFlags::empty();
    mount(Some("tmpfs"), &place, Some("tmpfs"), flags, Some(OPTIONS)).unwrap();
    // Attributes are set through it.
    let processes = place.join("proc");
    fs::create_dir(&processes).unwrap();
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some("/proc"), &processes, none, bind, none).unwrap();
    nix::unistd::chroot(&place).unwrap();
    nix::unistd::chdir("/").unwrap();
}
