//! `rcc relay inbox`.

use super::Ground;
use super::present;
use crate::cli::relay::InboxArguments;
use crate::output;
use crate::relay::client::{Client, ClientError};
use crate::relay::name::MessageId;
use crate::relay::wire::answer::{Acked, Letter, Listed};
use crate::relay::wire::{Ack, Inbox, Request};
use miette::IntoDiagnostic;
use std::process::ExitCode;
use std::time::Duration;

/// Messages that are asked for at once.
const PAGE: u32 = 100;
/// Messages that one request acknowledges at most.
const ACK_MAX: usize = 1000;

pub(super) fn run(ground: &Ground, arguments: &InboxArguments) -> miette::Result<ExitCode> {
    let mut client = ground.connect()?;
    let seen = show(&mut client, arguments)?;
    if !arguments.keep {
        for ids in seen.chunks(ACK_MAX) {
            let _: Acked = client.ask(&Request::Ack(Ack { ids: ids.to_vec() }))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows all there are, page after page, and tells which of them were new.
fn show(client: &mut Client, arguments: &InboxArguments) -> miette::Result<Vec<MessageId>> {
    let (mut after, mut new) = (None, Vec::new());
    loop {
        let page = page(client, after.clone(), arguments.all)?;
        let text = match arguments.json {
            true => lines(&page.messages).into_diagnostic()?,
            false => page.messages.iter().map(present::letter).collect(),
        };
        output::print(text)?;
        // What nobody saw stays.
        if output::reader_has_gone(Duration::ZERO) {
            return Ok(new);
        }
        let last = page.messages.last().map(|letter| letter.message.id.clone());
        if after.is_none() && last.is_none() && !arguments.json {
            output::tell_line("rcc: no messages wait for you");
        }
        new.extend(page.messages.into_iter().filter(|letter| letter.read.is_none()).map(|letter| letter.message.id));
        if !page.more || last.is_none() {
            return Ok(new);
        }
        after = last;
    }
}

fn page(client: &mut Client, after: Option<MessageId>, all: bool) -> Result<Listed, ClientError> {
    client.ask(&Request::Inbox(Inbox { limit: Some(PAGE), after, all }))
}

fn lines(messages: &[Letter]) -> serde_json::Result<String> {
    messages.iter().map(|letter| Ok(serde_json::to_string(letter)? + "\n")).collect()
}
