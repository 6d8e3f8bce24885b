//! What the hub asks, as queries of the store.
use super::super::hub::{Answer, Ask};
use super::super::writer::Store;
pub(super) fn answer(_: &mut Store, _: Ask) -> Answer {
    Answer::Message(None)
}
