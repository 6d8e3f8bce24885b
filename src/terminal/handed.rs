//! The agent's side of its standard streams on its way to a PID 1 that is no child of the launcher: what can be
//! written down, and the descriptors that go with it.

use super::stdio::{AgentStdio, PtySetup, Slot, StdioError, system};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex, Termios, Winsize, tcgetattr,
};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What becomes the agent's three, without the pipes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    slots: [Stream; 3],
    terminal: Option<Terminal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stream {
    Terminal,
    Null,
    /// The next descriptor.
    Pipe,
    Stdout,
}

/// Modes of input, output, control and local, the special characters, and rows, columns and pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Terminal {
    modes: [u32; 4],
    special: [u8; SPECIAL.len()],
    size: [u16; 4],
}

/// Every special character of termios(3).
const SPECIAL: [SpecialCodeIndex; 17] = [
    SpecialCodeIndex::VINTR,
    SpecialCodeIndex::VQUIT,
    SpecialCodeIndex::VERASE,
    SpecialCodeIndex::VKILL,
    SpecialCodeIndex::VEOF,
    SpecialCodeIndex::VTIME,
    SpecialCodeIndex::VMIN,
    SpecialCodeIndex::VSWTC,
    SpecialCodeIndex::VSTART,
    SpecialCodeIndex::VSTOP,
    SpecialCodeIndex::VSUSP,
    SpecialCodeIndex::VEOL,
    SpecialCodeIndex::VREPRINT,
    SpecialCodeIndex::VDISCARD,
    SpecialCodeIndex::VWERASE,
    SpecialCodeIndex::VLNEXT,
    SpecialCodeIndex::VEOL2,
];

impl AgentStdio {
    /// What to write down, and the descriptors to send with it, in their order.
    pub fn hand_over(&self) -> (Handed, Vec<BorrowedFd<'_>>) {
        let mut pipes = Vec::new();
        let mut slots = [Stream::Null; 3];
        for (stream, slot) in slots.iter_mut().zip(&self.slots) {
            *stream = match slot {
                Slot::Terminal => Stream::Terminal,
                Slot::Null => Stream::Null,
                Slot::Stdout => Stream::Stdout,
                Slot::Pipe(pipe) => {
                    pipes.push(pipe.as_fd());
                    Stream::Pipe
                }
            };
        }
        let terminal = self.terminal.as_ref().map(|setup| {
            let (modes, size) = (&setup.modes, setup.size);
            Terminal {
                modes: [
                    modes.input_modes.bits(),
                    modes.output_modes.bits(),
                    modes.control_modes.bits(),
                    modes.local_modes.bits(),
                ],
                special: SPECIAL.map(|index| modes.special_codes[index]),
                size: [size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel],
            }
        });
        (Handed { slots, terminal }, pipes)
    }
}

impl Handed {
    /// The agent's side again. `fds` are those that came with it.
    ///
    /// # Errors
    /// A descriptor is missing, or there is no terminal to take the rest of the modes from.
    pub fn take(self, fds: impl IntoIterator<Item = OwnedFd>) -> Result<AgentStdio, StdioError> {
        let mut fds = fds.into_iter();
        let mut slots = [const { Slot::Null }; 3];
        for (slot, stream) in slots.iter_mut().zip(self.slots) {
            *slot = match stream {
                Stream::Terminal => Slot::Terminal,
                Stream::Null => Slot::Null,
                Stream::Stdout => Slot::Stdout,
                Stream::Pipe => {
                    Slot::Pipe(fds.next().ok_or(rustix::io::Errno::BADF).map_err(system("receive the agent's pipes"))?)
                }
            };
        }
        let terminal = self.terminal.map(|terminal| terminal.setup(fresh_modes()?)).transpose()?;
        Ok(AgentStdio { slots, terminal })
    }
}

impl Terminal {
    fn setup(self, mut modes: Termios) -> Result<PtySetup, StdioError> {
        let [input, output, control, local] = self.modes;
        modes.input_modes = InputModes::from_bits_retain(input);
        modes.output_modes = OutputModes::from_bits_retain(output);
        modes.control_modes = ControlModes::from_bits_retain(control);
        modes.local_modes = LocalModes::from_bits_retain(local);
        for (index, code) in SPECIAL.into_iter().zip(self.special) {
            modes.special_codes[index] = code;
        }
        let [ws_row, ws_col, ws_xpixel, ws_ypixel] = self.size;
        Ok(PtySetup { modes, size: Winsize { ws_row, ws_col, ws_xpixel, ws_ypixel } })
    }
}

/// Those of a terminal that nobody has used.
fn fresh_modes() -> Result<Termios, StdioError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty()).map_err(system("open /dev/ptmx"))?;
    tcgetattr(&master).map_err(system("read the modes of a terminal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_what_was_handed_over() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let mut modes = fresh_modes().unwrap();
        modes.special_codes[SpecialCodeIndex::VINTR] = 7;
        modes.local_modes.remove(LocalModes::ECHO);
        let size = Winsize { ws_row: 24, ws_col: 99, ws_xpixel: 1, ws_ypixel: 2 };
        let slots = [Slot::Pipe(read), Slot::Terminal, Slot::Stdout];
        let stdio = AgentStdio { slots, terminal: Some(PtySetup { modes, size }) };
        let (handed, pipes) = stdio.hand_over();
        let pipes: Vec<OwnedFd> = pipes.into_iter().map(|pipe| pipe.try_clone_to_owned().unwrap()).collect();
        let written = serde_json::to_vec(&handed).unwrap();
        let read: Handed = serde_json::from_slice(&written).unwrap();
        let taken = read.clone().take(pipes).unwrap();
        assert_eq!(taken.hand_over().0, handed);
        assert!(matches!(taken.slots, [Slot::Pipe(_), Slot::Terminal, Slot::Stdout]));
        assert!(read.take([]).is_err());
    }
}
