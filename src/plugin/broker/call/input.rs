//! What a client sends while its tool runs: input, signals, the size of its terminal.

use super::Refusal;
use crate::plugin::broker::streams::{self, End};
use crate::plugin::chamber::Signals;
use crate::plugin::wire::allowance::{Allowance, Charge};
use crate::plugin::wire::stream::Reader;
use crate::plugin::wire::{Control, Event, INPUT_WINDOW, Signal, Tag};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::Notify;

/// Between two signals of a client's.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(5);
/// Bytes that a piece of input costs beside its own.
const PIECE: usize = 64;

/// Input on its way to the tool, and what the client may send beyond it. The client's frames are always read, so that
/// a signal does not wait behind input that nobody takes.
pub(super) struct Pipeline {
    queue: RefCell<VecDeque<Vec<u8>>>,
    /// Bytes that were granted and have not come.
    granted: Cell<u32>,
    /// Bytes that the tool has taken and the client has not been told of.
    taken: Cell<u32>,
    /// Bytes that went into the tool's pipe.
    fed: Cell<u64>,
    ended: Cell<bool>,
    /// Whether the tool takes no more, and whether the client knows.
    refused: Cell<Option<bool>>,
    /// Whether the client has stopped the tool itself, and not let it go on.
    pub(super) told_to_stop: Cell<bool>,
    /// Outputs that the client does not read any more.
    pub(super) unread: Unread,
    more: Notify,
    credit: Notify,
    charge: RefCell<Charge>,
}

/// What one client said.
pub(super) enum Said {
    /// Nothing more: it has gone.
    Gone,
    /// Something that it must not.
    Wrong(Refusal),
}

impl Pipeline {
    pub(super) fn new(allowance: &Allowance) -> Self {
        Self {
            queue: RefCell::default(),
            granted: Cell::new(0),
            taken: Cell::new(INPUT_WINDOW),
            fed: Cell::new(0),
            ended: Cell::new(false),
            refused: Cell::new(None),
            told_to_stop: Cell::new(false),
            unread: Unread::default(),
            more: Notify::new(),
            credit: Notify::new(),
            charge: RefCell::new(allowance.charge()),
        }
    }

    /// Waits until there is something to tell the client.
    pub(super) async fn news(&self) -> Event {
        loop {
            if self.refused.get() == Some(false) {
                self.refused.set(Some(true));
                return Event::InputClosed;
            }
            // Not for every few bytes, and at once where it has nothing left.
            let bytes = self.taken.get();
            if bytes >= INPUT_WINDOW / 4 || bytes > 0 && self.granted.get() == 0 {
                self.taken.set(0);
                self.granted.set(self.granted.get() + bytes);
                return Event::Credit { bytes };
            }
            self.credit.notified().await;
        }
    }

    /// Bytes of the input that the tool has read, of which `left` are still in its pipe.
    pub(super) fn read(&self, left: u64) -> u64 {
        self.fed.get().saturating_sub(left)
    }

    /// Reads the client until it has gone, or says what it must not.
    pub(super) async fn listen(
        &self,
        reader: &mut Reader<OwnedReadHalf>,
        terminal: Option<&End>,
        running: &Signals,
    ) -> Said {
        loop {
            let frame = match reader.frame().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Said::Gone,
                Err(error) => return Said::Wrong(Refusal::new(error.to_string())),
            };
            let heard = match frame.tag {
                Tag::Input => self.queue_up(frame.payload),
                Tag::Control => match Control::parse(frame.payload) {
                    Ok(Control::Signal { signal }) => {
                        match signal {
                            Signal::Tstp => self.told_to_stop.set(true),
                            Signal::Cont => self.told_to_stop.set(false),
                            _ => {}
                        }
                        running.send(signal.number());
                        // No faster than they are taken inside.
                        tokio::time::sleep(BETWEEN_SIGNALS).await;
                        Ok(())
                    }
                    Ok(Control::Resize { rows, columns }) => {
                        // A tool without a terminal has no use for it.
                        let _ = terminal.map(|terminal| streams::resize(terminal.get_ref(), rows, columns));
                        Ok(())
                    }
                    Ok(Control::Close { stream }) => {
                        self.unread.add(stream as usize);
                        Ok(())
                    }
                    Ok(Control::Exec { .. } | Control::Connect { .. }) => {
                        Err("a connection of the streaming form is for one call".to_owned())
                    }
                    Err(error) => Err(error.to_string()),
                },
                Tag::Output | Tag::Error => Err("only the tool has output".to_owned()),
            };
            if let Err(why) = heard {
                return Said::Wrong(Refusal::new(why));
            }
        }
    }

    fn queue_up(&self, bytes: &[u8]) -> Result<(), String> {
        if self.ended.get() {
            return Err("there was an end of the input before".to_owned());
        }
        if bytes.is_empty() {
            self.ended.set(true);
        } else {
            let left = u32::try_from(bytes.len()).ok().and_then(|count| self.granted.get().checked_sub(count));
            self.granted.set(left.ok_or("more input than was asked for")?);
            let mut charge = self.charge.borrow_mut();
            let held = charge.bytes() + bytes.len() + PIECE;
            if !charge.change(held) {
                return Err("this session's clients have too much input on its way".to_owned());
            }
            self.queue.borrow_mut().push_back(bytes.to_vec());
        }
        self.more.notify_one();
        Ok(())
    }

    /// Feeds the tool until the end of the input. What a tool does not read is dropped, as a shell's pipe does.
    pub(super) async fn feed(&self, to: End, is_terminal: bool) {
        let mut takes = true;
        loop {
            let next = self.queue.borrow_mut().pop_front();
            match next {
                Some(bytes) => {
                    if takes && streams::write(&to, &bytes).await.is_ok() {
                        self.fed.set(self.fed.get() + bytes.len() as u64);
                    } else if takes {
                        takes = false;
                        self.refused.set(Some(false));
                    }
                    let mut charge = self.charge.borrow_mut();
                    let held = charge.bytes() - bytes.len() - PIECE;
                    let _ = charge.change(held);
                    // As long as a frame, which fits.
                    self.taken.set(self.taken.get() + bytes.len() as u32);
                    self.credit.notify_one();
                }
                None if self.ended.get() => break,
                None => self.more.notified().await,
            }
        }
        if is_terminal {
            // Its end is a character (termios(3), VEOF), which the client's own terminal sends if it is typed; a
            // client that ends without one hangs up.
            let _ = streams::write(&to, &[END_OF_TRANSMISSION]).await;
        }
    }
}

/// Which outputs nobody reads any more.
#[derive(Default)]
pub(super) struct Unread {
    which: [Cell<bool>; 2],
    more: Notify,
}

impl Unread {
    fn add(&self, which: usize) {
        if let Some(unread) = self.which.get(which) {
            unread.set(true);
            self.more.notify_one();
        }
    }

    /// Waits until there is one, and says which: each once.
    pub(super) async fn next(&self) -> usize {
        loop {
            if let Some(which) = self.which.iter().position(|unread| unread.take()) {
                return which;
            }
            self.more.notified().await;
        }
    }
}

/// `VEOF` of a new terminal.
const END_OF_TRANSMISSION: u8 = 4;
