//! `rcc relay bridge`.

use super::Ground;
use super::start;
use crate::relay::bridge::{self, Start};
use crate::relay::client;
use crate::relay::place::Place;
use std::process::ExitCode;

pub(super) fn run(ground: &Ground) -> miette::Result<ExitCode> {
    let place = match ground {
        Ground::System => Place::system(),
        Ground::Caller(facts) => client::own_place(facts),
    };
    bridge::run(&Start { socket: place.socket(), load: start::policy(ground) })?;
    Ok(ExitCode::SUCCESS)
}
