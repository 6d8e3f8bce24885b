//! Finding the end of a journal when the daemon starts, whatever state it is in.
//!
//! Only the newest file is read. What is wrong further back is found by `verify`, and does not keep the
//! daemon from going on. Nothing is destroyed but a last line without its end, which never was acknowledged.

use super::files::{self, Directory};
use super::hash::Hash;
use super::line::{self, HEADER_MAX, LINE_MAX};
use super::reader::{Cursor, Fault, Found, Position};
use super::{Head, Recorded};
use crate::moment::Moment;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Faults of one file that are told one by one.
const TOLD: usize = 5;

/// A file to which nothing is added any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    /// The number of its first entry.
    pub first: u64,
    /// When its last entry was made; `None` if that cannot be read.
    pub last: Option<Moment>,
}

/// The newest file.
#[derive(Debug)]
pub(super) struct Current {
    pub first: u64,
    pub file: File,
    /// Bytes of whole lines.
    pub length: u64,
    /// When its first entry was made.
    pub begun: Moment,
    /// When its last entry was made.
    pub last: Moment,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub head: Head,
    pub past: Vec<Past>,
    pub current: Option<Current>,
    pub mended: Vec<String>,
}

/// Looks through the directory.
pub(super) fn recover<E: Recorded>(directory: &Directory) -> io::Result<Recovered> {
    let mut files = directory.list()?;
    let mut found = Recovered::default();
    while let Some(first) = files.pop() {
        let before = files.last().and_then(|before| last_head(directory, *before).ok().flatten());
        if let Some((head, current)) = newest::<E>(directory, first, before, &mut found.mended)? {
            found.head = head;
            found.current = Some(current);
            break;
        }
    }
    for first in files {
        let last = directory.read(first).and_then(|file| last_line(&file)).ok().flatten();
        found.past.push(Past { first, last: last.map(|last| last.header.at) });
    }
    Ok(found)
}

/// The newest file with its tail in order; `None` if it held nothing, and is gone now.
fn newest<E: Recorded>(
    directory: &Directory,
    first: u64,
    before: Option<Head>,
    mended: &mut Vec<String>,
) -> io::Result<Option<(Head, Current)>> {
    let file = directory.reopen(first)?;
    let mut cursor = Cursor::<E>::at(file.try_clone()?, first, before, u64::MAX);
    let (mut faults, mut more) = (Vec::new(), false);
    while let Some(found) = cursor.next(directory)? {
        let Found::Fault(fault) = found else { continue };
        more |= faults.len() == TOLD;
        if faults.len() < TOLD {
            faults.push(fault);
        }
    }
    let Position { head, line, end } = cursor.position();
    // What stands behind the last entry is dealt with below.
    faults.retain(|fault| fault.line <= line);
    tell(&faults, more, mended);
    let length = file.metadata()?.len();
    let Some(head) = head.filter(|_| end > 0) else {
        if length == 0 {
            directory.remove(first)?;
        } else {
            let kept = directory.move_aside(first)?;
            mended.push(format!("{} of the journal holds no entry; it is kept as {kept}", files::name(first)));
        }
        return Ok(None);
    };
    if length > end {
        mended.push(cut(directory, first, &file, end, length)?);
    }
    // A daemon that was killed may have written what it had not synced. From now on it counts, so it must last.
    file.sync_data()?;
    directory.sync()?;
    let begun = first_header(&file)?.map_or(Moment(0), |header| header.at);
    let last = last_line(&file)?.map_or(begun, |last| last.header.at);
    Ok(Some((head, Current { first, file, length: end, begun, last })))
}

fn tell(faults: &[Fault], more: bool, mended: &mut Vec<String>) {
    mended.extend(faults.iter().map(|fault| format!("the journal is damaged, and goes on: {fault}")));
    if more {
        mended.push("there may be more wrong with it: `rcc relay audit --verify` lists everything".to_owned());
    }
}

/// Takes away what stands behind the last entry. More than a part of one line is kept beside the journal.
fn cut(directory: &Directory, first: u64, file: &File, end: u64, length: u64) -> io::Result<String> {
    let name = files::name(first);
    let mut rest = file.try_clone()?;
    rest.seek(SeekFrom::Start(end))?;
    let told = if holds_line(&mut rest)? {
        let (mut copy, kept) = directory.aside(first)?;
        rest.seek(SeekFrom::Start(end))?;
        io::copy(&mut rest, &mut copy)?;
        copy.sync_all()?;
        directory.sync()?;
        format!("the end of {name} held {} bytes that are no entries; they are kept as {kept}", length - end)
    } else {
        format!("the last line of {name} had no end, and was cut off: {} bytes", length - end)
    };
    file.set_len(end)?;
    file.sync_all()?;
    Ok(told)
}

/// Whether a line's end comes.
fn holds_line(file: &mut File) -> io::Result<bool> {
    let mut part = vec![0; 64 << 10];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(false),
            read if part[..read].contains(&b'\n') => return Ok(true),
            _ => {}
        }
    }
}

fn first_header(file: &File) -> io::Result<Option<line::Header>> {
    let mut start = [0; HEADER_MAX];
    let read = file.read_at(&mut start, 0)?;
    Ok(line::header(&start[..read]))
}

struct LastLine {
    header: line::Header,
    begin: u64,
    end: u64,
}

/// The last whole line of a file, if it is an entry.
fn last_line(file: &File) -> io::Result<Option<LastLine>> {
    let length = file.metadata()?.len();
    let Some(end) = line_end_before(file, length, length)? else { return Ok(None) };
    let begin = line_end_before(file, end, LINE_MAX as u64 + 1)?.map_or(0, |before| before + 1);
    if end - begin > LINE_MAX as u64 {
        return Ok(None);
    }
    let mut start = [0; HEADER_MAX];
    let read = file.read_at(&mut start, begin)?;
    Ok(line::header(&start[..read]).map(|header| LastLine { header, begin, end }))
}

/// Where the last line's end before `offset` is, looked for in so many bytes.
fn line_end_before(file: &File, offset: u64, most: u64) -> io::Result<Option<u64>> {
    let mut part = vec![0; 64 << 10];
    let (mut end, stop) = (offset, offset.saturating_sub(most));
    while end > stop {
        let begin = end.saturating_sub(part.len() as u64).max(stop);
        let part = &mut part[..(end - begin) as usize];
        file.read_exact_at(part, begin)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(begin + at as u64));
        }
        end = begin;
    }
    Ok(None)
}

/// The last entry of a file.
fn last_head(directory: &Directory, first: u64) -> io::Result<Option<Head>> {
    let file = directory.read(first)?;
    let Some(last) = last_line(&file)? else { return Ok(None) };
    let mut bytes = vec![0; (last.end - last.begin) as usize];
    file.read_exact_at(&mut bytes, last.begin)?;
    Ok(Some(Head { n: last.header.n, hash: Hash::of(&bytes) }))
}
