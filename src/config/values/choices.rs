//! Settings that are one of a few words.

use serde_json::Value as Json;

use super::keyword::{keyword_value, keywords};
use super::{BadValue, Place, Shape, Value, parse_boolean, parse_switch};
use crate::config::Context;

keywords! {
    /// What an image can hold.
    Distribution {
        /// Fedora Linux.
        Fedora = "fedora",
        /// Debian.
        Debian = "debian",
        /// Ubuntu.
        Ubuntu = "ubuntu",
        /// Arch Linux.
        Arch = "arch" | "archlinux",
        /// openSUSE Leap and Tumbleweed.
        Opensuse = "opensuse",
        /// Mageia.
        Mageia = "mageia",
        /// CentOS and CentOS Stream.
        Centos = "centos",
        /// CentOS with the packages that Fedora makes for it.
        CentosEpel = "centos_epel",
        /// Clear Linux.
        Clear = "clear",
        /// Alpine Linux.
        Alpine = "alpine",
    }
}

keywords! {
    /// What starts a bootable image.
    BootProtocol {
        /// UEFI firmware, through systemd-boot.
        Uefi = "uefi",
        /// A PC's BIOS, through GRUB.
        Bios = "bios",
    }
}

keywords! {
    /// What is encrypted with LUKS.
    Encrypt {
        /// The root, home and srv partitions.
        All = "all",
        /// The home and srv partitions only.
        Data = "data",
    }
}

keywords! {
    /// How the sources reach the development image.
    SourceTransfer {
        /// Every file is copied.
        CopyAll = "copy-all",
        /// The files that git tracks are copied.
        CopyGitCached = "copy-git-cached",
        /// The files that git does not track and does not ignore are copied as well.
        CopyGitOthers = "copy-git-others",
        /// The tree itself is mounted.
        Mount = "mount",
    }
}

keywords! {
    /// What the list of installed packages is written as.
    ManifestFormat {
        /// JSON.
        Json = "json",
        /// The packages' change logs.
        Changelog = "changelog",
        /// A line for each package.
        Packages = "packages",
    }
}

keywords! {
    /// Yes, no, or what fits.
    Tristate {
        /// What fits the situation.
        Auto = "auto",
        /// Yes.
        Yes = "yes",
        /// No.
        No = "no",
    }
}

keywords! {
    /// Which packages are installed without being asked for.
    BasePackages {
        /// Those that every image needs.
        Yes = "yes",
        /// None.
        No = "no",
        /// Only those that are needed because of other settings.
        Conditional = "conditional",
    }
}

keyword_value!(Distribution, BootProtocol, SourceTransfer, ManifestFormat);

impl serde::Serialize for SourceTransfer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Value for Encrypt {
    const SHAPE: Shape = Shape::Switch;

    fn metavar() -> String {
        Self::NAMES.join("|")
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        Self::from_word(text)
    }

    fn parse_optional(
        text: &str,
        place: Place,
        context: &Context,
    ) -> Result<Option<Self>, BadValue> {
        parse_switch(text, Self::All, |text| Self::parse(text, place, context))
    }

    fn to_json(&self) -> Json {
        self.as_str().into()
    }
}

impl Value for Tristate {
    const SHAPE: Shape = Shape::Switch;

    fn metavar() -> String {
        "BOOL|auto".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        parse_boolean(text, "auto").map(|yes| if yes { Self::Yes } else { Self::No })
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Auto => "auto".into(),
            Self::Yes => true.into(),
            Self::No => false.into(),
        }
    }
}

impl Value for BasePackages {
    const SHAPE: Shape = Shape::Switch;

    fn metavar() -> String {
        "BOOL|conditional".into()
    }

    fn parse(text: &str, _: Place, _: &Context) -> Result<Self, BadValue> {
        if text == "conditional" {
            return Ok(Self::Conditional);
        }
        parse_boolean(text, "conditional").map(|yes| if yes { Self::Yes } else { Self::No })
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Conditional => "conditional".into(),
            Self::Yes => true.into(),
            Self::No => false.into(),
        }
    }
}

impl serde::Serialize for Distribution {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Distribution {
    /// Its name for people.
    #[must_use]
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Fedora => "Fedora Linux",
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
            Self::Arch => "Arch Linux",
            Self::Opensuse => "openSUSE",
            Self::Mageia => "Mageia",
            Self::Centos => "CentOS",
            Self::CentosEpel => "CentOS with EPEL",
            Self::Clear => "Clear Linux",
            Self::Alpine => "Alpine Linux",
        }
    }

    /// The distribution that an os-release `ID` names.
    #[must_use]
    pub fn from_os_id(id: &str) -> Option<Self> {
        match id {
            "clear-linux-os" => Some(Self::Clear),
            "rhel" => Some(Self::Centos),
            _ if id == "opensuse" || id.starts_with("opensuse-") || id == "suse" => {
                Some(Self::Opensuse)
            }
            _ => Self::from_word(id).ok(),
        }
    }
}
