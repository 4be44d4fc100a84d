//! The one thing of the host's dnf configuration that a build cannot do without: how it reaches the
//! network.

use std::fs;

/// Where dnf and yum have their settings.
const FILES: [&str; 2] = ["/etc/dnf/dnf.conf", "/etc/yum.conf"];
/// The settings of the section `[main]` that are about the proxy (dnf.conf(5)).
const NAMES: [&str; 5] = [
    "proxy",
    "proxy_username",
    "proxy_password",
    "proxy_auth_method",
    "proxy_sslverify",
];

/// Lines of the host's settings that say how the network is reached.
pub(in crate::installer) fn of_the_host() -> String {
    FILES
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .map_or_else(String::new, |text| of(&text))
}

fn of(text: &str) -> String {
    let mut lines = String::new();
    let mut main = false;
    for line in text.lines().map(str::trim_end) {
        if line.starts_with('[') {
            main = line == "[main]";
        } else if let Some((name, value)) = line.split_once('=') {
            if main && NAMES.contains(&name.trim_end()) {
                lines.push_str(&format!("{}={}\n", name.trim_end(), value.trim()));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_proxy() {
        let text = "[main]\ngpgcheck=0\nproxy = http://p:1\nproxy_password=x=y\n  proxy=no\n\
                    [repo]\nproxy=http://other\nbaseurl=x\n";
        assert_eq!(of(text), "proxy=http://p:1\nproxy_password=x=y\n");
        assert_eq!(of("proxy=http://nowhere\n"), "");
    }
}
