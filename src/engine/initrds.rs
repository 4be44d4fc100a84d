//! Initrds: made for this build, or kept from an earlier one.

use std::path::Path;

use super::StepError;
use super::site::Site;
use crate::boot::{self, Kernel, Wanted};
use crate::host::Host;
use crate::plan::Boot;

/// Puts the initrd of a kernel at `output`; returns whether it is one of an earlier build.
pub(super) fn obtain(
    _boot: &Boot,
    kernel: &Kernel,
    wanted: &Wanted,
    output: &Path,
    site: &Site<'_>,
    host: &Host,
) -> Result<bool, StepError> {
    boot::make_initrd(&site.tree, kernel, wanted, output, host)?;
    Ok(false)
}
