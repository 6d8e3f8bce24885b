//! What this program tries when a tool is to try it without a shell; prints what the kernel said.

use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

pub fn attempt(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["exec", program, ref arguments @ ..] => {
            let error = Command::new(program).args(arguments).exec();
            println!("{error}");
        }
        ["load-copy", loader, program, place] => {
            let copy = std::path::Path::new(place).join("copy");
            std::fs::copy(program, &copy).unwrap();
            let error = Command::new(loader).arg(&copy).arg("executed").exec();
            println!("{error}");
        }
        ["ptrace"] => {
            let parent = executor();
            // SAFETY: attaching touches no memory of this process.
            let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent, 0, 0) };
            println!("{}", if attached == 0 { "attached".to_owned() } else { Error::last_os_error().to_string() });
        }
        ["steal-descriptor"] => {
            // SAFETY: neither call touches memory.
            let stolen = unsafe {
                let pidfd = libc::syscall(libc::SYS_pidfd_open, executor(), 0);
                libc::syscall(libc::SYS_pidfd_getfd, pidfd, 3, 0)
            };
            println!("{}", if stolen >= 0 { "stolen".to_owned() } else { Error::last_os_error().to_string() });
        }
        ["descriptors"] => {
            let open: Vec<i32> = (0..1024)
                // SAFETY: F_GETFD touches no memory.
                .filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0)
                .collect();
            println!("{open:?}");
        }
        ref other => panic!("{other:?}"),
    }
    ExitCode::SUCCESS
}

fn executor() -> i32 {
    // SAFETY: it has no preconditions.
    unsafe { libc::getppid() }
}
