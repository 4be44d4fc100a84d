//! Detached signatures by gpg, with the keys of the person who called.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::OutputError;
use crate::host::{CallingUser, Command, CommandError, Host, Stdin, Stdout};

/// Where gpg keeps its keys, in a home directory.
const KEYRING: &str = ".gnupg";

/// Who signs, and with what.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Option<String>,
    /// Whom gpg runs as; none: as this process.
    user: Option<CallingUser>,
    /// Where gpg's keys are.
    home: PathBuf,
    /// Where a passphrase can be asked for.
    terminal: Option<PathBuf>,
}

impl Signer {
    /// A signer with `key`, by whatever gpg takes for a key's name, or with gpg's default. The keys are
    /// those in `gnupg_home` (`GNUPGHOME`) if it is set, else in the home directory of `user`, who
    /// called sudo or the like, else in `own_home`.
    ///
    /// gpg runs as that user, so that it finds the user's agent and leaves no files of root's among
    /// the user's; except where `gnupg_home` belongs to somebody else.
    #[must_use]
    pub fn new(
        key: Option<String>,
        user: Option<CallingUser>,
        gnupg_home: Option<PathBuf>,
        own_home: &Path,
        terminal: Option<PathBuf>,
    ) -> Self {
        let (user, home) = match gnupg_home {
            Some(home) => {
                let owner = home.metadata().map(|metadata| metadata.uid()).ok();
                (user.filter(|user| owner == Some(user.uid)), home)
            }
            None => {
                let theirs = user.as_ref().and_then(|user| user.home.as_deref());
                let home = theirs.unwrap_or(own_home).join(KEYRING);
                (user, home)
            }
        };
        Self {
            key,
            user,
            home,
            terminal,
        }
    }

    /// The programs that signing takes.
    #[must_use]
    pub fn tools(&self) -> &'static [&'static str] {
        match self.user {
            Some(_) => &["gpg", "setpriv"],
            None => &["gpg"],
        }
    }

    /// Finds out before any work whether signing will succeed, by signing nothing. A passphrase is
    /// asked for now, and gpg's agent remembers it.
    ///
    /// # Errors
    /// There is no such key, or gpg cannot use it.
    pub fn check(&self, host: &Host) -> Result<(), OutputError> {
        // gpg would make the directory.
        if !self.home.is_dir() {
            return Err(self.no_key());
        }
        self.run(Stdin::Null, host).map(drop)
    }

    /// The signature of `file`, binary and detached.
    ///
    /// # Errors
    /// What gpg says.
    pub fn sign(&self, file: File, host: &Host) -> Result<Vec<u8>, OutputError> {
        self.run(Stdin::File(file), host)
    }

    fn run(&self, stdin: Stdin, host: &Host) -> Result<Vec<u8>, OutputError> {
        let command = self.command().stdin(stdin).stdout(Stdout::Capture);
        host.run(command)
            .map(|output| output.stdout)
            .map_err(|source| self.explain(source, host))
    }

    fn command(&self) -> Command {
        let mut command = match &self.user {
            None => Command::new("gpg"),
            Some(user) => user.command("gpg"),
        };
        if let Some(terminal) = &self.terminal {
            command = command.env("GPG_TTY", terminal);
        }
        // The user's gpg.conf counts, but must not change the kind of signature.
        command = command.env("GNUPGHOME", &self.home).args([
            "--batch",
            "--no-armor",
            "--no-textmode",
            "--detach-sign",
        ]);
        match &self.key {
            Some(key) => command.arg(format!("--local-user={key}")),
            None => command,
        }
    }

    fn explain(&self, source: CommandError, host: &Host) -> OutputError {
        let said = match &source {
            CommandError::Cancelled => return OutputError::Cancelled,
            CommandError::Failed { tail, .. } => tail.as_str(),
            _ => "",
        };
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        // The C locale's messages are as stable as gpg's status lines, which would have to be kept
        // from the user's eyes.
        if says(&["No secret key", "no default secret key"]) {
            return self.no_key();
        }
        if host.find("gpg-agent").is_none() {
            if let Err(error) = host.require(&["gpg-agent"]) {
                return OutputError::Host(error);
            }
        }
        if says(&["pinentry", "Inappropriate ioctl", "Bad passphrase"]) {
            return OutputError::KeyLocked { source };
        }
        OutputError::Command {
            doing: "sign with gpg",
            source,
        }
    }

    fn no_key(&self) -> OutputError {
        OutputError::NoKey {
            key: self.key.clone(),
            home: self.home.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::{Cancel, Quiet, Recorder};

    fn ann(uid: u32, home: &Path) -> CallingUser {
        CallingUser {
            uid,
            gid: 100,
            name: Some("ann".into()),
            home: Some(home.into()),
        }
    }

    fn check(signer: &Signer, recorder: Recorder) -> (Result<(), OutputError>, Vec<String>) {
        let recorder = Arc::new(recorder);
        let host = Host::new(recorder.clone(), Arc::new(Quiet), Cancel::default());
        (signer.check(&host), recorder.lines())
    }

    #[test]
    fn keys_are_those_of_the_person_who_called() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path();
        std::fs::create_dir(home.join(".gnupg")).unwrap();
        let owner = home.metadata().unwrap().uid();
        let shown = |path: &Path| path.display().to_string();
        let keys = shown(&home.join(".gnupg"));
        let sign = "gpg --batch --no-armor --no-textmode --detach-sign";

        let root = Signer::new(None, None, None, home, None);
        let (result, lines) = check(&root, Recorder::default());
        result.unwrap();
        assert_eq!(lines, [format!("GNUPGHOME={keys} {sign}")]);
        assert_eq!(root.tools(), ["gpg"]);

        let user = ann(4242, home);
        let sudo = Signer::new(
            Some("-x".into()),
            Some(user),
            None,
            Path::new("/root"),
            Some("/dev/pts/1".into()),
        );
        let (result, lines) = check(&sudo, Recorder::default());
        result.unwrap();
        assert_eq!(
            lines,
            [format!(
                "HOME={} GPG_TTY=/dev/pts/1 GNUPGHOME={keys} \
                 setpriv --reuid=4242 --regid=100 --init-groups -- {sign} --local-user=-x",
                shown(home)
            )]
        );
        assert_eq!(sudo.tools(), ["gpg", "setpriv"]);

        // A directory of the user's own is used as the user, any other as this process.
        for (uid, program) in [(owner.max(1), owner != 0), (4242, false)]
            .map(|(uid, own)| (uid, if own { "setpriv" } else { "gpg" }))
        {
            let named = Some(home.to_owned());
            let signer = Signer::new(None, Some(ann(uid, home)), named, home, None);
            let (_, lines) = check(&signer, Recorder::default());
            assert!(lines[0].contains(&format!(" {program} ")), "{lines:?}");
        }
    }

    #[test]
    fn what_gpg_says_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let signer = |key: Option<&str>, home: &Path| {
            Signer::new(key.map(str::to_owned), None, Some(home.into()), home, None)
        };
        let home = directory.path();
        let nobody = signer(Some("nobody"), home);
        for (said, expected) in [
            (
                "gpg: skipped \"nobody\": No secret key",
                format!(
                    "Key=nobody: gpg has no such secret key in {}; \"gpg --list-secret-keys\" \
                     shows the keys that there are",
                    home.display()
                ),
            ),
            ("gpg: signing failed: No pinentry", "cannot sign: gpg could not ask for the passphrase of the key; unlock the key first, by signing something with gpg".into()),
            ("gpg: skipped: Unusable secret key", "cannot sign with gpg".into()),
        ] {
            let recorder = Recorder::default();
            recorder.fail("gpg", 2, said);
            let error = check(&nobody, recorder).0.unwrap_err();
            assert_eq!(error.to_string(), expected, "{said}");
        }
        // Where there is nothing, nothing is called: it would make a keyring.
        let missing = home.join("missing");
        let (result, lines) = check(&signer(None, &missing), Recorder::default());
        assert!(lines.is_empty());
        let error = result.unwrap_err().to_string();
        assert!(
            error.starts_with("gpg has no secret key to sign with in "),
            "{error}"
        );
    }
}
