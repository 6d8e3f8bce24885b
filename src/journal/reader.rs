//! Reading a journal, one line at a time, and what can be wrong with it.

use super::files::{self, Directory};
use super::hash::Hash;
use super::line::{self, Entry, LINE_MAX};
use super::{Extent, Head, Recorded};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// An entry, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<E> {
    /// The name of the file.
    pub file: String,
    /// Counts the lines of the file from 1.
    pub line: u64,
    /// The entry.
    pub entry: Entry<E>,
    /// Where in the file, and the line's own hash.
    pub extent: Extent,
}

/// Something wrong with a journal, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {what}")]
pub struct Fault {
    /// The name of the file.
    pub file: String,
    /// Counts the lines of the file from 1.
    pub line: u64,
    /// What.
    pub what: Wrong,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It has another form.
    #[error("it is no entry")]
    NoEntry,
    /// It has the form of an entry, but its event has none that is known.
    #[error("it is no entry that this version of rcc knows: {0}")]
    Unknown(String),
    /// Nothing that long is ever written.
    #[error("it is longer than {LINE_MAX} bytes")]
    TooLong,
    /// The file ends in it.
    #[error("it has no end: it is being written at this moment, or whoever wrote it was killed meanwhile")]
    Unfinished,
    /// Entries are missing, or come twice.
    #[error("it is entry {found}, where {expected} should be")]
    Number {
        /// Which comes next.
        expected: u64,
        /// Which is there.
        found: u64,
    },
    /// Its `prev` is wrong.
    #[error("it does not hold the hash of the line before: one of the two was changed")]
    Chain,
    /// The file has the name of another one.
    #[error("it is the first of its file, which is named as if entry {0} were")]
    Misnamed(u64),
    /// What a reader had read is gone.
    #[error("the file became shorter: what could not be written whole was taken back")]
    Shortened,
    /// The beginning is missing.
    #[error("entries 1 to {0} are missing, and no entry says that they were removed because of their age")]
    NotPruned(u64),
    /// The end is missing.
    #[error("the journal ends before entry {0}, which the store has seen")]
    CutOff(u64),
    /// The store has seen another one.
    #[error("it is not the line that the store has seen as entry {0}")]
    Replaced(u64),
}

/// What comes next in a journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<E> {
    /// An entry, even where a fault was found with it.
    Entry(Box<Line<E>>),
    /// Something is wrong.
    Fault(Fault),
}

/// The entries of a journal in their order, and between them what is wrong. Needs the memory of one line.
#[derive(Debug)]
pub struct Entries<'a, E> {
    directory: &'a Directory,
    cursor: Cursor<E>,
    ended: bool,
}

impl<'a, E: Recorded> Entries<'a, E> {
    /// Those from number `from` on.
    pub fn new(directory: &'a Directory, from: u64) -> Self {
        Self { directory, cursor: Cursor::new(from), ended: false }
    }
}

impl<E: Recorded> Iterator for Entries<'_, E> {
    type Item = io::Result<Found<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.cursor.next(self.directory) {
            Ok(Some(found)) => return Some(Ok(found)),
            Ok(None) => self.ended = true,
            Err(error) => {
                self.ended = true;
                return Some(Err(error));
            }
        }
        self.cursor.unfinished().map(|fault| Ok(Found::Fault(fault)))
    }
}

/// How far a reader has come.
#[derive(Debug)]
pub(super) struct Cursor<E> {
    open: Option<Open>,
    /// The first number of the file that was opened last.
    file: u64,
    /// The last entry.
    head: Option<Head>,
    /// The first entry that is wanted.
    from: u64,
    held: VecDeque<Found<E>>,
    buffer: Vec<u8>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub head: Option<Head>,
    /// Its line in its file; 0 if the file holds none.
    pub line: u64,
    /// The bytes of the file up to its end.
    pub end: u64,
}

#[derive(Debug)]
struct Open {
    reader: BufReader<File>,
    /// Lines that were read.
    line: u64,
    /// Bytes of them.
    end: u64,
    /// The last one that is an entry, and the bytes up to its end.
    good: (u64, u64),
    /// Whether there is a newer file, so that nothing more comes in this one.
    complete: bool,
    /// Whether there is a part of a line behind the last one.
    unfinished: bool,
}

enum Cut {
    Line,
    TooLong,
    /// Nothing more, or nothing whole.
    End,
}

impl<E: Recorded> Cursor<E> {
    /// At the file that holds entry `from`.
    pub(super) fn new(from: u64) -> Self {
        Self { open: None, file: 0, head: None, from, held: VecDeque::new(), buffer: Vec::new() }
    }

    /// At the beginning of one file, behind this entry.
    pub(super) fn at(file: File, first: u64, head: Option<Head>, from: u64) -> Self {
        Self { open: Some(Open::new(file)), file: first, head, ..Self::new(from) }
    }

    /// Where the last entry that was read is.
    pub(super) fn position(&self) -> Position {
        let (line, end) = self.open.as_ref().map_or((0, 0), |open| open.good);
        Position { head: self.head, line, end }
    }

    /// The file that was read last, and its last line.
    pub(super) fn last_place(&self) -> (u64, u64) {
        (self.file, self.open.as_ref().map_or(0, |open| open.line))
    }

    /// The part of a line with which the journal ends.
    pub(super) fn unfinished(&self) -> Option<Fault> {
        let open = self.open.as_ref().filter(|open| open.unfinished)?;
        Some(self.fault(open.line + 1, Wrong::Unfinished))
    }

    /// What comes next; `None` where nothing more is there yet.
    pub(super) fn next(&mut self, directory: &Directory) -> io::Result<Option<Found<E>>> {
        loop {
            if let Some(found) = self.held.pop_front() {
                return Ok(Some(found));
            }
            let Some(mut open) = self.open.take() else {
                if self.open_next(directory)? {
                    continue;
                }
                return Ok(None);
            };
            match open.cut(&mut self.buffer)? {
                Cut::Line => self.take_line(&mut open),
                Cut::TooLong => self.hold(open.line, Wrong::TooLong),
                Cut::End if open.complete => {
                    if open.unfinished {
                        self.hold(open.line + 1, Wrong::Unfinished);
                    }
                    continue;
                }
                Cut::End if self.newer(directory)?.is_some() => open.complete = true,
                Cut::End => {
                    let shorter = open.shortened()?;
                    if shorter {
                        self.hold(open.line, Wrong::Shortened);
                        self.head = None;
                    }
                    self.open = Some(open);
                    return Ok(self.held.pop_front());
                }
            }
            self.open = Some(open);
        }
    }

    fn newer(&self, directory: &Directory) -> io::Result<Option<u64>> {
        let files = directory.list()?;
        if self.file == 0 {
            let holding = files.iter().rev().find(|first| **first <= self.from);
            return Ok(holding.or(files.first()).copied());
        }
        Ok(files.into_iter().find(|first| *first > self.file))
    }

    fn open_next(&mut self, directory: &Directory) -> io::Result<bool> {
        while let Some(first) = self.newer(directory)? {
            self.file = first;
            match directory.read(first) {
                Ok(file) => {
                    self.open = Some(Open::new(file));
                    return Ok(true);
                }
                // Pruned at this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn take_line(&mut self, open: &mut Open) {
        let Some(header) = line::header(&self.buffer) else {
            return self.hold(open.line, Wrong::NoEntry);
        };
        open.good = (open.line, open.end);
        let (hash, length) = (Hash::of(&self.buffer), self.buffer.len());
        let expected = self.head.map_or(header.n, |head| head.n.saturating_add(1));
        let first = Head::default();
        let before = self.head.or((header.n == 1).then_some(first));
        if header.n != expected {
            self.hold(open.line, Wrong::Number { expected, found: header.n });
        } else if before.is_some_and(|before| before.hash != header.prev) {
            self.hold(open.line, Wrong::Chain);
        } else if open.line == 1 && header.n != self.file {
            self.hold(open.line, Wrong::Misnamed(self.file));
        }
        self.head = Some(Head { n: header.n, hash });
        if header.n < self.from {
            return;
        }
        match line::event(&header, &mut self.buffer) {
            Ok(event) => {
                let entry = Entry { n: header.n, at: header.at, prev: header.prev, event };
                let offset = open.end - length as u64 - 1;
                let extent = Extent { file: self.file, offset, length: length as u32, hash };
                let line = Line { file: files::name(self.file), line: open.line, entry, extent };
                self.held.push_back(Found::Entry(Box::new(line)));
            }
            Err(error) => self.hold(open.line, Wrong::Unknown(error.to_string())),
        }
    }

    fn hold(&mut self, line: u64, what: Wrong) {
        let fault = self.fault(line, what);
        self.held.push_back(Found::Fault(fault));
    }

    fn fault(&self, line: u64, what: Wrong) -> Fault {
        Fault { file: files::name(self.file), line, what }
    }
}

impl Open {
    fn new(file: File) -> Self {
        let reader = BufReader::with_capacity(64 << 10, file);
        Self { reader, line: 0, end: 0, good: (0, 0), complete: false, unfinished: false }
    }

    /// Reads the next whole line, without its end. What is not whole is read again the next time.
    fn cut(&mut self, buffer: &mut Vec<u8>) -> io::Result<Cut> {
        buffer.clear();
        let mut long = false;
        let mut length = 0;
        loop {
            let read = (&mut self.reader).take(LINE_MAX as u64 + 1).read_until(b'\n', buffer)?;
            length += read as u64;
            self.unfinished = length > 0;
            match buffer.last() {
                Some(b'\n') => break,
                _ if read <= LINE_MAX => {
                    self.reader.seek(SeekFrom::Start(self.end))?;
                    return Ok(Cut::End);
                }
                _ => {
                    long = true;
                    buffer.clear();
                }
            }
        }
        buffer.pop();
        self.unfinished = false;
        self.line += 1;
        self.end += length;
        Ok(if long { Cut::TooLong } else { Cut::Line })
    }

    /// Whether lines that were read are gone; then goes on behind those that are left.
    fn shortened(&mut self) -> io::Result<bool> {
        let length = self.reader.get_ref().metadata()?.len();
        let shorter = length < self.end;
        if shorter {
            self.end = length;
            self.reader.seek(SeekFrom::Start(length))?;
        }
        Ok(shorter)
    }
}
