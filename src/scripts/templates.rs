//! Templates: files that a shell fills in, as it does a here-document.
//!
//! All of them are rendered by one shell, confined on the host, that can read the project and nothing
//! else, has no network, and none of root's rights. What it makes comes back through a pipe.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::secrets::{Broker, SOCKET_VARIABLE, SecretError, SecretSource, Secrets};
use super::{PATH, ScriptError};
use crate::host::{Command, CommandError, Confinement, Host, Stdout, printable};
use crate::tree::Root;
use crate::tree::adapt::{Role, inputs};

/// Where everything that rendering takes is shown.
const INSIDE: &str = "/run/mkosi";
/// Reports every command that fails in a way that nobody looks at, which shells otherwise keep to
/// themselves within a here-document.
const TRAP: &str =
    r#"trap 'printf "%s\n" "a command failed with status $?: $BASH_COMMAND" >&2' ERR"#;
/// The largest template, in bytes.
const LARGEST: u64 = 16 << 20;

/// Templates to render, and what they may use.
#[derive(Clone, Debug, Serialize)]
pub struct Templates {
    /// The trees that hold them.
    pub trees: Vec<PathBuf>,
    /// The directory that they may read, in which the shell runs; none where what they read would
    /// have to be remembered.
    pub project: Option<PathBuf>,
    /// A shell file of the project that sets variables for them.
    pub shell_file: Option<PathBuf>,
    /// Variables for them.
    pub environment: Vec<(String, String)>,
    /// Errors are only told.
    pub warn_only: bool,
    /// Where `$(mkosi secret NAME)` looks; none where values must not get.
    pub secrets: Option<SecretSource>,
}

/// The programs that rendering takes.
pub const TOOLS: [&str; 3] = ["bash", "setpriv", "systemd-nspawn"];

struct Template {
    source: PathBuf,
    target: PathBuf,
    mode: u32,
    ends_in_newline: bool,
}

/// What came of a template.
struct Rendered<'a> {
    text: &'a [u8],
    status: &'a [u8],
    errors: &'a [u8],
}

/// Renders all templates into the image; each file there has its template's mode and belongs to root.
/// `scratch` is a directory of the build's own. Returns how many there were.
///
/// # Errors
/// The first template that printed an error, or in which a command failed, unless that is to be only
/// told.
pub fn render(
    templates: &Templates,
    root: &Root,
    scratch: &Path,
    host: &Host,
) -> Result<usize, ScriptError> {
    let place = scratch.join("templates");
    let sub = |name: &str| {
        let path = place.join(name);
        fs::create_dir_all(&path).map_err(ScriptError::file("create", &path))?;
        Ok::<_, ScriptError>(path)
    };
    let (skeleton, files, socket) = (sub("root")?, sub("files")?, sub("socket")?);
    let found = collect(templates, &files)?;
    let none = SecretSource {
        definitions: None,
        revealed: None,
        directory: PathBuf::new(),
    };
    let secrets = Secrets::new(templates.secrets.as_ref().unwrap_or(&none), host);
    let broker = Broker::new(&socket).map_err(ScriptError::file("listen in", &socket))?;
    let command = command(templates, &skeleton, &files, &broker)?;
    let get = |name: &str| match templates.secrets {
        Some(_) => secrets.get(name),
        None => Err(SecretError::Unsafe {
            path: "a skeleton tree".into(),
            why: "what is in it becomes part of cached images; move the template to an extra tree",
        }),
    };
    let output = broker.during(get, || host.run(command));
    let output = Zeroizing::new(output.map_err(rendering)?.stdout);
    let parts: Vec<&[u8]> = output.split(|b| *b == 0).collect();
    for (nth, template) in found.iter().enumerate() {
        let part = |index| parts.get(nth * 3 + index).copied();
        let (Some(text), Some(status), Some(errors)) = (part(0), part(1), part(2)) else {
            let problem = "the shell ended before it came to this template".to_owned();
            return Err(failed(template, problem));
        };
        let rendered = Rendered {
            text,
            status,
            errors,
        };
        write(
            template,
            &rendered,
            templates.warn_only,
            &secrets,
            root,
            host,
        )?;
    }
    drop(broker);
    fs::remove_dir_all(&place).map_err(ScriptError::file("remove", &place))?;
    Ok(found.len())
}

fn failed(template: &Template, problem: String) -> ScriptError {
    ScriptError::Template {
        path: template.source.clone(),
        problem,
    }
}

fn rendering(error: CommandError) -> ScriptError {
    match error {
        CommandError::Cancelled => ScriptError::Cancelled,
        error => ScriptError::Rendering(error),
    }
}

/// Writes each template as a here-document into a file of its own in `files`.
fn collect(templates: &Templates, files: &Path) -> Result<Vec<Template>, ScriptError> {
    let mut found = Vec::new();
    for tree in &templates.trees {
        for input in inputs(tree)?
            .into_iter()
            .filter(|i| i.role == Role::Template)
        {
            let source = tree.join(&input.path);
            let read = || ScriptError::file("read", &source);
            let meta = fs::symlink_metadata(&source).map_err(read())?;
            let wrong = |problem: &str| ScriptError::Template {
                path: source.clone(),
                problem: problem.to_owned(),
            };
            if meta.len() > LARGEST {
                return Err(wrong("it is larger than 16 MiB"));
            }
            let text = fs::read(&source).map_err(read())?;
            if text.contains(&0) {
                return Err(wrong("it holds a null byte, which no shell can write"));
            }
            let document = files.join(found.len().to_string());
            fs::write(&document, here_document(&text))
                .map_err(ScriptError::file("write", &document))?;
            found.push(Template {
                source,
                target: input.target,
                mode: meta.mode() & 0o7777,
                ends_in_newline: text.is_empty() || text.ends_with(b"\n"),
            });
        }
    }
    let driver = files.join("driver");
    fs::write(
        &driver,
        script(templates.shell_file.as_deref(), found.len()),
    )
    .map_err(ScriptError::file("write", &driver))?;
    Ok(found)
}

/// A shell command that prints `text`, filled in.
fn here_document(text: &[u8]) -> Vec<u8> {
    let mut end = b"END_OF_TEMPLATE".to_vec();
    while text.split(|b| *b == b'\n').any(|line| line == end) {
        end.push(b'_');
    }
    let mut document = [b"cat <<", end.as_slice(), b"\n", text].concat();
    if !(text.is_empty() || text.ends_with(b"\n")) {
        document.push(b'\n');
    }
    document.extend([end.as_slice(), b"\n"].concat());
    document
}

/// Renders `count` templates: of each the text, its status and what it printed as an error, each with a
/// null byte behind it.
fn script(shell_file: Option<&Path>, count: usize) -> String {
    let sourced = match shell_file {
        // What it has to say was said when it was read for its settings.
        Some(_) => format!(". {INSIDE}/shell-file >/dev/null 2>&1\n"),
        None => String::new(),
    };
    format!(
        "exec 3>&1 1>&2\n\
         secret() {{ mkosi secret \"$@\"; }}\n\
         {sourced}\
         set +o errexit -o nounset -o errtrace\n\
         for n in $(seq 0 {last}); do\n\
         errors=$( {{ {TRAP}; . {INSIDE}/files/$n; }} 2>&1 1>&3 3>&- )\n\
         printf '\\0%s\\0%s\\0' \"$?\" \"$errors\" >&3\n\
         done\n",
        last = count.saturating_sub(1),
    )
}

fn command(
    templates: &Templates,
    skeleton: &Path,
    files: &Path,
    broker: &Broker,
) -> Result<Command, ScriptError> {
    let inside = Path::new(INSIDE);
    let own =
        std::env::current_exe().map_err(ScriptError::file("find", Path::new("/proc/self/exe")))?;
    let mut confinement = Confinement::new(skeleton)?;
    let mut owner = (0, 0);
    if let Some(project) = &templates.project {
        let meta = fs::metadata(project).map_err(ScriptError::file("read", project))?;
        owner = (meta.uid(), meta.gid());
        confinement = confinement.show(project, project)?;
    }
    if let Some(file) = &templates.shell_file {
        confinement = confinement.show(file, &inside.join("shell-file"))?;
    }
    confinement = confinement.show(files, &inside.join("files"))?;
    let socket = inside.join("secrets");
    confinement = confinement.show(broker.path(), &socket)?;
    for name in ["mkosi", "makeimg"] {
        confinement = confinement.show(&own, &inside.join("bin").join(name))?;
    }
    let directory = templates.project.as_deref().unwrap_or(Path::new("/"));
    let mut container = confinement.container().current_dir(directory);
    for (name, value) in &templates.environment {
        container = container.env(name, value);
    }
    container = container.env("PATH", PATH).env(SOCKET_VARIABLE, &socket);
    let driver = inside.join("files/driver");
    Ok(container
        .powerless(owner, "bash", [driver])
        .stdout(Stdout::Secret))
}

fn write(
    template: &Template,
    rendered: &Rendered<'_>,
    warn_only: bool,
    secrets: &Secrets<'_>,
    root: &Root,
    host: &Host,
) -> Result<(), ScriptError> {
    if let Some(problem) = problem(rendered) {
        let problem = secrets.redact(&problem);
        if !warn_only {
            return Err(failed(
                template,
                format!("{problem}\n--warn-only takes what came out of it nevertheless"),
            ));
        }
        // A warning is one line.
        let problem = problem.replace("\n  ", " ");
        let warning = failed(template, problem).to_string();
        host.report.warn(&warning);
    }
    let mut text = rendered.text;
    if !template.ends_in_newline {
        text = text.strip_suffix(b"\n").unwrap_or(text);
    }
    root.write(&template.target, text, template.mode)?;
    Ok(())
}

/// What went wrong while a template was rendered.
fn problem(rendered: &Rendered<'_>) -> Option<String> {
    let errors = String::from_utf8_lossy(rendered.errors);
    let mut lines = errors
        .lines()
        .map(str::trim_end)
        .filter(|l| !l.is_empty())
        .peekable();
    if lines.peek().is_some() {
        let shown = lines.map(|line| format!("\n  {}", printable(line)));
        return Some(format!("it printed:{}", shown.collect::<String>()));
    }
    let status = String::from_utf8_lossy(rendered.status);
    (status != "0").then(|| format!("its shell ended with status {}", printable(&status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process;

    /// What a shell on this host makes of the texts, without any confinement.
    fn rendered(texts: &[&str], shell_file: &str) -> Vec<(String, Option<String>)> {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir(&files).unwrap();
        for (nth, text) in texts.iter().enumerate() {
            fs::write(files.join(nth.to_string()), here_document(text.as_bytes())).unwrap();
        }
        let file = dir.path().join("shell-file");
        fs::write(&file, shell_file).unwrap();
        let script =
            script(Some(&file), texts.len()).replace(INSIDE, &dir.path().to_string_lossy());
        let output = process::Command::new("bash")
            .arg("-c")
            .arg(script)
            .output()
            .unwrap();
        let parts: Vec<&[u8]> = output.stdout.split(|b| *b == 0).collect();
        parts
            .chunks_exact(3)
            .map(|part| {
                let rendered = Rendered {
                    text: part[0],
                    status: part[1],
                    errors: part[2],
                };
                (
                    String::from_utf8_lossy(part[0]).into_owned(),
                    problem(&rendered),
                )
            })
            .collect()
    }

    #[test]
    fn templates_are_here_documents() {
        let file = "IP=10.0.0.1\nset -e\nname() { printf '%s' \"$1\"; }\n";
        let results = rendered(
            &[
                "Address = ${IP}/24\n",
                "no end $(name x)",
                "'$IP' \"$((1 + 2))\" \\$IP `echo b`\n",
                "",
                "END_OF_TEMPLATE\nEND_OF_TEMPLATE_\nback\\slash\n",
                "$(IP=changed; echo $IP) $IP\n",
                "$(test -e /nowhere && echo yes)$(true)\n",
            ],
            file,
        );
        let texts: Vec<&str> = results.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Address = 10.0.0.1/24\n",
                "no end x\n",
                "'10.0.0.1' \"3\" $IP b\n",
                "",
                "END_OF_TEMPLATE\nEND_OF_TEMPLATE_\nback\\slash\n",
                "changed 10.0.0.1\n",
                "\n",
            ]
        );
        assert!(
            results.iter().all(|(_, problem)| problem.is_none()),
            "{results:?}"
        );
    }

    #[test]
    fn nothing_that_goes_wrong_is_missed() {
        for (text, part) in [
            ("$MISSING\n", "MISSING: unbound variable"),
            ("$(false)\n", "a command failed with status 1: false"),
            ("$(echo x | grep -q y)\n", "a command failed with status 1"),
            ("$(echo oops >&2)\n", "it printed:\n  oops"),
            ("$(no-such-program)\n", "no-such-program: command not found"),
            ("$(\n", "it printed:"),
        ] {
            let results = rendered(&["before\n", text, "after\n"], "");
            assert_eq!(results.len(), 3, "{text}");
            let found = results[1].1.clone().unwrap_or_default();
            assert!(found.contains(part), "{text}: {found}");
            assert_eq!(results[0], ("before\n".to_owned(), None), "{text}");
            assert_eq!(results[2], ("after\n".to_owned(), None), "{text}");
        }
    }
}
