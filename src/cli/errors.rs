//! How errors are shown.

use miette::{Diagnostic, MietteHandler, MietteHandlerOpts, ReportHandler};
use std::error::Error;
use std::fmt;
use std::io::IsTerminal;
use textwrap::WordSeparator;

/// Errors name paths and commands to copy: they are wrapped between words only, and for a
/// terminal only.
pub(super) fn show_plainly() {
    let wrap = std::io::stderr().is_terminal();
    let options =
        move || MietteHandlerOpts::new().wrap_lines(wrap).break_words(false).word_separator(WordSeparator::AsciiSpace);
    // An error means that a hook is set already, which nobody does.
    let _ = miette::set_hook(Box::new(move |_| {
        Box::new(Plain { chain: options().build(), alone: options().without_cause_chain().build() })
    }));
}

/// Leaves out causes that the message has told.
struct Plain {
    chain: MietteHandler,
    alone: MietteHandler,
}

impl ReportHandler for Plain {
    fn debug(&self, error: &dyn Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = if tells_its_causes(error) { &self.alone } else { &self.chain };
        handler.debug(error, f)
    }
}

fn tells_its_causes(error: &dyn Diagnostic) -> bool {
    let told = error.to_string();
    let first: Option<&dyn Error> = match error.diagnostic_source() {
        Some(_) => return false, // it has a help or a place of its own
        None => error.source(),
    };
    std::iter::successors(first, |cause| (**cause).source()).all(|cause| told.contains(&cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error, Diagnostic)]
    #[error("cannot open it: {source}")]
    struct Told {
        source: io::Error,
    }

    fn told() -> Told {
        Told { source: io::Error::other("the disk is full") }
    }

    #[test]
    fn a_cause_is_told_once() {
        assert!(tells_its_causes(&told()));
        let report = miette::Report::new(told()).wrap_err("cannot save");
        assert!(!tells_its_causes(report.as_ref()), "the outer message does not say why");
    }
}
