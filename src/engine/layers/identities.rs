//! The names of a plan's layers, on this host.

use crate::engine::StepError;
use crate::host::Host;
use crate::installer::Installer;
use crate::plan::{self, Context, Input, LayerIdentity, Plan};

/// What each layer of a plan is made from.
///
/// # Errors
/// When a file that goes into one cannot be read, or the package manager does not tell its version.
pub fn identities(
    plan: &Plan,
    context: &Context,
    installer: &dyn Installer,
    host: &Host,
) -> Result<Vec<LayerIdentity>, StepError> {
    Ok(plan::identify(
        &plan.layers,
        &common(context, installer, host)?,
        &host.cancel,
    )?)
}

/// What decides every layer and stands in no action.
pub(super) fn common(
    context: &Context,
    installer: &dyn Installer,
    host: &Host,
) -> Result<Vec<Input>, StepError> {
    let mut common = vec![Input::new("package manager", installer.name())];
    for (name, value) in installer.identity(host)? {
        common.push(Input::new(format!("version of {name}"), value));
    }
    // Packages put dates into files, such as that of a password's last change.
    let epoch = context.source_date_epoch;
    let epoch = epoch.map_or_else(|| "not set".to_owned(), |seconds| seconds.to_string());
    common.push(Input::new("SOURCE_DATE_EPOCH", epoch));
    Ok(common)
}
