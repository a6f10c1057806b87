// SPDX-License-Identifier: BSD-2-Clause
//! What the guests' root file system is made of. `tools/xtask/rootfs/` has the files that are laid over it.

/// The Debian release.
pub const SUITE: &str = "bookworm";

/// Packages asked for, and all that these depend on. `?essential` is what every Debian system has.
pub const PACKAGES: &[&str] = &[
    "?essential",
    "systemd-sysv",
    "udev",
    "e2fsprogs",
    "fio",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "netcat-openbsd",
    "openssh-client",
    "openssh-server",
];

/// Files of packages that are left out: documentation and translations.
pub const LEFT_OUT: &[&str] =
    &["./usr/share/doc/*", "./usr/share/man/*", "./usr/share/info/*", "./usr/share/locale/*"];

/// Folders outside `/usr` that are links into it.
pub const LINKS_INTO_USR: &[&str] = &["bin", "lib", "sbin"];

/// Links that packages make when they are configured.
pub const LINKS: &[(&str, &str)] = &[
    ("etc/localtime", "/usr/share/zoneinfo/UTC"),
    ("etc/mtab", "../proc/self/mounts"),
    ("usr/bin/awk", "mawk"),
    ("usr/bin/nc", "nc.openbsd"),
    ("usr/bin/pager", "less"),
    ("var/lock", "/run/lock"),
    ("var/run", "/run"),
    ("etc/systemd/system/default.target", "/lib/systemd/system/multi-user.target"),
    (
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "/lib/systemd/system/systemd-networkd.service",
    ),
    (
        "etc/systemd/system/sockets.target.wants/systemd-networkd.socket",
        "/lib/systemd/system/systemd-networkd.socket",
    ),
    ("etc/systemd/system/sockets.target.wants/ssh.socket", "/lib/systemd/system/ssh.socket"),
    (
        "etc/systemd/system/multi-user.target.wants/any-address.service",
        "/etc/systemd/system/any-address.service",
    ),
];

/// Folders that have to be there.
pub const FOLDERS: &[&str] = &[
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "mnt",
    "root",
    "home",
    "var/log",
    "var/tmp",
    "var/lib/systemd",
    "boot",
];

/// Files that packages copy from their examples when they are configured.
pub const COPIES: &[(&str, &str)] = &[
    ("usr/share/base-passwd/group.master", "etc/group"),
    ("usr/share/base-passwd/passwd.master", "etc/passwd"),
    ("usr/share/openssh/sshd_config", "etc/ssh/sshd_config"),
];

/// Users beyond those of base-passwd.
pub const USERS: &[&str] = &[
    "sshd:*:100:65534::/run/sshd:/usr/sbin/nologin",
    "systemd-network:*:998:998:systemd Network Management:/:/usr/sbin/nologin",
];

/// Groups beyond those of base-passwd: udev's rules name them.
pub const GROUPS: &[&str] = &[
    "input:*:101:",
    "kvm:*:102:",
    "render:*:103:",
    "sgx:*:104:",
    "systemd-journal:*:105:",
    "systemd-network:*:998:",
];

/// Units of systemd that a guest of ours has no use for: no encrypted, removable or swap disks, no seats, no clock to
/// keep, nothing to update. What is not started does not make a boot longer.
pub const MASKED: &[&str] = &[
    "cryptsetup.target",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty-static.service",
    "integritysetup.target",
    "kmod-static-nodes.service",
    "proc-sys-fs-binfmt_misc.automount",
    "remote-cryptsetup.target",
    "remote-veritysetup.target",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-initctl.socket",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-journald-audit.socket",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-network-generator.service",
    "systemd-pcrphase-initrd.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-random-seed.service",
    "systemd-repart.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-update-done.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "veritysetup.target",
];

/// Generators of units that would find nothing.
pub const MASKED_GENERATORS: &[&str] = &[
    "systemd-cryptsetup-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-veritysetup-generator",
];
