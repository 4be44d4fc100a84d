//! What settings count on that is the host's to have.

use crate::distro::rpm_files::HOST_DIRECTORIES;

/// What settings count on and this host does not have: on another host the same settings may be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// `UseHostRepositories=` on a host without repository files.
    #[error(
        "UseHostRepositories: this host has no repositories to use: there are no *.repo files in {}; put \
         them there, or into mkosi.reposdir/",
        HOST_DIRECTORIES.join(" or ")
    )]
    HostRepositories,
    /// A name in `Repositories=` that neither the host nor the project nor the distribution explains.
    #[error(
        "Repositories: no *.repo file of this host or of the project has \"{}\", nor does the distribution; \
         add one to {} or to mkosi.reposdir/",
        name.escape_debug(),
        HOST_DIRECTORIES[0]
    )]
    Repository {
        /// The name.
        name: String,
    },
}
