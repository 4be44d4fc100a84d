//! A machine's public host keys as ssh wants to have them.

/// The name by which ssh knows the machine: its address is everybody's.
pub(super) const ALIAS: &str = "mkosi-machine";
/// The longest key that is taken; one for RSA with 16384 bits has 2 800 characters.
const LONGEST: usize = 8192;

/// The lines of a known_hosts file for what a machine says are its keys: lines of `ssh_host_*_key.pub`.
/// Whatever else it says is left out.
#[must_use]
pub(super) fn lines(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let mut lines: Vec<String> = said.lines().filter_map(line).collect();
    lines.sort();
    lines.dedup();
    lines.concat()
}

fn line(said: &str) -> Option<String> {
    let mut words = said.split_ascii_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let is_kind = kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.@".contains(c);
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let good = is_kind
        && kind.len() < 64
        && kind.chars().all(plain)
        && key.len() < LONGEST
        && key.chars().all(base64);
    good.then(|| format!("{ALIAS} {kind} {key}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_nothing_else() {
        for (said, expected) in [
            (
                "ssh-ed25519 AAAA+/= root@x\nssh-ed25519 AAAA+/= root@y\n",
                "mkosi-machine ssh-ed25519 AAAA+/=\n",
            ),
            (
                "ssh-rsa BB\r\necdsa-sha2-nistp256 CC root\n",
                "mkosi-machine ecdsa-sha2-nistp256 CC\nmkosi-machine ssh-rsa BB\n",
            ),
            ("@cert-authority * ssh-rsa AAAA\n", ""),
            ("* ssh-rsa AAAA\n", ""),
            ("ssh-rsa\n", ""),
            ("ssh-rsa A,B\n", ""),
            ("\u{1b}[31mssh-rsa AAAA", ""),
            ("", ""),
        ] {
            assert_eq!(lines(said.as_bytes()), expected, "{said:?}");
        }
        assert_eq!(lines(&[0xff; 100]), "");
    }
}
