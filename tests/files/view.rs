//! What is there at all.

use super::EVERYONE;
use super::sandbox::{Who, World};

#[test]
fn the_project_is_writable_at_its_own_path_and_the_home_is_private() {
    for who in EVERYONE {
        let world = World::new(who);
        world.write("a.txt", "hello");
        let script = "cat a.txt; pwd; echo new > b.txt; mkdir d && mv b.txt d/ && ln a.txt d/a; \
                      ls -A $HOME; echo kept > $HOME/kept; test ! -e $HOME/.ssh";
        let expected = format!("hello{}\nwork", world.project.display());
        assert_eq!(world.output(script), expected);
        assert_eq!(std::fs::read_to_string(world.project.join("d/b.txt")).unwrap(), "new\n");
        assert!(!world.home.join("kept").exists());
        assert_eq!(world.output("cat $HOME/kept"), "kept");
    }
}

#[test]
fn system_secrets_and_other_peoples_files_are_absent() {
    for who in EVERYONE {
        let world = World::new(who);
        world.write("a", "");
        world.refuses(&[
            "cat /etc/shadow",
            "ls /etc/ssh /etc/sudoers /etc/rcc /etc/ssl/private",
            "ls -d /root/.ssh",
            &format!("cat {}/.ssh/id", world.home.display()),
            &format!("cat /proc/1/root{}/.ssh/id", world.home.display()),
            &format!("cat /proc/self/root/../..{}/.ssh/id", world.home.display()),
            &format!("cat /proc/1/cwd/../../.ssh/id; ls {}", world.locks.display()),
            "ls -A /tmp | grep .",
            "ls -A /run/rcc /run/user/*/ | grep -vx policy.json | grep -v ^/run | grep .",
            "ls /var/run/docker.sock /run/dbus /run/systemd /var/lib/dpkg",
            "ls -d /sys/kernel /sys/class /sys/fs /sys/block",
        ]);
        assert_eq!(
            world.output("cut -d: -f1 /etc/passwd | sort | tr '\\n' ' '; cat /etc/resolv.conf"),
            if world.uid == 0 { "alice nobody" } else { "alice nobody root" }
        );
    }
}

#[test]
fn nothing_outside_the_private_places_can_be_written() {
    for who in EVERYONE {
        let world = World::new(who);
        world.refuses(&[
            "touch /x",
            "touch /etc/x",
            "echo x >> /etc/passwd",
            "touch /usr/x",
            "touch /run/x",
            "rmdir /run/rcc",
            "mv /run/rcc /run/y",
            "echo {} >/run/rcc/policy.json",
            "rm -f /run/rcc/policy.json",
            "mv /run/rcc/policy.json /run/rcc/x",
            "touch /run/rcc/x",
            "touch /dev/x",
            "mkdir /sys/x",
            "chmod 777 /",
            "mount -t tmpfs x /tmp",
            "mount --bind /tmp /etc",
            "umount /proc/sys",
            "umount /etc/passwd",
            "mknod /tmp/null c 1 3",
        ]);
        assert_eq!(
            world.output("echo 1 > /tmp/x; echo 2 > /var/tmp/x; echo 3 > /dev/shm/x; cat /tmp/x /dev/shm/x"),
            "1\n3"
        );
    }
}

#[test]
fn procfs_neither_tells_of_nor_commands_the_machine() {
    for who in EVERYONE {
        let world = World::new(who);
        world.refuses(&[
            "echo x > /proc/sys/kernel/core_pattern",
            "echo 0 > /proc/sys/vm/overcommit_memory",
            "echo x > /proc/sys/kernel/domainname",
            "echo h > /proc/sysrq-trigger",
            "echo 1 > /proc/irq/default_smp_affinity",
            "head -c1 /proc/kcore | grep -q .",
            "head -c1 /proc/kallsyms | grep .",
            "head -c1 /proc/keys | grep .",
            "head -c1 /proc/kpageflags | grep -q .",
            "head -c1 /proc/timer_list | grep .",
            "ls /proc/acpi/* /proc/scsi/*",
            "echo 1 > /sys/devices/system/cpu/cpu0/online",
        ]);
        assert_eq!(
            world
                .output("cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l | grep -c '^[2-5]$'; head -c3 /dev/zero | wc -c"),
            "sh\n1\n3"
        );
        assert_eq!(
            world.output("echo hi > /dev/null; test -c /dev/urandom && head -c4 /dev/urandom | wc -c; ls /dev/pts"),
            "4\nptmx"
        );
    }
}

#[test]
fn only_what_is_planned_is_mounted() {
    let world = World::new(Who::User);
    world.repository(".git");
    let (view, _handover) = world.plan();
    let mut planned: Vec<String> = view.mounts.iter().map(|mount| mount.target.display().to_string()).collect();
    planned.push("/".into());
    let output = world.run_in(view, "cut -d' ' -f5 /proc/self/mountinfo");
    let host_has: Vec<String> = std::fs::read_to_string("/proc/self/mountinfo")
        .unwrap()
        .lines()
        .filter_map(|line| line.split(' ').nth(4).map(str::to_owned))
        .collect();
    for mounted in String::from_utf8(output.stdout).unwrap().lines() {
        let known =
            planned.iter().any(|path| mounted == path || path != "/" && mounted.starts_with(&format!("{path}/")));
        assert!(known, "{mounted} is mounted, but not planned (host: {})", host_has.iter().any(|path| path == mounted));
    }
}

#[test]
fn a_nested_user_namespace_uncovers_nothing() {
    for who in EVERYONE {
        let world = World::new(who);
        world.repository(".git");
        world.write(".env", "secret");
        let home = world.home.display().to_string();
        let nested = match who {
            Who::User => "unshare --user --map-root-user --mount sh -c",
            // The host's uid 0 cannot be mapped without CAP_SETFCAP (user_namespaces(7)).
            Who::Root => "unshare --user --keep-caps --mount sh -c",
        };
        // Proves that the attempts below get as far as having privilege in a namespace of their own.
        assert_eq!(world.output(&format!("{nested} 'mount --bind /usr /tmp && test -d /tmp/bin && echo yes'")), "yes");
        let attempts = [
            "umount .env; grep secret .env",
            "umount -l .env; grep secret .env",
            "umount -l $PWD; cd / && cd $OLDPWD && grep secret .env",
            "mount --bind . /tmp && grep secret /tmp/.env",
            "mount --rbind . /tmp; umount /tmp/.env; grep secret /tmp/.env",
            "mount --rbind . /tmp; umount -l /tmp/.env; grep secret /tmp/.env",
            "mount --rbind HOME /tmp; umount -l /tmp/work/app; grep secret /tmp/work/app/.env",
            "mount --bind HOME /tmp && grep secret /tmp/work/app/.env",
            "mount --move .env /tmp/x; grep secret .env",
            "mount -o remount,bind,rw .git/hooks; touch .git/hooks/x",
            "mount -o remount,rw /proc/sys; echo x > /proc/sys/kernel/core_pattern",
            "mount -t proc x /tmp && echo x > /tmp/sys/kernel/core_pattern",
            "mount -t sysfs x /tmp",
            "umount .git/hooks; touch .git/hooks/x",
            "mv .git x",
            "mount -t overlay o -o lowerdir=. /tmp && grep secret /tmp/.env",
            "pivot_root . .git && grep secret .env",
        ];
        let attempts = attempts.map(|attempt| format!("{nested} \"{}\"", attempt.replace("HOME", &home)));
        world.refuses(&attempts.each_ref().map(String::as_str));
    }
}
