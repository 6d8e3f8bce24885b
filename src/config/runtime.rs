//! `runtime` and `image` in the user's file. A project has no say: what an image's programs do is the user's choice.

use super::reader::Value;
use crate::runtime::{Image, Runtime};

/// One of the runtimes.
pub(super) fn runtime(value: &Value<'_, '_>) -> Option<Runtime> {
    value.parse("the name of a runtime", |text| text.parse::<Runtime>())
}

/// The name of an image.
pub(super) fn image(value: &Value<'_, '_>) -> Option<Image> {
    value.parse("the name of an image", |text| text.parse::<Image>())
}
