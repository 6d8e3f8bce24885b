//! Judged in the agent's place, on directories that the plain file permissions would let it write.

use crate::fixture::{Finding, confined, confined_to_programs, directory_of, holds, in_child, text, users};
use rcc::runtime::embedded::landlock::{LandlockStatus, restrict};
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

/// What this kernel can do; asked in a child, because asking restricts.
fn abi() -> i32 {
    let (mut reader, writer) = std::io::pipe().unwrap();
    in_child(|| {
        let LandlockStatus::Enforced { abi } = restrict(&[], None).map_err(text)? else { return Ok(()) };
        rustix::io::write(&writer, &[abi as u8]).map(drop).map_err(text)
    })
    .unwrap();
    drop(writer);
    let mut abi = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut abi).unwrap();
    abi.first().copied().unwrap_or(0).into()
}

fn denied<T>(what: &str, result: std::io::Result<T>) -> Finding {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EXDEV)) => Ok(()),
        Err(error) => Err(format!("{what}: {error}")),
        Ok(_) => Err(format!("{what}: allowed")),
    }
}

#[test]
fn only_the_named_places_can_be_written() {
    let abi = abi();
    assert!(abi >= 2, "this test needs a kernel with Landlock ABI 2 (Linux 5.19)");
    for uid in users() {
        let (inside, outside) = (directory_of(uid), directory_of(uid));
        let victim = outside.path().join("victim");
        fs::write(&victim, "old").unwrap();
        std::os::unix::fs::chown(&victim, Some(uid), Some(uid)).unwrap();
        confined(uid, &[inside.path().to_owned()], || {
            let (out, file) = (|name: &str| outside.path().join(name), inside.path().join("file"));
            denied("write", fs::write(&victim, "new"))?;
            let path = CString::new(victim.as_os_str().as_bytes()).map_err(text)?;
            // SAFETY: the path lives for the call.
            let truncated = unsafe { libc::truncate(path.as_ptr(), 0) };
            // ABI 2 knows of no truncation except by opening for writing.
            holds("truncate", abi < 3 || truncated == -1)?;
            denied("create", fs::File::create(out("new")))?;
            denied("mkdir", fs::create_dir(out("new")))?;
            denied("symlink", std::os::unix::fs::symlink("/", out("new")))?;
            denied("unlink", fs::remove_file(&victim))?;
            denied("bind", UnixListener::bind(out("socket")))?;
            fs::write(&file, "new").map_err(text)?;
            denied("rename out", fs::rename(&file, out("new")))?;
            denied("rename in", fs::rename(&victim, inside.path().join("new")))?;
            denied("link in", fs::hard_link(&victim, inside.path().join("new")))?;
            fs::read_to_string(&victim).map(drop).map_err(|error| format!("reading outside: {error}"))
        });
    }
}

#[test]
fn inside_all_ordinary_file_work_goes_on() {
    for uid in users() {
        let (one, two) = (directory_of(uid), directory_of(uid));
        confined(uid, &[one.path().to_owned(), two.path().to_owned()], || {
            let at = |dir: &Path, name: &str| dir.join(name);
            fs::create_dir(at(one.path(), "a")).map_err(text)?;
            fs::create_dir(at(one.path(), "b")).map_err(text)?;
            fs::write(at(one.path(), "a/file"), "content").map_err(text)?;
            fs::rename(at(one.path(), "a/file"), at(one.path(), "b/file")).map_err(text)?;
            fs::hard_link(at(one.path(), "b/file"), at(one.path(), "a/link")).map_err(text)?;
            fs::rename(at(one.path(), "b"), at(two.path(), "b")).map_err(text)?;
            OpenOptions::new().write(true).truncate(true).open(at(two.path(), "b/file")).map_err(text)?;
            UnixListener::bind(at(one.path(), "socket")).map_err(text)?;
            fs::remove_file(at(one.path(), "a/link")).map_err(text)?;
            fs::remove_dir(at(one.path(), "a")).map_err(text)?;
            fs::write("/dev/null", "nothing").map_err(text)
        });
    }
}

#[test]
fn an_inherited_file_is_reopened_only_as_it_was_opened() {
    assert!(abi() >= 2, "this test needs a kernel with Landlock ABI 2 (Linux 5.19)");
    for uid in users() {
        let outside = directory_of(uid);
        let path = |name: &str| {
            let path = outside.path().join(name);
            fs::write(&path, "old").unwrap();
            std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
            path
        };
        let (input, output) = (path("input"), path("output"));
        let input = fs::File::open(input).unwrap();
        let output = OpenOptions::new().write(true).open(output).unwrap();
        in_child(|| {
            for (file, stdio) in [(&input, 0), (&output, 1)] {
                // SAFETY: the numbers are valid; the child has no other use for its stdio.
                holds("dup2", unsafe { libc::dup2(file.as_raw_fd(), stdio) } == stdio)?;
            }
            confined(uid, &[], || {
                fs::read("/proc/self/fd/0").map_err(|error| format!("reading stdin: {error}"))?;
                denied("writing stdin", OpenOptions::new().write(true).open("/proc/self/fd/0"))?;
                denied("truncating stdin", fs::write("/proc/self/fd/0", ""))?;
                fs::write("/proc/self/fd/1", "new").map_err(|error| format!("writing stdout: {error}"))
            });
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn kernel_settings_cannot_be_written_by_root_either() {
    for uid in users() {
        confined(uid, &[], || {
            denied("core_pattern", OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern"))?;
            denied("hostname", OpenOptions::new().write(true).open("/proc/sys/kernel/hostname"))
        });
    }
}

#[test]
fn no_device_can_be_made() {
    for uid in users() {
        let dir = directory_of(uid);
        confined(uid, &[dir.path().to_owned()], || {
            let kmem = rustix::fs::makedev(1, 1);
            let (mode, node) = (rustix::fs::Mode::from_raw_mode(0o600), dir.path().join("node"));
            for kind in [rustix::fs::FileType::CharacterDevice, rustix::fs::FileType::BlockDevice] {
                denied("mknod", rustix::fs::mknodat(rustix::fs::CWD, &node, kind, mode, kmem).map_err(Into::into))?;
            }
            Ok(())
        });
    }
}

#[test]
fn signals_and_abstract_sockets_stay_inside() {
    if abi() < 6 {
        return; // Linux before 6.12: the network and pid namespaces alone do it.
    }
    let name = format!("rcc-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let _outside = UnixListener::bind_addr(&address).unwrap();
    in_child(|| {
        UnixStream::connect_addr(&address).map_err(|error| format!("before: {error}"))?;
        restrict(&[], None).map_err(text)?;
        denied("connect", UnixStream::connect_addr(&address))?;
        let parent = rustix::process::getppid().ok_or("no parent")?;
        denied("signal", rustix::process::kill_process(parent, rustix::process::Signal::WINCH).map_err(Into::into))
    })
    .unwrap();
}

#[test]
fn a_place_that_is_not_there_is_named() {
    let error = restrict(&["/nowhere/at/all".into()], None).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

#[test]
fn where_programs_are_named_nothing_else_can_be_executed() {
    let programs = ["/usr/bin/true", "/usr/bin/false"].map(|path| fs::canonicalize(path).unwrap());
    let [named, other] = &programs;
    for uid in users() {
        let dir = directory_of(uid);
        let script = dir.path().join("script");
        fs::write(&script, format!("#!{}\n", named.display())).unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        confined_to_programs(uid, std::slice::from_ref(named), || {
            let run = |path: &Path| std::process::Command::new(path).status();
            holds("the named program", run(named).map_err(text)?.success())?;
            denied("another program", run(other))?;
            denied("a script whose interpreter is named", run(&script))?;
            fs::read(other).map(drop).map_err(|error| format!("reading another program: {error}"))
        });
    }
}

#[test]
fn without_landlock_a_list_of_programs_is_refused() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let rules = [(libc::SYS_landlock_create_ruleset, vec![])].into();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, missing, architecture).unwrap().try_into().unwrap();
    in_child(|| {
        seccompiler::apply_filter(&filter).map_err(text)?;
        holds("nothing to hold", matches!(restrict(&[], None), Ok(LandlockStatus::Missing { .. })))?;
        let error = restrict(&[], Some(&[])).err().ok_or("a list that nobody keeps was taken")?.to_string();
        holds(&error, error.contains("needs Landlock"))
    })
    .unwrap();
}
