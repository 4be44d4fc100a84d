//! What an image with an ssh server gets besides it, as text.

/// The service that configures the link to a virtual machine's host.
pub(super) const NETWORKD: &str = "systemd-networkd.service";

/// Makes host keys: no two machines of an image may share them, so that none are in it.
pub(super) const HOST_KEYS_UNIT: &str = "[Unit]\n\
    Description=SSH Host Keys of This Machine\n\
    After=local-fs.target systemd-remount-fs.service\n\n\
    [Service]\n\
    Type=oneshot\n\
    RemainAfterExit=yes\n\
    ExecStart=/usr/bin/ssh-keygen -A\n";

/// Has every server wait for them.
pub(super) const DROP_IN: &str = "[Unit]\n\
    Wants=mkosi-ssh-host-keys.service\n\
    After=mkosi-ssh-host-keys.service\n";

/// Tells them to a virtual machine's host, once the server listens.
pub(super) const TELL_UNIT: &str = "[Unit]\n\
    Description=Tell the SSH Host Keys to the Host of This Virtual Machine\n\
    Wants=mkosi-ssh-host-keys.service\n\
    After=mkosi-ssh-host-keys.service ssh.service sshd.service ssh.socket sshd.socket\n\
    After=systemd-networkd.service\n\
    ConditionPathExists=/dev/virtio-ports/org.mkosi.ssh\n\n\
    [Service]\n\
    Type=oneshot\n\
    ExecStart=/bin/sh -c 'cat /etc/ssh/ssh_host_*_key.pub > /dev/virtio-ports/org.mkosi.ssh'\n";

/// Starts that also when the port appears late.
pub(super) const PORT_RULE: &str = "SUBSYSTEM==\"virtio-ports\", ATTR{name}==\"org.mkosi.ssh\", \
    TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"mkosi-ssh-tell.service\"\n";

/// Keeps distributions that disable everything at the first boot from disabling the server.
pub(super) const PRESET: &str = "enable ssh.service\n\
    enable sshd.service\n\
    enable systemd-networkd.service\n\
    enable mkosi-ssh-tell.service\n";

/// The link to a virtual machine's host: for nothing but ssh.
pub(super) const LINK: &str = "[Match]\n\
    MACAddress=52:54:00:6d:6b:73\n\n\
    [Link]\n\
    RequiredForOnline=no\n\n\
    [Network]\n\
    Description=Link to the host of this virtual machine, for mkosi ssh\n\
    Address=192.0.2.15/24\n\
    LinkLocalAddressing=no\n\
    IPv6AcceptRA=no\n\
    LLMNR=no\n\
    MulticastDNS=no\n";

/// Where NetworkManager configures all others.
pub(super) const NETWORK_MANAGER: &str = "[device-mkosi-ssh]\n\
    match-device=mac:52:54:00:6d:6b:73\n\
    managed=0\n";

#[cfg(test)]
mod tests {
    use super::super::{KEYS_PORT, LINK_ADDRESS, LINK_HARDWARE};
    use super::*;

    #[test]
    fn the_texts_name_what_the_host_names() {
        assert!(TELL_UNIT.contains(&format!("/dev/virtio-ports/{KEYS_PORT}'")));
        assert!(LINK.contains(&format!("Address={LINK_ADDRESS}/24\n")));
        for text in [LINK, NETWORK_MANAGER] {
            assert!(text.contains(LINK_HARDWARE));
        }
        assert!(PORT_RULE.contains(&format!("==\"{KEYS_PORT}\"")));
        for text in [HOST_KEYS_UNIT, DROP_IN, TELL_UNIT, PRESET, LINK] {
            assert!(!text.contains("\n "), "indented: {text}");
        }
    }
}
