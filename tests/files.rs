//! The file promises, proven from inside the sandbox's file system.
#![cfg(target_os = "linux")]

mod sandbox;

use sandbox::{Who, World};

const EVERYONE: [Who; 2] = [Who::User, Who::Root];

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
            "ls -A /run/rcc /run/user/*/ | grep -v ^/run | grep .",
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
fn what_is_excluded_by_its_place_cannot_be_moved_out_of_it_for_the_next_run() {
    for who in EVERYONE {
        let mut world = World::new(who);
        world.write("a/config/token.txt", "hunter2");
        world.write("a/free/x", "");
        world.exclude = vec!["a/config/*.txt".into()];
        world.refuses(&["mv a/config a/other", "mv a b", "cat a/config/token.txt"]);
        assert_eq!(world.output("mv a/free a/freed && echo moved"), "moved");
        world.exclude = vec!["*.txt".into()];
        assert_eq!(world.output("mv a/config a/other && ! cat a/other/token.txt && echo moved"), "moved");
        world.refuses(&["cat a/other/token.txt"]);
    }
}

#[test]
fn a_link_that_makes_its_target_a_secret_stays_for_the_next_run() {
    for who in EVERYONE {
        let world = World::new(who);
        world.write("config/real", "hunter2");
        world.write("sub/x", "");
        std::os::unix::fs::symlink("../config/real", world.project.join("sub/.env")).unwrap();
        world.refuses(&["rm sub/.env", "mv sub/.env x", "mv sub moved", "mv config moved", "ln -sf x sub/.env"]);
        world.refuses(&["cat config/real", "cat sub/.env"]);
        assert_eq!(world.output("touch sub/y config/y && mv sub/x sub/z && echo written"), "written");
    }
}

#[test]
fn sockets_that_the_host_listens_on_are_hidden() {
    for who in EVERYONE {
        let world = World::new(who);
        world.write("run/x", "");
        let bind = |name: &str| std::os::unix::net::UnixListener::bind(world.project.join("run").join(name)).unwrap();
        let (_open, closed) = (bind("open"), bind("closed"));
        drop(closed);
        world.refuses(&["test -S run/open", "rm run/open", "mv run/open run/y"]);
        assert_eq!(world.output("test -S run/closed && rm run/closed && echo removed"), "removed");
    }
}

#[test]
fn excluded_files_and_directories_are_empty_and_stay_in_place() {
    for who in EVERYONE {
        let mut world = World::new(who);
        world.exclude = [".env", "*.key", "!public.key", "private/", "/deep/**/token"].map(str::to_owned).into();
        for path in [".env", "sub/.env", "a.key", "public.key", "private/x", "deep/a/b/token", "token", "real.txt"] {
            world.write(path, "secret");
        }
        std::fs::hard_link(world.project.join(".env"), world.project.join("sub/other-name")).unwrap();
        std::os::unix::fs::symlink("../real.txt", world.project.join("sub/b.key")).unwrap();
        std::os::unix::fs::symlink(world.home.join(".ssh/id"), world.project.join("c.key")).unwrap();
        assert_eq!(world.output("cat public.key token"), "secretsecret");
        let hidden = [
            ".env",
            "sub/.env",
            "a.key",
            "private/x",
            "deep/a/b/token",
            "sub/other-name",
            "sub/b.key",
            "real.txt",
            "c.key",
        ];
        for path in hidden {
            world.refuses(&[
                &format!("cat {path}"),
                &format!("cat /proc/self/root{}/{path}", world.project.display()),
                &format!("cat /proc/1/cwd/{path}"),
                &format!("chmod 777 {path}; cat {path}"),
            ]);
        }
        for path in [".env", "sub/.env", "private", "sub/other-name"] {
            world.refuses(&[
                &format!("mv {path} gone"),
                &format!("rm -rf {path}"),
                &format!("ln {path} linked"),
                &format!("touch x && mv -T x {path}"),
                &format!("ls {path}/x"),
                &format!("mount --bind {path} sub; umount {path}"),
            ]);
        }
        // What is above a hidden file can be renamed; it stays hidden.
        world.refuses(&["mv sub moved && grep secret moved/.env moved/other-name"]);
        assert_eq!(std::fs::read_to_string(world.project.join(".env")).unwrap(), "secret");
    }
}

fn assert_not_built(output: &std::process::Output, says: &str) {
    assert_eq!(output.status.code(), Some(sandbox::NOT_BUILT));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains(says), "{message}");
}

/// Attempts to change or to make a protected path; all must fail, and none may change the host.
fn attacks(path: &str) -> Vec<String> {
    vec![
        format!("echo evil > {path}"),
        format!("echo evil >> {path}"),
        format!("touch {path}/evil"),
        format!("mv {path} gone"),
        format!("rm -rf {path}"),
        format!("rmdir {path}"),
        format!("mkdir swap && mv -T swap {path}"),
        format!("touch swapfile && mv -T swapfile {path}"),
        format!("ln -s /tmp linked && mv -T linked {path}"),
        format!("chmod 777 {path}"),
        format!("ln {path} second"),
        format!("umount {path}"),
    ]
}

fn protected(world: &World, paths: &[&str]) {
    for path in paths {
        let attacks = attacks(path);
        world.refuses(&attacks.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn what_the_host_executes_is_read_only() {
    for who in EVERYONE {
        let world = World::new(who);
        world.repository(".git");
        world.write(".git/hooks/pre-commit", "good");
        world.write(".claude/settings.json", "{}");
        world.write(".mcp.json", "{}");
        let paths = [
            ".git/hooks",
            ".git/config",
            ".claude",
            ".claude/settings.json",
            ".mcp.json",
            ".envrc",
            ".vscode",
            ".idea",
            ".rcc.toml",
            ".git/commondir",
            ".git/config.worktree",
        ];
        protected(&world, &paths);
        world.refuses(&["mv .git .git2", "mkdir g && mv -T g .git", "rm -rf .git/h* .git/c*"]);
        assert_eq!(
            world.output(
                "touch .git/index.lock && mv .git/index.lock .git/index && mkdir .git/objects/aa && ls .git/objects"
            ),
            "aa"
        );
        assert_eq!(std::fs::read_to_string(world.project.join(".git/hooks/pre-commit")).unwrap(), "good");
    }
}

#[test]
fn placeholders_go_with_the_last_sandbox_and_what_is_the_users_stays() {
    let world = World::new(Who::User);
    world.repository(".git");
    let exists = |path: &str| world.project.join(path).symlink_metadata().is_ok();
    let (view, first) = world.plan();
    assert!(exists(".claude") && exists(".mcp.json") && exists(".git/commondir"));
    let (_, second) = world.plan();
    assert!(first.finish().is_empty());
    assert!(exists(".claude") && exists(".envrc"), "a sandbox still uses them");
    assert_eq!(world.run_in(view, "ls .claude").status.code(), Some(0));
    world.write(".envrc", "export MINE=1");
    world.write(".idea/mine", "");
    assert!(second.finish().is_empty());
    assert!(!exists(".claude") && !exists(".mcp.json") && !exists(".git/commondir") && !exists(".rcc.toml"));
    assert!(exists(".envrc") && exists(".idea/mine"));
}

#[test]
fn what_a_killed_run_left_goes_with_the_next() {
    let world = World::new(Who::User);
    let (_, killed) = world.plan();
    std::mem::forget(killed);
    assert!(world.project.join(".claude").exists());
    // The lock of the forgotten one is still held by this very process: give it up as the kernel would.
    for fd in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let open = std::fs::read_link(fd.path()).unwrap_or_default();
        if open.starts_with(&world.locks) {
            let fd = fd.file_name().to_string_lossy().parse().unwrap();
            // SAFETY: the descriptor belongs to the forgotten value, whose destructor never runs.
            unsafe { libc::close(fd) };
        }
    }
    let (_, next) = world.plan();
    assert!(next.finish().is_empty());
    assert!(!world.project.join(".claude").exists());
}

#[test]
fn a_sandbox_without_a_repository_may_make_one() {
    let world = World::new(Who::User);
    assert_eq!(world.output("mkdir .git && echo x > .git/config && cat .git/config"), "x");
}

#[test]
fn paths_that_the_user_lets_the_agent_write_are_writable() {
    let mut world = World::new(Who::User);
    world.repository(".git");
    world.writable = vec![".claude".into(), ".git/hooks/".into()];
    assert_eq!(world.output("mkdir .claude && touch .claude/x .git/hooks/x && echo ok"), "ok");
    protected(&world, &[".git/config", ".vscode"]);
}

#[test]
fn nested_repositories_and_redirected_hooks_are_protected_with_their_parents() {
    let world = World::new(Who::User);
    world.repository(".git");
    world.repository(".git/modules/lib/inner");
    world.repository("vendor/deep/dep/.git");
    world.write("sub/.git", "gitdir: ../.git/modules/lib/inner\n");
    world.write("vendor/deep/dep/.vscode/tasks.json", "{}");
    world.write(".git/config", "[core]\n\thooksPath = tools/hooks\n[include]\n\tpath = ../shared.gitconfig\n");
    world.write("tools/hooks/pre-push", "good");
    world.write("vendor/other", "");
    let paths = [
        ".git/modules/lib/inner/config",
        ".git/modules/lib/inner/hooks",
        "vendor/deep/dep/.git/config",
        "vendor/deep/dep/.git/hooks",
        "vendor/deep/dep/.vscode",
        "sub/.git",
        "tools/hooks",
        "shared.gitconfig",
    ];
    protected(&world, &paths);
    world.refuses(&[
        "mv vendor v",
        "mv vendor/deep v",
        "mv vendor/deep/dep v",
        "mv .git/modules m",
        "mv tools t",
        "mv sub s",
        "mv vendor/deep/dep/.git g",
        "rm -rf vendor/deep/dep/.git/config",
    ]);
    assert_eq!(world.output("mv vendor/other vendor/deep/other && ln vendor/deep/other x && echo ok"), "ok");
}

#[test]
fn links_at_protected_names_are_pinned_or_refused() {
    let world = World::new(Who::User);
    world.write("config/claude/settings.json", "{}");
    std::os::unix::fs::symlink("config/claude", world.project.join(".claude")).unwrap();
    std::os::unix::fs::symlink(world.home.join(".ssh"), world.project.join(".vscode")).unwrap();
    protected(&world, &["config/claude", ".claude/settings.json"]);
    world.refuses(&[
        "mv .claude x",
        "rm .claude",
        "rm .vscode",
        "ln -s /tmp l && mv -T l .claude",
        "mv config c",
        "ls .vscode/",
    ]);

    let world = World::new(Who::User);
    std::os::unix::fs::symlink("nowhere", world.project.join(".claude")).unwrap();
    assert!(world.handover().unwrap_err().to_string().contains("names nothing"));
    let world = World::new(Who::User);
    std::fs::create_dir(world.project.join("b")).unwrap();
    std::os::unix::fs::symlink("b", world.project.join("a")).unwrap();
    std::os::unix::fs::symlink("a", world.project.join(".claude")).unwrap();
    assert!(world.handover().unwrap_err().to_string().contains("another one"));
}

#[test]
fn a_protected_file_with_a_second_name_is_refused() {
    let world = World::new(Who::User);
    world.repository(".git");
    std::fs::hard_link(world.project.join(".git/config"), world.project.join("innocent")).unwrap();
    assert!(world.handover().unwrap_err().to_string().contains("hard link"));
}

#[test]
fn a_linked_work_tree_can_commit_but_not_configure() {
    let mut world = World::new(Who::User);
    let tree = world.project.clone();
    let common = world.home.join("main/.git");
    let at = |path: &str| format!("../../main/.git/{path}");
    world.repository("../../main/.git");
    for (name, back) in [("w", tree.join(".git")), ("other", world.home.join("other/.git"))] {
        world.write(&at(&format!("worktrees/{name}/gitdir")), &back.display().to_string());
        world.write(&at(&format!("worktrees/{name}/commondir")), "../..\n");
        world.write(&at(&format!("worktrees/{name}/HEAD")), "ref: refs/heads/w\n");
    }
    world.write(".git", &format!("gitdir: {}/worktrees/w\n", common.display()));
    world.write("../../main/source.rs", "private");
    let inside = |path: &str| common.join(path).display().to_string();
    let paths = [
        "hooks",
        "config",
        "config.worktree",
        "commondir",
        "worktrees/w/commondir",
        "worktrees/w/gitdir",
        "worktrees/w/config.worktree",
        "worktrees/other",
        "worktrees/other/HEAD",
        "HEAD",
    ]
    .map(inside);
    protected(&world, &paths.each_ref().map(String::as_str));
    protected(&world, &[".git"]);
    let script = format!("cd {} && touch objects/new refs/heads/w worktrees/w/index && echo ok", common.display());
    assert_eq!(world.output(&script), "ok");
    world.refuses(&[&format!("cat {}/main/source.rs", world.home.display()), &format!("mv {} x", inside("worktrees"))]);
    world.exclude.clear();
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
fn a_link_swapped_in_after_planning_stops_the_build() {
    for path in [".claude", ".env", "sub"] {
        let world = World::new(Who::User);
        world.write(".env", "secret");
        world.write("sub/.env", "secret");
        world.write(".claude/x", "");
        let (view, _handover) = world.plan();
        std::fs::rename(world.project.join(path), world.project.join("moved")).unwrap();
        std::os::unix::fs::symlink("/etc", world.project.join(path)).unwrap();
        assert_not_built(&world.run_in(view, "true"), path);
    }
}

#[test]
fn a_link_that_an_agent_left_in_its_home_is_not_mounted_over() {
    let world = World::new(Who::User);
    world.output("true");
    let (view, _handover) = world.plan();
    let facts = world.facts();
    let project = rcc::project::Project::find(&facts).unwrap();
    let private = rcc::project::home::path(&project, &facts.data_dir);
    std::fs::remove_dir_all(private.join("work")).unwrap();
    std::os::unix::fs::symlink("/usr", private.join("work")).unwrap();
    assert_not_built(&world.run_in(view, "true"), "symbolic link");
}

#[test]
fn an_extra_mount_cannot_open_the_host() {
    use rcc::settings::ExtraMount;
    let try_mount = |source: &str, target: &str, writable| {
        let mut world = World::new(Who::User);
        let source = source.replace('~', &world.home.display().to_string());
        let target = target.replace('~', &world.home.display().to_string());
        world.mounts = vec![ExtraMount { source: source.into(), target: target.into(), writable }];
        world.try_plan().is_ok()
    };
    assert!(try_mount("~/.ssh", "~/keys", false), "the user may");
    assert!(try_mount("/usr/share", "/data", false));
    let sources = [
        "/",
        "/proc",
        "/run",
        "/dev/null",
        "/sys/kernel",
        "~",
        "~/work",
        "~/work/app",
        "~/work/app/x",
        "relative",
        "/nowhere",
    ];
    for source in sources {
        assert!(!try_mount(source, "/data", false), "{source}");
    }
    for target in
        ["/etc/x", "/proc/x", "/", "~", "~/work", "~/work/app/x", "/run/rcc", "/usr/x", "x", "/a/../etc", "/dev"]
    {
        assert!(!try_mount("/usr/share", target, false), "{target}");
    }
    assert!(!try_mount("/etc", "/data", true) && !try_mount("/usr/share", "/data", true));
}

#[test]
fn git_works_and_does_not_see_the_placeholders() {
    let world = World::new(Who::User);
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git").args(arguments).current_dir(&world.project).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main", "."]);
    let script = "set -e; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git status --porcelain; echo x > f; git add -A; git commit --quiet -m one; git switch --quiet -c side
        mkdir d; git mv f d/f; git commit --quiet -m two; git switch --quiet main; git merge --quiet side >&2
        echo y > g; git stash --quiet -u; git stash pop --quiet >&2; git rm --quiet d/f; git reset --quiet --hard; git clean -qfd
        git gc --quiet; git fsck --strict >&2; git worktree add --quiet /tmp/w; git worktree remove /tmp/w
        git ls-files; git log --format=%s; ! git config user.name evil; git init --quiet sub; git -C sub status --porcelain";
    assert_eq!(world.output(script).lines().collect::<Vec<_>>(), ["d/f", "two", "one"]);
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

#[test]
fn a_fifo_that_an_agent_left_does_not_block_the_next_start() {
    let world = World::new(Who::User);
    world.repository(".git");
    for (path, directory) in [("sub/.git", "sub"), (".git/worktrees/w/gitdir", ".git/worktrees/w")] {
        std::fs::create_dir_all(world.project.join(directory)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, world.project.join(path), rustix::fs::Mode::from_raw_mode(0o600))
            .unwrap();
    }
    assert_eq!(world.output("echo started"), "started");
}

#[test]
fn a_writable_mount_of_another_repository_keeps_its_hooks() {
    let mut world = World::new(Who::User);
    world.repository("../other/.git");
    world.write("../other/.claude/settings.json", "{}");
    let other = world.home.join("work/other");
    world.mounts = vec![rcc::settings::ExtraMount { source: other.clone(), target: other, writable: true }];
    protected(&world, &["../other/.git/hooks", "../other/.git/config", "../other/.claude"]);
    world.refuses(&["mv ../other/.git ../other/g", "touch ../x && mv -T ../x ../other/.git/hooks"]);
    assert_eq!(world.output("touch ../other/source.rs ../other/.git/index && echo ok"), "ok");
}

#[test]
fn a_mask_that_the_host_removes_is_noticed_at_once() {
    let world = World::new(Who::User);
    world.write(".env", "secret");
    let (view, _handover) = world.plan();
    let lost = std::thread::scope(|scope| {
        let sandbox = scope.spawn(|| world.first_loss(view));
        while !world.project.join("ready").exists() && !sandbox.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        world.write("new", "secret");
        std::fs::rename(world.project.join("new"), world.project.join(".env")).unwrap();
        sandbox.join().unwrap()
    });
    assert_eq!(lost, format!("{:?}", [world.project.join(".env")]));
}

#[test]
fn bare_repositories_are_protected_wherever_they_are() {
    let world = World::new(Who::User);
    world.repository("fixtures/some.git");
    protected(&world, &["fixtures/some.git/config", "fixtures/some.git/hooks"]);
    world.refuses(&["mv fixtures f", "mv fixtures/some.git f"]);
    assert!(!world.project.join("fixtures/some.git/commondir").exists());
    let world = World::new(Who::User);
    world.repository(".");
    protected(&world, &["config", "hooks", "commondir", "config.worktree"]);
}
