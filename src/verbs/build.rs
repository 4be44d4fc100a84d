//! `mkosi build`: from a configuration to published artifacts.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::lacking::lacking;
use super::outputs::{artifacts, existing_output, make_directories, unfit_output};
use super::timings::{self, Notes};
use super::{VerbError, exit, passphrase, plan_context, terminal};
use crate::boot::check_pair;
use crate::cli::{self, Globals};
use crate::config::values::Architecture;
use crate::config::{self, Config, Context as ConfigContext};
use crate::disk::Passphrase;
use crate::engine::events::Shown;
use crate::engine::layers::Store;
use crate::engine::{
    self, Artifact, Build, Caching, Display, Durability, Progress, PublishOptions,
};
use crate::host::{
    Host, HostError, Lock, SilentSignals, adopt_architecture, calling_user, fail_point, is_root,
    namespace, printable_path, remove_contents, set_umask, signals,
};
use crate::installer::{self, Installer};
use crate::output::{Artifacts, Signer};
use crate::plan::{self, Context, Plan};

/// Builds the image of a configuration. The exit status is that of the program.
pub fn run(config: &Config, context: &ConfigContext, globals: &Globals) -> u8 {
    let prepared = check(config, context).and_then(|mut prepared| {
        prepared
            .ask(config, None, &mut Asked::default())
            .map_err(|error| vec![error])?;
        prepared.keep = globals.keep;
        prepared.timings =
            timings::target(globals, || prepared.names.timings()).map_err(|error| vec![error])?;
        prepared.wait = globals.wait;
        prepared.set_lock(config, globals)?;
        Ok(prepared)
    });
    match prepared {
        Ok(prepared) => start(config, &prepared, globals),
        Err(errors) if errors.iter().any(VerbError::is_interruption) => {
            terminal::complain("interrupted");
            exit::INTERRUPTED
        }
        Err(errors) => {
            for error in errors {
                terminal::complain_about(&error);
            }
            exit::USAGE
        }
    }
}

/// A build whose configuration, output and tools were checked.
pub(super) struct Prepared {
    /// What will be done.
    pub(super) plan: Plan,
    context: Context,
    names: Artifacts,
    installer: Box<dyn Installer>,
    signer: Option<Signer>,
    host: Host,
    passphrase: Option<Passphrase>,
    /// Whom what is made shall belong to.
    pub(super) owner: Option<(u32, u32)>,
    /// Whether the working directory stays when the build fails.
    pub(super) keep: bool,
    /// Where a page about the build is written, if one is.
    pub(super) timings: Option<PathBuf>,
    /// Whether to wait for another run that uses the output.
    pub(super) wait: bool,
    /// Where the packages of this build are written down, if they are.
    pub(super) lock: Option<PathBuf>,
    /// Whether somebody else has dropped the caches that `-ff` and more drop.
    pub(super) caches_dropped: bool,
    /// Where trees with packages are kept, if they are.
    pub(super) caching: Option<Caching>,
}

/// Checks everything that can be checked before work begins without asking anybody, and says all
/// that is wrong at once.
pub(super) fn check(config: &Config, settings: &ConfigContext) -> Result<Prepared, Vec<VerbError>> {
    if !is_root() {
        return Err(vec![VerbError::NotRoot { verb: "build" }]);
    }
    let mut errors: Vec<VerbError> = config::missing_inputs(config)
        .into_iter()
        .map(VerbError::Config)
        .collect();
    let context = match plan_context::of(config, settings) {
        Ok(context) => context,
        Err(error) => {
            errors.push(error);
            return Err(errors);
        }
    };
    let plan = match Plan::new(config, &context) {
        Ok(plan) => Some(plan),
        Err(problems) => {
            errors.extend(problems.into_iter().map(VerbError::Plan));
            None
        }
    };
    let names = Artifacts::new(&config.output);
    engine::sweep(names.directory(), &terminal::Warnings);
    errors.extend(existing_output(config, plan.as_ref(), &names));
    errors.extend(unfit_output(config, &names));
    let host = super::host(config);
    let installer = installer::choose(config.distribution, &host);
    let signer = config.sign.then(|| signer(config, settings));
    if let Some(plan) = &plan {
        if config.locked && !can_lock(plan, installer.as_ref()) {
            errors.push(VerbError::Lock(NO_LOCK));
        }
        let lacking = lacking(config, plan, installer.as_ref(), signer.as_ref(), &host);
        if let (true, Some(pair)) = (lacking.is_empty(), plan::signing(plan)) {
            errors.extend(check_pair(pair, &host).err().map(VerbError::Boot));
        }
        errors.extend(lacking);
    }
    let Some(plan) = plan.filter(|_| errors.is_empty()) else {
        return Err(errors);
    };
    let caching = config.incremental.then(|| Caching {
        store: Store::in_directory(names.directory()),
        others: Vec::new(),
        limit: config.layers_size.bytes(),
        not_before: config.force.drops_cached_images().then(begun),
    });
    Ok(Prepared {
        plan,
        context,
        names,
        installer,
        signer,
        host,
        passphrase: None,
        owner: (!config.no_chown)
            .then(calling_user)
            .flatten()
            .map(|user| (user.uid, user.gid)),
        keep: false,
        timings: None,
        wait: false,
        lock: None,
        caches_dropped: false,
        caching,
    })
}

/// Why there is no lock for what is built.
const NO_LOCK: &str = "this package manager keeps to no lock: Locked= and --update-lock work with apt-get, \
                       dnf, zypper and pacman of this host";

fn can_lock(plan: &Plan, installer: &dyn Installer) -> bool {
    plan.request().is_some() && installer.keeps_to_locks()
}

/// What was asked for other images of the same project, and need not be asked again.
#[derive(Default)]
pub(super) struct Asked {
    /// The passphrase in the project's file.
    from_file: Option<Passphrase>,
    /// Keys that can sign.
    keys: Vec<Option<String>>,
}

impl Prepared {
    /// Asks for what only the user knows; questions name `image` where there are several. Last
    /// before the work: nobody wants to be asked for a passphrase only to read of a mistake then.
    pub(super) fn ask(
        &mut self,
        config: &Config,
        image: Option<&str>,
        asked: &mut Asked,
    ) -> Result<(), VerbError> {
        if let Some(signer) = &self.signer {
            if !asked.keys.contains(&config.key) {
                signer.check(&self.host).map_err(VerbError::Sign)?;
                asked.keys.push(config.key.clone());
            }
        }
        if plan::encrypts(&self.plan) {
            let from_file = config.project.passphrase.is_some();
            let known = asked.from_file.clone().filter(|_| from_file);
            let passphrase = match known {
                Some(passphrase) => passphrase,
                None => passphrase::obtain(config, image)?,
            };
            if from_file {
                asked.from_file = Some(passphrase.clone());
            }
            self.passphrase = Some(passphrase);
        }
        Ok(())
    }

    /// Notes where the lock is written, if it is.
    ///
    /// # Errors
    /// When the lock is to be kept to, too, or there is nothing to write.
    pub(super) fn set_lock(
        &mut self,
        config: &Config,
        globals: &Globals,
    ) -> Result<(), Vec<VerbError>> {
        if globals.update_lock {
            let problem = if config.locked {
                Some(
                    "Locked=yes (--locked) keeps to the lock, and --update-lock changes it: use one of them",
                )
            } else if !self.can_lock() {
                Some(NO_LOCK)
            } else {
                None
            };
            if let Some(problem) = problem {
                return Err(vec![VerbError::Lock(problem)]);
            }
            self.lock.clone_from(&config.lock_file);
        }
        Ok(())
    }

    fn can_lock(&self) -> bool {
        can_lock(&self.plan, self.installer.as_ref())
    }

    /// Makes the directories that the build writes to, for the calling user.
    pub(super) fn make_directories(&self, config: &Config) -> Result<(), VerbError> {
        make_directories(config, &self.names, self.owner)
    }
}

/// When this run began: the same for all images that it builds, so that `-ff` makes what they share once.
fn begun() -> SystemTime {
    static BEGUN: OnceLock<SystemTime> = OnceLock::new();
    *BEGUN.get_or_init(SystemTime::now)
}

/// Who signs: with the keys of the person who called.
pub(super) fn signer(config: &Config, context: &ConfigContext) -> Signer {
    let path = |name: &str| {
        let text = context.variable(name).filter(|text| !text.is_empty())?;
        Some(context.absolute(Path::new(&text)))
    };
    let home = path("HOME").unwrap_or_else(|| "/root".into());
    let stdin = std::io::stdin();
    let terminal = stdin
        .is_terminal()
        .then(|| fs::read_link("/proc/self/fd/0").ok())
        .flatten();
    Signer::new(
        config.key.clone(),
        calling_user(),
        path("GNUPGHOME"),
        &home,
        terminal,
    )
}

/// Builds in a namespace of its own, so that nothing outlives this process.
fn start(config: &Config, prepared: &Prepared, globals: &Globals) -> u8 {
    set_umask();
    if let Err(error) = prepared.make_directories(config) {
        terminal::complain_about(&error);
        return exit::FAILED;
    }
    fail_point::pass("directories-made");
    // Of this process: the other one may be killed.
    let silent = display(globals).is_live().then(SilentSignals::begin);
    let ended = namespace::isolate(|| work(config, prepared, globals));
    drop(silent);
    match ended {
        Ok(code) => code,
        Err(error) => {
            terminal::complain_about(&VerbError::Host(error));
            exit::FAILED
        }
    }
}

/// The build itself, in its namespace, and what is said of it.
fn work(config: &Config, prepared: &Prepared, globals: &Globals) -> u8 {
    fail_point::pass("isolated");
    let mut display = display(globals).sink(shown(globals));
    let notes = prepared.timings.clone().map(|to| {
        let caches = config.cache.iter().cloned();
        Notes::begin(to, prepared.owner, caches, display.clone())
    });
    if let Some(notes) = &notes {
        display = notes.sink();
    }
    let progress = Progress::new(display, &image_name(prepared.names.image()));
    let result = build(config, prepared, &progress);
    let status = conclude(config, prepared, globals, result);
    if let Some(notes) = notes {
        timings::finish(notes, globals.progress != cli::Progress::Json);
    }
    status
}

/// Says how a build ended; returns the exit status.
fn conclude(
    config: &Config,
    prepared: &Prepared,
    globals: &Globals,
    result: Result<(), VerbError>,
) -> u8 {
    match result {
        Ok(()) => {
            if globals.progress != cli::Progress::Json && prepared.plan.makes_image() {
                how_to_run(config);
            }
            exit::DONE
        }
        Err(error) if error.is_interruption() => {
            terminal::complain("interrupted; nothing was left behind");
            exit::INTERRUPTED
        }
        Err(error) => {
            terminal::complain_about(&error);
            exit::FAILED
        }
    }
}

/// Builds an image, to be called inside [`namespace::isolate`], and tells `progress` how that ended.
pub(super) fn build(
    config: &Config,
    prepared: &Prepared,
    progress: &Progress,
) -> Result<(), VerbError> {
    let host = prepared
        .host
        .clone()
        .with_report(Arc::new(progress.clone()));
    adopt_architecture(config.architecture.as_str(), Architecture::host().as_str());
    let result = signals::install(&host.cancel)
        .map_err(VerbError::Signals)
        .and_then(|()| locked(config, prepared, &host, progress));
    match result {
        Ok(_) => Ok(()),
        Err(error) => {
            progress.failed(&error);
            if host.cancel.is_cancelled() {
                // Whatever went wrong then went wrong because of that.
                return Err(VerbError::Host(HostError::Cancelled));
            }
            Err(error)
        }
    }
}

fn locked(
    config: &Config,
    prepared: &Prepared,
    host: &Host,
    progress: &Progress,
) -> Result<Vec<Artifact>, VerbError> {
    let names = &prepared.names;
    let _lock = lock(names.image(), prepared.wait, host).map_err(VerbError::Host)?;
    fail_point::reach("locked", "").map_err(|source| VerbError::File {
        path: names.image().to_owned(),
        source,
    })?;
    // Another build may have made it while this one was starting.
    if let Some(error) = existing_output(config, Some(&prepared.plan), names) {
        return Err(error);
    }
    if !prepared.caches_dropped {
        drop_caches(config)?;
    }
    if !config.repository_key_check {
        host.report.warn(
            "RepositoryKeyCheck=no: signatures of packages are NOT checked; whoever controls the \
             network controls this image",
        );
    }
    if prepared.context.source_date_epoch.is_some() && config.encrypt.is_some() {
        host.report.warn(
            "SOURCE_DATE_EPOCH is set, but this image is another one each time: keys of encrypted \
             partitions are random",
        );
    }
    // A key for ssh is for all builds.
    let keys = [names.ssh_key(), names.ssh_public_key()];
    let mut former = artifacts(config)?;
    former.retain(|path| !keys.contains(path));
    let build = Build {
        plan: &prepared.plan,
        context: &prepared.context,
        installer: prepared.installer.as_ref(),
        names,
        caching: prepared.caching.as_ref(),
        workspace: config
            .workspace_directory
            .as_deref()
            .unwrap_or_else(|| names.directory()),
        passphrase: prepared.passphrase.as_ref(),
        publish: PublishOptions {
            replace: config.force.replaces_output(),
            owner: prepared.owner,
            durability: if config.incremental {
                Durability::Unsynced
            } else {
                Durability::Synced
            },
        },
        observe: prepared.timings.is_some(),
        keep: prepared.keep,
        former: &former,
        signer: prepared.signer.as_ref(),
        lock: prepared.lock.as_deref(),
    };
    let artifacts = engine::run(&build, host, progress).map_err(VerbError::Build)?;
    fail_point::pass("published");
    if let Some(caching) = &prepared.caching {
        // The image is done: what is left over is no reason to fail.
        if let Err(error) = caching.store.shrink(caching.limit, host.report.as_ref()) {
            host.report.warn(&error.to_string());
        }
    }
    Ok(artifacts)
}

/// Locks the output; where somebody else has it, says so and waits, if that is wanted.
fn lock(image: &Path, wait: bool, host: &Host) -> Result<Lock, HostError> {
    const WHAT: &str = "mkosi build";
    match Lock::acquire(image, WHAT) {
        Err(HostError::Locked { path, holder }) if wait => {
            host.report.warn(&format!(
                "{} is in use by another run ({holder}): waiting for it to end",
                printable_path(path)
            ));
            Lock::wait(image, WHAT, host)
        }
        other => other,
    }
}

/// Empties the caches that the user wants to be built anew.
pub(super) fn drop_caches(config: &Config) -> Result<(), VerbError> {
    if config.force.drops_package_cache() {
        if let Some(cache) = &config.cache {
            remove_contents(cache).map_err(VerbError::Host)?;
        }
    }
    Ok(())
}

/// How events are shown.
pub(super) fn display(globals: &Globals) -> Display {
    match globals.progress {
        cli::Progress::Auto | cli::Progress::Terminal => Display::Auto,
        cli::Progress::Plain => Display::Plain,
        cli::Progress::Json => Display::Json,
    }
}

/// What is shown beyond steps.
pub(super) fn shown(globals: &Globals) -> Shown {
    Shown {
        commands: globals.debug_run,
        lines: globals.verbose,
    }
}

/// Says how to run what was made.
fn how_to_run(config: &Config) {
    let container = super::boot::check(config, super::boot::Run::Boot).is_ok();
    let with = match (container, super::qemu::check(config).is_ok()) {
        (true, true) => "mkosi qemu, mkosi boot, or mkosi shell",
        (true, false) => "mkosi boot, or mkosi shell",
        (false, true) => "mkosi qemu",
        (false, false) => return,
    };
    terminal::tell(&format!("  run it with: {with}\n"));
}

fn image_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| "image".into(), |n| n.to_string_lossy().into_owned())
}
