//! The system calls that exist inside the sandbox.
//!
//! An allowlist, where it differs from Docker's default profile for good reasons:
//!
//! - A call on no list fails with ENOSYS, not EPERM. To a program the kernel is then merely older,
//!   and libraries fall back: glibc from `clone3` (whose flags lie in memory where no filter sees
//!   them) to `clone`, libuv from io_uring to epoll, libnuma and Kerberos from NUMA policies and
//!   keyrings to none. EPERM is kept for what an unprivileged process is refused anyway.
//! - No io_uring (calls made through it pass no filter), no keyrings, no userfaultfd, no
//!   `modify_ldt`, no new namespaces in any form, so no capability of any kind is to be had inside.
//! - Sockets are local, IP or rtnetlink. Every other family and the rarer IP protocols are kernel
//!   code that an unprivileged process may load and that nothing inside needs.
//! - No setuid bit on any file: a setuid file in the project is a door for other users of the
//!   *host* to become this user, or root. `openat2` is absent because its mode lies in memory.
//! - Debuggers work: ptrace and `process_vm_*` (which obey the same access check) are allowed, and
//!   so is switching address randomisation off. The sandbox's PID 1 is not dumpable, hence out
//!   of their reach.
//!
//! Argument rules compare the low 32 bits, as much as the kernel looks at: with a 64-bit
//! comparison `ioctl(0, TIOCSTI | 1 << 32)` passes (CVE-2019-10063, CVE-2023-1523).

use super::syscalls;
use libc::c_long;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, sock_filter,
};
use std::collections::BTreeMap;

/// Compiled programs, in the order of installation. The kernel runs them all and takes the
/// severest verdict; among refusals the errno of the last installed one counts (seccomp(2)).
#[derive(Clone, Debug)]
pub struct Filter([BpfProgram; 3]);

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The rules of this file are wrong, or the architecture is not one of ours.
    #[error("cannot compile the system call filter: {0}")]
    Compile(#[source] seccompiler::BackendError),
    /// The kernel refused it.
    #[error("cannot install the system call filter: {0}; the kernel needs CONFIG_SECCOMP_FILTER")]
    Install(#[source] seccompiler::Error),
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;
type Compiled<T> = Result<T, seccompiler::BackendError>;

/// Compiles the filter for the architecture that this program was built for. Pure.
pub fn compile() -> Result<Filter, SeccompError> {
    let programs = || -> Compiled<[BpfProgram; 3]> {
        Ok([
            by_number(&verdicts()),
            by_arguments(refused()?, libc::EPERM)?,
            by_arguments(sockets()?, libc::EAFNOSUPPORT)?,
        ])
    };
    programs().map(Filter).map_err(SeccompError::Compile)
}

/// Puts the calling thread and all its future children under the filter, for good. Sets
/// `no_new_privs`.
pub fn install(filter: &Filter) -> Result<(), SeccompError> {
    filter.0.iter().try_for_each(|program| seccompiler::apply_filter(program)).map_err(SeccompError::Install)
}

/// Refuses with this errno what a rule matches. A foreign architecture (32-bit calls by `int 0x80`)
/// kills the process; x32 calls are numbers that no list has.
fn by_arguments(rules: Rules, errno: libc::c_int) -> Compiled<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, refusal(errno), architecture)?.try_into()
}

fn refusal(errno: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(errno as u32)
}

/// Verdicts on calls by number alone, whatever the architecture: the other programs check that.
/// The end of a run of numbers (inclusive) and what becomes of the run; ascending. Numbers beyond
/// the last run do not exist.
fn verdicts() -> Vec<(c_long, SeccompAction)> {
    let allowed = syscalls::ALLOWED.into_iter().chain([syscalls::ALLOWED_NEW, syscalls::ALLOWED_HERE]);
    let allowed = allowed.flatten().map(|&number| (number, SeccompAction::Allow));
    let privileged = [syscalls::PRIVILEGED, syscalls::PRIVILEGED_HERE].into_iter().flatten();
    let privileged = privileged.map(|&number| (number, refusal(libc::EPERM)));
    let listed: BTreeMap<c_long, SeccompAction> = allowed.chain(privileged).collect();
    let mut runs: Vec<(c_long, SeccompAction)> = Vec::new();
    for number in 0..=listed.keys().next_back().copied().unwrap_or(-1) {
        let verdict = listed.get(&number).cloned().unwrap_or(refusal(libc::ENOSYS));
        match runs.last_mut() {
            Some((end, of_run)) if *of_run == verdict => *end = number,
            _ => runs.push((number, verdict)),
        }
    }
    runs
}

/// One comparison for each run. A rule for each number, as seccompiler makes them, is six times as
/// long, and the kernel interprets the program for every number when it is installed (1.4 ms).
fn by_number(runs: &[(c_long, SeccompAction)]) -> BpfProgram {
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let verdict = |action: SeccompAction| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action.into());
    let above = |end: c_long| instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, 0, end as u32);
    let number = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number)];
    program.extend(runs.iter().flat_map(|(end, action)| [above(*end), verdict(action.clone())]));
    program.push(verdict(refusal(libc::ENOSYS)));
    program
}

/// clone(2)'s namespace flags. `CLONE_NEWTIME` lies in the byte of the exit signal: clone can't
/// take it, unshare can.
const CLONE_NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// personality(2): Linux, Linux32, both with `UNAME26`, the query, and without address
/// randomisation, which ThreadSanitizer and gdb ask for.
const PERSONALITIES: [u64; 6] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff, libc::ADDR_NO_RANDOMIZE as u64];

/// Typing into the terminal (`TIOCSTI`, and `TIOCLINUX`'s paste), and line disciplines, which
/// load kernel modules.
const TERMINAL_TRICKS: [libc::Ioctl; 3] = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD];

fn refused() -> Compiled<Rules> {
    let mut rules = Rules::new();
    let namespaces = CLONE_NAMESPACES.map(|flag| rule(&[has(0, flag as u64)]));
    rules.insert(libc::SYS_clone, namespaces.into_iter().collect::<Compiled<_>>()?);
    let namespaces = CLONE_NAMESPACES.into_iter().chain([libc::CLONE_NEWTIME]);
    let namespaces = namespaces.map(|flag| rule(&[has(0, flag as u64)]));
    rules.insert(libc::SYS_unshare, namespaces.collect::<Compiled<_>>()?);
    let tricks = TERMINAL_TRICKS.map(|request| rule(&[(1, Eq, u64::from(request as u32))]));
    rules.insert(libc::SYS_ioctl, tricks.into_iter().collect::<Compiled<_>>()?);
    rules.insert(libc::SYS_personality, vec![rule(&none_of(0, &PERSONALITIES))?]);
    setuid_files(&mut rules)?;
    Ok(rules)
}

/// Every way to give a file the setuid bit.
fn setuid_files(rules: &mut Rules) -> Compiled<()> {
    let setuid = |argument| has(argument, libc::S_ISUID.into());
    for &number in syscalls::SETS_MODE_AT_1 {
        rules.insert(number, vec![rule(&[setuid(1)])?]);
    }
    for number in [libc::SYS_fchmodat, syscalls::FCHMODAT2, libc::SYS_mknodat] {
        rules.insert(number, vec![rule(&[setuid(2)])?]);
    }
    // The mode counts only when the call may create a file; otherwise the register holds anything.
    let creating = [libc::O_CREAT as u64, (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64];
    let at = syscalls::CREATES_AT_1.iter().map(|&number| (number, 1)).chain([(libc::SYS_openat, 2)]);
    for (number, flags) in at {
        let created = creating.map(|flag| rule(&[has(flags, flag), setuid(flags + 1)]));
        rules.insert(number, created.into_iter().collect::<Compiled<_>>()?);
    }
    Ok(())
}

const UNIX: u64 = libc::AF_UNIX as u64;
const INET: u64 = libc::AF_INET as u64;
const INET6: u64 = libc::AF_INET6 as u64;
const NETLINK: u64 = libc::AF_NETLINK as u64;

/// The kernel keeps flags such as `SOCK_CLOEXEC` above these bits of a socket's type
/// (`include/linux/net.h`).
const SOCK_TYPE_MASK: u64 = 0xf;

/// Socket families and protocols beyond the few that are needed.
fn sockets() -> Compiled<Rules> {
    let ip = [0, libc::IPPROTO_TCP as u64, libc::IPPROTO_UDP as u64, libc::IPPROTO_MPTCP as u64];
    let typed = |family: u64, kind: libc::c_int| rule(&[(0, Eq, family), (1, MaskedEq(SOCK_TYPE_MASK), kind as u64)]);
    let protocols = |family: u64, icmp: libc::c_int| {
        let allowed: Vec<u64> = ip.into_iter().chain([icmp as u64]).collect();
        let mut conditions = none_of(2, &allowed);
        conditions.push((0, Eq, family));
        rule(&conditions)
    };
    let socket = vec![
        rule(&none_of(0, &[UNIX, INET, INET6, NETLINK]))?,
        rule(&[(0, Eq, NETLINK), (2, Ne, libc::NETLINK_ROUTE as u64)])?,
        protocols(INET, libc::IPPROTO_ICMP)?,
        protocols(INET6, libc::IPPROTO_ICMPV6)?,
        // Types that pick SCTP or DCCP when the protocol is left at 0.
        typed(INET, libc::SOCK_SEQPACKET)?,
        typed(INET6, libc::SOCK_SEQPACKET)?,
        typed(INET, libc::SOCK_DCCP)?,
        typed(INET6, libc::SOCK_DCCP)?,
    ];
    let socketpair = vec![rule(&none_of(0, &[UNIX]))?];
    Ok(Rules::from([(libc::SYS_socket, socket), (libc::SYS_socketpair, socketpair)]))
}

/// An argument's position, from 0, and what its low 32 bits must be.
type Condition = (u8, SeccompCmpOp, u64);

/// A rule matches where all its conditions do.
fn rule(conditions: &[Condition]) -> Compiled<SeccompRule> {
    let conditions = conditions.iter().cloned();
    let conditions = conditions.map(|(argument, op, value)| SeccompCondition::new(argument, Dword, op, value));
    SeccompRule::new(conditions.collect::<Compiled<_>>()?)
}

fn has(argument: u8, flag: u64) -> Condition {
    (argument, MaskedEq(flag), flag)
}

fn none_of(argument: u8, values: &[u64]) -> Vec<Condition> {
    values.iter().map(|&value| (argument, Ne, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a number, by the data alone.
    fn verdict(number: c_long) -> SeccompAction {
        let runs = verdicts();
        runs.into_iter().find(|(end, _)| number <= *end).map_or(refusal(libc::ENOSYS), |(_, action)| action)
    }

    /// Interprets the instructions that [`by_number`] uses.
    fn run(program: &[sock_filter], number: u32) -> u32 {
        let mut at = 1;
        loop {
            let step = &program[at];
            match u32::from(step.code) & 0x7 {
                libc::BPF_JMP => at += 1 + usize::from(if number > step.k { step.jt } else { step.jf }),
                _ => return step.k,
            }
        }
    }

    #[test]
    fn the_program_gives_each_number_its_verdict() {
        let program = by_number(&verdicts());
        for number in (0..1_000).chain([0x4000_0000, 0x4000_0027, u32::MAX - 1, u32::MAX]) {
            assert_eq!(run(&program, number), u32::from(verdict(number.into())), "{number}");
        }
        assert_eq!(verdict(libc::SYS_read), SeccompAction::Allow);
        assert_eq!(verdict(libc::SYS_mount), refusal(libc::EPERM));
        assert_eq!(verdict(libc::SYS_io_uring_setup), refusal(libc::ENOSYS));
    }

    #[test]
    fn no_call_is_both_allowed_and_privileged() {
        let allowed = syscalls::ALLOWED.into_iter().chain([syscalls::ALLOWED_NEW, syscalls::ALLOWED_HERE]);
        let allowed: Vec<c_long> = allowed.flatten().copied().collect();
        for number in [syscalls::PRIVILEGED, syscalls::PRIVILEGED_HERE].into_iter().flatten() {
            assert!(!allowed.contains(number), "{number}");
        }
    }

    #[test]
    fn rules_on_arguments_are_about_calls_that_are_allowed_otherwise() {
        for number in refused().unwrap().keys().chain(sockets().unwrap().keys()) {
            assert_eq!(verdict(*number), SeccompAction::Allow, "{number}");
        }
    }

    #[test]
    fn the_programs_fit_the_kernels_limit_together() {
        // BPF_MAXINSNS is 4096 for one program; MAX_INSNS_PER_PATH for all of a task is 32768.
        let lengths: Vec<usize> = compile().unwrap().0.iter().map(Vec::len).collect();
        assert!(lengths.iter().sum::<usize>() < 4096, "{lengths:?}");
    }
}
