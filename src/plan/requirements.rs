//! What a plan needs of the host and of the user.

use super::{Action, Plan};
use crate::boot::{SigningKey, signing_tools};
use crate::scripts::{secrets, templates};

/// The programs, each once, besides those of the package manager.
#[must_use]
pub fn tools(plan: &Plan) -> Vec<String> {
    let mut tools: Vec<String> = plan.actions().flat_map(tools_of).collect();
    tools.sort_unstable();
    tools.dedup();
    tools
}

/// Whether any partition is encrypted, which takes a passphrase.
#[must_use]
pub fn encrypts(plan: &Plan) -> bool {
    plan.actions()
        .any(|action| matches!(action, Action::WriteImage(image) if image.encrypts()))
}

/// What programs for the firmware are signed with, if they are.
#[must_use]
pub fn signing(plan: &Plan) -> Option<&SigningKey> {
    plan.actions().find_map(|action| match action {
        Action::PrepareBoot(boot) => boot.signing.as_ref(),
        _ => None,
    })
}

/// The programs that one action calls, besides those of the package manager.
#[must_use]
pub fn tools_of(action: &Action) -> Vec<String> {
    match action {
        Action::Postinst(_)
        | Action::Prepare(_)
        | Action::AddPackages(_)
        | Action::ExtendBase(_)
        | Action::Build(_)
        | Action::RunFunction(_)
        | Action::RemovePackages(_) => vec!["systemd-nspawn".to_owned()],
        Action::SetUpSsh => vec!["ssh-keygen".to_owned()],
        Action::RenderTemplates(templates) => {
            let mut tools = templates::TOOLS.to_vec();
            if templates.secrets.is_some() {
                tools.extend(secrets::tools());
            }
            tools.into_iter().map(str::to_owned).collect()
        }
        Action::InstallImage(install) => vec![
            "systemd-nspawn".to_owned(),
            install.function.shell.program().to_owned(),
        ],
        Action::SetPasswords(_) => secrets::tools().iter().map(ToString::to_string).collect(),
        Action::CopySources(sources) => sources.tools().iter().map(ToString::to_string).collect(),
        Action::PrepareBoot(boot) => {
            let mut tools = vec!["systemd-nspawn".to_owned()];
            if boot.signing.is_some() {
                tools.extend(signing_tools(boot.latest.is_some()).map(str::to_owned));
            }
            tools
        }
        Action::WriteImage(image) => image.tools(),
        Action::ConvertImage => vec!["qemu-img".to_owned()],
        _ => Vec::new(),
    }
}
