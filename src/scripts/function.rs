//! Functions of a project's shell file: inside the image, on the host, or confined there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::name_servers::NameServers;
use super::{PATH, ScriptError};
use crate::host::{Command, CommandError, Confinement, Container, Host, printable};
use crate::tree::Root;

/// Where the file is shown inside.
const INSIDE: &str = "/run/mkosi/shell-file";

/// Stands in for mount(8).
const MOUNT: &str = include_str!("mount.sh");
/// A kind of container in which debootstrap does without device files.
const CONTAINER: (&str, &str) = ("container", "lxc");
/// The capabilities with which a function could reach the host's disks and files past the walls.
const DROPPED: [&str; 2] = ["CAP_MKNOD", "CAP_DAC_READ_SEARCH"];

/// The language of a shell file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Shell {
    /// POSIX sh.
    Posix,
    /// bash.
    Bash,
}

impl Shell {
    /// The program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Posix => "sh",
            Self::Bash => "bash",
        }
    }

    const fn inside(self) -> &'static str {
        match self {
            Self::Posix => "/bin/sh",
            Self::Bash => "/bin/bash",
        }
    }
}

/// A function of a shell file.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The language.
    pub shell: Shell,
    /// Where it is defined.
    pub text: Text,
    /// Variables that it can use, whatever the file says.
    pub variables: Vec<(&'static str, String)>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// Whether it may use the network.
    pub network: bool,
}

/// What defines a function.
#[derive(Clone, Debug, Serialize)]
pub enum Text {
    /// The project's file.
    File(PathBuf),
    /// The functions themselves, without anything else of the file.
    Functions(String),
}

/// Runs a function in a container on the tree at `root`.
///
/// # Errors
/// When a command in it fails, and when the tree has no shell.
pub fn run_inside(function: &Function, root: &Path, host: &Host) -> Result<(), ScriptError> {
    let tree = Root::open(root)?;
    let shell = function.shell.inside();
    if !tree.is_file(shell)? {
        return Err(ScriptError::FirstLine {
            path: function.name.into(),
            problem: format!("it needs {shell}, which is not in the image"),
        });
    }
    let servers = NameServers::remember(root)?;
    // A home directory to start in need not be there.
    let home = Path::new("/root");
    let home = if tree.is_dir(home)? {
        home
    } else {
        Path::new("/")
    };
    let mut container = Container::new(root)
        .user_namespace()
        .walled()
        .network(function.network && tree.is_dir("etc")?)
        .current_dir(home);
    for (name, value) in &function.environment {
        container = container.env(name, value);
    }
    let script = match &function.text {
        Text::File(path) => {
            container = container.bind_read_only(path, Path::new(INSIDE));
            function.script(Path::new(INSIDE))
        }
        Text::Functions(text) => format!("{text}\nset -e\n{}", function.name),
    };
    let result = host.run(container.command(shell, ["-c", &script]));
    servers.restore()?;
    result.map_err(|e| function.failed(e, "Packages"))?;
    Ok(())
}

impl Function {
    /// What the shell is told: the file first, which may say what it wants; then nothing may fail.
    fn script(&self, file: &Path) -> String {
        let mut script = format!(". {}\n", crate::host::shell_quote(file.as_os_str()));
        for (name, value) in &self.variables {
            let value = crate::host::shell_quote(value.as_ref());
            script.push_str(&format!("{name}={value}\n"));
        }
        script.push_str(&format!("set -e\n{}\n", self.name));
        script
    }

    /// Its name, with its file's where that is known.
    fn place(&self) -> String {
        let file = match &self.text {
            Text::File(path) => path.file_name().unwrap_or_default().to_string_lossy(),
            Text::Functions(_) => "".into(),
        };
        match file.is_empty() {
            true => self.name.to_owned(),
            false => format!("{file}, {}", self.name),
        }
    }

    fn file(&self) -> PathBuf {
        match &self.text {
            Text::File(path) => path.clone(),
            Text::Functions(_) => self.name.into(),
        }
    }

    fn failed(&self, source: CommandError, packages: &str) -> ScriptError {
        let hint = match &source {
            CommandError::Cancelled => return ScriptError::Cancelled,
            CommandError::Failed { code, tail, .. } => {
                super::hint(*code, tail, packages, self.network)
            }
            _ => None,
        };
        ScriptError::Function {
            name: printable(&self.place()),
            hint: hint.map(|h| format!("\n{h}")).unwrap_or_default(),
            // The script that was made of it says nothing to whoever wrote the function.
            source: without_script(source, self),
        }
    }

    /// Runs it on the host, in the directory of its file, with the host's files and programs at hand.
    ///
    /// # Errors
    /// When a command in it fails.
    pub fn run_on_host(&self, tree: &Path, host: &Host) -> Result<(), ScriptError> {
        let file = self.file();
        let directory = file.parent().unwrap_or(Path::new("/"));
        let mut command = Command::new(self.shell.program())
            .arg("-c")
            .arg(self.script(&file))
            .current_dir(directory);
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        host.run(command.env("BUILDROOT", tree))
            .map_err(|e| self.failed(e, ""))?;
        Ok(())
    }

    /// Runs it on the host with nothing in reach but the host's programs and the directory `source`,
    /// which can only be read; the tree at `root` is at `tree`, and can be written to. `scratch` is a
    /// directory of the build's own.
    ///
    /// # Errors
    /// When a command in it fails.
    pub fn run_confined(
        &self,
        source: &Path,
        root: &Path,
        tree: &Path,
        scratch: &Path,
        host: &Host,
    ) -> Result<(), ScriptError> {
        let place = scratch.join("confined");
        fs::create_dir(&place).map_err(ScriptError::file("create", &place))?;
        let mount = scratch.join("mount");
        fs::write(&mount, MOUNT)
            .and_then(|()| fs::set_permissions(&mount, fs::Permissions::from_mode(0o755)))
            .map_err(ScriptError::file("write", &mount))?;
        let mut container = Confinement::new(&place)?
            .show(&mount, Path::new("/run/mkosi/bin/mount"))?
            .show(source, source)?
            .writable(root, tree)?
            .container()
            .user_namespace()
            .network(self.network)
            .env(CONTAINER.0, CONTAINER.1)
            .env("PATH", PATH)
            .current_dir(source);
        for capability in DROPPED {
            container = container.drop_capability(capability);
        }
        for (name, value) in &self.environment {
            container = container.env(name, value);
        }
        for (name, value) in &self.variables {
            container = container.env(name, value);
        }
        let script = self.script(&self.file());
        let command = container.command(self.shell.program(), ["-c", &script]);
        let result = host.run(command);
        fs::remove_dir_all(&place).map_err(ScriptError::file("remove", &place))?;
        result.map_err(|e| {
            let mut error = self.failed(e, "");
            if let (ScriptError::Function { hint, .. }, Some(text)) =
                (&mut error, self.lost_variables(tree))
            {
                *hint = format!("\n{text}");
            }
            error
        })?;
        Ok(())
    }

    /// What to do about a file that says nowhere where the tree is: somebody's shell has filled in its
    /// variables, before they had values.
    fn lost_variables(&self, tree: &Path) -> Option<String> {
        let Text::File(path) = &self.text else {
            return None;
        };
        let text = fs::read_to_string(path).ok()?;
        let is_said = text.contains("img_dir") || text.contains(&*tree.to_string_lossy());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (!is_said).then(|| {
            format!(
                "{name} does not mention $img_dir. If a shell wrote it from a here-document, it replaced \
                 $img_dir by nothing: write cat <<'EOF' > {name}, with quotes around EOF"
            )
        })
    }
}

fn without_script(error: CommandError, function: &Function) -> CommandError {
    match error {
        CommandError::Failed {
            status, code, tail, ..
        } => CommandError::Failed {
            command: format!("the function {}", function.name),
            status,
            code,
            tail,
        },
        error => error,
    }
}
