//! The types that settings have. Others may use these without knowing the whole configuration.

pub(crate) mod keyword;

mod architecture;
mod basic;
mod choices;
mod compression;
mod force;
mod format;
mod list;
mod packages;
mod search_paths;
mod secret;
mod size;
mod value;
mod variables;

pub use architecture::Architecture;
pub use choices::{
    BasePackages, BootProtocol, Distribution, Encrypt, ManifestFormat, SourceTransfer, Tristate,
};
pub use compression::{CompressOutput, Compression};
pub use force::Force;
pub use format::Format;
pub use packages::PackageList;
pub use search_paths::SearchPaths;
pub use secret::Secret;
pub use size::Size;
pub use value::{BadValue, Place, Shape, Value};
pub use variables::Variables;

pub(crate) use basic::{boolean, parse_boolean, parse_switch};
