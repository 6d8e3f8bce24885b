//! What a tool tries that was talked into it, or that is hostile itself.

use super::tests;
use super::world::{CANARY, OWN, World, attempt, credential, output, refusal, shell};
use rcc::plugin::chamber::{CREDENTIALS, Chamber, Spec};
use rcc::plugin::manifest::ProjectAccess;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

tests![
    the_executor_is_out_of_its_tools_reach,
    a_tool_has_three_descriptors_and_no_more,
    a_chamber_sees_no_other_and_none_of_its_credentials,
    masked_files_stay_hidden,
    a_read_only_project_can_be_neither_changed_nor_executed,
    an_inert_project_can_be_changed_and_not_executed,
    a_writable_project_is_as_the_agents_and_its_guards_hold,
    no_directory_leads_out_of_the_project,
    only_named_programs_can_be_executed,
    a_program_that_is_not_visible_starts_nothing,
];

fn the_executor_is_out_of_its_tools_reach(world: &World) {
    let spec = Spec { credentials: true, ..world.spec(ProjectAccess::None) };
    world.run(async {
        let chamber = Chamber::start(&spec, &[credential("token", CANARY, None)]).await.unwrap();
        // It had the credential in hand a moment ago.
        let mut call = shell("true", None);
        call.command.secret_environment.insert("TOKEN".into(), "token".into());
        output(&chamber, call).await;
        let files = ["environ", "mem", "maps", "auxv", "stack", "syscall", "root/etc/passwd", "cwd/kept", "exe"];
        for file in files.map(str::to_owned).into_iter().chain((0..32).map(|number| format!("fd/{number}"))) {
            let script = format!("(cat /proc/$PPID/{file} || readlink /proc/$PPID/{file}) 2>/dev/null && echo reached");
            assert_eq!(output(&chamber, shell(&script, None)).await.1, "", "{file}");
        }
        for what in ["ptrace", "steal-descriptor"] {
            let said = output(&chamber, attempt(&[what])).await.1;
            assert!(said.contains("not permitted"), "{what}: {said}");
        }
        let search = "grep -laF \"$(echo canary)-5e1f0c\" /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null";
        let (_, found) = output(&chamber, shell(search, None)).await;
        assert_eq!(found, "");
    });
}

fn a_tool_has_three_descriptors_and_no_more(world: &World) {
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let _other = super::world::start(&chamber, shell("sleep 1000", None)).await;
        assert_eq!(output(&chamber, attempt(&["descriptors"])).await.1, "[0, 1, 2]\n");
    });
}

fn a_chamber_sees_no_other_and_none_of_its_credentials(world: &World) {
    let git = Spec { credentials: true, ..world.spec(ProjectAccess::None) };
    let other = Spec { tool: "other".parse().unwrap(), ..world.spec(ProjectAccess::None) };
    world.run(async {
        let git = Chamber::start(&git, &[credential("key", CANARY, Some("key"))]).await.unwrap();
        let mut call = shell("exec sleep 1000", None);
        call.command.secret_environment.insert("TOKEN".into(), "key".into());
        let _running = super::world::start(&git, call).await;
        let other = Chamber::start(&other, &[]).await.unwrap();
        let (_, said) = output(&other, shell(&format!("ls {CREDENTIALS} 2>&1"), None)).await;
        assert!(said.contains("No such file"), "{said}");
        // PID 1, the executor, the shell and what it starts.
        let (_, processes) = output(&other, shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", None)).await;
        assert!(!processes.contains("sleep"), "{processes}");
    });
}

fn masked_files_stay_hidden(world: &World) {
    world.write(".env", CANARY, 0o644);
    world.write("visible", "visible", 0o644);
    for access in [ProjectAccess::ReadOnly, ProjectAccess::Inert, ProjectAccess::Writable] {
        let said = world.says(access, "cat visible; cat .env");
        assert!(said.starts_with("visible") && !said.contains(CANARY), "{access:?}: {said}");
    }
}

/// What becomes of writing to the project, and of executing a file of it in three ways.
const WRITES: &str = "(echo new > new) 2>/dev/null && echo written; (echo more >> file) 2>/dev/null && echo changed; \
                      mkdir dir 2>/dev/null && echo made";
const EXECUTES: &str = "./script 2>/dev/null && echo executed; ./program 2>/dev/null && echo executed; \
                        $(ls /lib64/ld-linux-*.so* /lib/ld-linux-*.so* 2>/dev/null | head -1) ./program 2>/dev/null \
                        && echo loaded";

fn project_with_programs(world: &World) {
    world.write("file", "file", 0o644);
    world.write("script", "#!/bin/sh\ntrue\n", 0o755);
    fs::copy("/bin/true", world.project.join("program")).unwrap();
}

fn a_read_only_project_can_be_neither_changed_nor_executed(world: &World) {
    project_with_programs(world);
    assert_eq!(world.says(ProjectAccess::ReadOnly, &format!("{WRITES}; {EXECUTES}")), "");
    assert_eq!(fs::read_to_string(world.project.join("file")).unwrap(), "file");
}

fn an_inert_project_can_be_changed_and_not_executed(world: &World) {
    project_with_programs(world);
    assert_eq!(world.says(ProjectAccess::Inert, &format!("{WRITES}; {EXECUTES}")), "written\nchanged\nmade\n");
}

fn a_writable_project_is_as_the_agents_and_its_guards_hold(world: &World) {
    project_with_programs(world);
    fs::create_dir_all(world.project.join(".git/hooks")).unwrap();
    let all = "written\nchanged\nmade\nexecuted\nexecuted\nloaded\n";
    assert_eq!(world.says(ProjectAccess::Writable, &format!("{WRITES}; {EXECUTES}")), all);
    for access in [ProjectAccess::Inert, ProjectAccess::Writable] {
        let script = "(echo evil > .git/hooks/post-checkout) 2>/dev/null && echo hooked; mv .git .moved 2>/dev/null && echo moved";
        assert_eq!(world.says(access, script), "", "{access:?}");
    }
}

fn no_directory_leads_out_of_the_project(world: &World) {
    world.write("inside/file", "", 0o644);
    for (link, target) in [("out", "/etc"), ("up", "../.."), ("magic", "/proc/self/root/etc"), ("own", "inside")] {
        symlink(target, world.project.join(link)).unwrap();
    }
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::Writable), &[]).await.unwrap();
        for bad in ["out", "up", "magic", "inside/../..", "absent", "inside/file"] {
            let (code, error) = refusal(&chamber, shell("pwd -P", Some(&world.project.join(bad)))).await;
            assert_eq!(code, 126, "{bad}");
            assert!(error.contains(bad), "{error}");
        }
        for outside in ["/", "/etc", CREDENTIALS, "relative", world.project.parent().unwrap().to_str().unwrap()] {
            let refused = refusal(&chamber, shell("pwd -P", Some(outside.as_ref()))).await;
            assert_eq!(refused.0, 126, "{outside}");
        }
        let (_, real) = output(&chamber, shell("pwd -P", Some(&world.project.join("own")))).await;
        assert_eq!(real.trim(), world.project.join("inside").to_str().unwrap());
    });
}

fn only_named_programs_can_be_executed(world: &World) {
    project_with_programs(world);
    let mut spec = world.spec(ProjectAccess::Inert);
    spec.program = fs::canonicalize("/usr/bin/true").unwrap();
    spec.executes = Some(BTreeSet::from([fs::canonicalize("/usr/bin/id").unwrap()]));
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    let loader = loader.into_iter().find(|path| fs::exists(path).unwrap()).unwrap();
    let here = |name: &str| world.project.join(name).to_str().unwrap().to_owned();
    let (script, program) = (here("script"), here("program"));
    world.run(async {
        let chamber = Chamber::start(&spec, &[]).await.unwrap();
        let (ended, said) = output(&chamber, attempt(&["exec", "/usr/bin/id", "-u"])).await;
        assert_eq!((ended.code, said), (Some(0), format!("{}\n", rustix::process::geteuid().as_raw())));
        let forbidden: [&[&str]; 8] = [
            &["/bin/sh", "-c", "echo executed"],
            &["/usr/bin/env", "echo", "executed"],
            &[&script],
            &[&program],
            &[loader, "/bin/sh", "-c", "echo executed"],
            &[loader, "/usr/bin/echo", "executed"],
            &[loader, &program, "--version"],
            &[OWN, "attempt", "exec", "/bin/sh", "-c", "echo executed"],
        ];
        for command in forbidden {
            let (_, said) = output(&chamber, attempt(&[&["exec"], command].concat())).await;
            assert!(!said.contains("executed") && !said.contains("coreutils"), "{command:?}: {said}");
            let denied = ["Permission denied", "Operation not permitted", "cannot open", "failed to map"];
            assert!(denied.iter().any(|words| said.contains(words)), "{command:?}: {said}");
        }
        let home = std::env::var("HOME").unwrap();
        for place in ["/tmp", "/var/tmp", "/dev/shm", &home, world.project.to_str().unwrap()] {
            let (_, said) = output(&chamber, attempt(&["load-copy", loader, "/usr/bin/echo", place])).await;
            assert!(said.contains("failed to map"), "{place}: {said}");
        }
        assert_eq!(refusal(&chamber, shell("true", None)).await.0, 126);
    });
}

fn a_program_that_is_not_visible_starts_nothing(world: &World) {
    let mut spec = world.spec(ProjectAccess::None);
    spec.program = "/nowhere/at/all".into();
    spec.executes = Some(BTreeSet::new());
    world.run(async {
        let error = Chamber::start(&spec, &[]).await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
    });
}
